"""Objectives: against formulas written in NumPy, exact points of the papers, and properties that all must have."""

import dataclasses
import math

import numpy as np
import pytest
import torch

import zerosum.objectives
from zerosum.core.errors import RecipeError
from zerosum.core.registry import parse, shelf
from zerosum.objectives import Hinge, LeastSquares, Minimax, NonSaturating, Relativistic, Wasserstein

OBJECTIVES = [part() for part in shelf("objective").values() if part.__module__ == "zerosum.objectives"]
every_objective = pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda part: part.name)
REAL = np.array([1.3, -0.4, 2.1, 0.2, -1.7, 0.9])  # asymmetric on purpose
FAKE = np.array([-0.8, 0.6, -2.2, 1.1, 0.3, -3.0])
P, Q = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.2, 0.7])  # two distributions over three points


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def cross_entropy(target, logit):
    return -(target * np.log(sigmoid(logit)) + (1 - target) * np.log(1 - sigmoid(logit))).mean()


def log_real(logit):
    return np.log(sigmoid(logit))


def log_fake(logit):
    return np.log(1 - sigmoid(logit))


def identity(logit):
    return logit


def smoothed(target):
    return lambda r, f: cross_entropy(target, r) + cross_entropy(0, f)


LOSSES = [  # part, its discriminator's loss, its generator's loss, its reward
    (Minimax(), smoothed(1), lambda r, f: log_fake(f).mean(), lambda s: -log_fake(s)),
    (Minimax(0.8), smoothed(0.8), lambda r, f: log_fake(f).mean(), lambda s: -log_fake(s)),
    (NonSaturating(), smoothed(1), lambda r, f: -log_real(f).mean(), log_real),
    (NonSaturating(0.9), smoothed(0.9), lambda r, f: -log_real(f).mean(), log_real),
    (
        LeastSquares(),
        lambda r, f: 0.5 * ((r - 1) ** 2).mean() + 0.5 * (f**2).mean(),
        lambda r, f: 0.5 * ((f - 1) ** 2).mean(),
        identity,
    ),
    (
        LeastSquares(2, -1, 0.5),
        lambda r, f: 0.5 * ((r - 2) ** 2).mean() + 0.5 * ((f + 1) ** 2).mean(),
        lambda r, f: 0.5 * ((f - 0.5) ** 2).mean(),
        lambda s: (s + 1) / 3,
    ),
    (Wasserstein(), lambda r, f: f.mean() - r.mean(), lambda r, f: -f.mean(), identity),
    (
        Hinge(),
        lambda r, f: np.maximum(0, 1 - r).mean() + np.maximum(0, 1 + f).mean(),
        lambda r, f: -f.mean(),
        identity,
    ),
    (Relativistic(), lambda r, f: -log_real(r - f).mean(), lambda r, f: -log_real(f - r).mean(), identity),
]


def tensors(*arrays, requires_grad=False):
    return tuple(torch.tensor(a, dtype=torch.float32, requires_grad=requires_grad) for a in arrays)


def gradient(loss, x):
    return torch.autograd.grad(loss, x)[0]


@pytest.mark.parametrize(
    ("part", "discriminator", "generator", "reward"),
    LOSSES,
    ids=lambda x: str(x) if isinstance(x, zerosum.objectives.Part) else "",
)
def test_losses_are_the_formulas(part, discriminator, generator, reward):
    real, fake = tensors(REAL, FAKE)
    assert part.discriminator(real, fake).item() == pytest.approx(discriminator(REAL, FAKE), rel=2e-6)
    assert part.generator(fake, real).item() == pytest.approx(generator(REAL, FAKE), rel=2e-6)
    np.testing.assert_allclose(part.reward(fake), reward(FAKE), rtol=2e-6)


def test_every_objective_has_a_formula_here():
    assert {part.name for part, *_ in LOSSES} == {part.name for part in OBJECTIVES}
    assert zerosum.objectives.__all__ == sorted(type(part).__name__ for part in OBJECTIVES)


@every_objective
def test_text_round_trips(objective):
    assert parse("objective", str(objective)) == objective
    changed = objective.replace(**{field.name: 0.75 for field in dataclasses.fields(objective)[:1]})
    assert parse("objective", str(changed)) == changed
    assert objective.traits() == frozenset()


@every_objective
@pytest.mark.parametrize("shift", [-3.0, 0.0, 3.0])
def test_generator_raises_the_fake_logit(objective, shift):
    if objective.name == "least-squares":
        shift -= 3  # below its goal: above it, it pulls logits down by definition
    real, fake = tensors(REAL, FAKE / 10 + shift, requires_grad=True)
    assert (gradient(objective.generator(fake, real), fake) < 0).all()


@every_objective
def test_discriminator_lowers_the_fake_logit(objective):
    real, fake = tensors(REAL, FAKE / 10 + 0.4, requires_grad=True)  # above 0, where every objective has work left
    assert (gradient(objective.discriminator(real, fake), fake) > 0).all()


@every_objective
def test_discriminator_raises_the_real_logit(objective):
    real, fake = tensors(REAL / 10 - 0.5, FAKE, requires_grad=True)
    assert (gradient(objective.discriminator(real, fake), real) < 0).all()


@every_objective
def test_reward_rises_with_the_logit(objective):
    logit = torch.linspace(-8, 8, 101)
    reward = objective.reward(logit)
    assert reward.shape == logit.shape
    assert (reward.diff() > 0).all()


@every_objective
def test_patch_maps_agree_with_flat_logits(objective):
    real, fake = torch.randn(3, 1, 4, 5), torch.randn(3, 1, 4, 5) - 0.7
    for loss in (objective.discriminator, lambda r, f: objective.generator(f, r)):
        assert loss(real, fake).item() == pytest.approx(loss(real.flatten(), fake.flatten()).item(), rel=1e-5)
    assert objective.reward(real).shape == real.shape


@every_objective
def test_losses_and_gradients_are_finite_at_extreme_logits(objective):
    for magnitude in (50.0, 1e4):
        for sign in (1, -1):
            real = torch.full((4,), sign * magnitude, requires_grad=True)
            fake = torch.full((4,), -sign * magnitude, requires_grad=True)
            losses = objective.discriminator(real, fake), objective.generator(fake, real)
            for loss in losses:
                assert loss.isfinite()
                grads = torch.autograd.grad(loss, (real, fake), retain_graph=True, allow_unused=True)
                assert all(g.isfinite().all() for g in grads if g is not None)
            assert objective.reward(fake).isfinite().all()


@every_objective
def test_losses_are_computed_in_float32(objective):
    real, fake = (x.bfloat16() for x in tensors(REAL, FAKE))
    for loss, exact in (
        (objective.discriminator(real, fake), objective.discriminator(real.float(), fake.float())),
        (objective.generator(fake, real), objective.generator(fake.float(), real.float())),
        (objective.reward(fake), objective.reward(fake.float())),
    ):
        assert loss.dtype == torch.float32
        assert torch.equal(loss, exact)


@pytest.mark.parametrize(("objective", "discriminator", "generator"), [
    (NonSaturating(), 2 * math.log(2), math.log(2)),
    (Minimax(), 2 * math.log(2), -math.log(2)),
    (Hinge(), 2, 0),
    (Wasserstein(), 0, 0),
    (Relativistic(), math.log(2), math.log(2)),
    (LeastSquares(), 0.5, 0.5),
], ids=lambda x: getattr(x, "name", None))  # fmt: skip
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
    "objective", [Wasserstein(), Hinge(), Relativistic(), LeastSquares(), NonSaturating()], ids=lambda part: part.name
)
def test_generator_gradient_does_not_vanish_where_fakes_look_worst(objective):
    real, fake = torch.full((4,), 50.0), torch.full((4,), -50.0, requires_grad=True)
    size = -gradient(objective.generator(fake, real), fake).sum().item()
    assert size == pytest.approx(51.0 if objective.name == "least-squares" else 1.0, rel=1e-5)


@pytest.mark.parametrize("objective", [Wasserstein(), Relativistic()], ids=lambda part: part.name)
def test_a_constant_added_to_all_logits_changes_nothing(objective):
    real, fake = tensors(REAL, FAKE)
    for loss in (objective.discriminator, lambda r, f: objective.generator(f, r)):
        if objective.pairs or loss == objective.discriminator:
            assert loss(real + 7, fake + 7).item() == pytest.approx(loss(real, fake).item(), rel=1e-5)
    assert not any(
        np.isclose(other.discriminator(real + 7, fake + 7), other.discriminator(real, fake), rtol=1e-2)
        for other in (Hinge(), NonSaturating(), LeastSquares())
    )


def test_losses_over_a_known_pair_of_distributions_reach_their_divergences():
    rows = 10  # sample i of the pair appears 10 p_i and 10 q_i times
    optimum = np.log(P / Q)
    real, fake = (
        torch.tensor(np.repeat(optimum, np.rint(rows * mass).astype(int)), dtype=torch.float32) for mass in (P, Q)
    )
    js = 0.1513581
    for objective in (Minimax(), NonSaturating()):
        assert -objective.discriminator(real, fake).item() == pytest.approx(-math.log(4) + 2 * js, abs=1e-6)
    assert Hinge().discriminator(real.sign(), fake.sign()).item() == pytest.approx(
        2 - 2 * np.abs(P - Q).sum() / 2, abs=1e-6
    )
    pearson = (P - Q) / (P + Q)  # D* of the coding (1, -1)
    real, fake = (
        torch.tensor(np.repeat(pearson, np.rint(rows * mass).astype(int)), dtype=torch.float32) for mass in (P, Q)
    )
    chi2 = 0.5 * ((real - 0).square().mean() + (fake - 0).square().mean())
    assert chi2.item() == pytest.approx(0.2822222, abs=1e-6)
    best = LeastSquares(1, -1, 0)
    loss = best.discriminator(real, fake)
    for step in (-0.05, 0.05):
        assert best.discriminator(real + step, fake + step) > loss


def test_hinge_leaves_kept_margins_alone():
    real = torch.tensor([1.5, 0.5, -2.0, 1.01], requires_grad=True)
    assert gradient(Hinge().discriminator(real, torch.zeros(4)), real).tolist() == [0, -0.25, -0.25, 0]


def test_least_squares_has_linear_gradients():
    fake = torch.tensor([-3.0, 0.5, 4.0], requires_grad=True)
    np.testing.assert_allclose(gradient(LeastSquares().generator(fake), fake), (fake.detach() - 1) / 3, rtol=1e-6)
    half = torch.full((4,), 0.5)
    assert LeastSquares().discriminator(half, half).item() == 0.25
    assert LeastSquares().generator(half).item() == 0.125


def test_exchanging_real_and_fake_swaps_the_relativistic_losses():
    real, fake = tensors(REAL, FAKE)
    assert torch.equal(Relativistic().discriminator(real, fake), Relativistic().generator(real, fake))


def test_relativistic_pairs_samples_of_the_same_place():
    real, fake = tensors(REAL, FAKE)
    assert Relativistic().discriminator(real, fake) != Relativistic().discriminator(real.flip(0), fake)
    assert [part.name for part in OBJECTIVES if part.pairs] == ["relativistic"]


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
    real, fake = (logit.repeat_interleave(torch.tensor(np.rint(10 * mass).astype(int))) for mass in (P, Q))
    assert gradient(NonSaturating(0.9).discriminator(real, fake), logit).abs().max() < 1e-6


@pytest.mark.parametrize(
    "text",
    [
        "hinge:real_target=0.9",
        "wasserstein:real_target=0.9",
        "relativistic:real_target=0.9",
        "least-squares:real_target=0.9",
    ],
)
def test_smoothing_is_refused_where_it_means_nothing(text):
    with pytest.raises(RecipeError, match="has no field 'real_target'"):
        parse("objective", text)


@pytest.mark.parametrize("value", [0.0, -0.1, 1.1])
def test_targets_outside_their_range_are_refused(value):
    with pytest.raises(RecipeError, match=r"objective 'minimax': real_target: .* must be above 0 and at most 1"):
        Minimax(real_target=value)


def test_a_coding_that_turns_the_game_around_is_refused():
    with pytest.raises(RecipeError) as error:
        LeastSquares(real=-1, fake=0.5, goal=0.5)
    assert error.value.faults == [
        "objective 'least-squares': real=-1 must be above fake=0.5, since a higher logit looks more real",
        "objective 'least-squares': goal=0.5 must be above fake=0.5, since a higher logit looks more real",
    ]


def test_relativistic_says_what_it_misses():
    with pytest.raises(ValueError, match=r"call generator\(fake, real\) with the real logits"):
        Relativistic().generator(torch.zeros(3))
    with pytest.raises(ValueError, match=r"compares pairs: real and fake logits have shapes \(3,\) and \(3, 1\)"):
        Relativistic().discriminator(torch.zeros(3), torch.zeros(3, 1))
