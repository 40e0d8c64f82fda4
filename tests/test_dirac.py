"""The Dirac-GAN: two numbers whose game can be solved on paper, played by the engine itself.

The data are the point 0, the generator's samples the point theta, the logit of x is psi x. With s the slope of the
objective at 0, one turn of n discriminator updates at rate h, then one generator update at rate k, is in first order

    psi'   = A psi - B theta     with A = (1 - h gamma)^n, B = s h (1 + (1 - h gamma) + ... + (1 - h gamma)^(n - 1))
    theta' = theta + s k psi'

so its eigenvalues have the product A and the sum 1 + A - s k B.
"""

import cmath
import math

import numpy as np
import pytest
import torch

from zerosum import latents, networks
from zerosum.core.engine import Engine
from zerosum.core.player import Player
from zerosum.core.registry import parse
from zerosum.data import Feed, open_data
from zerosum.games import ImageGame, LookaheadGame
from zerosum.networks import DiracDiscriminator, DiracGenerator
from zerosum.networks.space import Space
from zerosum.optimizers import SGD, Constant
from zerosum.runs.training.session import train
from zerosum.runs.view import pictures

SLOPES = {"non-saturating": 0.5, "minimax": 0.5, "relativistic": 0.5, "wasserstein": 1.0, "hinge": 1.0}
STILL = 1e-30  # rate of a player that shall not move
every_objective = pytest.mark.parametrize("objective", SLOPES)


class Table:
    """A Dirac-GAN at play, by plain gradient descent; its engine is the one that trains everything."""

    def __init__(self, objective, *regularizers, rates=(0.1, 0.1), updates=1, rules=(), game=ImageGame, **fields):
        def player(network, rate, rules=()):
            return Player(network, SGD(lr=rate), Constant(), networks.Default(), rules=rules)

        self.game = game(
            generator=player(DiracGenerator(), rates[0]),
            discriminator=player(DiracDiscriminator(), rates[1], tuple(parse("rule", one) for one in rules)),
            objective=parse("objective", objective),
            latent=latents.Normal(1),
            regularizers=tuple(parse("regularizer", one) for one in regularizers),
            discriminator_updates=updates,
            **fields,
        )
        self.engine = Engine(self.game, Space((1,), 1).signals)
        self.feed = Feed(open_data("dirac"), 2)

    def turn(self, theta, psi):
        """Where one turn leads from (theta, psi)."""
        numbers = [self.engine.learners[name].parameters[0] for name in ("generator", "discriminator")]
        with torch.no_grad():
            for number, value in zip(numbers, (theta, psi), strict=True):
                number.fill_(value)
        self.engine.turn(self.feed)
        return np.array([number.item() for number in numbers])

    def play(self, turns, point=(1.0, 1.0)):
        """Points (theta, psi) of that many turns, [turns, 2]."""
        points = []
        for _ in range(turns):
            point = self.turn(*point)
            points.append(point)
        return np.array(points)

    def jacobian(self, at=(0.0, 0.0), size=2.0**-7):
        """Derivative of a turn by central differences; rows theta', psi'."""
        sides = [(self.turn(*(at + size * one)) - self.turn(*(at - size * one))) / (2 * size) for one in np.eye(2)]
        return np.stack(sides, axis=1)


def simultaneous(*arguments, rate):
    """Jacobian of both moves from one point: each row from a turn in which the other player stands still."""
    theta = Table(*arguments, rates=(rate, STILL)).jacobian()[0]
    psi = Table(*arguments, rates=(STILL, rate)).jacobian()[1]
    return np.stack([theta, psi])


def assert_eigenvalues(jacobian, expected, tolerance=2e-5):
    found = sorted(np.linalg.eigvals(jacobian), key=lambda one: (round(one.real, 3), one.imag))
    wanted = sorted(np.atleast_1d(expected).astype(complex), key=lambda one: (round(one.real, 3), one.imag))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance)


def roots(product, total):
    """Both numbers of a product and a sum."""
    root = cmath.sqrt(total**2 / 4 - product)
    return [total / 2 - root, total / 2 + root]


# ---------------------------------------------------------------------- simultaneous moves: the field itself


@every_objective
@pytest.mark.parametrize("gamma", [0.0, 0.3, 2.5])
def test_eigenvalues_of_the_gradient_field(objective, gamma):
    # Mescheder et al. 2018, sections 2 and 4: -gamma/2 +- sqrt(gamma^2/4 - s^2)
    slope, rate = SLOPES[objective], 0.25
    field = (simultaneous(objective, f"r1:gamma={gamma}", rate=rate) - np.eye(2)) / rate
    assert_eigenvalues(field, roots(slope**2, -gamma), 1e-4)


@pytest.mark.parametrize(
    ("gamma", "expected"), [(0, [-0.5j, 0.5j]), (0.3, [-0.15 - 0.4770j, -0.15 + 0.4770j]), (2, [-1.8660, -0.1340])]
)
def test_eigenvalues_of_the_gradient_field_in_numbers(gamma, expected):
    field = (simultaneous("non-saturating", f"r1:gamma={gamma}", rate=0.25) - np.eye(2)) / 0.25
    assert_eigenvalues(field, expected, 1e-4)


@every_objective
def test_simultaneous_moves_without_regularizer_go_outwards(objective):
    rate, slope = 0.2, SLOPES[objective]
    found = np.linalg.eigvals(simultaneous(objective, rate=rate))
    np.testing.assert_allclose(np.abs(found), math.sqrt(1 + (rate * slope) ** 2), atol=2e-5)


def test_a_simultaneous_step_of_wgan_lengthens_by_a_known_factor_everywhere():
    rate = 0.2
    theta, psi = Table("wasserstein", rates=(rate, STILL)), Table("wasserstein", rates=(STILL, rate))
    for point in ((0.3, -1.1), (2.0, 0.5)):
        after = theta.turn(*point)[0], psi.turn(*point)[1]
        assert np.square(after).sum() == pytest.approx((1 + rate**2) * np.square(point).sum(), rel=1e-6)


# ---------------------------------------------------------------------- alternating moves: the image game


@every_objective
@pytest.mark.parametrize("updates", [1, 3])
def test_alternating_moves_without_regularizer_stay_on_the_unit_circle(objective, updates):
    slope, rates = SLOPES[objective], (0.3, 0.2)
    jacobian = Table(objective, rates=rates, updates=updates).jacobian()
    # Mescheder et al. 2018, section 2: 1 - a^2/2 +- sqrt((1 - a^2/2)^2 - 1), a = s sqrt(n h k)
    a = slope * math.sqrt(updates * rates[0] * rates[1])
    assert_eigenvalues(jacobian, roots(1, 2 - a**2))
    np.testing.assert_allclose(np.abs(np.linalg.eigvals(jacobian)), 1, atol=2e-5)


def test_alternating_moves_leave_the_unit_circle_where_the_rates_are_too_large():
    jacobian = Table("wasserstein", rates=(2.5, 1.0), updates=2).jacobian()  # a^2 = 5, the limit is 4
    assert_eigenvalues(jacobian, [(-3 - math.sqrt(5)) / 2, (-3 + math.sqrt(5)) / 2])


@every_objective
@pytest.mark.parametrize(("regularizers", "gamma"), [
    (("r1:gamma=0.7",), 0.7), (("r2:gamma=0.7",), 0.7), (("r1:gamma=0.4", "r2:gamma=1.1"), 1.5),
    (("gradient-penalty:weight=0.6,target=0",), 1.2), (("r1:gamma=6",), 6),
])  # fmt: skip
@pytest.mark.parametrize("updates", [1, 2])
def test_alternating_moves_with_a_zero_centred_penalty_go_inwards(objective, regularizers, gamma, updates):
    slope, (k, h) = SLOPES[objective], (0.3, 0.2)
    jacobian = Table(objective, *regularizers, rates=(k, h), updates=updates).jacobian()
    A = (1 - h * gamma) ** updates
    B = slope * h * sum((1 - h * gamma) ** i for i in range(updates))
    assert_eigenvalues(jacobian, roots(A, 1 + A - slope * k * B))
    assert max(abs(np.linalg.eigvals(jacobian))) < 1 - 1e-3


def test_a_penalty_that_is_too_large_overshoots():
    jacobian = Table("wasserstein", "r1:gamma=25", rates=(0.1, 0.1)).jacobian()
    assert_eigenvalues(jacobian, roots(-1.5, -0.51))
    assert max(abs(np.linalg.eigvals(jacobian))) > 1.4


def test_lazy_regularization_is_as_strong_where_it_acts():
    table = Table("wasserstein", "r1:gamma=0.3,every=4")
    carried = pytest.approx(1 - 0.1 * 4 * 0.3, rel=1e-6)  # of psi, where an update carries the penalty
    assert [table.turn(0, 1)[1] for _ in range(6)] == [carried, 1, 1, 1, carried, 1]


@pytest.mark.parametrize("depth", [0, 1, 5])
def test_looking_ahead_goes_inwards_without_regularizer(depth):
    # theta' = theta + h psi' - 2 K h^2 theta: product 1 - 2 K h^2, sum 2 - h^2 - 2 K h^2
    rate = 0.2
    jacobian = Table("wasserstein", rates=(rate, rate), game=LookaheadGame, depth=depth).jacobian()
    assert_eigenvalues(jacobian, roots(1 - 2 * depth * rate**2, 2 - (1 + 2 * depth) * rate**2))


# ---------------------------------------------------------------------- trajectories


def test_wgan_circles_for_ever():
    rate, turns = 0.2, 400
    points = Table("wasserstein", rates=(rate, rate)).play(turns)
    theta, psi = points.T
    kept = theta**2 + psi**2 - rate * theta * psi  # every turn keeps this; h = 0 would make it the radius
    np.testing.assert_allclose(kept, 2 - rate, rtol=1e-4)
    angle = math.acos(1 - rate**2 / 2)  # of one turn
    assert np.count_nonzero(np.diff(np.sign(psi))) == pytest.approx(turns * angle / math.pi, abs=1.01)


def test_minimax_circles_without_regularizer_and_converges_with():
    free, held = (Table("minimax", f"r1:gamma={gamma}", rates=(0.3, 0.3)).play(300) for gamma in (0, 1))
    free, held = (np.linalg.norm(points, axis=1) for points in (free, held))
    for part in (free[:100], free[-100:]):
        assert 1.28 < part.min() < 1.32
        assert 1.40 < part.max() < 1.43
    assert held[-1] < 1e-6
    assert held[0] > 1


def test_the_non_saturating_game_creeps_inwards_without_regularizer():
    # d r^2 / dt = -2 theta psi tanh(theta psi / 2), about -(theta psi)^2, in the mean -r^4 / 8: 1 / r^2 grows by t / 8
    rate = 0.3
    theta, psi = Table("non-saturating", rates=(rate, rate)).play(500).T
    square = theta**2 + psi**2 - rate / 2 * theta * psi  # what a turn keeps in first order
    assert (1 / square[-1] - 1 / square[150]) / (rate * 349) == pytest.approx(1 / 8, rel=0.03)
    assert square[-1] > 0.03  # with R1 nothing is left


def test_r1_converges_at_the_predicted_speed():
    points = Table("wasserstein", "r1:gamma=0.5", rates=(0.2, 0.2)).play(200)
    radius = math.sqrt(0.9)  # the product of the eigenvalues is 1 - h gamma
    shrunk = np.linalg.norm(points[180:], axis=1).max() / np.linalg.norm(points[80:100], axis=1).max()
    assert shrunk == pytest.approx(radius**100, rel=0.2)


@pytest.mark.parametrize("start", [(1.0, 1.0), (0.3, 0.1)])
@pytest.mark.parametrize(("regularizer", "rules"), [("none", ("clip:limit=0.5",)), ("gradient-penalty:weight=1", ())])
def test_clipping_and_the_one_centred_penalty_do_not_converge(regularizer, rules, start):
    # Mescheder et al. 2018, section 3
    regularizers = () if regularizer == "none" else (regularizer,)
    points = Table("wasserstein", *regularizers, rules=rules).play(300, start)
    assert np.linalg.norm(points[200:], axis=1).min() > 0.29
    assert np.abs(points).max() < 2.2


# ---------------------------------------------------------------------- the data, and a run on them


def test_the_data_are_the_point_0():
    data = open_data("dirac")
    assert data.values.shape == (100_000, 1)
    assert data.values.dtype == np.float32
    assert not data.values.any()
    assert data.shape == (1,)
    assert (data.labels, data.num_classes) == (None, 0)
    assert data.centres.tolist() == [[0]]
    assert data.spread == 0


def test_points_of_one_dimension_make_a_histogram():
    points = torch.tensor([[-1.0]] * 3 + [[0.5]] * 6 + [[9.0]])
    picture = pictures.picture(points)
    assert picture.shape == (512, 512, 1)
    assert picture.dtype == np.uint8
    dark = (picture[..., 0] == 0).sum(axis=0)
    assert np.flatnonzero(dark).tolist() == [*range(128, 132), *range(320, 324)]  # at 1/4 and 5/8 of [-2, 2]
    assert dark[128] == 256
    assert dark[320] == 512
    assert (picture[-1, 128], picture[0, 128]) == (0, 255)  # bars stand on the ground
    assert picture[0, 256] not in (0, 255)  # the line at 0
    assert (pictures.picture(torch.full((5, 1), 9.0)) != 0).all()  # all of them outside


def test_a_run_on_it_ends_and_measures_the_distance(tmp_path):
    run = train("dirac", "dirac", ["evaluation=20"], images=20, out=tmp_path / "run", quiet=True)
    assert run.model.sample(3).shape == (3, 1)
    theta = run.model.sample(1).item()
    lines = run.evaluations
    assert {line["metric"] for line in lines} == {"sliced-wasserstein"}
    assert lines[-1]["value"] == pytest.approx(abs(theta), rel=1e-6)
    assert (tmp_path / "run" / "samples" / "000000020.png").stat().st_size > 0
