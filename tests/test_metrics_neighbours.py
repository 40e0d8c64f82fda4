"""Neighbours: published packages, examples by hand, and exact distances, ties and copies included."""

import math

import numpy as np
import pytest
import torch

from tests.golden import CASES, features
from zerosum.metrics import neighbours
from zerosum.metrics.neighbours import duplicate_share, nearest, precision_recall_density_coverage

NAMES = ("precision", "recall", "density", "coverage")


def draw(n, d, seed=0, shift=0.0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift


def distances(x, y):
    x, y = x.double().numpy(), y.double().numpy()
    return ((x[:, None] - y[None]) ** 2).sum(-1)


def formula(real, fake, k, inclusive=False):
    """By differences, in NumPy."""
    inside = np.less_equal if inclusive else np.less
    between = distances(real, fake)
    of_real, of_fake = (np.sort(distances(x, x), 1)[:, k] for x in (real, fake))
    in_real, in_fake = inside(between, of_real[:, None]), inside(between, of_fake[None])
    values = (in_real.any(0).mean(), in_fake.any(1).mean(), in_real.sum() / k / len(fake), in_real.any(1).mean())
    return dict(zip(NAMES, values, strict=True))


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


# ---------------------------------------------------------------------- precision, recall, density, coverage


@pytest.mark.parametrize("k", [3, 5])
@pytest.mark.parametrize("name", CASES)
def test_published_packages(name, k):
    case = CASES[name]
    real, fake = features(**case["real"]), features(**case["fake"])
    expected = case[f"neighbours_k{k}"]
    assert precision_recall_density_coverage(real, fake, k) == pytest.approx(expected["prdc"], rel=1e-12)
    found = precision_recall_density_coverage(real, fake, k, inclusive=True)
    assert found == pytest.approx(expected["prdc"], rel=1e-12)  # no ties here
    assert {name: found[name] for name in ("precision", "recall")} == pytest.approx(
        expected["torch-fidelity"], rel=1e-6
    )


def test_prdc_agrees(capsys):
    prdc = pytest.importorskip("prdc", exc_type=ImportError)
    real, fake = draw(80, 4, 1), draw(70, 4, 2, shift=0.5)
    for k in (1, 4):
        expected = prdc.compute_prdc(real.numpy(), fake.numpy(), k)
        assert precision_recall_density_coverage(real, fake, k) == pytest.approx(expected, rel=1e-12)


def test_an_example_by_hand():
    real, fake = column(0, 1, 3, 10), column(2, 4, 30)
    # Balls of reals reach 1, 1, 2, 7 and those of fakes 2, 2, 26; distances are 2 4 30, 1 3 29, 1 1 27, 8 6 20.
    found = precision_recall_density_coverage(real, fake, 1)
    assert found == pytest.approx({"precision": 2 / 3, "recall": 3 / 4, "density": 3 / 3, "coverage": 2 / 4})
    found = precision_recall_density_coverage(real, fake, 1, inclusive=True)
    assert found == pytest.approx({"precision": 2 / 3, "recall": 4 / 4, "density": 4 / 3, "coverage": 3 / 4})


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("k", [1, 3, 7])
def test_numpys_differences(k, inclusive, monkeypatch):
    real, fake = draw(50, 3, 1), draw(35, 3, 2, shift=0.9) * 1.3
    expected = formula(real, fake, k, inclusive)
    assert min(expected.values()) > 0.1
    assert max(expected.values()) < 1
    assert precision_recall_density_coverage(real, fake, k, inclusive) == pytest.approx(expected)
    for at_once in (1, 80, 333):
        monkeypatch.setattr(neighbours, "_AT_ONCE", at_once)
        assert precision_recall_density_coverage(real, fake, k, inclusive) == pytest.approx(expected)


def test_roles_of_the_sets():
    real, fake = draw(60, 2, 1), draw(50, 2, 2) * 0.3
    found, turned = precision_recall_density_coverage(real, fake), precision_recall_density_coverage(fake, real)
    assert (found["precision"], found["recall"]) == (turned["recall"], turned["precision"])
    assert found["precision"] == 1
    assert 0.1 < found["recall"] < 0.7
    assert found["density"] > 1
    assert 0.2 < found["coverage"] < 0.9
    mild = precision_recall_density_coverage(draw(400, 3, 1), draw(400, 3, 2))
    assert mild["coverage"] == pytest.approx(1 - 2**-5, abs=0.03)
    assert mild["density"] == pytest.approx(1, abs=0.1)


def test_copies_of_every_sample_have_balls_of_radius_0():
    real = draw(30, 20, 1, shift=100).repeat(6, 1)
    fake = real[torch.randperm(180, generator=torch.Generator().manual_seed(0))]
    assert precision_recall_density_coverage(real, fake) == dict.fromkeys(NAMES, 0.0)
    found = precision_recall_density_coverage(real, fake, inclusive=True)
    assert found == {"precision": 1, "recall": 1, "density": 6 / 5, "coverage": 1}


@pytest.mark.parametrize("shift", [0, 300])
@pytest.mark.parametrize("outlier", [0, 1e5])
def test_a_tie_is_a_tie(shift, outlier):
    real = draw(300, 20, 1, shift=shift)
    real[7] += outlier  # makes all other distances small beside the largest
    fake = real.flip(0)
    found = precision_recall_density_coverage(real, fake, 3)
    assert found == pytest.approx({"precision": 1, "recall": 1, "density": 1, "coverage": 1}, abs=1e-12)
    found = precision_recall_density_coverage(real, fake, 3, inclusive=True)
    assert found["density"] == pytest.approx(4 / 3, abs=1e-12)


def test_whole_numbers_tie_without_being_equal():
    generator = torch.Generator().manual_seed(1)
    real, fake = (torch.randint(4, (n, 6), generator=generator) for n in (90, 80))
    for inclusive in (False, True):
        expected = formula(real, fake, 3, inclusive)
        assert precision_recall_density_coverage(real, fake, 3, inclusive) == pytest.approx(expected)
    assert formula(real, fake, 3)["density"] < 0.8 * formula(real, fake, 3, inclusive=True)["density"]


def test_one_image_alone_is_not_covered_and_all_balls_around_everything_are():
    real = draw(40, 3)
    assert precision_recall_density_coverage(real, real[:1].expand(40, -1))["recall"] == 0
    assert precision_recall_density_coverage(real, 100 * draw(40, 3, 2))["recall"] == 1
    assert precision_recall_density_coverage(real, 100 * draw(40, 3, 2))["density"] < 0.1
    zeros = torch.zeros(9, 2)
    assert precision_recall_density_coverage(zeros, zeros)["precision"] == 0
    assert precision_recall_density_coverage(zeros, zeros, inclusive=True)["density"] == 9 / 5


# ---------------------------------------------------------------------- neighbours and duplicates


@pytest.mark.parametrize(("shift", "scale"), [(0, 1), (1e9, 1), (0, 1e-30), (0, 1e30)])
def test_nearest_are_those_of_differences(shift, scale, monkeypatch):
    query, base = scale * draw(20, 5, 1, shift), scale * draw(30, 5, 2, shift)
    expected = distances(query, base)
    for at_once in (2**22, 1, 100):
        monkeypatch.setattr(neighbours, "_AT_ONCE", at_once)
        for k in (1, 4, 30):
            found, places = nearest(query, base, k)
            assert places.tolist() == np.argsort(expected, 1)[:, :k].tolist()
            np.testing.assert_allclose(found.numpy(), np.sqrt(np.sort(expected, 1)[:, :k]), rtol=1e-14)


def test_scikit_learn_agrees():
    sklearn = pytest.importorskip("sklearn.neighbors")
    query, base = draw(40, 30, 1), draw(500, 30, 2)
    expected, where = sklearn.NearestNeighbors(n_neighbors=3, algorithm="kd_tree").fit(base).kneighbors(query)
    found, places = nearest(query, base, 3)
    assert places.tolist() == where.tolist()
    assert found.numpy() == pytest.approx(expected, rel=1e-12)


def test_neighbours_too_near_for_float32_are_told_apart():
    steps = torch.arange(50).double() / 50 * 1e-2
    base = torch.cat([100 + steps[:, None] * torch.tensor([3.0, 4, 0]).double(), 1e3 * draw(40, 3, 1)])
    found, places = nearest(base[:1], base, 40)
    assert places.tolist() == [list(range(40))]
    assert found[0].numpy() == pytest.approx(5 * steps[:40].numpy(), abs=1e-13)
    found, places = nearest(base[:1] - 1e-12, base, 1)
    assert (places.item(), 0 < found.item() < 1e-11) == (0, True)


def test_order_is_that_of_exact_distances():
    base = 1e-6 * torch.tensor([3.0, 0, 6, 1, 5, 2, 4])[:, None] * torch.tensor([0.6, 0.8])
    found, places = nearest(torch.tensor([[600.0, 800.0]]), base, 3)  # differences that float32 does not see
    assert places.tolist() == [[2, 4, 6]]
    assert found[0].numpy() == pytest.approx(1000 - np.array([6e-6, 5e-6, 4e-6]), abs=1e-10)


def test_equal_samples_are_at_0_and_many_copies_too():
    x = draw(5, 40, 1, shift=77)
    base = x.repeat(20, 1)
    found, places = nearest(x, base, 20)
    assert (found == 0).all()
    assert (places % 5 == torch.arange(5)[:, None]).all()
    assert all(len(row.unique()) == 20 for row in places)
    assert (nearest(x, base, 21)[0][:, -1] > 1).all()


def test_short_floats_and_gradients_come_in():
    x = draw(9, 3).bfloat16().requires_grad_()
    found, places = nearest(x, x)
    assert found.dtype == torch.float64
    assert not found.requires_grad
    assert places[:, 0].tolist() == list(range(9))


def test_share_of_duplicates():
    x = draw(10, 6, 1, shift=20)
    assert duplicate_share(x) == 0
    assert duplicate_share(torch.cat([x, x[:3]])) == pytest.approx(6 / 13)
    assert duplicate_share(torch.cat([x, x[:1], x[:1]])) == pytest.approx(3 / 12)
    assert duplicate_share(torch.ones(4, 3)) == 1
    assert duplicate_share(torch.zeros(4, 3)) == 1
    near = torch.cat([x, x[:3] + 1e-6])
    assert duplicate_share(near) == pytest.approx(6 / 13)
    assert duplicate_share(near, within=0) == 0
    assert duplicate_share(1000 * near) == pytest.approx(6 / 13)


def test_duplicates_are_measured_in_root_mean_square_norms():
    pair = torch.tensor([[3.0, 4], [3, 4.01], [5, 0], [0, -5]])  # norms of 5
    assert duplicate_share(pair, 0.0021) == 0.5
    assert duplicate_share(pair, 0.0019) == 0


# ---------------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(("real", "fake", "k", "message"), [
    (torch.zeros(6, 3), torch.zeros(6, 5), 5, r"of one D are needed, not of shape \(6, 3\) and \(6, 5\)"),
    (torch.zeros(6, 3), torch.zeros(5, 3), 5, "fake has 5 samples, at least 6 are needed"),
    (torch.zeros(2, 3), torch.zeros(5, 3), 2, "real has 2 samples, at least 3 are needed"),
    (torch.zeros(6, 3), torch.zeros(6, 3), 0, "k must be at least 1, not 0"),
    (torch.zeros(6, 3), torch.full((6, 3), math.nan), 5, "some numbers of fake are not finite"),
])  # fmt: skip
def test_precision_recall_density_coverage_says_what_is_wrong(real, fake, k, message):
    with pytest.raises(ValueError, match=f"precision_recall_density_coverage: {message}|{message}"):
        precision_recall_density_coverage(real, fake, k)


def test_nearest_and_duplicates_say_what_is_wrong():
    with pytest.raises(ValueError, match=r"nearest: query \[N, D\] and base \[N, D\] of one D are needed"):
        nearest(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match="nearest: base has 2 samples, at least 3 are needed"):
        nearest(torch.zeros(2, 3), torch.zeros(2, 3), 3)
    with pytest.raises(ValueError, match="nearest: k must be at least 1, not 0"):
        nearest(torch.zeros(2, 3), torch.zeros(2, 3), 0)
    with pytest.raises(ValueError, match="nearest: query has 0 samples, at least 1 are needed"):
        nearest(torch.zeros(0, 3), torch.zeros(2, 3))
    with pytest.raises(ValueError, match="duplicate_share: x has 1 samples, at least 2 are needed"):
        duplicate_share(torch.zeros(1, 3))
    with pytest.raises(ValueError, match=r"duplicate_share: x \[N, D\] of one D are needed, not of shape \(3,\)"):
        duplicate_share(torch.zeros(3))
