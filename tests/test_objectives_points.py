"""Objectives at points that are known exactly: indifference, certainty, and two distributions over three points."""

import math

import numpy as np
import pytest
import torch

from tests.logits import FAKE, REAL, P, Q, generator, gradient, repeated, tensors
from zerosum.objectives import (
    EBGAN,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Relativistic,
    RelativisticAverage,
    ReverseKL,
    Wasserstein,
)


@pytest.mark.parametrize(("objective", "discriminator", "generator"), [
    (NonSaturating(), 2 * math.log(2), math.log(2)),
    (Minimax(), 2 * math.log(2), -math.log(2)),
    (Hinge(), 2, 0),
    (Wasserstein(), 0, 0),
    (Relativistic(), math.log(2), math.log(2)),
    (Relativistic("hinge"), 1, 1),
    (Relativistic("least-squares"), 1, 1),
    (RelativisticAverage(), 2 * math.log(2), 2 * math.log(2)),
    (RelativisticAverage("hinge"), 2, 2),
    (RelativisticAverage("least-squares"), 2, 2),
    (LeastSquares(), 0.5, 0.5),
    (EBGAN(margin=1.5), 1.5, 0),
], ids=str)  # fmt: skip
def test_values_of_a_discriminator_that_knows_nothing(objective, discriminator, generator):
    zero = torch.zeros(5)
    assert objective.discriminator(zero, zero).item() == pytest.approx(discriminator, abs=1e-6)
    assert objective.generator(zero, zero).item() == pytest.approx(generator, abs=1e-6)


def test_gradients_of_the_two_gan_generators_differ_where_the_discriminator_is_sure():
    for logit, non_saturating, saturating in (
        (-10.0, -0.9999546, -4.539787e-5),
        (-50.0, -1.0, -1.92875e-22),
        (2.0, -0.1192029, -0.8807971),
    ):
        fake = torch.tensor([logit], requires_grad=True)
        assert gradient(NonSaturating().generator(fake), fake).item() == pytest.approx(non_saturating, rel=1e-5)
        assert gradient(Minimax().generator(fake), fake).item() == pytest.approx(saturating, rel=1e-5)


@pytest.mark.parametrize(
    ("objective", "size"),
    [
        (Wasserstein(), 1.0),
        (Hinge(), 1.0),
        (NonSaturating(), 1.0),
        (EBGAN(), 1.0),
        (LeastSquares(), 51.0),
        (Relativistic(), 1.0),
        (Relativistic("hinge"), 1.0),
        (Relativistic("least-squares"), 202.0),  # 2 (100 + 1)
        (RelativisticAverage(), 2.0),  # directly and through the average
        (RelativisticAverage("hinge"), 2.0),
        (RelativisticAverage("least-squares"), 404.0),
    ],
    ids=str,
)
def test_generator_gradient_does_not_vanish_where_fakes_look_worst(objective, size):
    real, fake = torch.full((4,), 50.0), torch.full((4,), -50.0, requires_grad=True)
    assert -gradient(generator(objective, fake, real), fake).sum().item() == pytest.approx(size, rel=1e-5)


def test_losses_over_a_known_pair_of_distributions_reach_their_divergences():
    js, tv = 0.1513581, np.abs(P - Q).sum() / 2
    real, fake = repeated(np.log(P / Q))
    for objective in (Minimax(), NonSaturating()):
        assert -objective.discriminator(real, fake).item() == pytest.approx(-math.log(4) + 2 * js, abs=1e-6)
    assert Hinge().discriminator(real.sign(), fake.sign()).item() == pytest.approx(2 - 2 * tv, abs=1e-6)
    assert 2 - 2 * tv == pytest.approx(1.0)
    assert Wasserstein().discriminator(real.sign(), fake.sign()).item() == pytest.approx(-2 * tv, abs=1e-6)


def test_the_sign_of_the_hinge_optimum_is_the_best_of_all():
    logit = torch.tensor(np.sign(P - Q), dtype=torch.float32)
    best = Hinge().discriminator(*repeated(logit))
    for point in range(3):
        for step in (-0.2, 0.2):
            moved = logit.clone()
            moved[point] += step
            assert Hinge().discriminator(*repeated(moved)) > best + 0.01


@pytest.mark.parametrize("coding", [(1, 0, 1), (1, -1, 0), (2, -1, 0.5)])
def test_least_squares_has_its_optimum_where_the_paper_says(coding):
    b, a, _ = coding
    logit = torch.tensor((b * P + a * Q) / (P + Q), dtype=torch.float32, requires_grad=True)
    loss = LeastSquares(*coding).discriminator(*repeated(logit))
    assert gradient(loss, logit).abs().max() < 1e-6


def test_pearson_coding_measures_chi_squared():
    real, fake = repeated((P - Q) / (P + Q))  # the optimum of the coding (1, -1)
    objective = LeastSquares(1, -1, 0)  # the generator's loss on both kinds is the paper's eq. 8
    both = objective.generator(real) + objective.generator(fake)
    assert both.item() == pytest.approx(0.2822222, abs=1e-6)
    assert 0.5 * ((2 * Q - (P + Q)) ** 2 / (P + Q)).sum() == pytest.approx(0.2822222, abs=1e-6)


def test_hinge_leaves_kept_margins_alone():
    real = torch.tensor([1.5, 0.5, -2.0, 1.01], requires_grad=True)
    assert gradient(Hinge().discriminator(real, torch.zeros(4)), real).tolist() == [0, -0.25, -0.25, 0]
    fake = torch.tensor([-1.5, -0.5, 2.0, -1.01], requires_grad=True)
    assert gradient(Hinge().discriminator(torch.zeros(4), fake), fake).tolist() == [0, 0.25, 0.25, 0]
    assert torch.equal(Hinge().generator(fake), Wasserstein().generator(fake))


def test_least_squares_has_linear_gradients():
    fake = torch.tensor([-3.0, 0.5, 4.0], requires_grad=True)
    np.testing.assert_allclose(gradient(LeastSquares().generator(fake), fake), (fake.detach() - 1) / 3, rtol=1e-6)
    half = torch.full((4,), 0.5)
    assert LeastSquares().discriminator(half, half).item() == 0.25
    assert LeastSquares().generator(half).item() == 0.125


@pytest.mark.parametrize("distance", [0.3, 2.0, -1.5])
def test_a_critic_of_slope_one_measures_how_far_two_points_are_apart(distance):
    slopes = torch.linspace(-1, 1, 21)
    real, fake = torch.zeros(4), torch.full((4,), distance)
    gains = [-Wasserstein().discriminator(slope * real, slope * fake).item() for slope in slopes]
    assert max(gains) == pytest.approx(abs(distance), rel=1e-6)
    apart = -NonSaturating().discriminator(torch.full((4,), 50.0), torch.full((4,), -50.0)).item()
    assert (apart + math.log(4)) / 2 == pytest.approx(math.log(2), abs=1e-6)  # JS sees no distance


@pytest.mark.parametrize("cls", [Minimax, NonSaturating])
def test_smoothing_moves_only_the_discriminator(cls):
    real, fake = tensors(REAL, FAKE, requires_grad=True)
    plain, smooth = cls(), cls(real_target=0.9)
    assert smooth.discriminator(real, fake) != plain.discriminator(real, fake)
    assert torch.equal(
        gradient(smooth.discriminator(real, fake), fake), gradient(plain.discriminator(real, fake), fake)
    )
    assert torch.equal(smooth.generator(fake), plain.generator(fake))
    assert torch.equal(smooth.reward(fake), plain.reward(fake))


def test_smoothed_real_term_is_smallest_at_its_target():
    sure = torch.tensor([math.log(9.0)], requires_grad=True)  # sigmoid = 0.9
    loss = NonSaturating(0.9).discriminator(sure, torch.tensor([-1e4]))
    assert loss.item() == pytest.approx(0.3250830, abs=1e-6)  # entropy of 0.9
    assert gradient(loss, sure).item() == pytest.approx(0, abs=1e-6)


def test_smoothed_optimum_over_a_known_pair_of_distributions():
    best = (0.9 * P / (P + Q)).round(6)
    np.testing.assert_allclose(best, [0.75, 0.54, 0.2], atol=1e-6)
    logit = torch.tensor(np.log(best / (1 - best)), dtype=torch.float32, requires_grad=True)
    assert gradient(NonSaturating(0.9).discriminator(*repeated(logit)), logit).abs().max() < 1e-6


def test_reverse_kl_is_the_divergence_of_samples_from_data_at_the_best_discriminator():
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.3, 0.6])
    best = torch.tensor(np.log(p / q), requires_grad=True)
    part, counts = ReverseKL(), (torch.tensor([5, 3, 2]), torch.tensor([1, 3, 6]))
    real, fake = (best.repeat_interleave(count) for count in counts)
    assert part.generator(fake).item() == pytest.approx((q * np.log(q / p)).sum(), rel=1e-6)
    assert gradient(part.discriminator(real, fake), best).abs().max() < 1e-7
    logits = torch.tensor([-9.0, 0.0, 30.0])
    whole = Minimax().generator(logits) + NonSaturating().generator(logits)
    assert part.generator(logits).item() == pytest.approx(whole.item(), rel=1e-6)
