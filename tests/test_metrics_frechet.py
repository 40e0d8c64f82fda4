"""Frechet distance: published packages, closed forms, features without variance, sets that come in parts."""

import math
import warnings

import numpy as np
import pytest
import torch

from tests.golden import CASES, features
from zerosum.metrics import frechet
from zerosum.metrics.frechet import Moments, frechet_distance, frechet_distance_infinity, frechet_distance_of


def draw(n, d, seed=0, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(d, d, generator=generator, dtype=torch.float64)
    return torch.randn(n, d, generator=generator, dtype=torch.float64) @ mix + shift


def formula(x, y):
    """The textbook's, with the eigenvalues of S1 S2; NumPy alone."""
    x, y = x.double().numpy(), y.double().numpy()
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    roots = np.sqrt(np.linalg.eigvals(a @ b).astype(complex)).real.sum()
    return ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(a) + np.trace(b) - 2 * roots


def with_deviations(deviations, mean, n=50, seed=0):
    """Samples whose covariance is exactly diagonal with these standard deviations, around this mean."""
    noise = draw(n, len(deviations), seed)
    columns = torch.linalg.qr(noise - noise.mean(0)).Q * math.sqrt(n - 1)
    return columns * torch.tensor(deviations, dtype=torch.float64) + torch.tensor(mean, dtype=torch.float64)


def streamed(x, *sizes):
    found = Moments(x.shape[1])
    for batch in x.split(list(sizes) or len(x)):
        found.add(batch)
    return found


# ---------------------------------------------------------------------- published values


@pytest.mark.parametrize("name", CASES)
def test_published_packages(name):
    case = CASES[name]
    real, fake = features(**case["real"]), features(**case["fake"])
    assert [real.sum().item(), fake.sum().item()] == pytest.approx(case["sums"], rel=1e-12)  # the same features
    exact = case.get("frechet_60_digits_mpmath")
    for found in (frechet_distance(real, fake), frechet_distance_of(streamed(real), streamed(fake))):
        for value in case["frechet"].values():
            assert found == pytest.approx(value, rel=1e-12 if exact is None else 1e-7)  # there THEY are not exact
        if exact is not None:
            assert found == pytest.approx(exact, abs=1e-12)


def test_value_of_compare_gan():
    real, fake = torch.ones(100, 2), 9 * torch.ones(100, 2)
    real[:50, 0] = fake[50:, 0] = 2
    assert frechet_distance(real, fake) == pytest.approx(89.091, abs=1e-4)


def test_torchmetrics_agrees():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = pytest.importorskip("torchmetrics.image.fid", exc_type=ImportError)
    same = torch.nn.Identity()
    same.num_features = 7
    theirs = module.FrechetInceptionDistance(feature=same).set_dtype(torch.float64)
    real, fake = draw(90, 7, 1), draw(70, 7, 2, shift=0.3)
    theirs.update(real, real=True)
    theirs.update(fake, real=False)
    assert frechet_distance(real, fake) == pytest.approx(theirs.compute().item(), rel=1e-9)


# ---------------------------------------------------------------------- closed forms


@pytest.mark.parametrize("n", [50, 4], ids=["many", "fewer-than-dimensions"])
def test_diagonal_gaussians(n):
    ours, theirs = [3.0, 0.5, 1.0], [1.0, 2.5, 4.0]
    if n == 4:
        ours, theirs = [*ours, 0.0, 0.0], [*theirs, 0.0, 0.0]
    means = ([0.0] * len(ours), [1.0, -2.0, 0.5] + [0.0] * (len(ours) - 3))
    x, y = with_deviations(ours[:3], means[0][:3], n), with_deviations(theirs[:3], means[1][:3], n, seed=1)
    x, y = (torch.nn.functional.pad(one, (0, len(ours) - 3)) for one in (x, y))
    expected = sum((a - b) ** 2 for a, b in zip(*means, strict=True))
    expected += sum((a - b) ** 2 for a, b in zip(ours, theirs, strict=True))
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-12)


def test_a_small_deviation_counts():
    x, y = with_deviations([3.0, 1e-5, 1.0], [0.0] * 3), with_deviations([3.0, 2.0, 1.0], [0.0] * 3, seed=1)
    assert frechet_distance(x, y) == pytest.approx((2 - 1e-5) ** 2, abs=1e-8)


def test_few_samples_in_many_dimensions_need_no_matrix_of_the_dimensions(monkeypatch):
    monkeypatch.setattr(frechet, "_root", None)
    x = draw(9, 40)
    assert frechet_distance(x, x + 0.5) == pytest.approx(10, rel=1e-10)
    with pytest.raises(TypeError):
        frechet_distance(x, draw(41, 40))


def test_covariances_that_do_not_commute():
    x, y = draw(30, 2, 3), draw(40, 2, 4, shift=1.5)
    a, b = np.cov(x.numpy(), rowvar=False), np.cov(y.numpy(), rowvar=False)
    root = math.sqrt(np.trace(a @ b) + 2 * math.sqrt(np.linalg.det(a) * np.linalg.det(b)))  # of a 2 x 2 matrix
    mean = ((x.mean(0) - y.mean(0)) ** 2).sum().item()
    assert frechet_distance(x, y) == pytest.approx(mean + np.trace(a) + np.trace(b) - 2 * root, rel=1e-12)
    assert np.abs(a @ b - b @ a).max() > 0.1


@pytest.mark.parametrize(("n", "m"), [(60, 45), (60, 4), (4, 60), (4, 5)])
def test_numpys_formula_and_symmetry(n, m):
    x, y = draw(n, 6, 1), draw(m, 6, 2, shift=0.4)
    found = frechet_distance(x, y)
    assert found == pytest.approx(formula(x, y), rel=1e-6)
    assert found == pytest.approx(frechet_distance(y, x), rel=1e-12)
    assert found == pytest.approx(frechet_distance_of(streamed(x), streamed(y)), rel=1e-12)
    assert found > 1


@pytest.mark.parametrize("n", [40, 5])
def test_equal_sets_are_at_0_in_any_order_and_a_shift_is_its_square(n):
    x, shift = draw(n, 8), torch.tensor([0.0, 1, -2, 0, 0, 0.5, 0, 0])
    order = torch.randperm(n, generator=torch.Generator().manual_seed(1))
    assert 0 <= frechet_distance(x, x) < 1e-9
    assert 0 <= frechet_distance(x, x[order]) < 1e-9
    assert 0 <= frechet_distance_of(streamed(x), streamed(x[order])) < 1e-9
    assert frechet_distance(x, x + shift) == pytest.approx(5.25, rel=1e-10)


def test_features_without_variance_change_nothing():
    x, y = draw(60, 5, 1), draw(70, 5, 2)
    dead = torch.full((70, 40), 0.37, dtype=torch.float64)
    padded = [torch.cat([one, dead[: len(one)], one[:, :1] + one[:, 1:2]], 1) for one in (x, y)]
    alone = [torch.cat([one, one[:, :1] + one[:, 1:2]], 1) for one in (x, y)]
    expected = frechet_distance(alone[0][:, :5], alone[1][:, :5])
    assert frechet_distance(*padded) == pytest.approx(frechet_distance(*alone), abs=1e-11)
    assert frechet_distance_of(*map(streamed, padded)) == pytest.approx(frechet_distance(*alone), abs=1e-11)
    assert frechet_distance(*padded) > 1.01 * expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_short_floats_far_from_0_lose_nothing(dtype):
    x, y = draw(500, 6, 1, shift=100).to(dtype), draw(400, 6, 2, shift=100.5).to(dtype)
    expected = formula(x, y)
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance_of(streamed(x, 100, 400), streamed(y, 399, 1)) == pytest.approx(expected, rel=1e-9)


# ---------------------------------------------------------------------- moments of parts


def assert_moments(found, x):
    x = x.double().numpy()
    assert found.count == len(x)
    np.testing.assert_allclose(found.mean.numpy(), x.mean(0), rtol=1e-13, atol=1e-12)
    np.testing.assert_allclose(found.covariance.numpy(), np.cov(x, rowvar=False), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("shift", [0.0, 1e4])
@pytest.mark.parametrize("sizes", [(30,), (1, 29), (13, 0, 2, 15), (10, 10, 10)])
def test_batches_are_one_batch(sizes, shift):
    x = draw(30, 4, shift=shift)
    assert_moments(streamed(x, *sizes), x)


def test_sums_about_one_point_add_up():
    x, point = draw(30, 4, shift=9), torch.full((4,), 8.5)
    parts = [Moments(4, point).add(x[:11]), Moments(4, point).add(x[11:]), Moments(4, point)]
    whole = {name: sum(part.tensors()[name] for part in parts) for name in ("count", "sum", "outer")}
    assert_moments(Moments.of({"shift": point.double(), **whole}), x)


def test_sums_that_are_added_up_in_place_count():
    x = draw(30, 4)
    ours, theirs = Moments(4, x[0]).add(x[:10]).tensors(), Moments(4, x[0]).add(x[10:])
    for name in ("count", "sum", "outer"):
        theirs.tensors()[name] += ours[name]
    assert_moments(theirs, x)


def test_moments_are_made_again_from_their_tensors():
    x = draw(30, 4, shift=3)
    first = streamed(x[:20])
    second = Moments.of(first.tensors()).add(x[20:])
    assert_moments(second, x)
    assert_moments(first, x[:20])
    assert_moments(Moments.of(Moments(4).tensors()).add(x), x)


def test_the_point_is_the_one_given_or_the_first_mean():
    x, point = draw(30, 4, shift=3), torch.full((4,), 2.5, dtype=torch.float64)
    for empty in (Moments(4, point), Moments.of(Moments(4, point).tensors())):
        assert torch.equal(empty.add(x).tensors()["shift"], point)
    for empty in (Moments(4), Moments.of(Moments(4).tensors())):
        assert torch.equal(empty.add(x[:7]).add(x[7:]).tensors()["shift"], x[:7].mean(0))
    around_0 = Moments(4, torch.zeros(4)).add(x[:7])
    assert_moments(Moments.of(around_0.tensors()).add(x[7:]), x)


# ---------------------------------------------------------------------- extrapolation


def line_through(real, fake, sizes, orders):
    values = [formula(real, fake[order[:size]]) for size, order in zip(sizes, orders, strict=True)]
    return np.polyfit(1 / np.array(sizes), values, 1)[1]


def test_extrapolation_removes_the_bias_of_few_fakes():
    shift = torch.zeros(10, dtype=torch.float64)
    shift[0] = 0.5
    noise = torch.randn(60_000, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    real, same, moved = noise[:50_000], noise[50_000:52_000], noise[52_000:54_000] + shift
    for fake, truth in ((same, 0.0), (moved, 0.25)):
        value, spread = frechet_distance_infinity(real, fake)
        assert frechet_distance(real, fake[:200]) > truth + 0.08
        assert value == pytest.approx(truth, abs=0.05)
        assert 1e-4 < spread < 0.05


def test_subsets_go_from_a_tenth_or_5000_to_all(monkeypatch):
    sizes, root = [], frechet._root_of_data
    monkeypatch.setattr(frechet, "_root_of_data", lambda x: (sizes.append(len(x)), root(x))[1])
    real = draw(30, 2)
    for count, expected in (
        (300, (30, 165, 300)),
        (15, (2, 8, 15)),
        (60_000, (5000, 32_500, 60_000)),
    ):
        sizes.clear()
        frechet_distance_infinity(real, draw(count, 2, 1), points=3, repeats=2)
        assert sizes == [30, *expected, *expected]
    sizes.clear()
    frechet_distance_infinity(real, draw(300, 2, 1))
    assert len(sizes) == 1 + 15 * 3


def test_value_and_spread_are_mean_and_deviation_of_lines(monkeypatch):
    real, fake = draw(40, 3, 1), draw(50, 3, 2, shift=0.2)
    orders, draws = [], torch.randperm

    def remembered(*args, **kwargs):
        orders.append(draws(*args, **kwargs))
        return orders[-1]

    monkeypatch.setattr(torch, "randperm", remembered)
    found = frechet_distance_infinity(real, fake, points=4, seed=3, repeats=2)
    sizes = [5, 20, 35, 50]
    lines = [line_through(real, fake, sizes, some) for some in (orders[:4], orders[4:])]
    assert found == pytest.approx((np.mean(lines), np.std(lines, ddof=1)), rel=1e-7)


def test_extrapolation_depends_on_its_seed_alone():
    real, fake = draw(60, 3, 1), draw(60, 3, 2)
    state = torch.get_rng_state()
    first = frechet_distance_infinity(real, fake, seed=1)
    assert torch.equal(state, torch.get_rng_state())
    torch.rand(3)
    assert frechet_distance_infinity(real, fake, seed=1) == pytest.approx(first, rel=1e-9)  # the last bits may differ
    assert frechet_distance_infinity(real, fake, seed=2) != pytest.approx(first, rel=1e-3)


# ---------------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(("real", "fake", "message"), [
    (torch.zeros(3, 3), torch.zeros(4, 5), r"real \[N, D\] and fake \[N, D\] of one D are needed, not of shape \(3"),
    (torch.zeros(3, 3), torch.zeros(3, 3, 1), r"not of shape \(3, 3\) and \(3, 3, 1\)"),
    (torch.zeros(3, 0), torch.zeros(3, 0), r"of one D are needed"),
    (torch.zeros(3, 2), torch.zeros(1, 2), "fake has 1 samples, at least 2 are needed"),
    (torch.full((3, 2), math.nan), torch.zeros(3, 2), "some numbers of real are not finite"),
])  # fmt: skip
def test_distances_say_what_is_wrong(real, fake, message):
    for function in (frechet_distance, frechet_distance_infinity):
        with pytest.raises(ValueError, match=f"{function.__name__}: .*{message}"):
            function(real, fake)


@pytest.mark.parametrize(("count", "settings"), [(2, {}), (9, {"points": 1}), (9, {"repeats": 1})])
def test_extrapolation_says_what_is_too_small(count, settings):
    with pytest.raises(ValueError, match="3 fakes, 2 points and 2 repeats are needed at least, not "):
        frechet_distance_infinity(draw(9, 2), draw(count, 2), **settings)


def test_moments_say_what_is_wrong():
    for batch in (torch.zeros(3, 4), torch.zeros(5)):
        with pytest.raises(ValueError, match=r"Moments: batches \[N, 5\] are needed, not \("):
            Moments(5).add(batch)
    with pytest.raises(ValueError, match="some numbers of batch are not finite"):
        Moments(2).add(torch.tensor([[0, math.inf]]))
    with pytest.raises(ValueError, match="a covariance needs at least 2 samples, 1 were seen"):
        _ = streamed(draw(1, 2)).covariance
    with pytest.raises(ValueError, match="frechet_distance_of: features are of 2 and of 3 numbers"):
        frechet_distance_of(streamed(draw(5, 2)), streamed(draw(5, 3)))
