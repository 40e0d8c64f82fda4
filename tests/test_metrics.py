"""Metrics: closed forms, what a perfect sampler reaches, and what must not look good."""

import inspect
import math

import numpy as np
import pytest
import torch

from zerosum import metrics
from zerosum.metrics import mode_coverage, sliced_wasserstein

RING = torch.tensor([[math.cos(a), math.sin(a)] for a in np.arange(8) * math.pi / 4])
GRID = torch.cartesian_prod(torch.arange(-4.0, 5, 2), torch.arange(-4.0, 5, 2))


def sample(centres, std, count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mode = torch.randint(len(centres), (count,), generator=generator)
    return centres[mode] + std * torch.randn(count, 2, generator=generator)


def test_exports():
    assert {"frechet_distance", "kernel_distance", "precision_recall_density_coverage"} <= set(metrics.__all__)
    assert all(getattr(metrics, name).__doc__ for name in metrics.__all__)


@pytest.mark.parametrize("name", ["frechet_distance", "kernel_distance", "sliced_wasserstein", "duplicate_share"])
def test_numpy_arrays_serve_as_well(name):
    tensors = torch.rand(60, 3), torch.rand(50, 3)
    taken = tensors[: 1 if name == "duplicate_share" else 2]
    arrays = [one.numpy() for one in taken]
    arrays[0].flags.writeable = False  # as memory-mapped features are
    metric = getattr(metrics, name)
    assert metric(*arrays) == metric(*taken)
    assert metric(**dict(zip(inspect.signature(metric).parameters, arrays, strict=False))) == metric(*taken)


@pytest.mark.parametrize(("centres", "std"), [(RING, 0.01), (GRID, 0.05)], ids=["ring", "grid"])
def test_a_perfect_sampler_reaches_the_floors_and_no_more(centres, std):
    found = [mode_coverage(sample(centres, std, 2500, seed), centres, std) for seed in range(40)]
    assert {f["modes"] for f in found} == {len(centres)}
    assert np.mean([f["high_quality"] for f in found]) == pytest.approx(1 - math.exp(-4.5), abs=1.5e-3)  # 98.889 %
    assert np.mean([f["reverse_kl"] for f in found]) == pytest.approx((len(centres) - 1) / 5000, rel=0.25)


@pytest.mark.parametrize("centres", [RING, GRID, torch.arange(1000.0)[:, None]], ids=["ring", "grid", "stacked"])
def test_a_single_mode_costs_the_log_of_their_number(centres):
    found = mode_coverage(centres[3].expand(500, -1), centres, 0.01)
    assert found == {"modes": 1, "high_quality": 1.0, "reverse_kl": pytest.approx(math.log(len(centres)), abs=1e-9)}


def test_counts_quality_and_evenness_are_three_things():
    points = torch.cat([RING[[0] * 6 + [1] * 2], RING[2:4] * 1.5])  # 6 + 2 good, one bad sample each at modes 2 and 3
    found = mode_coverage(points, RING, 0.01)
    share = np.array([0.6, 0.2, 0.1, 0.1])
    assert found["modes"] == 2
    assert found["high_quality"] == 0.8
    assert found["reverse_kl"] == pytest.approx((share * np.log(share * 8)).sum(), rel=1e-9)


def test_three_standard_deviations_is_the_border():
    centre = torch.zeros(1, 2)
    for distance, good in ((2.99, 1.0), (3.01, 0.0)):
        assert mode_coverage(torch.tensor([[0.0, distance * 0.1]]), centre, 0.1)["high_quality"] == good


def test_noise_has_no_quality():
    noise = torch.rand(2500, 2, generator=torch.Generator().manual_seed(0)) * 20 - 10
    assert mode_coverage(noise, RING, 0.01)["high_quality"] < 2e-3
    far = mode_coverage(noise + 1000, RING, 0.01)
    assert (far["modes"], far["high_quality"]) == (0, 0.0)
    assert far["reverse_kl"] > 1


@pytest.mark.parametrize(("points", "centres", "std", "message"), [
    (torch.zeros(3, 3), RING, 0.1, r"their shapes are \(3, 3\) and \(8, 2\)"),
    (torch.zeros(3), RING, 0.1, r"points \[N, D\] and centres \[K, D\] are needed"),
    (torch.zeros(3, 2), RING[:0], 0.1, r"are needed"),
    (torch.zeros(0, 2), RING, 0.1, "there are no points"),
    (torch.tensor([[math.nan, 0]]), RING, 0.1, "some points are not finite"),
    (torch.zeros(3, 2), RING, 0.0, "std must be above 0, not 0.0"),
])  # fmt: skip
def test_mode_coverage_says_what_is_wrong(points, centres, std, message):
    with pytest.raises(ValueError, match=message):
        mode_coverage(points, centres, std)


def test_sliced_distance_of_equal_sets_is_zero_in_any_order_or_number_of_copies():
    x = torch.randn(50, 3, 2, 2)
    assert sliced_wasserstein(x, x) == 0
    assert sliced_wasserstein(x, x[torch.randperm(50)]) == 0
    assert sliced_wasserstein(x, torch.cat([x, x, x])) == pytest.approx(0, abs=1e-7)
    assert sliced_wasserstein(x, x[:25]) > 0.05


def test_sliced_distance_in_one_dimension_is_exact():
    a, b = torch.tensor([[0.0], [1], [3]]), torch.tensor([[8.0], [5], [6]])
    assert sliced_wasserstein(a, b) == pytest.approx(5, abs=1e-12)
    assert sliced_wasserstein(a, b * 2) == pytest.approx(math.sqrt((10**2 + 11**2 + 13**2) / 3), abs=1e-9)


def test_sets_of_unequal_size_are_compared_exactly():
    a, b = torch.randn(6, 1), torch.randn(4, 1) * 2 + 1
    equal = sliced_wasserstein(a.repeat_interleave(2, 0), b.repeat_interleave(3, 0))  # 12 and 12
    assert sliced_wasserstein(a, b) == pytest.approx(equal, rel=1e-9)
    assert sliced_wasserstein(a, b) == pytest.approx(sliced_wasserstein(b, a), rel=1e-12)
    point = torch.zeros(1, 1)
    assert sliced_wasserstein(point, torch.tensor([[1.0], [2], [2]])) == pytest.approx(math.sqrt(3), rel=1e-12)


def test_sliced_distance_of_a_shift():
    x, shift = torch.randn(40, 5), torch.tensor([0.3, -2.0, 0, 1.0, 0.5])
    expected = shift.norm().item() / math.sqrt(5)
    assert sliced_wasserstein(x, x + shift, projections=20_000) == pytest.approx(expected, rel=0.03)
    assert sliced_wasserstein(x, x + 3 * shift) == pytest.approx(3 * sliced_wasserstein(x, x + shift), rel=1e-5)


def test_sliced_distance_of_a_scaled_gaussian():
    x = torch.randn(4000, 2)
    assert sliced_wasserstein(x, 3 * x, projections=32) == pytest.approx(
        2, rel=0.03
    )  # W2 of N(0, 1) and N(0, 9) is 2 on every line


def test_sliced_distance_depends_on_its_seed_alone():
    x, y = torch.randn(30, 4), torch.rand(30, 4)
    torch.manual_seed(1)
    first, state = sliced_wasserstein(x, y, 8), torch.get_rng_state()
    torch.manual_seed(2)
    assert sliced_wasserstein(x, y, 8) == first
    assert sliced_wasserstein(x, y, 8, seed=1) != first
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)
    assert sliced_wasserstein(x, y, 100) == pytest.approx(sliced_wasserstein(x.double(), y.double(), 100), rel=1e-12)


@pytest.mark.parametrize(("real", "fake", "projections", "message"), [
    (torch.zeros(3, 2), torch.zeros(3, 4), 8, r"their shapes are \(3, 2\) and \(3, 4\)"),
    (torch.zeros(0, 2), torch.zeros(3, 2), 8, "two sets of samples of one shape are needed"),
    (torch.zeros(3), torch.zeros(3), 8, "two sets of samples of one shape are needed"),
    (torch.zeros(3, 2), torch.full((3, 2), math.inf), 8, "some samples are not finite"),
    (torch.zeros(3, 2), torch.zeros(3, 2), 0, "projections must be at least 1, not 0"),
])  # fmt: skip
def test_sliced_distance_says_what_is_wrong(real, fake, projections, message):
    with pytest.raises(ValueError, match=message):
        sliced_wasserstein(real, fake, projections)
