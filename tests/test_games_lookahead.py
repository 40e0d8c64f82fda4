"""Unrolling: the generator's gradient against formulas and finite differences; the discriminator does not notice."""

import copy
import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch.optim import Optimizer

from tests import small
from zerosum import latents, networks
from zerosum.core import compatibility
from zerosum.core.engine import Engine
from zerosum.core.errors import RecipeError
from zerosum.core.player import Player
from zerosum.core.registry import Part, field_types, parse
from zerosum.critic import Regularization, pack
from zerosum.data import Feed, open_data
from zerosum.games import LookaheadGame
from zerosum.games.ahead import Ahead
from zerosum.networks import DiracDiscriminator, DiracGenerator
from zerosum.networks.space import Space
from zerosum.objectives import LeastSquares, Minimax, NonSaturating, Relativistic, Wasserstein
from zerosum.optimizers import SGD, Adam, Constant

LABELS = "generator.labels=concat", "discriminator.labels=concat"
GAMES = {  # recipe and settings
    "batch norm": ("dcgan", "fresh_fakes=true", "data.size=16"),  # at 8x8 it has none
    "dropout": ("mlp",),
    "labels": ("mlp", *LABELS),
    "packs": ("mlp", "pack=2", "discriminator.dropout=0"),
    "several updates": ("wgan-gp", "discriminator_updates=2", "generator_updates=3"),
    "penalties": ("rpgan", "fresh_fakes=true"),
    "augmentations": ("dcgan", "fresh_fakes=true", "augmentations=diffaugment+ada"),
    "spectral": ("dcgan", "fresh_fakes=true", "discriminator.norm=none", "discriminator.spectral=true"),
    "memory": ("began",),
}
every_game = pytest.mark.parametrize("case", GAMES)


def table(case, depth=2, zero_sum=False, **options):
    """An engine and a feed for the lookahead game of a case."""
    image, feed = small.table(*GAMES[case])
    fields = {name: getattr(image.game, name) for name in field_types(LookaheadGame) if hasattr(image.game, name)}
    game = LookaheadGame(**fields, depth=depth, zero_sum=zero_sum)
    return Engine(game, image.signals, total=10_000, **options), feed


def tensors(engine):
    """All that training changes, by name."""
    state = engine.state()[0]
    return {f"{group}.{name}": one.clone() for group, found in state.items() for name, one in found.items()}


def assert_equal(before, after):
    assert before.keys() == after.keys()
    for name, one in before.items():
        assert torch.equal(one, after[name]), name


def part_of(state, *prefixes):
    return {name: one for name, one in state.items() if name.startswith(prefixes)}


# ---------------------------------------------------------------------- the live discriminator


@every_game
def test_depth_0_is_the_image_game_bit_for_bit(case):
    image, image_feed = small.table(*GAMES[case])
    engine, feed = table(case, depth=0)
    for _ in range(3):
        image.turn(image_feed)
        engine.turn(feed)
    assert_equal(tensors(image), tensors(engine))
    assert image.meter.take("report") == engine.meter.take("report")


@every_game
def test_the_discriminator_is_bit_for_bit_what_it_was_before_the_generators_move(case, monkeypatch):
    engine, feed = table(case)
    engine.turn(feed)
    update, before = engine.update, {}

    def watched(player, **losses):
        update(player, **losses)
        if player == "discriminator":
            before.update(tensors(engine))

    monkeypatch.setattr(engine, "update", watched)
    engine.turn(feed)
    after = tensors(engine)
    mine = "discriminator.weights", "discriminator.optimizer"
    assert part_of(before, *mine)
    assert (case == "batch norm") == any("running" in name for name in part_of(before, *mine))
    assert_equal(part_of(before, *mine), part_of(after, *mine))
    moved = part_of(after, "generator.weights")
    assert any(not torch.equal(one, before[name]) for name, one in moved.items())
    assert all(one.isfinite().all() for one in after.values())


@every_game
def test_a_resumed_run_equals_the_uninterrupted_one_bit_for_bit(case):
    engine, feed = table(case)
    engine.turn(feed)
    state, numbers = copy.deepcopy(engine.state())
    other, other_feed = table(case)
    other.load(state, numbers)
    other_feed.position = numbers["clock"]
    for _ in range(2):
        engine.turn(feed)
        torch.randn(7)
        other.turn(other_feed)
    assert_equal(tensors(engine), tensors(other))


def test_a_discriminator_ahead_has_the_methods_and_buffers_of_the_live_one():
    live = networks.DCGANDiscriminator(channels=8, labels="classifier").build(*Space((1, 8, 8), 0, 10).ports)
    buffers = {name: one.clone() for name, one in live.named_buffers()}
    weights = {name: 2 * one for name, one in live.named_parameters()}
    doubled = copy.deepcopy(live)
    with torch.no_grad():
        for one in doubled.parameters():
            one.mul_(2)
    there = Ahead(live, weights)
    x = torch.randn(6, 1, 8, 8)
    for method in ("features", "__call__"):
        for _ in range(2):  # running statistics go on from call to call
            expected = getattr(doubled, method)(x)
            assert torch.equal(getattr(there, method)(x), expected)
    kept = dict(zip(buffers, doubled.buffers(), strict=True))
    assert all(torch.equal(there._tensors[f"network.{name}"], one) for name, one in kept.items())
    features = torch.randn(4, live.head.logit.in_features)
    for method in ("logits", "classify"):
        assert torch.equal(getattr(there, method)(features), getattr(doubled, method)(features))
    assert not hasattr(there, "encode")
    assert not hasattr(Ahead(torch.nn.Linear(1, 1), {}), "features")
    assert all(torch.equal(one, buffers[name]) for name, one in live.named_buffers())


# ---------------------------------------------------------------------- one number against one number


def dirac(objective, optimizer, depth, theta=0.7, psi=0.9):
    """A game of two numbers, the generator's by plain gradient descent."""
    players = {
        "generator": Player(DiracGenerator(theta), SGD(lr=0.1), Constant(), networks.Default()),
        "discriminator": Player(DiracDiscriminator(psi), optimizer, Constant(), networks.Default()),
    }
    game = LookaheadGame(**players, objective=objective, latent=latents.Normal(1), depth=depth)
    return Engine(game, Space((1,), 1).signals), Feed(open_data("dirac"), 2)


def moved(engine, feed):
    """Theta before the generator's move, psi, and the gradient that moved theta."""
    (theta,) = engine.learners["generator"].parameters
    (psi,) = engine.learners["discriminator"].parameters
    before = theta.item()
    engine.turn(feed)
    return before, psi.item(), theta.grad.item()


def sigma(x):
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_gradient_of_the_linear_game(depth):
    rate = 0.05
    engine, feed = dirac(Wasserstein(), SGD(lr=rate), depth)
    theta, psi, gradient = moved(engine, feed)
    # psi_K = psi - K rate theta, and the generator pays -psi_K theta
    assert gradient == pytest.approx(-psi + 2 * depth * rate * theta, rel=1e-5)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_gradient_of_a_quadratic_game(depth):
    rate = 0.05
    engine, feed = dirac(LeastSquares(), SGD(lr=rate), depth)
    theta, psi, gradient = moved(engine, feed)
    # D pays (psi theta)^2 / 2 + 1/2, so psi_K = psi (1 - rate theta^2)^K; the generator pays (psi_K theta - 1)^2 / 2
    shrunk = 1 - rate * theta**2
    there = psi * shrunk**depth
    slope = -2 * rate * theta * depth * psi * shrunk ** (depth - 1)  # d psi_K / d theta
    assert gradient == pytest.approx((there * theta - 1) * (there + theta * slope), rel=1e-5)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_gradient_of_the_logistic_game(depth):
    rate = 0.4
    engine, feed = dirac(NonSaturating(), SGD(lr=rate), depth)
    theta, psi, gradient = moved(engine, feed)
    slope = 0.0
    for _ in range(depth):  # psi' = psi - rate sigma(psi theta) theta, and its derivative in theta
        s = sigma(psi * theta)
        slope -= rate * (s + s * (1 - s) * (psi + theta * slope) * theta)
        psi -= rate * s * theta
    assert gradient == pytest.approx(-sigma(-psi * theta) * (psi + theta * slope), rel=1e-5)


@dataclass(frozen=True)
class Cut(SGD):
    """Steps that the generator's gradient does not see."""

    def ahead(self, weight, gradient, moments, lr):
        return super().ahead(weight, gradient.detach(), moments, lr)


def test_without_second_order_terms_the_gradient_is_another():
    theta, psi, gradient = moved(*dirac(Wasserstein(), Cut(lr=0.05), 3))
    assert gradient == pytest.approx(-psi + 3 * 0.05 * theta, rel=1e-5)  # half of what looking ahead changes
    _, _, whole = moved(*dirac(Wasserstein(), SGD(lr=0.05), 3))
    assert whole - gradient == pytest.approx(3 * 0.05 * theta, rel=1e-4)


def test_the_learning_rate_is_that_of_the_moment():
    def after(optimizer, schedule):
        engine, feed = dirac(Wasserstein(), optimizer, 2)
        player = engine.game.discriminator.replace(schedule=schedule)
        engine = Engine(engine.game.replace(discriminator=player), engine.signals, total=8)
        feed.position = 4
        return moved(engine, feed)

    assert after(SGD(lr=0.1), parse("schedule", "linear")) == after(SGD(lr=0.05), Constant())


# ---------------------------------------------------------------------- networks, against finite differences


class Seen:
    """What the generator's move began with."""

    def __init__(self, engine, monkeypatch):
        begin, costs = Regularization.__init__, Regularization.__call__

        def beginning(due, parts, player, engine):
            begin(due, parts, player, engine)
            if player == "generator":
                self.G, self.D = (copy.deepcopy(one) for one in engine.networks("generator", "discriminator"))
                self.optimizer = copy.deepcopy(engine.learners["discriminator"].optimizer.state_dict())

        def paying(due, real, fake, generator, latent):
            if due.role == "generator":
                self.real, self.label, self.latent = real.x, real.given["label"], latent
            return costs(due, real, fake, generator, latent)

        monkeypatch.setattr(Regularization, "__init__", beginning)
        monkeypatch.setattr(Regularization, "__call__", paying)
        self.game = engine.game

    def loss(self, shift):
        """What the generator pays in float64 after real optimizer steps of a copy, its weights shifted."""
        G, D = copy.deepcopy(self.G).double(), copy.deepcopy(self.D).double()
        with torch.no_grad():
            for weight, change in zip(G.parameters(), shift, strict=True):
                weight += change.double()
        label = None if self.label is None else self.label[:: self.game.pack]
        fake = pack(G(self.latent.double(), self.label).double().detach(), self.game.pack)
        real = pack(self.real.double(), self.game.pack)
        optimizer = self.game.discriminator.optimizer.build(list(D.parameters()))
        optimizer.load_state_dict(copy.deepcopy(self.optimizer))
        for _ in range(self.game.depth):
            optimizer.zero_grad()
            self.game.objective.discriminator(D(real, label), D(fake, label)).backward()
            optimizer.step()
        with torch.no_grad():
            if self.game.zero_sum:
                return -self.game.objective.discriminator(D(real, label), D(fake, label)).item()
            return self.game.objective.generator(D(fake, label), D(real, label)).item()

    def slope(self, direction, size=1e-7):
        """Derivative along a direction; the step is too small to cross the kink of a unit."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.Tensor, "float", lambda one: one)  # objectives and generators would leave float64
            forward, backward = (self.loss([sign * size * one for one in direction]) for sign in (1, -1))
        return (forward - backward) / (2 * size)


OPTIMIZERS = (
    "adam:lr=0.003,beta1=0.5",
    "adamw:lr=0.003,weight_decay=0.3",
    "rmsprop:lr=0.003,momentum=0.5",
    "sgd:lr=0.3,momentum=0.9",
)
OTHERS = [
    ("batch norm", OPTIMIZERS[0]),
    ("packs", OPTIMIZERS[0]),
    ("penalties", OPTIMIZERS[0]),
    ("spectral", OPTIMIZERS[3]),
]


def steady(engine, optimizer):
    """The engine with a discriminator that judges equal samples equally, under an optimizer."""
    network = engine.game.discriminator.network
    changes = {"dropout": 0.0} if "dropout" in field_types(type(network)) else {}
    player = engine.game.discriminator.replace(
        network=network.replace(**changes), optimizer=parse("optimizer", optimizer)
    )
    return Engine(engine.game.replace(discriminator=player), engine.signals)


def generator_gradient(engine):
    return [weight.grad.clone() for weight in engine.learners["generator"].parameters]


def assert_gradient(engine, feed, monkeypatch):
    """The generator's gradient is the derivative of what real optimizer steps lead to."""
    for _ in range(2):
        engine.turn(feed)
    seen = Seen(engine, monkeypatch)
    engine.turn(feed)
    gradient = generator_gradient(engine)
    size = math.sqrt(sum(one.square().sum().item() for one in gradient))
    along = [one / size for one in gradient]
    assert seen.slope(along) == pytest.approx(size, rel=1e-4)
    torch.manual_seed(1)
    across = [one * torch.randn_like(one).sign() + 0.3 * one for one in along]
    expected = sum((one * other).sum().item() for one, other in zip(gradient, across, strict=True))
    assert seen.slope(across) == pytest.approx(expected, rel=1e-4, abs=1e-4 * size)


@pytest.mark.parametrize(("case", "optimizer"), [*(("labels", one) for one in OPTIMIZERS), *OTHERS])
def test_gradient_of_networks(case, optimizer, monkeypatch):
    engine, feed = table(case, depth=3)
    assert_gradient(steady(engine, optimizer), feed, monkeypatch)


@pytest.mark.parametrize("objective", [Minimax(), Relativistic()])
def test_gradient_of_a_generator_that_pays_what_the_discriminator_gains(objective, monkeypatch):
    engine, feed = table("labels", depth=3, zero_sum=True)
    engine.game = engine.game.replace(objective=objective)
    assert_gradient(steady(engine, OPTIMIZERS[0]), feed, monkeypatch)


def test_real_samples_count_only_for_a_generator_that_looks_ahead():
    def gradient(depth, zero_sum):
        engine, feed = table("packs", depth=depth, zero_sum=zero_sum)
        engine.game = engine.game.replace(objective=Minimax(), adversarial=3.0)
        engine = steady(engine, "sgd:lr=0.3")
        engine.turn(feed)
        return torch.cat([one.flatten() for one in generator_gradient(engine)])

    torch.testing.assert_close(gradient(0, True), gradient(0, False))
    whole, half = gradient(3, True), gradient(3, False)
    assert (whole - half).norm() > 0.05 * half.norm()


def test_gradient_of_adam_from_its_formula():
    rate, beta1, beta2, eps, depth = 0.05, 0.5, 0.9, 1e-3, 3
    engine, feed = dirac(NonSaturating(), Adam(rate, beta1, beta2, eps), depth)
    for _ in range(3):
        engine.turn(feed)
    theta, _, gradient = moved(engine, feed)
    (live,) = engine.learners["discriminator"].parameters
    memory = engine.learners["discriminator"].optimizer.state[live]

    def paid(theta):
        psi, mean, square = (np.float64(one.item()) for one in (live, memory["exp_avg"], memory["exp_avg_sq"]))
        for step in range(int(memory["step"]) + 1, int(memory["step"]) + 1 + depth):
            slope = theta / (1 + np.exp(-psi * theta))
            mean = beta1 * mean + (1 - beta1) * slope
            square = beta2 * square + (1 - beta2) * slope**2
            psi -= rate * (mean / (1 - beta1**step)) / (np.sqrt(square / (1 - beta2**step)) + eps)
        return np.log1p(np.exp(-psi * theta))

    assert int(memory["step"]) == 4
    assert gradient == pytest.approx((paid(theta + 1e-6) - paid(theta - 1e-6)) / 2e-6, rel=1e-4)


# ---------------------------------------------------------------------- around it


@pytest.mark.parametrize("case", ["batch norm", "dropout", "penalties"])
def test_bf16_looks_ahead_about_as_float32_does(case):
    def gradient(precision):
        engine, feed = table(case)
        engine = Engine(steady(engine, OPTIMIZERS[0]).game, engine.signals, precision=precision)
        engine.turn(feed)
        found = generator_gradient(engine)
        assert all(one.dtype == torch.float32 for one in found)
        return torch.cat([one.flatten() for one in found])

    exact, rough = gradient("fp32"), gradient("bf16")
    assert torch.nn.functional.cosine_similarity(exact, rough, 0) > 0.97
    assert rough.norm().item() == pytest.approx(exact.norm().item(), rel=0.1)
    assert not torch.equal(exact, rough)


def test_the_objective_is_asked_with_its_memory_at_each_step(monkeypatch):
    engine, feed = table("memory", depth=3)
    engine.turn(feed)  # it begins at 0
    given = []
    objective = type(engine.game.objective)
    discriminator = objective.discriminator

    def watched(part, real, fake, memory):
        given.append({name: one.clone() for name, one in memory.items()})
        return discriminator(part, real, fake, memory=memory)

    monkeypatch.setattr(objective, "discriminator", watched)
    engine.turn(feed)
    assert len(given) == 1 + 3
    assert all(one == given[0] for one in given)
    assert all(one.abs().sum() > 0 for one in given[0].values())


@dataclass(frozen=True)
class Plain(Part):
    """An optimizer of a user, without a formula of its steps."""

    kind = "optimizer"
    name = "plain"
    lr: float = 0.1

    def build(self, params) -> Optimizer:
        return torch.optim.SGD(params, lr=self.lr)


def test_an_optimizer_without_a_formula_is_refused_before_the_first_image():
    engine, _ = table("packs")
    game = engine.game.replace(discriminator=engine.game.discriminator.replace(optimizer=Plain()))
    with pytest.raises(RecipeError) as raised:
        compatibility.check(game, engine.signals, 1000)
    (fault,) = raised.value.faults
    assert "'plain' has no ahead(" in fault
    assert "set discriminator.optimizer=adam, or depth=0" in fault
    compatibility.check(game.replace(depth=0), engine.signals, 1000)
    compatibility.check(engine.game, engine.signals, 1000)
    player = engine.game.generator.replace(optimizer=Plain())  # only the discriminator is looked ahead
    compatibility.check(engine.game.replace(generator=player), engine.signals, 1000)


def test_a_selection_is_refused_where_all_samples_count():
    engine, _ = table("packs", zero_sum=True)
    game = engine.game.replace(selection=parse("selection", "top-k"))
    with pytest.raises(
        RecipeError, match=r"selection 'top-k' with zero_sum=true: .*; set selection=all, or zero_sum=f"
    ):
        compatibility.check(game, engine.signals, 1000)
    compatibility.check(game.replace(zero_sum=False), engine.signals, 1000)
    compatibility.check(engine.game, engine.signals, 1000)


def test_the_game_is_a_value():
    engine, _ = table("packs", depth=7)
    assert dataclasses.replace(engine.game) == engine.game
    assert engine.game.depth == 7
    with pytest.raises(RecipeError, match="depth"):
        engine.game.replace(depth=-1)
