"""What holds for all regularizers and rules; each family has a file of its own. Also the networks that they share."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from zerosum import regularizers
from zerosum.core.registry import parse, registered
from zerosum.networks import MLPDiscriminator
from zerosum.networks.space import Space
from zerosum.regularizers import MaxNorm, WeightClip
from zerosum.regularizers.passes import per_sample, steady, still

OURS = {
    name: part
    for kind in ("regularizer", "rule")
    for name, part in registered(kind).items()
    if part.__module__.startswith("zerosum.")
}
REGULARIZERS = [part for part in OURS.values() if part.kind == "regularizer"]


class LinearGenerator(nn.Module):
    """G(z) = A z, of any shape; records what it was given."""

    def __init__(self, matrix, shape):
        super().__init__()
        self.matrix, self.shape, self.given = nn.Parameter(matrix.clone()), shape, []

    def forward(self, z, label=None):
        self.given.append((z, label))
        return (z @ self.matrix.T).unflatten(1, self.shape)


def linear(w):
    """A discriminator s = w.x."""
    return lambda x, label=None: x.flatten(1) @ w.flatten()


def quadratic(a):
    """A discriminator s = x.Ax / 2 with a symmetric A."""
    return lambda x, label=None: (x.flatten(1) @ a * x.flatten(1)).sum(1) / 2


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_exports_are_the_registered_parts():
    assert set(regularizers.__all__) == {part.__name__ for part in OURS.values()}


@pytest.mark.parametrize("part", REGULARIZERS, ids=lambda part: part.name)
def test_the_class_says_who_pays_what_is_tracked_and_how_often(part):
    assert part.player in ("discriminator", "generator", "both")
    assert part.tracks <= {"real", "fake"}
    assert part().every >= 1
    assert parse("regularizer", f"{part.name}:every=3").every == 3
    memory = part().memory() if hasattr(part, "memory") else {}
    assert all(isinstance(value, torch.Tensor) and not value.requires_grad for value in memory.values())
    assert set(getattr(part, "watched", ())) <= memory.keys()


@pytest.mark.parametrize("name", [
    "r1", "r2", "gradient-penalty", "dragan", "cr", "bcr", "zcr", "vat", "alr",
])  # fmt: skip
def test_what_needs_logits_refuses_an_auto_encoder(name):
    assert OURS[name].clashes["autoencoder"] == (
        "the logit of an auto-encoder is minus its reconstruction error; remove this regularizer, or choose a "
        "discriminator.network that gives logits, for example dcgan-discriminator"
    )


def test_clipping_bounds_every_parameter_exactly_and_leaves_buffers():
    net = nn.Sequential(nn.Linear(20, 20), nn.BatchNorm1d(20))
    kept = net[0].weight.detach().clone()
    pointers = [p.data_ptr() for p in net.parameters()]
    WeightClip(limit=0.1).apply(net)
    assert torch.equal(net[0].weight, kept.clamp(-0.1, 0.1))
    assert net[0].weight.max() == np.float32(0.1)
    assert net[0].weight.min() == -np.float32(0.1)
    assert torch.equal(net[1].weight, torch.full((20,), 0.1))
    assert torch.equal(net[1].running_var, torch.ones(20))
    assert [p.data_ptr() for p in net.parameters()] == pointers
    assert all(p.requires_grad for p in net.parameters())
    WeightClip().apply(nn.ReLU())  # no parameters
    assert parse("rule", "clip") == WeightClip(limit=0.01)


def test_a_clipped_critic_keeps_its_limit_over_steps():
    net = MLPDiscriminator(widths=(32,), dropout=0).build(*Space((2,)).ports)
    optimizer, clip = torch.optim.RMSprop(net.parameters(), lr=5e-3), WeightClip()
    for _ in range(5):
        optimizer.zero_grad()
        (net(torch.randn(16, 2)).mean() - net(torch.randn(16, 2) + 2).mean()).backward()
        optimizer.step()
        clip.apply(net)
        assert max(p.abs().max() for p in net.parameters()) <= np.float32(0.01)


def test_max_norm_shortens_long_units_alone_and_leaves_biases_and_norms():
    net = nn.Sequential(nn.Conv2d(3, 4, 2), nn.BatchNorm2d(4), nn.Linear(5, 2))
    with torch.no_grad():
        net[0].weight.copy_(torch.randn(4, 3, 2, 2) * torch.tensor([0.01, 3.0, 0.02, 5.0]).view(-1, 1, 1, 1))
        net[0].bias.fill_(7.0)
        net[1].weight.fill_(9.0)
        net[2].weight.copy_(torch.tensor([[3.0, 0, 4, 0, 0], [0.3, 0, 0.4, 0, 0]]))
    before, pointers = net[0].weight.detach().clone(), [p.data_ptr() for p in net.parameters()]
    MaxNorm(limit=0.75).apply(net)
    norms = net[0].weight.detach().flatten(1).norm(dim=1)
    assert torch.equal(net[0].weight[[0, 2]], before[[0, 2]])
    assert norms[[1, 3]].numpy() == pytest.approx(0.75, rel=1e-5)
    parallel = torch.cosine_similarity(net[0].weight.flatten(1), before.flatten(1))
    assert parallel.detach().numpy() == pytest.approx(1, rel=1e-5)
    expected = np.array([[0.45, 0, 0.6, 0, 0], [0.3, 0, 0.4, 0, 0]])
    assert net[2].weight.detach().numpy() == pytest.approx(expected, rel=1e-5)
    assert torch.equal(net[0].bias, torch.full((4,), 7.0))
    assert torch.equal(net[1].weight, torch.full((4,), 9.0))
    assert [p.data_ptr() for p in net.parameters()] == pointers
    MaxNorm().apply(nn.ReLU())  # no parameters
    assert parse("rule", "max-norm") == MaxNorm(limit=1.9365)


@pytest.mark.parametrize("shape", [(6,), (6, 1), (6, 1, 3, 5)], ids=str)
def test_there_is_one_float32_logit_a_sample(shape):
    logits = torch.randn(shape)
    assert torch.equal(per_sample(logits), logits.reshape(6, -1).mean(1))
    assert per_sample(logits.bfloat16()).dtype == torch.float32
    assert torch.equal(per_sample(logits.bfloat16()), per_sample(logits.bfloat16().float()))


@pytest.mark.parametrize("kind", ["cpu", "another"])
def test_steady_logits_draw_the_same_each_time_from_the_generator_of_their_device(kind, monkeypatch):
    drawn = {"cpu": [], "another": []}

    def source(name):
        return SimpleNamespace(get_rng_state=lambda: f"state of {name}", set_rng_state=drawn[name].append)

    monkeypatch.setattr(torch, "get_rng_state", source("cpu").get_rng_state)
    monkeypatch.setattr(torch, "set_rng_state", source("cpu").set_rng_state)
    monkeypatch.setattr(torch, "get_device_module", lambda device: source(device.type))
    real = SimpleNamespace(x=SimpleNamespace(device=SimpleNamespace(type=kind)))
    logits = steady(SimpleNamespace(real=real, logits=lambda x: x * 5))
    assert [logits(torch.tensor([3.0])).item() for _ in range(2)] == [15, 15]
    assert drawn == {"cpu": [], "another": []} | {kind: [f"state of {kind}"] * 2}


def test_nothing_but_batch_norms_that_count_is_held_still():
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.BatchNorm1d(3, track_running_stats=False))
    with still(net):
        assert [getattr(layer, "track_running_stats", None) for layer in net] == [None, False, False]
    assert [getattr(layer, "track_running_stats", None) for layer in net] == [None, True, False]
