"""Regularizers of the generator: path length, Jacobian clamping, consistency of successive outputs."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from tests.exchanges import Two, cost, exchange, remembered
from tests.test_regularizers import LinearGenerator
from zerosum.core.errors import RecipeError
from zerosum.core.memory import Memory
from zerosum.core.registry import parse
from zerosum.core.team import Alone
from zerosum.networks import DCGANGenerator
from zerosum.networks.space import Space
from zerosum.regularizers import JacobianClamping, PathLength, SuccessiveConsistency

PARTS = [PathLength(every=1), JacobianClamping(), SuccessiveConsistency()]
every_part = pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def update(generator, latent, label=None):
    """An update of the generator; a discriminator that is asked anything would fail."""
    fake = generator(latent, label)
    if isinstance(generator, LinearGenerator):
        generator.given.clear()
    return exchange("generator", generator, None, torch.zeros_like(fake), fake, label, latent)


def pay(part, generator, latent, memory=None, label=None):
    return cost(part, update(generator, latent, label), memory)


@every_part
def test_text_round_trips_and_the_generator_pays(part):
    assert parse("regularizer", str(part)) == part
    assert part.player == "generator"
    assert part.tracks == set()


@pytest.mark.parametrize(("shape", "pixels"), [((3, 4, 5), 20), ((7,), 1)], ids=str)
def test_path_length_of_a_linear_generator(shape, pixels):
    matrix, latent = torch.randn(math.prod(shape), 6), torch.randn(9, 6)
    part, memory = PathLength(weight=3, decay=0.2, share=0.4, every=5), Memory({"mean": torch.tensor(1.5)})
    state = torch.get_rng_state()
    found = pay(part, LinearGenerator(matrix, shape), latent, memory)
    torch.set_rng_state(state)
    y = torch.randn(4, math.prod(shape)).double().numpy()  # 40 % of 9, rounded up
    lengths = np.linalg.norm(y @ matrix.double().numpy(), axis=1) / math.sqrt(pixels)
    mean = 0.8 * 1.5 + 0.2 * lengths.mean()
    assert found.shape == ()
    assert found.item() == pytest.approx(3 * ((lengths - mean) ** 2).mean(), rel=1e-4)
    assert memory["mean"].item() == pytest.approx(mean, rel=1e-5)


def test_the_mean_length_is_that_of_all_ranks():
    matrix, latent, found = torch.randn(12, 6), torch.randn(9, 6), []
    for team in (Alone(), Two(5.0)):
        memory = Memory({"mean": torch.tensor(1.5)}, team)
        torch.manual_seed(4)
        found.append((pay(PathLength(decay=1), LinearGenerator(matrix, (12,)), latent, memory), memory["mean"].item()))
    (alone, own), (together, mean) = found
    assert mean == pytest.approx((own + 5) / 2, rel=1e-6)
    assert together.item() == pytest.approx(alone.item() + 2 * (own - mean) ** 2, rel=1e-4)


def test_lengths_of_coarse_latents_are_those_of_the_same_latents_in_float32():
    generator, latent, found = LinearGenerator(torch.randn(20, 6), (20,)), torch.randn(8, 6).bfloat16(), []
    for z in (latent, latent.float()):
        torch.manual_seed(3)
        r = exchange("generator", generator, None, torch.zeros(8, 20), torch.zeros(8, 20), latent=z)
        found.append(PathLength()(r, remembered(PathLength())))
    assert found[0].dtype == torch.float32
    assert torch.equal(*found)


def test_path_length_in_the_mean_is_the_frobenius_norm():
    matrix, part = torch.randn(48, 5), PathLength(weight=1, decay=0, share=1, every=1)
    found = pay(part, LinearGenerator(matrix, (3, 4, 4)), torch.randn(20_000, 5))  # the remembered mean is and stays 0
    assert found.item() == pytest.approx(matrix.square().sum().item() / 16, rel=0.02)


def test_scaling_the_generator_scales_lengths_and_the_penalty_by_its_square():
    matrix, latent = torch.randn(12, 5), torch.randn(8, 5)
    found = []
    for scale in (1, 3):
        torch.manual_seed(4)
        memory = Memory({"mean": torch.tensor(2.0 * scale)})
        penalty = pay(PathLength(), LinearGenerator(scale * matrix, (3, 2, 2)), latent, memory)
        found.append((penalty.item(), memory["mean"].item()))
    assert found[0][0] > 0.1
    assert found[1] == pytest.approx((9 * found[0][0], 3 * found[0][1]), rel=1e-5)


def test_equal_lengths_at_the_mean_cost_nothing():
    memory = Memory({"mean": torch.tensor(5.0)})
    assert (
        pay(PathLength(decay=1), LinearGenerator(torch.randn(12, 5), (3, 2, 2)), torch.randn(1, 5), memory).item() == 0
    )
    flat = LinearGenerator(torch.zeros(12, 5), (3, 2, 2))
    penalty = pay(PathLength(), flat, torch.randn(8, 5))
    penalty.backward()
    assert penalty.item() == 0
    assert flat.matrix.grad.isfinite().all()


def test_the_mean_in_the_path_length_penalty_is_not_detached_but_what_is_remembered_is():
    generator, latent = LinearGenerator(torch.tensor([[1.7]]), (1,)), torch.randn(6, 1)
    memory = Memory({"mean": torch.tensor(0.4)})
    held = memory["mean"]
    state = torch.get_rng_state()
    pay(PathLength(weight=1, decay=0.5, share=1, every=1), generator, latent, memory).backward()
    torch.set_rng_state(state)
    slopes = torch.randn(6, 1).abs().double().numpy()  # length = c * slope
    lengths = 1.7 * slopes
    mean = 0.5 * 0.4 + 0.5 * lengths.mean()
    expected = (2 * (lengths - mean) * (slopes - 0.5 * slopes.mean())).mean()
    detached = (2 * (lengths - mean) * slopes).mean()
    assert generator.matrix.grad.item() == pytest.approx(expected, rel=1e-5)
    assert abs(expected - detached) > 0.1
    assert memory["mean"] is held
    assert held.item() == pytest.approx(mean, rel=1e-6)
    assert not held.requires_grad


class Styles(nn.Module):
    """Mapping z -> tanh(M z), one style a layer or one in all; image = the sum over layers of (A_l w_l)^2."""

    def __init__(self, layers):
        super().__init__()
        self.layers, self.labels = layers, []
        self.M = nn.Parameter(torch.randn(3, 4))
        self.A = nn.Parameter(torch.randn(max(layers, 1), 12, 3))

    def mapping(self, z, label=None):
        self.labels.append(label)
        w = (z @ self.M.T).tanh()
        return w[:, None].expand(-1, self.layers, -1) if self.layers else w

    def synthesis(self, w):
        w = w if self.layers else w[:, None]
        return torch.einsum("lij,nlj->nli", self.A, w).square().sum(1).unflatten(1, (3, 2, 2))

    def forward(self, z, label=None):
        return self.synthesis(self.mapping(z, label))


@pytest.mark.parametrize("layers", [0, 1, 4])
def test_path_length_in_the_space_of_styles(layers):
    generator, latent, label = Styles(layers), torch.randn(5, 4), torch.tensor([3, 1, 4, 1, 5])
    r = update(generator, latent, label)
    generator.labels.clear()
    state = torch.get_rng_state()
    found = PathLength(weight=1, decay=0, every=1, share=0.6)(r, Memory({"mean": torch.tensor(0.0)}))
    torch.set_rng_state(state)
    y = torch.randn(3, 12).double().numpy() / 2  # sqrt(2 * 2)
    A, M, z = (x.detach().double().numpy() for x in (generator.A, generator.M, latent[:3]))
    w = np.tanh(z @ M.T)
    squares = [((2 * y * (w @ layer.T)) @ layer) ** 2 for layer in A]  # gradient by this layer's style, squared
    assert found.item() == pytest.approx(np.mean(np.sum(squares, axis=(0, 2)) / max(layers, 1)), rel=1e-4)
    assert [x.tolist() for x in generator.labels] == [[3, 1, 4]]
    found.backward()
    assert generator.M.grad.abs().sum() > 0.1  # the mapping learns, too
    assert generator.A.grad.abs().sum() > 0.1


def test_path_length_refuses_batch_norm_in_the_generator():
    assert "set generator.norm=none, layer or group, or" in PathLength.clashes["batchnorm"]
    assert "batchnorm" not in JacobianClamping.clashes


def orthonormal(rows, columns):
    return torch.linalg.qr(torch.randn(rows, columns)).Q


@pytest.mark.parametrize(("scale", "expected"), [(0.25, 0.75**2), (1.0, 0), (3.0, 0), (5.0, 0), (7.5, 2.5**2)])
@pytest.mark.parametrize("shape", [(3, 2, 2), (12,)], ids=str)
def test_jacobian_clamping_of_a_generator_that_stretches_all_steps_alike(scale, expected, shape):
    part = JacobianClamping(weight=3, low=1, high=5, every=4, epsilon=0.3)
    found = pay(part, LinearGenerator(scale * orthonormal(12, 4), shape), torch.randn(8, 4))
    assert found.item() == pytest.approx(3 * expected, rel=1e-4, abs=1e-8)


def test_jacobian_clamping_takes_one_step_of_a_length_for_each_latent():
    matrix, latent, label = torch.randn(12, 4) * 3, torch.randn(500, 4), torch.arange(500)
    generator = LinearGenerator(matrix, (3, 2, 2))
    found = pay(JacobianClamping(weight=1, low=6, high=9, epsilon=0.7), generator, latent, label=label)
    ((moved, given),) = generator.given
    steps = (moved - latent).double().numpy()
    assert given is label
    assert np.linalg.norm(steps, axis=1) == pytest.approx(np.full(500, 0.7), rel=1e-5)
    assert steps.mean(0) == pytest.approx(np.zeros(4), abs=0.06)
    assert steps.var(0) == pytest.approx(np.full(4, 0.49 / 4), rel=0.2)  # every direction alike
    quotients = np.linalg.norm(steps @ matrix.double().numpy().T, axis=1) / 0.7
    assert (quotients < 6).any()
    assert (quotients > 9).any()
    expected = np.maximum(0, quotients - 9) ** 2 + np.maximum(0, 6 - quotients) ** 2
    assert found.item() == pytest.approx(expected.mean(), rel=1e-4)


def test_jacobian_clamping_pushes_into_the_bounds():
    for scale, sign in ((0.2, -1), (40.0, 1)):
        generator = LinearGenerator(scale * orthonormal(12, 4), (3, 2, 2))
        pay(JacobianClamping(), generator, torch.randn(16, 4)).backward()
        assert sign * (generator.matrix.grad * generator.matrix).sum() > 0.1  # descent lowers (raises) the scale
    flat = LinearGenerator(torch.zeros(12, 4), (3, 2, 2))
    penalty = pay(JacobianClamping(), flat, torch.randn(8, 4))
    penalty.backward()
    assert penalty.item() == 1
    assert flat.matrix.grad.isfinite().all()
    with pytest.raises(RecipeError, match="'jacobian-clamping': low=3 is above high=2; lower low"):
        JacobianClamping(low=3, high=2)


def test_successive_outputs_for_the_same_latents_are_compared():
    part = SuccessiveConsistency(weight=3, every=2)
    before, after = torch.randn(12, 4), torch.randn(12, 4)
    generator, memory = LinearGenerator(before, (3, 2, 2)), remembered(part)
    first, second = torch.randn(5, 4), torch.randn(5, 4)
    label = torch.tensor([4, 3, 2, 1, 0])
    assert pay(part, generator, first, memory, label).item() == 0
    assert generator.given == []
    generator.matrix.data.copy_(after)
    found = pay(part, generator, second, memory, label + 10)
    ((asked, given),) = generator.given
    assert asked.tolist() == first.tolist()
    assert given.tolist() == [4, 3, 2, 1, 0]
    change = first.double().numpy() @ (after - before).double().numpy().T
    assert found.item() == pytest.approx(3 * np.abs(change).mean(), rel=1e-5)
    found.backward()
    expected = 3 * np.sign(change).T @ first.double().numpy() / change.size
    assert generator.matrix.grad.double().numpy() == pytest.approx(expected, rel=1e-5)
    assert pay(part, generator, first, memory, label).item() == 0  # the weights did not move
    assert generator.given[0][0].tolist() == second.tolist()  # it asks about the newest latents


def test_successive_consistency_remembers_coarse_outputs_in_float32():
    memory, latent = Memory(), torch.randn(4, 3)
    r = exchange("generator", None, None, torch.zeros(4, 5), torch.randn(4, 5).bfloat16(), latent=latent)
    SuccessiveConsistency()(r, memory)
    assert memory["fake"].dtype == torch.float32
    assert torch.equal(memory["fake"], r.fake.x.float())


def test_what_successive_consistency_remembers_is_a_constant():
    generator, memory = LinearGenerator(torch.randn(6, 4), (6,)), Memory()
    latent = torch.randn(4, 4)
    pay(SuccessiveConsistency(), generator, latent, memory)
    assert memory.keys() == {"latent", "fake"}
    assert not any(value.requires_grad for value in memory.values())
    assert torch.equal(memory["fake"], generator(latent).detach())
    latent.zero_()
    assert memory["latent"].abs().sum() > 0  # a copy


def test_successive_consistency_of_a_generator_with_batch_norm_that_did_not_move_is_exactly_zero():
    net, memory = DCGANGenerator(channels=8, norm="batch").build(*Space((1, 8, 8), 5).ports), Memory()
    pay(SuccessiveConsistency(), net, torch.randn(4, 5), memory)
    assert pay(SuccessiveConsistency(), net, torch.randn(4, 5), memory).item() == 0
    assert memory["fake"].std() > 0


def used(part):
    """Memory after one update of another generator, so that every part has something to say."""
    memory = remembered(part) if hasattr(part, "memory") else Memory()
    pay(part, LinearGenerator(torch.randn(6, 4), (6,)), torch.randn(8, 4), memory)
    return memory


@every_part
def test_derivatives_by_weights_equal_finite_differences(part):
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 6))
    first, latent = used(part), torch.randn(8, 4)
    part = part.replace(low=2.0, high=2.0) if part.name == "jacobian-clamping" else part

    def value():
        torch.manual_seed(9)
        memory = Memory({name: x.clone() for name, x in first.items()})
        return pay(part, lambda z, label=None: net(z), latent, memory)

    analytic = torch.autograd.grad(value(), net[0].weight)[0]
    direction, size, ends = torch.randn_like(net[0].weight), 1e-2, []
    for sign in (1, -2):
        with torch.no_grad():
            net[0].weight += sign * size * direction
        ends.append(value().item())
    numeric = (ends[0] - ends[1]) / (2 * size)
    assert abs(numeric) > 0.005
    assert (analytic * direction).sum().item() == pytest.approx(numeric, rel=2e-2)


@every_part
def test_bf16_autocast_leaves_the_penalty_in_float32(part):
    matrix, latent, found = torch.randn(64, 16) / 20, torch.randn(8, 16), []
    for low in (False, True):
        torch.manual_seed(3)
        memory = Memory({"mean": torch.tensor(0.5), "latent": latent + 1, "fake": torch.randn(8, 1, 8, 8)})
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=low):
            found.append(pay(part, LinearGenerator(matrix, (1, 8, 8)), latent, memory))
    assert found[1].dtype == torch.float32
    exact = part.name == "path-length"
    assert found[1].item() == pytest.approx(found[0].item(), rel=1e-6 if exact else 2e-2)
    assert found[0].item() > 1e-3


@every_part
def test_works_on_a_convolutional_generator_and_leaves_its_running_statistics_alone(part):
    norm = "layer" if "batchnorm" in getattr(part, "clashes", {}) else "batch"
    net = DCGANGenerator(channels=8, norm=norm).build(*Space((1, 8, 8), 5).ports)
    latent, memory = torch.randn(4, 5), remembered(part) if hasattr(part, "memory") else None
    pay(part, net, latent, memory)
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(0.5)
    r = update(net, latent)
    kept = {name: x.clone() for name, x in net.named_buffers()}
    found = cost(part, r, memory)
    assert all(torch.equal(x, kept[name]) for name, x in net.named_buffers())
    assert all(m.track_running_stats for m in net.modules() if isinstance(m, nn.BatchNorm2d))
    found.backward()
    assert found > 0
    assert sum(p.grad.abs().sum() for p in net.parameters() if p.grad is not None) > 0
    assert all(p.grad.isfinite().all() for p in net.parameters() if p.grad is not None)
