"""Memorisation: copies are told from held-out samples, in the right direction, by the numbers of the papers."""

import math

import numpy as np
import pytest
import torch

from tests.golden import CASES, features
from zerosum.metrics import memorisation
from zerosum.metrics.frechet import frechet_distance
from zerosum.metrics.memorisation import authenticity, ct_score, mifid_distance


def draw(n, d=6, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


@pytest.fixture(scope="module")
def sets():
    """Train, test and held-out samples of three clumps."""
    samples = draw(1500) + torch.tensor([[0.0], [6], [-6]]).repeat(500, 1)
    return samples.split(500)


def lowest(n, m):
    """z-score where all of n are below all of m."""
    return -(n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)


# ---------------------------------------------------------------------- CT score


def test_copies_are_far_below_0_held_out_samples_near_it_and_noise_far_above(sets):
    train, test, held_out = sets
    for components in (0, 3):
        assert abs(ct_score(train, test, held_out, components=components)) < 2.5
        assert ct_score(train, test, train, components=components) == pytest.approx(lowest(167, 167), abs=0.6)
        assert -17 < ct_score(train, test, torch.cat([train[:250], held_out[:250]]), components=components) < -4
        assert ct_score(train, test, 3 * held_out, components=components) > 8
    assert ct_score(train, test, train + 0.01 * draw(500, seed=1)) < -14


def test_score_of_held_out_samples_is_of_variance_one():
    found = []
    for seed in range(60):
        train, test, held_out = draw(240, 2, seed).split(80)
        found.append(ct_score(train, test, held_out, cells=1))
    assert abs(np.mean(found)) < 3 * np.std(found) / math.sqrt(60)
    assert 0.7 < np.std(found) < 2.2  # test and held-out share their train, so a little above 1


def test_z_score_by_hand_with_ties():
    train = column(0)
    test, fake = column(1, 2, 2, 5), column(0.5, 2, 3)  # pairs with fake above test: 0, 1 + 2/2, 3
    expected = (5 - 6) / math.sqrt(12 * 8 / 12)
    assert ct_score(train, test, fake, cells=1, least=0) == pytest.approx(expected, rel=1e-12)
    assert ct_score(train, fake, test, cells=1, least=0) == pytest.approx(-expected, rel=1e-12)


def test_scipys_u_agrees():
    stats = pytest.importorskip("scipy.stats")
    train, test, fake = draw(30, seed=1), draw(41, seed=2), 1.3 * draw(23, seed=3)
    near = [torch.cdist(one, train).min(1).values.numpy() for one in (fake, test)]
    u = stats.mannwhitneyu(*near).statistic
    expected = (u - 23 * 41 / 2) / math.sqrt(23 * 41 * 65 / 12)
    assert ct_score(train, test, fake, cells=1) == pytest.approx(expected, rel=1e-9)


def test_cells_weigh_as_held_out_samples_do_and_small_ones_not_at_all():
    generator = torch.Generator().manual_seed(0)

    def clump(count, centre, radius):
        """On a circle, so the distance to its centre is the radius."""
        angle = 6.28 * torch.rand(count, generator=generator, dtype=torch.float64)
        return radius * torch.stack([angle.cos(), angle.sin()], 1) + torch.tensor([centre, 0.0])

    train = torch.tensor([[0.0, 0], [100, 0], [200, 0]])
    test = torch.cat([clump(30, 0, 2), clump(10, 100, 2), clump(7, 200, 2)])
    fake = torch.cat([clump(25, 0, 1), clump(40, 100, 3), clump(20, 200, 3)])
    expected = (30 * lowest(25, 30) - 10 * lowest(40, 10)) / 40  # the third has no MORE than 20 fakes
    assert ct_score(train, test, fake) == pytest.approx(expected, rel=1e-9)
    expected = (30 * lowest(25, 30) - 10 * lowest(40, 10) - 7 * lowest(20, 7)) / 47
    assert ct_score(train, test, fake, least=19) == pytest.approx(expected, rel=1e-9)
    assert ct_score(train, test[:40], fake, least=0) == pytest.approx(
        (30 * lowest(25, 30) - 10 * lowest(40, 10)) / 40, rel=1e-9
    )  # nothing held out in the third
    assert ct_score(train, test, fake[:25]) == pytest.approx(lowest(25, 30), rel=1e-9)


def test_principal_components_are_the_leading_ones(sets, monkeypatch):
    x = draw(400, 12) * torch.tensor([0.1] * 9 + [5.0, 3.0, 2.0]) + 40
    found = memorisation._principal_directions(x, 3, torch.Generator().manual_seed(0))
    expected = np.linalg.eigh(np.cov(x.numpy(), rowvar=False))[1][:, -3:]
    assert np.linalg.svd(found.numpy().T @ expected)[1] == pytest.approx(np.ones(3), abs=1e-5)
    train, test, fake = (torch.cat([one, 100 + 1e-3 * draw(500, 20, seed)], 1) for seed, one in enumerate(sets))
    noise = draw(500, 20, 7)
    fake = torch.cat([sets[0], 100 + 1e-3 * noise], 1)
    assert ct_score(train, test, fake, components=6) < -14  # the rest hardly varies
    used = []
    monkeypatch.setattr(memorisation, "nearest", lambda q, b: (used.append(b.shape[1]), (q[:, :1], q[:, :1]))[1])
    for components in (6, 0, 26, 64):
        ct_score(train, test, fake, components=components)
    assert used == [6, 6, *[26] * 6]


def test_cells_are_those_of_k_means(sets):
    train = sets[0]
    generator = torch.Generator().manual_seed(0)
    centres = memorisation._k_means(train, 3, generator)
    order = centres[:, 0].argsort()
    expected = torch.stack([train[one::3].mean(0) for one in range(3)])
    assert torch.allclose(centres[order], expected[expected[:, 0].argsort()], atol=1e-9)
    assert memorisation._k_means(torch.ones(9, 2), 3, generator).tolist() == [[1, 1]]
    two = memorisation._k_means(column(1, 1, 1, 5), 3, generator)
    assert sorted(two[:, 0].tolist()) == [1, 5]


def test_first_centres_are_drawn_by_squared_distance(monkeypatch):
    monkeypatch.setattr(memorisation, "_ROUNDS", 0)
    generator, x = torch.Generator().manual_seed(0), column(0, 1, 3)
    found = [tuple(memorisation._k_means(x, 2, generator)[:, 0].tolist()) for _ in range(3000)]
    expected = {(0, 1): 1 / 10, (0, 3): 9 / 10, (1, 0): 1 / 5, (1, 3): 4 / 5, (3, 0): 9 / 13, (3, 1): 4 / 13}
    for pair, share in expected.items():
        assert found.count(pair) / 3000 == pytest.approx(share / 3, abs=0.03)


def test_score_depends_on_its_seed_alone(sets):
    state = torch.get_rng_state()
    first = ct_score(*sets, components=3)
    assert torch.equal(state, torch.get_rng_state())
    torch.rand(2)
    assert ct_score(*sets, components=3) == pytest.approx(first, rel=1e-9)
    blob = [draw(300, 5, seed) for seed in range(3)]
    assert len({ct_score(*blob, seed=seed) for seed in range(4)}) > 1


# ---------------------------------------------------------------------- authenticity


@pytest.mark.parametrize("name", CASES)
def test_published_packages(name):
    case = CASES[name]
    real, fake = features(**case["real"]), features(**case["fake"])
    assert authenticity(real, fake) == pytest.approx(case["authenticity_dgm-eval"], rel=1e-12)
    theirs = frechet_distance(real, fake) / mifid_distance(fake, real)  # torchmetrics averages over REAL samples
    assert theirs == pytest.approx(case["mifid_torchmetrics_threshold_1"], rel=1e-6)
    assert abs(frechet_distance(real, fake) / mifid_distance(real, fake) / theirs - 1) > 0.01


def test_authenticity_by_hand():
    train = column(0, 1, 10, 10)
    fakes = {0.4: False, 0.0: False, -2.0: True, 1.9: False, 2.1: True, 10.0: False, 10.1: True, -1.0: False}
    for fake, authentic in fakes.items():
        assert authenticity(train, column(fake)) == 100 * authentic, fake
    assert authenticity(train, column(*fakes)) == pytest.approx(100 * 3 / 8)


def test_copies_are_not_authentic_and_a_part_of_held_out_samples_is():
    train, held_out = draw(3000, 8, 1), draw(2000, 8, 2)
    assert authenticity(train, train[:500]) == 0
    value = authenticity(train, held_out)
    assert value == pytest.approx(56, abs=4)
    assert authenticity(train, torch.cat([held_out, train[:2000]])) == pytest.approx(value / 2, abs=1e-9)
    assert authenticity(train, 10 * held_out) > 95


@pytest.mark.parametrize(("d", "expected"), [(1, 1 / 3), (2, 0.3785)])
def test_authenticity_of_held_out_samples_is_the_share_of_neighbours_that_are_not_mutual(d, expected):
    generator = torch.Generator().manual_seed(d)
    train, held_out = torch.rand(2, 4000, d, generator=generator)
    assert authenticity(train, held_out) == pytest.approx(100 * expected, abs=2.5)


# ---------------------------------------------------------------------- distance of MiFID


def test_distance_by_hand():
    train, fake = torch.tensor([[2.0, 0], [0, 3], [0, 0]]), torch.tensor([[5.0, 5], [-7, 0], [3, 4], [0, 0]])
    expected = [1 - math.sqrt(0.5), 0, 1 - 0.8]  # 0 has no direction
    assert mifid_distance(train, fake) == pytest.approx(np.mean(expected), rel=1e-12)


def test_every_fake_has_its_neighbour_not_every_training_sample(monkeypatch):
    train, held_out = draw(900, 8, 1).abs(), draw(300, 8, 2).abs()
    copies = 7 * train[:50]
    assert mifid_distance(train, copies) == pytest.approx(0, abs=1e-30)
    assert 0.005 < mifid_distance(copies, train) < 0.5
    value = mifid_distance(train, held_out)
    expected = 1 - np.abs(cosines(held_out, train)).max(1)
    assert value == pytest.approx(expected.mean(), rel=1e-9)
    assert mifid_distance(train, torch.cat([held_out, train[:300]])) == pytest.approx(value / 2, rel=1e-9)
    monkeypatch.setattr(memorisation, "_AT_ONCE", 2000)
    assert mifid_distance(train.float(), held_out) == pytest.approx(value, rel=1e-5)


def cosines(x, y):
    x, y = (one.numpy() / np.linalg.norm(one.numpy(), axis=1, keepdims=True) for one in (x, y))
    return x @ y.T


# ---------------------------------------------------------------------- what is wrong


@pytest.mark.parametrize("function", [authenticity, mifid_distance])
def test_functions_say_what_is_wrong(function):
    name = function.__name__
    with pytest.raises(
        ValueError, match=rf"{name}: train \[N, D\] and fake \[N, D\] of one D are needed, not of shape"
    ):
        function(torch.ones(3, 2), torch.ones(3, 4))
    with pytest.raises(ValueError, match=f"{name}: fake has 0 samples, at least 1 are needed"):
        function(torch.ones(3, 2), torch.ones(0, 2))
    with pytest.raises(ValueError, match=f"{name}: some numbers of train are not finite"):
        function(torch.full((3, 2), math.inf), torch.ones(3, 2))


def test_ct_score_says_what_is_wrong():
    message = r"ct_score: train \[N, D\], test \[N, D\] and fake \[N, D\] of one D are needed, not of "
    with pytest.raises(ValueError, match=message):
        ct_score(torch.ones(3, 2), torch.ones(3, 2), torch.ones(3, 4))
    with pytest.raises(
        ValueError, match="ct_score: none of 3 cells has more than 20 of the 20 fakes and one of the 40"
    ):
        ct_score(draw(50), draw(40), draw(20))
    for settings in ({"cells": 0}, {"least": -1}, {"components": -1}):
        with pytest.raises(ValueError, match="cells must be at least 1, least and components 0, not"):
            ct_score(draw(50), draw(40), draw(20), **settings)


def test_directions_and_neighbours_must_exist():
    with pytest.raises(ValueError, match="mifid_distance: all samples of fake are 0 and have no direction"):
        mifid_distance(torch.ones(3, 2), torch.zeros(3, 2))
    with pytest.raises(ValueError, match="authenticity: train has 1 samples, at least 2 are needed"):
        authenticity(torch.ones(1, 2), torch.ones(3, 2))
