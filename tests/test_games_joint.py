"""The joint game: against VEEGAN's algorithm written out in NumPy, and what all games must hold."""

import copy
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from tests.small import Feed, open_data
from zerosum import latents, networks
from zerosum.core import compatibility, registry, settings
from zerosum.core.engine import Engine
from zerosum.core.errors import RecipeError
from zerosum.core.player import Player
from zerosum.core.registry import Part
from zerosum.games import JointGame
from zerosum.networks import (
    DCGANEncoder,
    DCGANGenerator,
    JointDCGANDiscriminator,
    JointMLPDiscriminator,
    MLPEncoder,
    MLPGenerator,
)
from zerosum.networks.space import Space
from zerosum.objectives import NonSaturating, Relativistic
from zerosum.optimizers import SGD, Adam, Constant
from zerosum.recipes import Recipe

RATE = 0.05
N, D, K = 6, 3, 2  # samples, numbers of a sample, numbers of a latent
NAMES = ("discriminator", "reconstructor", "generator")


# ---------------------------------------------------------------------- linear players, and the same in NumPy


class Pair(nn.Module):
    """s(x, z) = u.x + v.z with its addends as features; remembers what it was shown."""

    def __init__(self):
        super().__init__()
        self.u, self.v = nn.Parameter(torch.randn(D)), nn.Parameter(torch.randn(K))
        self.shown = []

    def features(self, x, label=None, latent=None):
        self.shown.append((x.detach().clone(), latent.detach().clone()))
        return torch.cat([x * self.u, latent * self.v], 1)

    def logits(self, features, label=None):
        return features.sum(1)

    def forward(self, x, label=None, latent=None):
        return self.logits(self.features(x, label, latent))


class Linear(nn.Module):
    def __init__(self, before, after):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before))

    def forward(self, x, label=None):
        return x @ self.weight.T


@dataclass(frozen=True)
class Made(Part):
    role: str
    kind = "network"
    name = "made"

    def build(self, inputs, outputs):
        made = {"generator": lambda: Linear(K, D), "encoder": lambda: Linear(D, K), "discriminator": Pair}
        return made[self.role]()

    def traits(self):
        return frozenset({self.role, "logits", "features", "joint"} if self.role == "discriminator" else {self.role})


@dataclass(frozen=True)
class Given(Part):
    """Latents in a fixed order."""

    size: int = K
    name = "given"
    kind = "latent"

    def __call__(self, count, device="cpu"):
        z = Z[self.drawn[0]]
        self.drawn[0] += 1
        return z

    drawn = [0]  # noqa: RUF012


class Points:
    """Batches in a fixed order."""

    def __init__(self):
        self.position = 0

    def next(self):
        self.position += N
        return {"sample": X[self.position // N - 1]}


generator = torch.Generator().manual_seed(3)
X = torch.randn(8, N, D, generator=generator) + 0.5
Z = torch.randn(12, N, K, generator=generator)


def player(network, optimizer=None):
    return Player(network, optimizer or SGD(lr=RATE), Constant(), networks.Default())


def linear(**fields):
    Given.drawn[0] = 0
    trio = dict(zip(NAMES, map(player, map(Made, ("discriminator", "encoder", "generator"))), strict=True))
    game = JointGame(**{**trio, "objective": NonSaturating(), "latent": Given(), "noise": 0.0, **fields})
    return Engine(game, Space((D,), K).signals, seed=1), Points()


def sigmoid(t):
    return 1 / (1 + np.exp(-t))


def softplus(t):
    return np.logaddexp(0, t)


class Algorithm:
    """The turn in NumPy, with gradients written out by hand."""

    def __init__(self, engine):
        take = {
            name: [p.detach().numpy().astype(np.float64) for p in engine.learners[name].parameters] for name in NAMES
        }
        (self.u, self.v), (self.B,), (self.A,) = (take[name] for name in NAMES)

    def discriminate(self, x, z, gamma=0.0):
        code, fake = x @ self.B.T, z @ self.A.T
        real_s, fake_s = x @ self.u + code @ self.v, fake @ self.u + z @ self.v
        up, down = -sigmoid(-real_s)[:, None], sigmoid(fake_s)[:, None]
        loss = softplus(-real_s).mean() + softplus(fake_s).mean()
        grad_u, grad_v = (up * x + down * fake).mean(0) + gamma * self.u, (up * code + down * z).mean(0)
        self.u, self.v = self.u - RATE * grad_u, self.v - RATE * grad_v
        return loss

    def reconstruct(self, z, weight):
        fake = z @ self.A.T
        missing = z - fake @ self.B.T
        self.B = self.B + RATE * weight * 2 * missing.T @ fake / len(z)
        return weight * (missing**2).sum(1).mean()

    def generate(self, z, weight):
        fake = z @ self.A.T
        s, missing = fake @ self.u + z @ self.v, z - fake @ self.B.T
        flow = -sigmoid(-s)[:, None] * self.u - weight * 2 * missing @ self.B  # of the loss by the fake, times N
        self.A = self.A - RATE * flow.T @ z / len(z)
        return softplus(-s).mean(), weight * (missing**2).sum(1).mean()

    def weights(self):
        return {"discriminator": [self.u, self.v], "reconstructor": [self.B], "generator": [self.A]}


def assert_weights(engine, expected):
    for name, weights in expected.items():
        for weight, parameter in zip(weights, engine.learners[name].parameters, strict=True):
            np.testing.assert_allclose(parameter.detach().numpy(), weight, rtol=2e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(("weight", "updates"), [(1.0, 1), (0.3, 1), (2.0, 2)])
def test_turns_equal_the_algorithm_in_numpy(weight, updates):
    engine, feed = linear(reconstruction=weight, discriminator_updates=updates)
    paper, x, z = Algorithm(engine), iter(X.double().numpy()), iter(Z.double().numpy())
    before = copy.deepcopy(paper.weights())
    for _ in range(3):
        engine.turn(feed)
        lost = np.mean([paper.discriminate(next(x), next(z)) for _ in range(updates)])
        last = next(z)
        found = paper.reconstruct(last, weight)
        adversarial, rest = paper.generate(last, weight)
        meter = engine.meter.take("report")
        assert meter["discriminator.adversarial"] == pytest.approx(lost, rel=1e-5)
        assert meter["reconstructor.reconstruction"] == pytest.approx(found, rel=1e-5)
        assert meter["generator.adversarial"] == pytest.approx(adversarial, rel=1e-5)
        assert meter["generator.reconstruction"] == pytest.approx(rest, rel=1e-5)
    assert_weights(engine, paper.weights())
    moved = [np.abs(a - b).min() for name in NAMES for a, b in zip(before[name], paper.weights()[name], strict=True)]
    assert min(moved) > 1e-4  # so that a weight that stays where it was would show


def test_the_discriminator_is_shown_each_sample_beside_its_own_latent():
    engine, feed = linear()
    shown = engine.network("discriminator").shown
    A, B = engine.network("generator").weight.detach().clone(), engine.network("reconstructor").weight.detach().clone()
    engine.turn(feed)
    expected = [(X[0], X[0] @ B.T), (Z[0] @ A.T, Z[0]), (Z[1] @ A.T, Z[1])]
    assert len(shown) == 3
    for pair, wanted in zip(shown, expected, strict=True):
        for given, right in zip(pair, wanted, strict=True):
            torch.testing.assert_close(given, right)


def test_real_logits_beside_fakes_are_of_the_real_pairs():
    engine, feed = linear(objective=Relativistic())
    shown = engine.network("discriminator").shown
    engine.turn(feed)
    assert len(shown) == 4
    for given, right in zip(shown[3], shown[0], strict=True):
        assert torch.equal(given, right)


def test_a_reconstructor_that_inverts_the_generator_costs_nothing_and_stays():
    engine, feed = linear()
    with torch.no_grad():
        engine.network("reconstructor").weight.copy_(torch.linalg.pinv(engine.network("generator").weight))
    before = engine.network("reconstructor").weight.detach().clone()
    engine.turn(feed)
    meter = engine.meter.take("report")
    assert meter["reconstructor.reconstruction"] == pytest.approx(0, abs=1e-10)
    assert meter["discriminator.adversarial"] > 0.1  # the discriminator's loss is not the reconstructor's to pay
    torch.testing.assert_close(engine.network("reconstructor").weight, before, rtol=0, atol=1e-6)


def test_noise_lies_on_the_latents_of_real_samples_alone():
    engine, feed = linear(noise=0.5, discriminator_updates=400)
    B = engine.network("reconstructor").weight.detach().clone()
    many = torch.cat([X] * 50), torch.cat([Z] * 34)
    feed.next = lambda: {"sample": many[0][feed.position % 400]}
    engine.game = engine.game.replace(latent=latents.Normal(K))
    engine.turn(feed)
    shown = engine.network("discriminator").shown
    noise = torch.cat([z - x @ B.T for x, z in shown[0:800:2]])
    assert noise.std().item() == pytest.approx(0.5, rel=0.05)
    assert noise.mean().abs().item() < 0.03
    x, z = shown[-1]  # the generator's
    assert torch.linalg.matrix_rank(torch.cat([x, z], 1), rtol=1e-4) == K


@pytest.mark.parametrize("name", ["r1", "r2"])
def test_gradient_penalties_are_at_the_sample_beside_a_fixed_latent(name):
    engine, feed = linear(regularizers=(registry.parse("regularizer", f"{name}:gamma=0.8"),))
    paper = Algorithm(engine)
    square = float((paper.u**2).sum())
    engine.turn(feed)
    assert engine.meter.take("report")[f"discriminator.{name}"] == pytest.approx(0.4 * square, rel=1e-5)
    paper.discriminate(X[0].double().numpy(), Z[0].double().numpy(), gamma=0.8)
    assert_weights(engine, {"discriminator": [paper.u, paper.v]})


def test_the_generator_may_live_on_the_reconstruction_alone():
    engine, feed = linear(adversarial=0.0)
    A, B = (engine.network(name).weight.detach().double().numpy() for name in ("generator", "reconstructor"))
    engine.turn(feed)
    z = Z[1].double().numpy()
    B = B + RATE * 2 * (z - z @ A.T @ B.T).T @ (z @ A.T) / N
    A = A + RATE * 2 * ((z - z @ A.T @ B.T) @ B).T @ z / N
    assert_weights(engine, {"generator": [A], "reconstructor": [B]})


def test_a_regularizer_of_the_generator_compares_features_of_pairs():
    engine, feed = linear(regularizers=(registry.parse("regularizer", "feature-matching:weight=3"),))
    paper = Algorithm(engine)
    x, z = X[0].double().numpy(), Z[1].double().numpy()
    real = np.concatenate([x, x @ paper.B.T], 1).mean(0)  # latents of real samples are those that the others saw
    paper.discriminate(x, Z[0].double().numpy())
    gap = np.concatenate([z @ paper.A.T, z], 1).mean(0) - real
    penalty = 3 * ((gap * np.concatenate([paper.u, paper.v])) ** 2).mean()
    engine.turn(feed)
    assert engine.meter.take("report")["generator.feature-matching"] == pytest.approx(penalty, rel=1e-5)
    paper.reconstruct(z, 1.0)
    slope = 3 * 2 * (gap[:D] * paper.u**2) / (D + K)
    expected = paper.A - RATE * np.outer(slope, z.mean(0))
    paper.generate(z, 1.0)
    np.testing.assert_allclose(
        engine.network("generator").weight.detach(), expected + paper.A - Algorithm(linear()[0]).A, rtol=2e-5, atol=1e-6
    )


# ---------------------------------------------------------------------- what all games must hold


def points():
    return JointGame(
        generator=player(MLPGenerator(widths=(12, 12)), Adam()),
        discriminator=player(JointMLPDiscriminator(widths=(12,), dropout=0.2), Adam()),
        reconstructor=player(MLPEncoder(widths=(12,)), Adam()),
        objective=NonSaturating(),
        latent=latents.Normal(5),
    )


def images():
    parse = registry.parse
    return JointGame(
        generator=player(DCGANGenerator(channels=4, labels="concat"), Adam()),
        discriminator=player(JointDCGANDiscriminator(channels=4, units=8, norm="none", labels="concat"), Adam()),
        reconstructor=player(DCGANEncoder(channels=4), Adam()),
        objective=NonSaturating(),
        latent=latents.Normal(5),
        regularizers=(parse("regularizer", "r1:every=2"), parse("regularizer", "lecam:after=0")),
        augmentations=(parse("augmentation", "ada:p=0.3,interval=1"), parse("augmentation", "shift")),
        selection=parse("selection", "top-k:until=0"),
        discriminator_updates=2,
    )


GAMES = {"points": (points, "ring8"), "images": (images, "digits")}
every_game = pytest.mark.parametrize("which", GAMES)


def table(which, batch=16, **options):
    make, data = GAMES[which]
    recipe = Recipe(game=make(), batch=batch)
    dataset = open_data(data, recipe.data)
    return Engine(recipe.game, dataset.signals, total=1000, **options), Feed(dataset, batch)


def tensors(engine):
    return {f"{group}/{key}": value for group, held in engine.state()[0].items() for key, value in held.items()}


@every_game
def test_what_fits_passes_and_plays(which):
    engine, feed = table(which, batch=2)
    compatibility.check(engine.game, engine.signals, 1000, 2)
    compatibility.trial(engine.game, engine.signals, feed, 1000)
    assert feed.position == 2 * engine.game.discriminator_updates  # a turn was played


@every_game
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_resumed_training_equals_the_uninterrupted_one_bit_for_bit(which, precision):
    engine, feed = table(which, precision=precision)
    for _ in range(2):
        engine.turn(feed)
    state, numbers = copy.deepcopy(engine.state())
    other, other_feed = table(which, precision=precision)
    other.load(state, numbers)
    other_feed.position = numbers["clock"]
    for _ in range(2):
        engine.turn(feed)
        torch.randn(3)
        other.turn(other_feed)
    a, b = tensors(engine), tensors(other)
    assert a.keys() == b.keys()
    assert all(torch.equal(value, b[key]) for key, value in a.items())
    assert all(value.isfinite().all() for value in a.values())


@every_game
def test_each_move_changes_its_own_player_alone(which, monkeypatch):
    engine, feed = table(which)
    update, moved = engine.update, []

    def watched(name, **losses):
        before = {other: copy.deepcopy(seat.parameters) for other, seat in engine.learners.items()}
        update(name, **losses)
        for other, seat in engine.learners.items():
            same = all(torch.equal(a, b) for a, b in zip(before[other], seat.parameters, strict=True))
            assert same == (other != name)
        moved.append(name)

    monkeypatch.setattr(engine, "update", watched)
    engine.turn(feed)
    updates = engine.game.discriminator_updates
    assert moved == ["discriminator"] * updates + ["reconstructor", "generator"]
    assert feed.position == 16 * updates


@every_game
def test_bf16_agrees_with_float32_roughly(which):
    engine, feed = table(which, precision="bf16")
    exact, exact_feed = table(which)
    engine.turn(feed)
    exact.turn(exact_feed)
    found, true = engine.meter.take("report"), exact.meter.take("report")
    assert found.keys() == true.keys()
    for key, value in true.items():
        assert found[key] == pytest.approx(value, rel=0.05, abs=0.03), key
    if which == "images":  # looked at before any update: with bf16 it would be off by far more
        assert found["discriminator.r1"] == pytest.approx(true["discriminator.r1"], rel=0.02)


def test_the_class_reaches_every_player(monkeypatch):
    engine, feed = table("images")
    told, drawn, draw = {name: [] for name in engine.learners}, [], feed.next

    def following():
        drawn.append(draw())
        return drawn[-1]

    def listening(name, call):
        def called(x, label=None, **beside):
            told[name].append(label)
            return call(x, label, **beside)

        return called

    monkeypatch.setattr(feed, "next", following)
    for name, method in {"generator": "forward", "reconstructor": "forward", "discriminator": "features"}.items():
        module = engine.network(name)
        monkeypatch.setattr(module, method, listening(name, getattr(module, method)))
    engine.turn(feed)
    turns = {"generator": [0, 1, 1], "reconstructor": [0, 1, 1, 1], "discriminator": [0, 0, 1, 1, 1]}
    assert len(drawn) == 2
    assert not torch.equal(drawn[0]["label"], drawn[1]["label"])
    for name, batches in turns.items():
        assert len(told[name]) == len(batches), name
        assert all(torch.equal(label, drawn[i]["label"]) for label, i in zip(told[name], batches, strict=True)), name


@pytest.mark.parametrize("where", ["real", "both"])
def test_the_reconstructor_sees_what_is_learnt_and_no_change_that_is_the_discriminators_alone(where):
    @dataclass(frozen=True)
    class Double(Part):
        where: str
        name = "double"
        kind = "augmentation"

        def __call__(self, x):
            return 2 * x

    engine, feed = linear(augmentations=(Double(where),))
    A, B = engine.network("generator").weight.detach().clone(), engine.network("reconstructor").weight.detach().clone()
    engine.turn(feed)
    (real, code), (fake, z), _ = engine.network("discriminator").shown
    torch.testing.assert_close(real, 2 * X[0])
    torch.testing.assert_close(code, (2 if where == "real" else 1) * X[0] @ B.T)
    torch.testing.assert_close(fake, (1 if where == "real" else 2) * Z[0] @ A.T)
    assert torch.equal(z, Z[0])


def test_what_adapts_sees_the_turn():
    engine, feed = table("images")
    engine.turn(feed)
    assert engine.memory["ada"]["p"].item() == pytest.approx(0.3 - 16 / 500_000, rel=1e-6)  # logits begin near 0
    assert engine.memory["discriminator.lecam"]["looks"] == 2


# ---------------------------------------------------------------------- as a value, and what is refused


@every_game
def test_it_is_written_and_read_again(which):
    game = GAMES[which][0]()
    recipe = Recipe(game=game)
    assert settings.from_toml(Recipe, settings.to_toml(recipe)) == recipe
    assert all(comment for _, _, comment in registry.described_fields(JointGame))
    changed = settings.assign(recipe, ["reconstruction=0.5", "reconstructor.lr=1e-3", "reconstructor.norm=none"])
    assert changed.game.reconstruction == 0.5
    assert changed.game.reconstructor.optimizer == Adam(lr=1e-3)
    assert changed.game.reconstructor.network.norm == "none"
    assert changed.game.generator == game.generator
    assert (game.reconstruction, game.noise) == (1.0, 1.0)
    assert list(game.players()) == ["discriminator", "generator", "reconstructor"]


def refused(game, which="points", batch=2):
    engine, feed = table(which, batch=batch)
    try:
        compatibility.check(game, engine.signals, 1000, batch)
        compatibility.trial(game, engine.signals, feed, 1000)
    except RecipeError as error:
        return error.faults
    pytest.fail("it was not refused")


def test_players_must_be_able_to_play_their_role():
    game = points()
    plain = player(networks.MLPDiscriminator(widths=(8,)))
    assert refused(game.replace(discriminator=plain)) == [
        "discriminator.network: 'mlp-discriminator' cannot serve as joint: its traits() do not name 'joint'; "
        "`zerosum ls network` has those that do, such as discriminator.network=joint-dcgan-discriminator"
    ]
    (fault,) = refused(game.replace(reconstructor=player(MLPGenerator())))
    assert "reconstructor.network: 'mlp-generator' cannot serve as encoder" in fault
    (fault,) = refused(game.replace(reconstructor=player(DCGANEncoder())))
    assert fault.startswith("reconstructor.network: ")


def test_packs_are_refused():
    (fault,) = refused(points().replace(pack=2))
    assert "pack=2 with 'joint'" in fault


@pytest.mark.parametrize("name", ["gradient-penalty", "dragan", "cr", "alr"])
def test_a_part_that_judges_samples_of_its_own_is_refused_by_the_trial(name):
    game = points()
    quiet = game.discriminator.replace(network=JointMLPDiscriminator(widths=(8,)))
    (fault,) = refused(game.replace(discriminator=quiet, regularizers=(registry.parse("regularizer", name),)))
    assert "a trial turn on a few samples failed: ValueError: this game's discriminator judges pairs" in fault
    assert "remove the regularizer" in fault
