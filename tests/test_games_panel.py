"""The panel game: against GMAN's formulas written out in NumPy, and what all games must hold."""

import copy
import re
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import nn

from tests.small import Feed, open_data
from zerosum import latents, networks
from zerosum.core import compatibility, registry, settings
from zerosum.core.engine import Engine
from zerosum.core.player import Player
from zerosum.core.registry import Part
from zerosum.critic import adapt
from zerosum.games import ImageGame, PanelGame, panel
from zerosum.networks import (
    BEGANDiscriminator,
    BEGANGenerator,
    DCGANDiscriminator,
    DCGANGenerator,
    MLPDiscriminator,
    MLPGenerator,
)
from zerosum.networks.space import Space
from zerosum.objectives import BEGAN, NonSaturating, Relativistic
from zerosum.optimizers import SGD, Adam, Constant
from zerosum.recipes import Recipe
from zerosum.runs.storage.logs import Logs

RATE = 0.2
N, D, K = 6, 3, 2  # samples, numbers of a sample, numbers of a latent


def player(network, optimizer=None):
    return Player(network, optimizer or SGD(lr=RATE), Constant(), networks.Default())


def parts(kind, *texts):
    return tuple(registry.parse(kind, text) for text in texts)


# ---------------------------------------------------------------------- the mixture of losses


LOSSES = np.array([0.3, 1.7, 0.9, -0.4])


def game(**fields):
    made = {"generator": player(MLPGenerator()), "discriminator": player(MLPDiscriminator())}
    return PanelGame(**{**made, "objective": NonSaturating(), "latent": latents.Normal(4), **fields})


def aggregate(losses=LOSSES, **fields):
    return game(**fields).aggregate(torch.tensor(losses)).item()


def mixed(losses, sharpness):
    weights = np.exp(sharpness * losses) / np.exp(sharpness * losses).sum()
    return weights, (weights * losses).sum()


def test_mixtures_equal_their_formulas():
    assert aggregate(aggregation="mean") == pytest.approx(0.625)
    assert aggregate(aggregation="max") == pytest.approx(1.7)
    for sharpness in (0.5, 1.0, 2.5):
        assert aggregate(sharpness=sharpness) == pytest.approx(mixed(LOSSES, sharpness)[1], rel=1e-12)
    assert aggregate() == aggregate(aggregation="softmax", sharpness=1.0)


def test_sharpness_leads_from_the_mean_to_the_largest():
    assert aggregate(sharpness=0) == pytest.approx(LOSSES.mean(), rel=1e-12)
    assert aggregate(sharpness=1e4) == pytest.approx(LOSSES.max(), rel=1e-12)
    between = [aggregate(sharpness=sharpness) for sharpness in (0, 0.3, 1, 3, 10)]
    assert between == sorted(between)
    assert between[0] < between[1] < between[2] < between[3] < between[4]


@pytest.mark.parametrize("fields", [{"aggregation": "mean"}, {"aggregation": "max"}, {"sharpness": 2.0}])
def test_the_order_of_the_panel_does_not_matter(fields):
    for order in ([3, 1, 0, 2], [2, 3, 1, 0]):
        assert aggregate(LOSSES[order], **fields) == pytest.approx(aggregate(**fields), rel=1e-12)


@pytest.mark.parametrize("sharpness", [0.0, 0.7, 3.0])
def test_weights_of_the_mixture_are_differentiated_too(sharpness):
    losses = torch.tensor(LOSSES, requires_grad=True)
    game(sharpness=sharpness).aggregate(losses).backward()
    weights, mixture = mixed(LOSSES, sharpness)
    np.testing.assert_allclose(losses.grad, weights * (1 + sharpness * (LOSSES - mixture)), rtol=1e-10)
    if sharpness == 3:  # far below the mixture a discriminator's say is reversed
        assert losses.grad[3] < 0 < losses.grad[1]


# ---------------------------------------------------------------------- linear players, and the same in NumPy


class Evaluator(nn.Module):
    """s(x) = w.x, features (w_1 x_1, ..., w_D x_D)."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(D))

    def features(self, x, label=None):
        return x * self.weight

    def logits(self, features, label=None):
        return features.sum(1)

    def forward(self, x, label=None):
        return self.logits(self.features(x, label), label)


class Maker(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(D, K))

    def forward(self, z, label=None):
        return z @ self.weight.T


@dataclass(frozen=True)
class Made(Part):
    role: str
    kind = "network"
    name = "made"

    def build(self, inputs, outputs):
        return {"generator": Maker, "discriminator": Evaluator}[self.role]()

    def traits(self):
        return frozenset({self.role, "logits", "features"})


@dataclass(frozen=True)
class Given(Part):
    """Latents in a fixed order."""

    drawn: list = field(default_factory=lambda: [0])
    size = K
    name = "given"
    kind = "latent"

    def __call__(self, count, device="cpu"):
        self.drawn[0] += 1
        return Z[self.drawn[0] - 1]


class Points:
    """Batches in a fixed order."""

    position = 0

    def next(self):
        self.position += N
        return {"sample": X[self.position // N - 1]}


generator = torch.Generator().manual_seed(5)
X = torch.randn(24, N, D, generator=generator) + 0.5
Z = torch.randn(24, N, K, generator=generator)


def linear(**fields):
    made = {name: player(Made(name)) for name in ("generator", "discriminator")}
    fields = {"objective": NonSaturating(), "latent": Given(), **fields}
    return Engine(PanelGame(**made, **fields), Space((D,), K).signals, seed=2), Points()


def numbers(seat):
    return seat.parameters[0].detach().double().numpy()


def sigmoid(t):
    return 1 / (1 + np.exp(-t))


def softplus(t):
    return np.logaddexp(0, t)


class Algorithm:
    """The turn in NumPy, with gradients written out by hand."""

    def __init__(self, engine):
        self.A = numbers(engine.learners["generator"])
        self.w = [numbers(seat) for name, seat in engine.learners.items() if name != "generator"]

    def discriminate(self, i, x, z):
        fake = z @ self.A.T
        up, down = -sigmoid(-x @ self.w[i])[:, None], sigmoid(fake @ self.w[i])[:, None]
        loss = softplus(-x @ self.w[i]).mean() + softplus(fake @ self.w[i]).mean()
        self.w[i] = self.w[i] - RATE * (up * x + down * fake).mean(0)
        return loss

    def generate(self, z, says):
        """`says` gives, of all losses, the mixture and its derivative by each."""
        logits = [z @ self.A.T @ w for w in self.w]
        mixture, shares = says(np.array([softplus(-s).mean() for s in logits]))
        flow = sum(share * -sigmoid(-s)[:, None] * w for share, s, w in zip(shares, logits, self.w, strict=True))
        self.A = self.A - RATE * flow.T @ z / len(z)
        return mixture


def softmax(losses, sharpness=2.5):
    weights, mixture = mixed(losses, sharpness)
    return mixture, weights * (1 + sharpness * (losses - mixture))


MIXTURES = {
    "mean": lambda losses: (losses.mean(), np.full(len(losses), 1 / len(losses))),
    "max": lambda losses: (losses.max(), losses == losses.max()),
    "softmax": softmax,
}


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("aggregation", "updates"), [("mean", 1), ("softmax", 1), ("max", 1), ("softmax", 2)])
def test_turns_equal_the_algorithm_in_numpy(aggregation, shared, updates):
    engine, feed = linear(aggregation=aggregation, sharpness=2.5, shared=shared, discriminator_updates=updates)
    paper, x, z = Algorithm(engine), iter(X.double().numpy()), iter(Z.double().numpy())
    start = [w.copy() for w in (paper.A, *paper.w)]
    for _ in range(2):
        engine.turn(feed)
        lost = np.zeros(3)
        for _ in range(updates):
            for i in range(3):
                if i == 0 or not shared:
                    batch = next(x), next(z)
                lost[i] += paper.discriminate(i, *batch) / updates
        mixture = paper.generate(next(z), MIXTURES[aggregation])
        meter = engine.meter.take("report")
        for i in range(3):
            assert meter[f"discriminator-{i + 1}.adversarial"] == pytest.approx(lost[i], rel=1e-5)
        assert meter["generator.adversarial"] == pytest.approx(mixture, rel=1e-5)
    for name, weight in zip(
        ("generator", *(f"discriminator-{i}" for i in (1, 2, 3))), (paper.A, *paper.w), strict=True
    ):
        np.testing.assert_allclose(numbers(engine.learners[name]), weight, rtol=5e-5, atol=1e-6, err_msg=name)
    assert min(np.abs(a - b).max() for a, b in zip(start, (paper.A, *paper.w), strict=True)) > 1e-2
    assert feed.position == 2 * updates * N * (1 if shared else 3)


def test_logits_of_each_discriminator_have_their_own_line():
    engine, feed = linear()
    paper = Algorithm(engine)
    engine.turn(feed)
    meter = engine.meter.take("report")
    for i in range(3):
        assert meter[f"real_logit-{i + 1}"] == pytest.approx((X[i].numpy() @ paper.w[i]).mean(), rel=1e-5)
        fakes = Z[i].numpy() @ paper.A.T
        assert meter[f"fake_logit-{i + 1}"] == pytest.approx((fakes @ paper.w[i]).mean(), rel=1e-5)
    losses = engine.meter.take("epoch")
    assert set(losses) == {"discriminator-1", "discriminator-2", "discriminator-3", "generator"}


def test_loss_txt_has_the_mean_of_each_role(tmp_path):
    class Run:
        metrics, evaluations, losses = (tmp_path / name for name in ("a", "b", "loss.txt"))

    Run.metrics.touch()
    Run.evaluations.touch()
    losses = {"discriminator-1": 1.0, "discriminator-2": 1.5, "generator": 0.75, "reconstructor": 9.0}
    assert Logs(Run).epoch(2, 3, losses) == "[2/3]: loss_d: 1.250, loss_g: 0.750, loss_reconstructor: 9.000"


# ---------------------------------------------------------------------- regularizers, selection, what adapts


def test_a_regularizer_of_the_generator_counts_as_its_mean_over_the_panel():
    engine, feed = linear(adversarial=0.0, regularizers=parts("regularizer", "feature-matching:weight=2"))
    paper = Algorithm(engine)
    engine.turn(feed)
    for i in range(3):
        paper.discriminate(i, X[i].double().numpy(), Z[i].double().numpy())
    gap = (Z[3].double().numpy() @ paper.A.T).mean(0) - X[2].double().numpy().mean(0)
    penalty = np.mean([2 * ((gap * w) ** 2).mean() for w in paper.w])
    assert engine.meter.take("report")["generator.feature-matching"] == pytest.approx(penalty, rel=1e-5)
    flow = np.mean([2 * 2 * gap * w**2 / D for w in paper.w], axis=0)
    expected = paper.A - RATE * np.outer(flow, Z[3].double().numpy().mean(0))
    np.testing.assert_allclose(numbers(engine.learners["generator"]), expected, rtol=1e-5)


def test_a_regularizer_of_the_discriminator_has_a_memory_in_each():
    engine, feed = linear(regularizers=parts("regularizer", "lecam:after=0", "r1:gamma=0.5"))
    paper = Algorithm(engine)
    engine.turn(feed)
    meter = engine.meter.take("report")
    for i in range(3):
        mean = (X[i].numpy() @ paper.w[i]).mean()
        assert engine.memory[f"discriminator-{i + 1}.lecam"]["real"].item() == pytest.approx(mean, rel=1e-5)
        assert meter[f"discriminator-{i + 1}.r1"] == pytest.approx(0.25 * (paper.w[i] ** 2).sum(), rel=1e-5)


def test_a_regularizer_that_remembers_is_asked_once():
    engine, feed = linear(regularizers=parts("regularizer", "path-length:every=1,share=1", "successive-consistency"))
    norm = np.linalg.norm(Algorithm(engine).A)  # the lengths' root mean square
    engine.turn(feed)
    mean = engine.memory["generator.path-length"]["mean"].item()
    assert 0.005 * norm < mean < 0.015 * norm  # 0.01 of the lengths: it has moved once, not three times
    assert engine.meter.take("report")["generator.successive-consistency"] == 0
    engine.turn(feed)
    assert engine.meter.take("report")["generator.successive-consistency"] > 0


def test_the_generator_learns_from_those_fakes_that_look_most_real_to_each_discriminator():
    engine, feed = linear(aggregation="mean", selection=registry.parse("selection", "top-k:until=0,share=0.5"))
    paper = Algorithm(engine)
    engine.turn(feed)
    for i in range(3):
        paper.discriminate(i, X[i].double().numpy(), Z[i].double().numpy())
    logits = [np.sort(Z[3].double().numpy() @ paper.A.T @ w)[-3:] for w in paper.w]
    expected = np.mean([softplus(-s).mean() for s in logits])
    assert engine.meter.take("report")["generator.adversarial"] == pytest.approx(expected, rel=1e-5)


def test_pairs_meet_real_logits_of_the_same_discriminator():
    engine, feed = linear(objective=Relativistic(), aggregation="mean")
    B = Algorithm(engine)
    engine.turn(feed)
    w = [numbers(engine.learners[f"discriminator-{i}"]) for i in (1, 2, 3)]
    fake, real = Z[3].double().numpy() @ B.A.T, X[2].double().numpy()
    expected = np.mean([softplus(real @ one - fake @ one).mean() for one in w])
    assert engine.meter.take("report")["generator.adversarial"] == pytest.approx(expected, rel=1e-5)


def test_what_adapts_sees_the_logits_of_all():
    @dataclass(frozen=True)
    class Watching(Part):
        where = "real"
        name = "watching"
        kind = "augmentation"

        def __call__(self, x):
            return x

        def memory(self):
            return {"real": torch.zeros(3 * N), "fake": torch.zeros(3 * N)}

        def adapt(self, outcome, memory):
            memory["real"].copy_(outcome.real)
            memory["fake"].copy_(outcome.fake)
            assert outcome.batch == N

    engine, feed = linear(augmentations=(Watching(),))
    paper = Algorithm(engine)
    engine.turn(feed)
    seen = engine.memory["watching"]
    np.testing.assert_allclose(
        seen["real"], np.concatenate([X[i].numpy() @ paper.w[i] for i in range(3)]), rtol=1e-5, atol=1e-6
    )
    for i in range(3):
        paper.discriminate(i, X[i].double().numpy(), Z[i].double().numpy())
    fakes = Z[3].double().numpy() @ paper.A.T
    np.testing.assert_allclose(seen["fake"], np.concatenate([fakes @ w for w in paper.w]), rtol=1e-4, atol=1e-6)


# ---------------------------------------------------------------------- what all games must hold


def duo(labels="none", codes=0, **fields):
    fields = {"objective": NonSaturating(), "latent": latents.Normal(6), **fields}
    widths = (12, 12)
    told = "none" if labels == "none" else "concat"
    return {
        "generator": player(MLPGenerator(widths=widths, labels=told), Adam()),
        "discriminator": player(MLPDiscriminator(widths=widths, labels=labels, codes=codes), Adam()),
        **fields,
    }


def convolutional():
    return {
        "generator": player(DCGANGenerator(channels=4, labels="concat"), Adam()),
        "discriminator": player(DCGANDiscriminator(channels=4, norm="layer", labels="projection"), Adam()),
        "objective": NonSaturating(),
        "latent": latents.Normal(5),
        "regularizers": parts("regularizer", "r1:every=2", "lecam:after=0", "feature-matching"),
        "augmentations": parts("augmentation", "ada:p=0.3,interval=1", "shift"),
    }


def autoencoder():
    return {
        "generator": player(BEGANGenerator(channels=4), Adam()),
        "discriminator": player(BEGANDiscriminator(channels=4), Adam()),
        "objective": BEGAN(gain=0.1),
        "latent": latents.Uniform(4),
    }


def second_heads():
    regularizers = parts("regularizer", "auxiliary-classifier", "zcr")
    fields = duo(labels="classifier", regularizers=regularizers)
    quiet = MLPDiscriminator(widths=(12,), labels="classifier", dropout=0)
    return {**fields, "discriminator": player(quiet, Adam())}


def codes():
    regularizers = parts("regularizer", "mutual-information:categories=3,continuous=1")
    latent = registry.parse("latent", "infogan:noise=3,categories=3,continuous=1")
    return duo(codes=4, latent=latent, regularizers=regularizers)


def packed():
    return duo(pack=2, regularizers=parts("regularizer", "gradient-penalty"), discriminator_updates=2)


CASES = {
    "convolutional": convolutional,
    "autoencoder": autoencoder,
    "heads": second_heads,
    "codes": codes,
    "pack": packed,
}
every_case = pytest.mark.parametrize("case", CASES)


def table(made, batch=8, seed=0, **options):
    recipe = Recipe(game=made, batch=batch)
    dataset = open_data("digits", recipe.data)
    return Engine(made, dataset.signals, seed=seed, total=1000, **options), Feed(dataset, batch, seed=seed)


def tensors(engine):
    return {f"{group}/{key}": value for group, held in engine.state()[0].items() for key, value in held.items()}


@every_case
def test_what_fits_passes_and_plays(case):
    made = PanelGame(**CASES[case]())
    engine, feed = table(made, batch=2 * made.pack)
    compatibility.check(made, engine.signals, 1000, 2 * made.pack)
    compatibility.trial(made, engine.signals, feed, 1000)
    assert feed.position >= 2 * made.pack  # a turn was played


@every_case
@pytest.mark.parametrize("aggregation", ["mean", "softmax", "max"])
def test_a_panel_of_one_is_the_image_game_bit_for_bit(case, aggregation):
    fields = CASES[case]()
    engine, feed = table(PanelGame(**fields, discriminators=1, aggregation=aggregation, sharpness=3.0))
    other, other_feed = table(ImageGame(**fields))
    for _ in range(3):
        engine.turn(feed)
        other.turn(other_feed)
    a, b = tensors(engine), tensors(other)
    alone = {key: re.sub("(discriminator|logit|spread|pairwise_accuracy)-1", r"\1", key) for key in a}
    assert set(alone.values()) == b.keys()
    for key, value in a.items():
        assert torch.equal(value, b[alone[key]]), key


@every_case
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_resumed_training_equals_the_uninterrupted_one_bit_for_bit(case, precision):
    made = PanelGame(**CASES[case](), discriminators=2)
    engine, feed = table(made, precision=precision)
    for _ in range(2):
        engine.turn(feed)
    state, numbers = copy.deepcopy(engine.state())
    other, other_feed = table(made, precision=precision)
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


def test_discriminators_begin_with_weights_of_their_own():
    engine, _ = table(PanelGame(**convolutional(), discriminators=3))
    first, second, third = ([p.detach() for p in engine.learners[f"discriminator-{i}"].parameters] for i in (1, 2, 3))
    matrices = [i for i, weight in enumerate(first) if weight.ndim > 1]
    assert len(matrices) >= 3
    for i in matrices:
        assert not torch.equal(first[i], second[i])
        assert not torch.equal(second[i], third[i])
        assert not torch.equal(first[i], third[i])
    again, _ = table(PanelGame(**convolutional(), discriminators=3))
    assert all(torch.equal(a, b) for a, b in zip(third, again.learners["discriminator-3"].parameters, strict=True))


@pytest.mark.parametrize("shared", [True, False])
def test_each_move_changes_its_own_player_alone(shared, monkeypatch):
    engine, feed = table(PanelGame(**packed(), shared=shared))
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
    assert moved == [f"discriminator-{i}" for i in (1, 2, 3)] * 2 + ["generator"]
    assert feed.position == 8 * (2 if shared else 6)


def test_the_class_head_of_every_discriminator_is_trained_and_teaches_the_generator():
    fields = second_heads()
    engine, feed = table(PanelGame(**fields | {"adversarial": 0.0, "regularizers": fields["regularizers"][:1]}))
    latest = {name: copy.deepcopy(seat.parameters) for name, seat in engine.learners.items()}
    engine.turn(feed)
    meter = engine.meter.take("report")
    for i in (1, 2, 3):
        assert meter[f"discriminator-{i}.auxiliary-classifier"] == pytest.approx(2 * np.log(10), rel=0.1)
        head = engine.network(f"discriminator-{i}").head.classes.weight
        index = [id(p) for p in engine.learners[f"discriminator-{i}"].parameters].index(id(head))
        assert not torch.equal(latest[f"discriminator-{i}"][index], head)
    assert meter["generator.auxiliary-classifier"] == pytest.approx(np.log(10), rel=0.1)
    assert any(
        not torch.equal(a, b) for a, b in zip(latest["generator"], engine.learners["generator"].parameters, strict=True)
    )


def test_the_feedback_of_an_autoencoder_follows_the_mean_of_the_panel(monkeypatch):
    engine, feed = table(PanelGame(**autoencoder(), discriminators=2, discriminator_updates=1))
    seen = []

    def adapting(parts, real, fake, **turn):
        seen.append((-real, -fake))
        adapt(parts, real, fake, **turn)

    monkeypatch.setattr(panel, "adapt", adapting)
    engine.turn(feed)
    ((real, fake),) = seen
    assert len(real) == len(fake) == 16
    meter = engine.meter.take("report")
    means = [-np.mean([meter[f"{name}_logit-{i}"] for i in (1, 2)]) for name in ("real", "fake")]
    assert real.mean().item() == pytest.approx(means[0], rel=1e-5)
    expected = max(0.0, 0.1 * (0.5 * real.mean().item() - fake.mean().item()))
    assert engine.memory["began"]["k"].item() == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_adaptive_augmentation_counts_the_signs_of_the_whole_panel():
    made = convolutional() | {"augmentations": parts("augmentation", "ada:p=0.3,interval=4"), "discriminators": 3}
    engine, feed = table(PanelGame(**made))
    engine.turn(feed)
    assert engine.memory["ada"]["count"] == 3 * 8
    assert engine.memory["ada"]["batches"] == 1


@pytest.mark.parametrize("case", ["convolutional", "autoencoder"])
def test_bf16_agrees_with_float32_roughly(case):
    made = PanelGame(**CASES[case](), discriminators=2)
    engine, feed = table(made, precision="bf16")
    exact, exact_feed = table(made)
    engine.turn(feed)
    exact.turn(exact_feed)
    found, true = engine.meter.take("report"), exact.meter.take("report")
    assert found.keys() == true.keys()
    for key, value in true.items():
        assert found[key] == pytest.approx(value, rel=0.05, abs=0.03), key


def test_it_is_written_and_read_again():
    recipe = Recipe(game=PanelGame(**convolutional(), discriminators=5, aggregation="max", shared=True))
    assert settings.from_toml(Recipe, settings.to_toml(recipe)) == recipe
    assert all(comment for _, _, comment in registry.described_fields(PanelGame))
    changed = settings.assign(
        recipe, ["discriminators=2", "aggregation=softmax", "sharpness=0", "discriminator.lr=1e-3"]
    )
    assert list(changed.game.players()) == ["discriminator-1", "discriminator-2", "generator"]
    assert changed.game.players()["discriminator-2"].optimizer == Adam(lr=1e-3)
    assert changed.game.sharpness == 0
