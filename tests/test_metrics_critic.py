"""Held-out critics: known divergences of Gaussians, bounds from both sides, what must not change anything."""

import math

import numpy as np
import pytest
import torch

from zerosum.metrics.critic import critic_divergences


def gauss(count, size, seed):
    return torch.randn(count, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def truth(density_p, density_q):
    """JS, Pearson and accuracy of two densities on a line, by numerical integration."""
    x = np.linspace(-30, 30, 600_001)
    p, q = density_p(x), density_q(x)
    m, dx = (p + q) / 2 + 1e-300, x[1] - x[0]
    entropy = sum((d * np.log(np.maximum(d, 1e-300) / m)).sum() * dx for d in (p, q)) / 2
    return entropy, ((p - q) ** 2 / (2 * m)).sum() * dx, np.maximum(p, q).sum() * dx / 2


def bell(mean, std):
    return lambda x: np.exp(-(((x - mean) / std) ** 2) / 2) / std / math.sqrt(2 * math.pi)


@pytest.mark.parametrize(("mean", "std", "unit", "earth"), [
    (1.0, 1.0, 1.0, 1.0), (-2.5, 1.0, 1e3, 2.5), (0.0, 2.5, 1e-3, 1.5 * math.sqrt(2 / math.pi)),
], ids=["near", "far", "wide"])  # fmt: skip
def test_gaussians_on_a_line_in_any_unit(mean, std, unit, earth):
    real, fake = gauss(4000, 1, 0), mean + std * gauss(4000, 1, 1)
    found = critic_divergences((real + 3e6) * unit, (fake + 3e6) * unit)
    js, pearson, accuracy = truth(bell(0, 1), bell(mean, std))
    assert set(found) == {"jensen_shannon", "pearson", "accuracy", "wasserstein"}
    assert found["jensen_shannon"] == pytest.approx(js, abs=0.02)
    assert found["pearson"] == pytest.approx(pearson, abs=0.06)
    assert found["accuracy"] == pytest.approx(accuracy, abs=0.02)
    assert found["wasserstein"] == pytest.approx(earth * unit, rel=0.07)


def test_equal_distributions_are_near_0_from_both_sides():
    found = critic_divergences(gauss(2000, 16, 2), gauss(3000, 16, 3))
    assert -0.01 < found["jensen_shannon"] < 0.005
    assert -0.04 < found["pearson"] < 0.02
    assert 0.47 < found["accuracy"] < 0.53
    assert -0.12 < found["wasserstein"] < 0.12


def test_disjoint_sets_reach_the_ends():
    found = critic_divergences(gauss(500, 16, 0), gauss(500, 16, 1) + 10)
    assert math.log(2) - 0.01 < found["jensen_shannon"] <= math.log(2)
    assert 1.98 < found["pearson"] <= 2
    assert found["accuracy"] == 1
    assert found["wasserstein"] == pytest.approx(40, rel=0.02)  # the length of a shift by 10 in each of 16 dimensions


def test_a_shift_in_one_of_many_dimensions():
    shift = torch.zeros(16)
    shift[5] = 1
    found = critic_divergences(gauss(4000, 16, 0), gauss(4000, 16, 1) + shift)
    js, pearson, accuracy = truth(bell(0, 1), bell(1, 1))
    assert js - 0.03 < found["jensen_shannon"] < js + 0.015
    assert pearson - 0.09 < found["pearson"] < pearson + 0.05
    assert accuracy - 0.03 < found["accuracy"] < accuracy + 0.02
    assert found["wasserstein"] == pytest.approx(1, abs=0.06)


def test_a_missing_mode_is_what_it_weighs():
    centres = torch.tensor([[0.0, 0.0], [6.0, 0.0], [0.0, 8.0], [6.0, 8.0]])
    real = centres[torch.arange(4000) % 4] + 0.1 * gauss(4000, 2, 0)
    fake = centres[torch.arange(3999) % 3] + 0.1 * gauss(3999, 2, 1)
    found = critic_divergences(real, fake)
    m = (1 / 4 + 1 / 3) / 2  # of three modes; the fourth has 1/8
    js = (3 / 4 * math.log(1 / 4 / m) + 1 / 4 * math.log(2) + math.log(1 / 3 / m)) / 2
    assert found["jensen_shannon"] == pytest.approx(js, abs=0.012)
    assert found["pearson"] == pytest.approx(3 * (1 / 12) ** 2 / (2 * m) + 1 / 4, abs=0.03)
    # the fourth mode's quarter comes in equal parts from (0, 8), 6 away, and (6, 0), 8 away, and (0, 0), 10 away
    assert found["wasserstein"] == pytest.approx((6 + 8 + 10) / 12, rel=0.08)


def test_features_of_any_scale_count_alike_for_the_classifier():
    scale = torch.tensor([1e-5, 1.0, 1e5])  # what differs is the smallest
    shift = torch.tensor([1.5, 0, 0])
    found = critic_divergences(gauss(2000, 3, 0) * scale, (gauss(2000, 3, 1) + shift) * scale)
    assert found["jensen_shannon"] == pytest.approx(truth(bell(0, 1), bell(1.5, 1))[0], abs=0.03)
    assert abs(found["wasserstein"]) < 2e4  # noise of the largest; it would be 9e4 if each counted alike


def test_features_that_never_change_are_no_difference():
    real, fake = torch.ones(40, 3), torch.ones(30, 3)
    assert critic_divergences(real, fake) == {
        "jensen_shannon": 0, "pearson": 0, "accuracy": 0.5, "wasserstein": 0,
    }  # fmt: skip


def test_what_was_memorised_counts_for_nothing():
    shift = torch.zeros(60)
    shift[7] = 1.5
    found = critic_divergences(gauss(200, 60, 0), gauss(200, 60, 1) + shift)  # 80 samples of each teach
    js, pearson, accuracy = truth(bell(0, 1), bell(1.5, 1))
    assert 0.01 < found["jensen_shannon"] < js + 0.02
    assert 0.04 < found["pearson"] < pearson + 0.06
    assert 0.6 < found["accuracy"] < accuracy + 0.03
    assert 0.95 < found["wasserstein"] < 1.7  # the direction between the means; the network alone finds 0.7


def test_it_depends_on_its_seed_alone_and_leaves_the_global_one():
    real, fake = gauss(100, 2, 0), gauss(80, 2, 1) + 0.5
    torch.manual_seed(1)
    state = torch.get_rng_state()
    found = critic_divergences(real, fake)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    with torch.inference_mode():  # features of a network usually come from here
        assert critic_divergences(real.clone(), fake.clone()) == found
    with torch.no_grad():
        assert critic_divergences(real, fake, seed=1) != found


@pytest.mark.parametrize(("real", "fake", "message"), [
    (torch.zeros(30, 2), torch.zeros(30, 3), r"\[N, D\] of one D are needed, not of shape \(30, 2\) and \(30, 3\)"),
    (torch.zeros(30), torch.zeros(30), r"not of shape \(30,\) and \(30,\)"),
    (torch.zeros(30, 0), torch.zeros(30, 0), r"not of shape \(30, 0\) and \(30, 0\)"),
    (torch.zeros(19, 2), torch.zeros(30, 2), "real has 19 samples, at least 20 are needed"),
    (torch.zeros(30, 2), torch.zeros(19, 2), "fake has 19 samples, at least 20 are needed"),
    (torch.zeros(30, 2), torch.full((30, 2), math.nan), "some numbers of fake are not finite"),
    (torch.full((30, 2), math.inf), torch.zeros(30, 2), "some numbers of real are not finite"),
])  # fmt: skip
def test_it_says_what_is_wrong(real, fake, message):
    with pytest.raises(ValueError, match=f"critic_divergences: .*{message}"):
        critic_divergences(real, fake)
