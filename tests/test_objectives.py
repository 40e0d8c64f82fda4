"""What all objectives have in common: their formulas in NumPy, directions of their gradients, numerics, text."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

import zerosum.objectives
from tests.logits import FAKE, FEEDBACK, OBJECTIVES, REAL, discriminator, generator, gradient, tensors
from zerosum.core.errors import RecipeError
from zerosum.core.registry import Part, parse
from zerosum.objectives import (
    BEGAN,
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

every_objective = pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda part: part.name)


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


def hinged(margin):
    return np.where(margin < 1, 1 - margin, 0)


def smoothed(target):
    return lambda r, f: cross_entropy(target, r) + cross_entropy(0, f)


LOSSES = [  # part, its discriminator's loss, its generator's loss, its reward
    (Minimax(), smoothed(1), lambda r, f: log_fake(f).mean(), lambda s: -log_fake(s)),
    (Minimax(0.8), smoothed(0.8), lambda r, f: log_fake(f).mean(), lambda s: -log_fake(s)),
    (ReverseKL(), smoothed(1), lambda r, f: -f.mean(), identity),
    (ReverseKL(0.7), smoothed(0.7), lambda r, f: -f.mean(), identity),
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
    (Hinge(), lambda r, f: hinged(r).mean() + hinged(-f).mean(), lambda r, f: -f.mean(), identity),
    (Relativistic(), lambda r, f: -log_real(r - f).mean(), lambda r, f: -log_real(f - r).mean(), identity),
    (Relativistic("hinge"), lambda r, f: hinged(r - f).mean(), lambda r, f: hinged(f - r).mean(), identity),
    (
        Relativistic("least-squares"),
        lambda r, f: ((r - f - 1) ** 2).mean(),
        lambda r, f: ((f - r - 1) ** 2).mean(),
        identity,
    ),
    (
        RelativisticAverage(),
        lambda r, f: -log_real(r - f.mean()).mean() - log_fake(f - r.mean()).mean(),
        lambda r, f: -log_real(f - r.mean()).mean() - log_fake(r - f.mean()).mean(),
        identity,
    ),
    (
        RelativisticAverage("hinge"),
        lambda r, f: hinged(r - f.mean()).mean() + hinged(-(f - r.mean())).mean(),
        lambda r, f: hinged(f - r.mean()).mean() + hinged(-(r - f.mean())).mean(),
        identity,
    ),
    (
        RelativisticAverage("least-squares"),
        lambda r, f: ((r - f.mean() - 1) ** 2).mean() + ((f - r.mean() + 1) ** 2).mean(),
        lambda r, f: ((f - r.mean() - 1) ** 2).mean() + ((r - f.mean() + 1) ** 2).mean(),
        identity,
    ),
    (BEGAN(), lambda r, f: (-r).mean() - FEEDBACK * (-f).mean(), lambda r, f: (-f).mean(), identity),
    (
        EBGAN(0.7),
        lambda r, f: (-r).mean() + np.where(-f < 0.7, 0.7 - (-f), 0).mean(),
        lambda r, f: (-f).mean(),
        identity,
    ),
]


@pytest.mark.parametrize(
    ("part", "of_discriminator", "of_generator", "reward"),
    LOSSES,
    ids=lambda x: str(x) if isinstance(x, Part) else "",
)
def test_losses_are_the_formulas(part, of_discriminator, of_generator, reward):
    real, fake = tensors(REAL, FAKE)
    assert discriminator(part, real, fake).item() == pytest.approx(of_discriminator(REAL, FAKE), rel=2e-6)
    assert generator(part, fake, real).item() == pytest.approx(of_generator(REAL, FAKE), rel=2e-6)
    np.testing.assert_allclose(part.reward(fake), reward(FAKE), rtol=2e-6)


def test_every_objective_has_a_formula_here():
    assert {part.name for part, *_ in LOSSES} == {part.name for part in OBJECTIVES}
    assert set(zerosum.objectives.__all__) == {type(part).__name__ for part in OBJECTIVES}


def test_cross_entropy_is_that_of_the_library():
    real, fake = tensors(REAL, FAKE)
    one, zero = torch.ones(6), torch.zeros(6)
    expected = binary_cross_entropy_with_logits(real, one) + binary_cross_entropy_with_logits(fake, zero)
    for part in (Minimax(), NonSaturating()):
        assert part.discriminator(real, fake).item() == pytest.approx(expected.item(), abs=1e-6)
    expected = binary_cross_entropy_with_logits(fake, one)
    assert NonSaturating().generator(fake).item() == pytest.approx(expected.item(), abs=1e-6)


@every_objective
def test_text_round_trips(objective):
    assert parse("objective", str(objective)) == objective
    for field in dataclasses.fields(objective)[:1]:
        changed = objective.replace(**{field.name: "hinge" if field.name == "loss" else 0.75})
        assert changed != objective
        assert parse("objective", str(changed)) == changed


def test_traits_say_what_a_logit_means():
    traits = {part.name: set(part.traits()) for part in OBJECTIVES if part.traits()}
    zero, errors = {"zero-level"}, {"reconstruction"}
    assert traits == {
        "minimax": zero,
        "non-saturating": zero,
        "reverse-kl": zero,
        "hinge": zero,
        "began": errors,
        "ebgan": errors,
    }
    assert LeastSquares(1, -1, 0).traits() == zero
    assert LeastSquares(1, -2, 0).traits() == set()


@every_objective
def test_an_auto_encoder_goes_with_the_two_that_train_one(objective):
    if objective.name in ("began", "ebgan"):
        assert objective.clashes == {}
        assert "set discriminator.network=began-discriminator" in objective.needs["autoencoder"]
    else:
        assert objective.needs == {}
        lacking = "errors are no logits: give clashes = REFUSES_AUTOENCODER of objectives/logits.py"
        assert "set objective=began or ebgan" in objective.clashes.get("autoencoder", ""), lacking


@every_objective
@pytest.mark.parametrize("shift", [-3.0, 0.0, 3.0])
def test_generator_raises_the_fake_logit(objective, shift):
    if objective.name == "least-squares":
        shift -= 3  # below its goal: above it, it pulls logits down by definition
    real, fake = tensors(REAL, FAKE / 10 + shift, requires_grad=True)
    assert (gradient(generator(objective, fake, real), fake) < 0).all()


@every_objective
def test_discriminator_lowers_the_fake_logit(objective):
    real, fake = tensors(REAL, FAKE / 10 + 0.4, requires_grad=True)  # above 0, where every objective has work left
    assert (gradient(discriminator(objective, real, fake), fake) > 0).all()


@every_objective
def test_discriminator_raises_the_real_logit(objective):
    real, fake = tensors(REAL / 10 - 0.5, FAKE, requires_grad=True)
    assert (gradient(discriminator(objective, real, fake), real) < 0).all()


every_reward = pytest.mark.parametrize(
    "objective", [part for part in OBJECTIVES if hasattr(part, "reward")], ids=lambda part: part.name
)


@every_reward
def test_reward_rises_with_the_logit(objective):
    logit = torch.linspace(-8, 8, 101)
    reward = objective.reward(logit)
    assert reward.shape == logit.shape
    assert (reward.diff() > 0).all()


@every_objective
def test_patch_maps_agree_with_flat_logits(objective):
    torch.manual_seed(0)
    real, fake = torch.randn(3, 1, 4, 5), torch.randn(3, 1, 4, 5) - 0.7
    for loss in (discriminator, lambda part, r, f: generator(part, f, r)):
        maps, flat = loss(objective, real, fake), loss(objective, real.flatten(), fake.flatten())
        assert maps.shape == ()
        assert maps.item() == pytest.approx(flat.item(), rel=1e-5)


@every_reward
def test_a_patch_has_a_reward_of_its_own(objective):
    real = torch.randn(3, 1, 4, 5)
    assert objective.reward(real).shape == real.shape


@every_objective
def test_losses_and_gradients_are_finite_at_extreme_logits(objective):
    for magnitude in (50.0, 1e4):
        for sign in (1, -1):
            real = torch.full((4,), sign * magnitude, requires_grad=True)
            fake = torch.full((4,), -sign * magnitude, requires_grad=True)
            for loss in (discriminator(objective, real, fake), generator(objective, fake, real)):
                assert loss.isfinite()
                grads = torch.autograd.grad(loss, (real, fake), retain_graph=True, allow_unused=True)
                assert all(g.isfinite().all() for g in grads if g is not None)
            assert not hasattr(objective, "reward") or objective.reward(fake).isfinite().all()


@every_objective
@pytest.mark.parametrize("scale", [1, 0.37, 0.043])  # few logits may round to the right sum by luck
def test_losses_are_computed_in_float32(objective, scale):
    real, fake = (x.bfloat16() for x in tensors(scale * REAL, scale * FAKE))
    losses = [
        (discriminator(objective, real, fake), discriminator(objective, real.float(), fake.float())),
        (generator(objective, fake, real), generator(objective, fake.float(), real.float())),
    ]
    if hasattr(objective, "reward"):
        losses.append((objective.reward(fake), objective.reward(fake.float())))
    for loss, exact in losses:
        assert loss.dtype == torch.float32
        assert torch.equal(loss, exact)


@pytest.mark.parametrize(
    "text",
    [
        "hinge:real_target=0.9",
        "wasserstein:real_target=0.9",
        "relativistic:real_target=0.9",
        "relativistic-average:real_target=0.9",
        "least-squares:real_target=0.9",
        "began:real_target=0.9",
        "ebgan:real_target=0.9",
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


def test_an_unknown_form_is_refused():
    with pytest.raises(RecipeError, match=r"objective 'relativistic': loss: 'hing' is not allowed; did you mean 'hin"):
        parse("objective", "relativistic:loss=hing")
