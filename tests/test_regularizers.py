"""Regularizers in closed form on linear and quadratic discriminators, by finite differences, and on real networks."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from zerosum import regularizers
from zerosum.core.errors import RecipeError
from zerosum.core.registry import parse, shelf
from zerosum.core.space import Space
from zerosum.networks import DCGANDiscriminator, MLPDiscriminator
from zerosum.regularizers import R1, R2, GradientPenalty, WeightClip

GRADIENT = [R1(), R2(), GradientPenalty()]
every_penalty = pytest.mark.parametrize("part", GRADIENT, ids=lambda part: part.name)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def look(part, discriminator, real, fake, label=None):
    """A round in which the discriminator has looked at what the part tracks."""
    real = real.clone().requires_grad_("real" in part.tracks)
    fake = fake.clone().requires_grad_() if "fake" in part.tracks else fake
    return SimpleNamespace(
        real=real, fake=fake, label=label, discriminator=discriminator,
        real_logits=discriminator(real, label), fake_logits=discriminator(fake, label),
    )  # fmt: skip


def penalty(part, discriminator, real, fake, label=None):
    return part(look(part, discriminator, real, fake, label), {})


def linear(w):
    return lambda x, label=None: x.flatten(1) @ w.flatten()


def quadratic(a):
    return lambda x, label=None: (x.flatten(1) @ a * x.flatten(1)).sum(1) / 2


def test_exports_are_the_registered_parts():
    parts = {
        part.__name__
        for kind in ("regularizer", "rule")
        for part in shelf(kind).values()
        if part.__module__.startswith("zerosum.")
    }
    assert set(regularizers.__all__) - {"Round"} == parts
    assert {type(part).__name__ for part in GRADIENT} == parts - {"WeightClip"}


@every_penalty
def test_text_round_trips_and_the_class_says_who_and_what(part):
    assert parse("regularizer", str(part)) == part
    assert part.player == "discriminator"
    assert part.tracks == {"r1": {"real"}, "r2": {"fake"}, "gradient-penalty": set()}[part.name]
    assert "discriminator.norm=layer, group or none" in part.clashes["batchnorm"]
    assert "Gulrajani" in part.clashes["batchnorm"]


@pytest.mark.parametrize("shape", [(7,), (3, 4, 4), (2, 5, 3)], ids=str)
@pytest.mark.parametrize(("part", "closed_form"), [
    (R1(gamma=3), lambda n: 1.5 * n**2),
    (R2(gamma=3), lambda n: 1.5 * n**2),
    (GradientPenalty(weight=3), lambda n: 3 * (n - 1) ** 2),
    (GradientPenalty(weight=3, target=0), lambda n: 3 * n**2),
    (GradientPenalty(weight=3, target=100), lambda n: 3 * (n - 100) ** 2),
    (GradientPenalty(weight=3, target=100, one_sided=True), lambda n: 0),
    (GradientPenalty(weight=3, target=0.5, one_sided=True), lambda n: 3 * (n - 0.5) ** 2),
])  # fmt: skip
def test_a_linear_discriminator_has_a_closed_form(part, closed_form, shape):
    w = torch.randn(shape) + 0.5
    found = penalty(part, linear(w), torch.randn(6, *shape), torch.randn(6, *shape) * 3)
    assert found.shape == ()
    assert found.item() == pytest.approx(closed_form(w.norm().item()), rel=1e-5, abs=1e-9)


def test_the_norm_is_over_all_numbers_of_a_sample():
    found = penalty(
        GradientPenalty(weight=1), linear(torch.ones(3, 4, 4)), torch.randn(5, 3, 4, 4), torch.randn(5, 3, 4, 4)
    )
    assert found.item() == pytest.approx(35.14359, rel=1e-6)  # (sqrt(48) - 1)^2; over channels only it is 0.535898
    assert abs(found.item() - 0.535898) > 1


def test_a_slope_of_one_costs_nothing():
    w = torch.randn(12)
    found = penalty(GradientPenalty(), linear(w / w.norm()), torch.randn(6, 12), torch.randn(6, 12))
    assert found.item() == pytest.approx(0, abs=1e-10)


def test_a_quadratic_discriminator_is_judged_where_the_part_says():
    a = torch.randn(4, 4)
    a = a + a.T
    real, fake = torch.randn(8, 4), torch.randn(8, 4) * 2 + 1
    for part, x in ((R1(gamma=0.5), real), (R2(gamma=0.5), fake)):
        expected = 0.25 * (x.double().numpy() @ a.double().numpy()) ** 2
        assert penalty(part, quadratic(a), real, fake).item() == pytest.approx(expected.sum(1).mean(), rel=1e-5)


def test_interpolates_lie_between_their_own_pair():
    seen = []

    def watch(x, label=None):
        seen.append((x, label))
        return x.flatten(1).sum(1)

    real, fake, label = torch.randn(400, 2, 3), torch.randn(400, 2, 3) + 5, torch.arange(400)
    fake.requires_grad_()
    GradientPenalty()(SimpleNamespace(real=real, fake=fake, label=label, discriminator=watch), {})
    ((x, given),) = seen
    share = ((x - fake) / (real - fake)).detach().flatten(1)
    assert given is label
    assert torch.allclose(share, share[:, :1].expand_as(share), atol=1e-4)  # one number a sample
    assert 0 <= share.min() < 0.02
    assert 0.98 < share.max() <= 1
    assert share[:, 0].mean().item() == pytest.approx(0.5, abs=0.05)
    assert share[:, 0].unique().numel() > 390
    assert x.is_leaf  # detached from both


def test_the_gradient_penalty_is_symmetric_in_real_and_fake():
    net = MLPDiscriminator(widths=(16,), dropout=0).build(Space((2,)))
    real, fake = torch.randn(4000, 2), torch.randn(4000, 2) + 2
    one, two = (penalty(GradientPenalty(), net, *pair).item() for pair in ((real, fake), (fake, real)))
    assert one == pytest.approx(two, rel=0.02)


@every_penalty
def test_derivatives_by_weights_equal_finite_differences(part):
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1))
    real, fake = torch.randn(6, 3), torch.randn(6, 3) * 2

    def value():
        torch.manual_seed(9)
        return penalty(part, lambda x, label=None: net(x).squeeze(1), real, fake)

    analytic = torch.autograd.grad(value(), net[0].weight)[0]
    direction, size = torch.randn_like(net[0].weight), 2e-2
    ends = []
    for sign in (1, -1):
        with torch.no_grad():
            net[0].weight += sign * size * direction
        ends.append(value().item())
        with torch.no_grad():
            net[0].weight -= sign * size * direction
    numeric = (ends[0] - ends[1]) / (2 * size)
    assert abs(numeric) > 0.05
    assert (analytic * direction).sum().item() == pytest.approx(numeric, rel=1e-2)


@every_penalty
def test_the_generator_receives_nothing_from_it(part):
    generator = nn.Linear(2, 3)
    fake = generator(torch.randn(5, 2))
    net = MLPDiscriminator(widths=(8,)).build(Space((3,)))
    if part.tracks:
        fake = fake.detach()  # a game hands on detached fakes in the discriminator's turn
    penalty(part, net, torch.randn(5, 3), fake).backward()
    assert generator.weight.grad is None
    assert net.body[0].weight.grad.abs().sum() > 0


@every_penalty
def test_lazy_penalties_count_for_the_updates_between(part):
    w, x = torch.randn(6), torch.randn(4, 6)
    once, lazy = (penalty(p, linear(w), x, x + 1).item() for p in (part, part.replace(every=16)))
    assert lazy == pytest.approx(16 * once, rel=1e-6)


@every_penalty
def test_a_flat_discriminator_has_finite_gradients(part):
    w = torch.zeros(3, requires_grad=True)
    penalty(part, lambda x, label=None: x @ w, torch.randn(4, 3), torch.randn(4, 3)).backward()
    assert w.grad.isfinite().all()


@every_penalty
def test_a_patch_map_counts_as_its_mean(part):
    conv = nn.Conv2d(3, 1, 2, 2, bias=False)
    real, fake = torch.randn(5, 3, 4, 6), torch.randn(5, 3, 4, 6)
    found = []
    for maps in (True, False):
        torch.manual_seed(1)
        found.append(
            penalty(
                part, lambda x, label=None, maps=maps: conv(x) if maps else conv(x).mean((1, 2, 3)), real, fake
            ).item()
        )
    assert found[0] == pytest.approx(found[1], rel=1e-6)
    norm = conv.weight.norm().item() / math.sqrt(6)  # of the mean over 2 x 3 places that share no pixel
    expected = 10 * (norm - 1) ** 2 if part.name == "gradient-penalty" else 5 * norm**2
    assert found[0] == pytest.approx(expected, rel=1e-4)


@every_penalty
def test_adding_a_constant_or_permuting_the_batch_changes_nothing(part):
    a = torch.randn(4, 4)
    real, fake, order = torch.randn(8, 4), torch.randn(8, 4), torch.randperm(8)
    torch.manual_seed(1)
    plain = penalty(part, quadratic(a), real, fake).item()
    torch.manual_seed(1)
    assert penalty(part, lambda x, label=None: quadratic(a)(x) + 7, real, fake).item() == pytest.approx(plain, rel=1e-6)
    if part.tracks:  # the gradient penalty draws one number a place
        assert penalty(part, quadratic(a), real[order], fake[order]).item() == pytest.approx(plain, rel=1e-6)


@every_penalty
def test_bf16_autocast_leaves_the_penalty_in_float32(part):
    w = torch.randn(64) + 1
    net = nn.Linear(64, 1, bias=False)
    net.weight.data.copy_(w)
    seen = []

    def discriminator(x, label=None):
        logits = net(x).squeeze(1)
        seen.append(logits.dtype)
        return logits

    real, fake = torch.randn(8, 64), torch.randn(8, 64)
    exact = penalty(part, discriminator, real, fake)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = penalty(part, discriminator, real, fake.bfloat16() if part.name == "gradient-penalty" else fake)
        found.backward()
    assert found.dtype == torch.float32
    assert torch.bfloat16 in seen
    if part.name == "gradient-penalty":
        assert seen[-1] == torch.float32  # it looks again, in float32
        assert found.item() == pytest.approx(exact.item(), rel=1e-5)
    else:
        assert found.item() == pytest.approx(exact.item(), rel=2e-2)
    assert net.weight.grad.isfinite().all()


@every_penalty
@pytest.mark.parametrize("norm", ["layer", "group", "instance", "none"])
def test_works_on_the_networks_it_allows(part, norm):
    net = DCGANDiscriminator(channels=8, norm=norm, labels=True).build(Space((1, 8, 12), classes=3))
    found = penalty(part, net, torch.randn(4, 1, 8, 12), torch.randn(4, 1, 8, 12), torch.tensor([0, 1, 2, 2]))
    found.backward()
    assert found > 0
    grads = [p.grad for name, p in net.named_parameters() if not name.endswith("bias")]
    assert all(g.isfinite().all() for g in grads)
    assert grads[0].abs().sum() > 0


def test_errors_say_what_to_do():
    net = linear(torch.ones(3))
    real = torch.randn(4, 3)
    for part, what in ((R1(), "real"), (R2(), "fake")):
        with pytest.raises(
            ValueError, match=rf"{part.name}: call {what}.requires_grad_\(\) before the discriminator looks at {what}"
        ):
            part(SimpleNamespace(real=real, fake=real, real_logits=net(real), fake_logits=net(real)), {})
        with pytest.raises(
            ValueError, match=f"{part.name}: the round has no {what}_logits; let the discriminator look"
        ):
            part(SimpleNamespace(real=real, fake=real, real_logits=None, fake_logits=None), {})
    with pytest.raises(ValueError, match=r"real samples \(4, 3\) and generated ones \(5, 3\) are joined in pairs"):
        GradientPenalty()(SimpleNamespace(real=real, fake=torch.randn(5, 3), label=None, discriminator=net), {})
    with pytest.raises(RecipeError, match=r"regularizer 'r1': gamma: -1\.0 must be at least 0"):
        R1(gamma=-1)
    with pytest.raises(RecipeError, match="regularizer 'r2': every: 0 must be at least 1"):
        R2(every=0)


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
    net = MLPDiscriminator(widths=(32,), dropout=0).build(Space((2,)))
    optimizer, clip = torch.optim.RMSprop(net.parameters(), lr=5e-3), WeightClip()
    for _ in range(5):
        optimizer.zero_grad()
        (net(torch.randn(16, 2)).mean() - net(torch.randn(16, 2) + 2).mean()).backward()
        optimizer.step()
        clip.apply(net)
        assert max(p.abs().max() for p in net.parameters()) <= np.float32(0.01)
