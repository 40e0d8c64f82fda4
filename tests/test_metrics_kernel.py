"""Kernel distance: published packages, the formula pair by pair, and no bias at any size."""

import math
import warnings

import numpy as np
import pytest
import torch

from tests.golden import CASES, features
from zerosum.metrics import kernel
from zerosum.metrics.kernel import kernel_distance, kernel_distance_subsets


def draw(n, d, seed=0, shift=0.0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift


def formula(x, y):
    """Pair by pair, in plain Python."""
    x, y = x.double().numpy(), y.double().numpy()

    def mean(a, b, others_only):
        pairs = [(i, j) for i in range(len(a)) for j in range(len(b)) if not (others_only and i == j)]
        return sum((a[i] @ b[j] / len(a[0]) + 1) ** 3 for i, j in pairs) / len(pairs)

    return mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)


@pytest.mark.parametrize("name", CASES)
def test_published_packages(name):
    case = CASES[name]
    real, fake = features(**case["real"]), features(**case["fake"])
    count = min(len(real), len(fake))
    value = case["kernel_torchmetrics_first_rows_of_equal_count"]
    assert kernel_distance(real[:count], fake[:count]) == pytest.approx(value, rel=1e-11)
    subsets = case["kernel_subsets_torch-fidelity"]
    found = kernel_distance_subsets(real, fake, *(subsets[name] for name in ("subsets", "size", "seed")))
    assert found == pytest.approx((subsets["mean"], subsets["std"]), rel=1e-11)


def test_torchmetrics_and_scikit_learn_agree():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = pytest.importorskip("torchmetrics.image.kid", exc_type=ImportError)
    pairwise = pytest.importorskip("sklearn.metrics.pairwise")
    x, y = draw(50, 5, 1), draw(50, 5, 2, shift=0.2)
    pairs = [torch.from_numpy(pairwise.polynomial_kernel(a, b, 3, None, 1)) for a, b in ((x, x), (x, y), (y, y))]
    assert kernel_distance(x, y) == pytest.approx(theirs.maximum_mean_discrepancy(*pairs).item(), rel=1e-10)


@pytest.mark.parametrize("d", [1, 3, 40], ids=["from-moments-of-one", "from-moments", "from-pairs"])
def test_the_formula_pair_by_pair(d, monkeypatch):
    x, y = draw(19, d, 1), draw(11, d, 2, shift=0.4) * 1.3
    expected = formula(x, y)
    assert kernel_distance(x, y) == pytest.approx(expected, rel=1e-11)
    assert kernel_distance(y, x) == pytest.approx(expected, rel=1e-11)
    assert abs(expected - formula(x, y[:, :1].expand(-1, d) if d > 1 else y + 1)) > 1e-3  # it tells sets apart
    for at_once in (1, 30, 57):
        monkeypatch.setattr(kernel, "_AT_ONCE", at_once)
        assert kernel_distance(x, y) == pytest.approx(expected, rel=1e-11)


def test_both_routes_agree_far_from_0():
    x, y = kernel._with_one(draw(300, 12, 1, shift=5)), kernel._with_one(draw(200, 12, 2, shift=5.1))
    assert kernel._sums_from_moments(x, y) == pytest.approx(kernel._sums_from_pairs(x, y), rel=1e-12)


@pytest.mark.parametrize(("count", "d", "other"), [(300, 12, "_sums_from_pairs"), (20, 12, "_sums_from_moments")])
def test_the_shorter_route_is_taken(count, d, other, monkeypatch):
    x, y = draw(count, d, 1), draw(count, d, 2)
    expected = kernel_distance(x, y)
    monkeypatch.setattr(kernel, other, None)
    assert kernel_distance(x, y) == pytest.approx(expected, rel=1e-12)


def test_two_points_in_closed_form():
    u, v = torch.tensor([1.0, 2, -1, 0]), torch.tensor([0.5, 1, 0, 3])
    expected = (6 / 4 + 1) ** 3 + (10.25 / 4 + 1) ** 3 - 2 * (2.5 / 4 + 1) ** 3
    assert kernel_distance(u.expand(7, -1), v.expand(3, -1)) == pytest.approx(expected, rel=1e-12)
    assert kernel_distance(u.expand(7, -1), u.expand(3, -1)) == pytest.approx(0, abs=1e-12)


def test_equal_distributions_are_at_0_on_average_at_a_small_size():
    found = np.array([kernel_distance(draw(8, 3, seed), draw(5, 3, 10_000 + seed)) for seed in range(1500)])
    error = found.std() / math.sqrt(len(found))
    bias = np.mean(
        [((draw(8, 3, s).square().sum(1) / 3 + 1) ** 3).mean() / 8 for s in range(200)]
    )  # of pairs with itself
    assert abs(found.mean()) < 3 * error < bias / 3
    assert 0.2 < (found < 0).mean() < 0.9
    assert np.mean([kernel_distance(draw(8, 3, s), draw(5, 3, s + 999, shift=0.5)) for s in range(100)]) > 0.3


def test_float32_is_computed_in_float64():
    x, y = draw(200, 4, 1, shift=3).float(), draw(150, 4, 2, shift=3.01).float()
    assert kernel_distance(x, y) == pytest.approx(kernel_distance(x.double(), y.double()), rel=1e-12)
    assert kernel_distance(x, y) == pytest.approx(formula(x, y), rel=1e-9)


def test_subsets_are_drawn_as_torch_fidelity_does():
    real, fake = draw(30, 3, 1), draw(20, 3, 2, shift=0.3)
    stream, expected = np.random.RandomState(5), []
    for _ in range(4):
        some = fake[torch.from_numpy(stream.permutation(20)[:9])]  # fakes first
        expected.append(kernel_distance(real[torch.from_numpy(stream.permutation(30)[:9])], some))
    found = kernel_distance_subsets(real, fake, 4, 9, seed=5)
    assert found == pytest.approx((np.mean(expected), np.std(expected)), rel=1e-10)


def test_protocol_and_randomness_of_subsets(monkeypatch):
    real, fake = draw(1000, 2, 1), draw(1000, 2, 2)
    sizes = []
    monkeypatch.setattr(kernel, "_discrepancy", lambda x, y: float(sizes.append((len(x), len(y))) or len(sizes)))
    state, numpys = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    assert kernel_distance_subsets(real, fake)[0] == 50.5
    assert sizes == [(1000, 1000)] * 100
    assert torch.equal(state, torch.get_rng_state())
    assert (numpys == np.random.get_state()[1]).all()  # noqa: NPY002


@pytest.mark.parametrize(("real", "fake", "message"), [
    (torch.zeros(3, 3), torch.zeros(4, 5), r"of one D are needed, not of shape \(3, 3\) and \(4, 5\)"),
    (torch.zeros(1, 2), torch.zeros(9, 2), "kernel_distance: real has 1 samples, at least 2 are needed"),
    (torch.zeros(3, 2), torch.full((3, 2), math.inf), "kernel_distance: some numbers of fake are not finite"),
])  # fmt: skip
def test_distance_says_what_is_wrong(real, fake, message):
    with pytest.raises(ValueError, match=message):
        kernel_distance(real, fake)


def test_subsets_say_what_is_wrong():
    with pytest.raises(ValueError, match="kernel_distance_subsets: fake has 999 samples, at least 1000 are needed"):
        kernel_distance_subsets(draw(1000, 2), draw(999, 2))
    for subsets, size in ((0, 5), (5, 1)):
        with pytest.raises(ValueError, match=f"1 subset of size 2 at least is needed, not {subsets} of {size}"):
            kernel_distance_subsets(draw(9, 2), draw(9, 2), subsets, size)
