"""Objectives that compare: what they compare with what, and that no level of the logits matters."""

import numpy as np
import pytest
import torch

from tests.logits import FAKE, OBJECTIVES, REAL, gradient, tensors
from zerosum.objectives import Hinge, LeastSquares, NonSaturating, Relativistic, RelativisticAverage, Wasserstein

FORMS = ("softplus", "hinge", "least-squares")
COMPARING = [cls(form) for cls in (Relativistic, RelativisticAverage) for form in FORMS]
every_comparison = pytest.mark.parametrize("objective", COMPARING, ids=str)


@pytest.mark.parametrize("objective", [Wasserstein(), *COMPARING], ids=str)
def test_a_constant_added_to_all_logits_changes_nothing(objective):
    real, fake = tensors(REAL, FAKE, requires_grad=True)
    for loss in (objective.discriminator, lambda r, f: objective.generator(f, r)):
        if objective.pairs or loss == objective.discriminator:
            assert loss(real + 7, fake + 7).item() == pytest.approx(loss(real, fake).item(), rel=1e-5)
        moved, still = gradient(loss(real + 7, fake + 7), fake), gradient(loss(real, fake), fake)
        np.testing.assert_allclose(moved, still, rtol=1e-4, atol=1e-6)


def test_others_do_notice_a_constant():
    real, fake = tensors(REAL, FAKE)
    for other in (Hinge(), NonSaturating(), LeastSquares()):
        assert not np.isclose(other.discriminator(real + 7, fake + 7), other.discriminator(real, fake), rtol=1e-2)


@every_comparison
def test_exchanging_real_and_fake_swaps_the_losses(objective):
    real, fake = tensors(REAL, FAKE)
    assert torch.equal(objective.discriminator(real, fake), objective.generator(real, fake))
    assert objective.discriminator(real, fake) != objective.generator(fake, real)


def test_pairs_are_samples_of_the_same_place_and_averages_have_no_place():
    real, fake = tensors(REAL, FAKE)
    for form in FORMS:
        pairs, averages = Relativistic(form), RelativisticAverage(form)
        assert pairs.discriminator(real, fake) != pairs.discriminator(real.flip(0), fake)
        turned = averages.discriminator(real.flip(0), fake)
        assert averages.discriminator(real, fake).item() == pytest.approx(turned.item(), rel=1e-6)
    assert [part.name for part in OBJECTIVES if part.pairs] == ["relativistic", "relativistic-average"]


@every_comparison
def test_generator_and_discriminator_both_move_both_kinds(objective):
    real, fake = tensors(REAL / 10, FAKE / 10, requires_grad=True)
    ups = gradient(objective.generator(fake, real), real), gradient(objective.discriminator(real, fake), fake)
    assert all((up > 0).all() for up in ups)


def test_both_averages_are_differentiated_in_both_losses():
    part = RelativisticAverage("least-squares")
    real, fake = torch.tensor([0.2, -0.2], requires_grad=True), torch.tensor([0.5, -0.5], requires_grad=True)
    # the gradient of mean (r - m - 1)^2 is r_i - m - 1 by r_i, and the mean of 1 + m - r by each f_j, for two samples
    np.testing.assert_allclose(gradient(part.generator(fake, real), fake), [0.5 - 1 - 1, -0.5 - 1 - 1], rtol=1e-6)
    loss = part.discriminator(real, fake)
    up_real, up_fake = torch.autograd.grad(loss, (real, fake))
    np.testing.assert_allclose(up_real, [0.2 - 1 - 1, -0.2 - 1 - 1], rtol=1e-6)
    np.testing.assert_allclose(up_fake, [0.5 + 1 + 1, -0.5 + 1 + 1], rtol=1e-6)


def test_averages_may_have_batches_of_different_sizes():
    real, fake = torch.tensor([1.0, 3.0, 2.0]), torch.tensor([0.0, 0.5])
    loss = RelativisticAverage("least-squares").discriminator(real, fake)
    assert loss.item() == pytest.approx((0.25**2 + 1.75**2 + 0.75**2) / 3 + (1 + 0.5**2) / 2, rel=1e-6)


def test_hinge_leaves_pairs_alone_that_keep_their_margin():
    real, fake = torch.tensor([2.0, 0.5, 0.0]), torch.tensor([0.5, 0.0, 3.0], requires_grad=True)
    assert gradient(Relativistic("hinge").discriminator(real, fake), fake).tolist() == pytest.approx([0, 1 / 3, 1 / 3])
    assert gradient(Relativistic("hinge").generator(fake, real), fake).tolist() == pytest.approx([-1 / 3, -1 / 3, 0])


def test_what_is_missing_is_said():
    with pytest.raises(ValueError, match=r"call generator\(fake, real\) with the real logits"):
        Relativistic().generator(torch.zeros(3))
    with pytest.raises(ValueError, match=r"'relativistic-average' compares with real samples: call generator\(fake, r"):
        RelativisticAverage().generator(torch.zeros(3))
    with pytest.raises(ValueError, match=r"compares pairs: real and fake logits have shapes \(3,\) and \(3, 1\)"):
        Relativistic().discriminator(torch.zeros(3), torch.zeros(3, 1))
