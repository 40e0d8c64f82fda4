"""VAT and ALR: the worst direction, closed forms on linear discriminators, noise and statistics left out of it."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from tests.exchanges import exchange
from tests.test_regularizers import linear, quadratic
from zerosum.core.errors import RecipeError
from zerosum.core.registry import parse
from zerosum.networks import DCGANDiscriminator
from zerosum.networks.space import Space
from zerosum.regularizers import ALR, VAT

PARTS = [VAT(epsilon=0.5), ALR(limit=0.1)]
every_part = pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def judged(discriminator, real, fake, **options):
    """An update of a discriminator that sees these samples."""
    return exchange("discriminator", None, discriminator, real, fake, **options)


def update(discriminator, shape=(5,), count=6, scale=1.0, **options):
    """An update of a discriminator that sees random samples."""
    real, fake = torch.randn(count, *shape) * scale, torch.randn(count, *shape) * scale + scale
    return judged(discriminator, real, fake, **options)


def numbers(x):
    return x.detach().double().numpy().reshape(len(x), -1)


def sigmoid(s):
    return 1 / (1 + np.exp(-s))


def kl(s, t):
    """KL divergence of coins with these logits, from its definition."""
    p, q = sigmoid(s), sigmoid(t)
    return p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))


@every_part
def test_text_round_trips_and_the_class_says_who_and_what(part):
    assert parse("regularizer", str(part)) == part
    assert part.player == "discriminator"
    assert part.tracks == set()


def test_vat_needs_probabilities_and_alr_does_not():
    assert "set objective=non-saturating, minimax or hinge, or take the regularizer alr" in VAT.needs["zero-level"]
    assert ALR.needs == {}


@pytest.mark.parametrize("pack", [1, 2])
@pytest.mark.parametrize("shape", [(5,), (2, 3, 4)], ids=str)
def test_vat_moves_samples_along_the_slope_by_its_length(shape, pack):
    w = torch.randn(pack * shape[0], *shape[1:]) + 0.3
    label = torch.arange(6)
    r = update(linear(w), shape, scale=0.2, label=label, pack=pack)
    found = VAT(weight=3, epsilon=1.5, xi=0.02, every=2)(r)
    assert len(r.shown) == 6  # for real and for generated: the sample, one power step, the end
    assert all(given is label for _, given in r.shown)
    unit, total = numbers(w[None])[0] / w.norm().item(), 0
    for (start, _), (trial, _), (end, _), x in zip(r.shown[::3], r.shown[1::3], r.shown[2::3], (r.real.x, r.fake.x),
                                                   strict=True):  # fmt: skip
        assert torch.equal(start, x)
        assert np.linalg.norm(numbers(trial - x).reshape(6 // pack, -1), axis=1) == pytest.approx(0.02, rel=1e-3)
        step = numbers(end - x).reshape(6 // pack, -1)
        assert np.linalg.norm(step, axis=1) == pytest.approx(1.5, rel=1e-4)
        assert np.abs(step @ unit) == pytest.approx(1.5, rel=1e-4)
        s = numbers(x).reshape(6 // pack, -1) @ numbers(w[None])[0]
        total += kl(s, s + step @ numbers(w[None])[0]).mean()
    assert found.shape == ()
    assert found.item() == pytest.approx(3 * total / 2, rel=1e-4)


def test_the_two_divergences_of_the_reference_both_occur():
    w = torch.tensor([3.0, 4.0])
    where = 0.7 / 25 * w
    r = judged(linear(w), where.expand(200, 2), where.expand(200, 2))
    found = VAT(epsilon=0.5)(r).item()  # epsilon |w| = 2.5
    signs = torch.cat([(r.shown[i][0] - where) @ w for i in (2, 5)]).sign()
    share = (signs > 0).float().mean().item()
    assert 0.35 < share < 0.65  # the random start decides between w and -w
    assert found == pytest.approx(share * 0.466298 + (1 - share) * 0.720261, rel=1e-4)


@every_part
def test_power_iterations_find_the_direction_of_the_fastest_change(part):
    basis = torch.linalg.qr(torch.randn(6, 6)).Q
    a = basis @ torch.diag(torch.tensor([3.0, 2.0, 1.0, 0.5, 0.2, 0.1])) @ basis.T
    for steps, low, high in ((1, 0.2, 0.95), (40, 0.995, 1.001)):
        r = judged(quadratic(a), torch.zeros(50, 6), torch.zeros(50, 6))
        part.replace(steps=steps, xi=0.5)(r)
        assert len(r.shown) == 2 * (2 + steps)
        ends = torch.nn.functional.normalize(r.shown[-1][0], dim=1)
        assert low < (ends @ basis[:, 0]).abs().mean().item() < high


@every_part
def test_the_change_grows_on_the_side_of_the_random_start(part):
    w = torch.randn(5) / 3
    r = update(lambda x, label=None: linear(w)(x) + 3, count=40)
    part(r)
    for start, trial, end in zip(r.shown[::3], r.shown[1::3], r.shown[2::3], strict=True):
        assert ((numbers(trial[0] - start[0]) * numbers(end[0] - start[0])).sum(1) > 0).all()


def test_the_probability_of_the_sample_itself_is_a_constant_in_vat():
    net = nn.Linear(5, 1)
    r = update(lambda x, label=None: net(x).squeeze(1))
    VAT(weight=1, epsilon=0.8)(r).backward()
    logits = [numbers(net(x))[:, 0] for x, _ in r.shown]
    expected = np.mean([sigmoid(logits[i + 2]) - sigmoid(logits[i]) for i in (0, 3)])  # dKL/dt = q - p
    assert net.bias.grad.item() == pytest.approx(expected, rel=1e-3)
    assert abs(expected) > 1e-3
    moved = [sigmoid(logits[i + 2]) - sigmoid(logits[i]) for i in (0, 3)]
    by_weight = np.mean([(m[:, None] * numbers(r.shown[i][0])).mean(0) for m, i in zip(moved, (2, 5), strict=True)], 0)
    assert net.weight.grad[0].double().numpy() == pytest.approx(by_weight, rel=1e-3, abs=1e-5)


def test_vat_is_finite_where_the_discriminator_is_certain():
    w = torch.full((5,), 300.0, requires_grad=True)
    penalty = VAT()(update(linear(w)))
    penalty.backward()
    assert penalty.isfinite()
    assert w.grad.isfinite().all()


@pytest.mark.parametrize("pack", [1, 2])
def test_alr_of_a_linear_discriminator_is_its_slope(pack):
    w, label = torch.randn(5 * pack) * 2, torch.arange(6)
    norm = w.norm().item()
    assert norm > 2
    for limit, excess in ((1, norm - 1), (0.3, norm - 0.3), (99, 0)):
        r = update(linear(w), label=label, pack=pack)
        found = ALR(weight=3, limit=limit, every=2)(r).item()
        assert found == pytest.approx(3 * excess**2, rel=1e-4)
        assert len(r.shown) == 6
        assert all(given is label for _, given in r.shown)


def test_alr_draws_lengths_evenly_and_one_for_each_pack():
    r = update(linear(torch.randn(10)), count=4000, pack=2)
    ALR(shortest=2, longest=5, xi=7)(r)
    (x, _), (trial, _), (end, _) = r.shown[:3]
    assert numbers(trial - x).reshape(2000, -1).__pow__(2).sum(1) == pytest.approx(49, rel=1e-4)
    lengths = np.linalg.norm(numbers(end - x).reshape(2000, -1), axis=1)
    assert 2 <= lengths.min() < 2.02
    assert 4.98 < lengths.max() <= 5.0001
    assert lengths.mean() == pytest.approx(3.5, abs=0.08)
    assert lengths.var() == pytest.approx(9 / 12, rel=0.1)


def test_alr_stays_in_the_range_of_images_and_divides_by_the_way_that_is_left():
    w = torch.randn(2, 3, 4)
    real, fake = (0.4 * torch.randn(20, 2, 3, 4) + shift for shift in (0, 0.4))
    r = judged(linear(w), real.clamp(-1, 1), fake.clamp(-1, 1))
    found = ALR(weight=1, limit=0.5, shortest=1, longest=9)(r).item()
    total = 0
    for (x, _), (end, _) in ((r.shown[0], r.shown[2]), (r.shown[3], r.shown[5])):
        assert end.abs().max() == 1
        step = numbers(end - x)
        slopes = np.abs(step @ numbers(w[None])[0]) / np.linalg.norm(step, axis=1)
        assert 0.6 < slopes.mean() / w.norm().item() < 0.97  # clipping bends r away from w
        total += (np.maximum(0, slopes - 0.5) ** 2).mean()
    assert found == pytest.approx(total / 2, rel=1e-4)
    assert found > 0.5


def test_both_ends_are_learnt_in_alr():
    net = nn.Linear(5, 1)
    net.weight.data.mul_(5)
    r = update(lambda x, label=None: net(x).squeeze(1))
    ALR(weight=1, limit=1)(r).backward()
    w = numbers(net.weight)[0]
    norm = np.linalg.norm(w)
    assert norm > 1.5
    assert net.weight.grad[0].double().numpy() == pytest.approx(2 * (norm - 1) * w / norm, rel=1e-3)
    assert net.bias.grad.item() == pytest.approx(0, abs=1e-5)


@every_part
def test_a_constant_discriminator_costs_nothing_and_has_finite_gradients(part):
    w = torch.zeros(5, requires_grad=True)
    penalty = part(update(lambda x, label=None: x @ w + 2))
    penalty.backward()
    assert penalty.item() == 0
    assert w.grad.isfinite().all()


@every_part
def test_real_and_generated_samples_count_half_each(part):
    slope = torch.nn.functional.softplus  # steeper for large x
    found = []
    for real, fake in ((-1.0, -1.0), (2.0, 2.0), (2.0, -1.0), (-1.0, 2.0)):
        r = judged(lambda x, label=None: 3 * slope(x[:, 0]), torch.full((1, 1), real), torch.full((1, 1), fake))
        torch.manual_seed(3)
        found.append(part.replace(**({"epsilon": 0.01} if part.name == "vat" else {"longest": 0.1}))(r).item())
    assert abs(found[0] - found[1]) > 0.1 * max(found)
    assert found[2] == pytest.approx((found[0] + found[1]) / 2, rel=0.15)
    assert found[3] == pytest.approx((found[0] + found[1]) / 2, rel=0.15)


@every_part
def test_noise_of_dropout_and_augmentation_is_not_counted(part):
    noise = nn.Dropout(0.5)
    net = lambda x, label=None: noise(torch.ones(len(x), 40)).sum(1) + 0 * x.sum(1)  # noqa: E731
    r = update(net, augmentations=[lambda x: x + torch.randn_like(x)])
    assert part(r).item() == 0
    r = update(linear(torch.ones(5)), augmentations=[lambda x: x + torch.randn_like(x)])
    torch.manual_seed(1)
    part(r)
    after = torch.rand(3)
    torch.manual_seed(1)
    assert not torch.equal(after, torch.rand(3))  # the generator of random numbers moves on


class Unlabelled(nn.Sequential):
    """Layers that are told no class."""

    def forward(self, x, label=None):
        return super().forward(x)


@every_part
def test_running_statistics_stay_and_batches_still_normalise(part):
    net = Unlabelled(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1), nn.Flatten(0))
    r = update(net)
    kept = {name: x.clone() for name, x in net.named_buffers()}
    found = part(r)
    found.backward()
    assert found > 0
    assert all(torch.equal(x, kept[name]) for name, x in net.named_buffers())
    assert net[1].track_running_stats
    with torch.no_grad():
        net[1].running_mean += 100
    torch.manual_seed(8)
    one = part(r).item()
    with torch.no_grad():
        net[1].running_mean -= 100
    torch.manual_seed(8)
    assert part(r).item() == one  # what is used is the batch's own mean


@every_part
def test_bf16_autocast_leaves_all_of_it_in_float32(part):
    net, seen = nn.Linear(64, 1), []

    def discriminator(x, label=None):
        logits = net(x).squeeze(1)
        seen.append(logits.dtype)
        return logits

    found = []
    for low in (False, True):
        torch.manual_seed(6)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=low):
            found.append(part(update(discriminator, (64,))))
    assert set(seen) == {torch.float32}
    assert found[0].item() == pytest.approx(found[1].item(), rel=1e-6)
    assert found[0].item() > 1e-3


@every_part
def test_only_the_discriminator_learns_and_networks_with_many_pixels_work(part):
    net = DCGANDiscriminator(channels=8, norm="none").build(*Space((1, 8, 8)).ports)
    fake = torch.randn(4, 1, 8, 8, requires_grad=True)
    r = judged(net, torch.randn(4, 1, 8, 8), fake)
    found = (part.replace(limit=0) if part.name == "alr" else part)(r)
    found.backward()
    assert fake.grad is None
    assert found > 0
    assert sum(p.grad.abs().sum() for p in net.parameters()) > 0
    assert all(p.grad.isfinite().all() for p in net.parameters())


def test_the_trial_step_is_seen_by_float32_for_images():
    w = torch.randn(3 * 32 * 32) / math.sqrt(3072) * 2
    r = update(lambda x, label=None: linear(w)(x) + 5, (3, 32, 32), count=16, scale=0.5)
    VAT()(r)
    step = numbers(r.shown[2][0] - r.real.x)
    assert np.abs(step @ numbers(w[None])[0]) / w.norm().item() == pytest.approx(8, rel=1e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@every_part
def test_noise_on_a_gpu_is_not_counted(part):
    noise = nn.Dropout(0.5)
    r = judged(lambda x, label=None: noise(x * 0 + 1).sum(1), *torch.randn(2, 6, 40, device="cuda"))
    assert part(r).item() == 0


def test_errors_say_what_to_do():
    with pytest.raises(RecipeError, match="regularizer 'alr': shortest=3 is above longest=2; lower it"):
        ALR(shortest=3, longest=2)
    with pytest.raises(RecipeError, match=r"regularizer 'vat': xi: 0\.0 must be above 0"):
        VAT(xi=0)
