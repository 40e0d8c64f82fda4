"""Translation among classes: losses and gradients by hand, networks, what fits together, a whole training."""

import shutil
from dataclasses import dataclass
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

import zerosum
from tests import axes
from tests.test_tasks import call
from zerosum.core import compatibility
from zerosum.core.engine import Engine
from zerosum.core.errors import RecipeError, RunError
from zerosum.core.registry import Part
from zerosum.core.signals import Signal
from zerosum.networks import Default, StarGANDiscriminator, StarGANTranslator
from zerosum.networks.conditioning import conditioned_on
from zerosum.networks.space import Space
from zerosum.recipes import read_recipe
from zerosum.runs.view.transform import transform

SIGNALS = Space((1, 2, 2), 0, 3).signals


class Shift(nn.Module):
    """Adds a number of each class to each pixel."""

    def __init__(self):
        super().__init__()
        self.by = nn.Parameter(torch.tensor([0.5, -1.0, 2.0]))

    def forward(self, sample, label):
        by = self.by[label] if label.dim() == 1 else label @ self.by
        return sample + by[:, None, None, None]


class Mean(nn.Module):
    """The logit is the mean of the pixels times a number, the classes' are that mean times one each."""

    def __init__(self):
        super().__init__()
        self.factor, self.heads = nn.Parameter(torch.tensor(0.25)), nn.Parameter(torch.tensor([1.0, -1.0, 0.5]))

    def features(self, x, label=None):
        return x.flatten(1).mean(1, keepdim=True)

    def logits(self, features, label=None):
        return self.factor * features[:, 0]

    def classify(self, features):
        return features * self.heads

    def forward(self, x, label=None):
        return self.logits(self.features(x))


@dataclass(frozen=True)
class Own(Part):
    """Builds one of them."""

    judges: bool

    def build(self, inputs, outputs):
        return Mean() if self.judges else Shift()

    def traits(self):
        return frozenset({"discriminator", "logits", "classifier"} if self.judges else {"translator", "labels"})


Own.kind, Own.name = "network", "own"


class Fixed:
    """A feed of one batch."""

    position = 0

    def __init__(self, label=(0, 2, 1, 0)):
        self.label = torch.tensor(label)

    def next(self):
        self.position += 4
        pixels = torch.tensor([1.0, -2.0, 0.5, 3.0])[:, None, None, None].expand(-1, 1, 2, 2)
        return {"sample": pixels, "label": self.label}


def by_hand(*settings, signals=SIGNALS):
    game = read_recipe("stargan", ["objective=hinge", "regularizers=", "discriminator_updates=1", *settings]).game
    game = game.replace(
        translator=game.translator.replace(network=Own(judges=False), initialization=Default()),
        discriminator=game.discriminator.replace(network=Own(judges=True), initialization=Default()),
    )
    return Engine(game, signals, total=1000)


def test_losses_are_those_of_the_paper_by_hand():
    engine, feed = by_hand("adversarial=2", "classification=3", "identity=5"), Fixed()
    wanted = torch.tensor([1, 0, 1, 2])
    with (
        mock.patch.object(engine, "draw", return_value=wanted),
        mock.patch.object(engine.learners["discriminator"].optimizer, "step"),
    ):
        engine.turn(feed)
    batch = feed.next()
    x, given = batch["sample"][:, 0, 0, 0], batch["label"]
    by, heads = torch.tensor([0.5, -1.0, 2.0]), torch.tensor([1.0, -1.0, 0.5])
    y = x + by[wanted]
    expected = {
        "discriminator.adversarial": F.relu(1 - x / 4).mean() + F.relu(1 + y / 4).mean(),
        "discriminator.classification": 3 * F.cross_entropy(x[:, None] * heads, given),
        "translator.adversarial": -2 * (y / 4).mean(),
        "translator.classification": 3 * F.cross_entropy(y[:, None] * heads, wanted),
        "translator.reconstruction": 10 * (y + by[given] - x).abs().mean(),
        "translator.identity": 5 * by[given].abs().mean(),
    }
    numbers = engine.meter.take("report")
    assert {name for name in numbers if "." in name} == expected.keys()
    for name, value in expected.items():
        assert numbers[name] == pytest.approx(float(value), rel=1e-5), name
    assert numbers["class_accuracy"] == ((x[:, None] * heads).argmax(1) == given).float().mean()
    assert numbers["translated_accuracy"] == ((y[:, None] * heads).argmax(1) == wanted).float().mean()


def test_attributes_are_learnt_each_by_itself_and_shuffled_within_the_batch():
    flags = [[1.0, 0, 1], [0, 0, 1], [1, 1, 0], [0, 0, 0]]
    engine, feed = by_hand("classification=3", signals=Space((1, 2, 2), attributes=3).signals), Fixed(flags)
    with (
        mock.patch.object(torch, "randperm", return_value=torch.tensor([2, 0, 3, 1])),
        mock.patch.object(engine.learners["discriminator"].optimizer, "step"),
    ):
        engine.turn(feed)
    x, given = feed.next()["sample"][:, 0, 0, 0], torch.tensor(flags)
    by, heads = torch.tensor([0.5, -1.0, 2.0]), torch.tensor([1.0, -1.0, 0.5])
    wanted = given[[2, 0, 3, 1]]
    y = x + wanted @ by

    def surprise(x, label):
        p = torch.sigmoid(x[:, None] * heads)
        return -(label * p.log() + (1 - label) * (1 - p).log()).sum(1).mean()

    numbers = engine.meter.take("report")
    assert numbers["discriminator.classification"] == pytest.approx(float(3 * surprise(x, given)), rel=1e-5)
    assert numbers["translator.classification"] == pytest.approx(float(3 * surprise(y, wanted)), rel=1e-5)
    assert numbers["translator.reconstruction"] == pytest.approx(
        float(10 * (y + given @ by - x).abs().mean()), rel=1e-5
    )
    assert numbers["class_accuracy"] == pytest.approx(float(((x[:, None] * heads > 0) == (given > 0)).float().mean()))


def test_each_loss_moves_its_player_alone():
    engine = by_hand()
    moved = {}

    def spy(player, **losses):
        weights = {name: list(module.parameters()) for name, module in engine.modules.items()}
        for loss, value in losses.items():
            for name, own in weights.items():
                gradients = torch.autograd.grad(value, own, retain_graph=True, allow_unused=True)
                moved[player, loss, name] = [one is not None and bool(one.abs().sum()) for one in gradients]

    with mock.patch.object(engine, "update", spy):
        engine.turn(Fixed())
    assert moved["discriminator", "adversarial", "discriminator"] == [True, False]
    assert moved["discriminator", "classification", "discriminator"] == [False, True]  # of real images
    assert moved["translator", "reconstruction", "translator"] == [True]
    assert moved["translator", "reconstruction", "discriminator"] == [False, False]
    assert (
        moved["translator", "adversarial", "translator"]
        == moved["translator", "classification", "translator"]
        == [True]
    )
    assert moved["discriminator", "adversarial", "translator"] == [False]
    assert moved["discriminator", "classification", "translator"] == [False]


def test_nothing_is_lost_by_a_translator_that_changes_nothing():
    engine = by_hand()
    engine.networks("translator")[0].by.data.zero_()
    engine.turn(Fixed())
    assert engine.meter.take("report")["translator.reconstruction"] == 0


def test_each_class_is_drawn_as_often_as_the_others():
    engine, drawn = by_hand("discriminator_updates=50"), []
    network = engine.networks("translator")[0]
    network.register_forward_pre_hook(lambda module, x, named: drawn.append(named["label"]), with_kwargs=True)
    engine.turn(Fixed())
    counts = torch.cat(drawn[:50]).bincount(minlength=3)
    assert counts.sum() == 200
    assert counts.min() > 40


def test_the_networks_of_the_paper():
    signals = Space((3, 128, 128), 0, 5).signals
    both, logit = dict(signals), {"logit": Signal("logit")}
    with torch.device("meta"):
        G = StarGANTranslator().build(both, {"sample": signals["sample"]})
        D = StarGANDiscriminator(labels="classifier").build(both, logit)
    assert sum(weight.numel() for weight in G.parameters()) == 8_430_528
    assert sum(weight.numel() for weight in D.parameters()) == 44_762_048
    x, label = torch.zeros(2, 3, 128, 128, device="meta"), torch.zeros(2, dtype=torch.int64, device="meta")
    assert G(x, label).shape == x.shape
    features = D.features(x)
    assert D.logits(features).shape == (2, 1, 2, 2)
    assert D.classify(features).shape == (2, 5)


@pytest.mark.parametrize("labels", ["concat", "norm"])
def test_the_class_decides_what_an_image_becomes(labels):
    signals = Space((1, 16, 16), 0, 3).signals
    torch.manual_seed(0)
    network = StarGANTranslator(channels=4, blocks=1, labels=labels).build(signals, {"sample": signals["sample"]})
    for name, weight in network.named_parameters():
        if weight.dim() == 2 and name.endswith("weight"):  # scales of classes, which begin alike
            torch.nn.init.normal_(weight)
    x = torch.rand(1, 1, 16, 16).expand(3, -1, -1, -1)
    y = network(x, torch.arange(3))
    assert y.abs().max() <= 1
    assert min((y[i] - y[j]).abs().mean() for i in range(3) for j in range(i)) > 1e-3
    assert network(torch.rand(1, 1, 24, 40), torch.tensor([2])).shape == (1, 1, 24, 40)


@pytest.mark.parametrize("labels", ["concat", "norm"])
def test_attributes_decide_each_by_itself(labels):
    signals = Space((1, 16, 16), attributes=2).signals
    torch.manual_seed(0)
    network = StarGANTranslator(channels=4, blocks=1, labels=labels).build(signals, {"sample": signals["sample"]})
    x, every = torch.rand(1, 1, 16, 16).expand(4, -1, -1, -1), torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    if labels == "norm":
        y = network(x, every)
        assert torch.allclose(y, y[:1].expand_as(y))  # scales begin alike, whatever an image has
        assert y.abs().max() > 0
        for name, weight in network.named_parameters():
            if weight.dim() == 2 and name.endswith("weight"):
                torch.nn.init.normal_(weight)
    y = network(x, every)
    assert min((y[i] - y[j]).abs().mean() for i in range(4) for j in range(i)) > 1e-3


def fits(*settings, signals=None):
    recipe = read_recipe("stargan-small", [*settings])
    compatibility.check(recipe.game, signals or Space((1, 32, 32), 0, 4).signals, 1000, 16)


def test_what_does_not_fit_is_said_with_how_to_mend_it():
    fits()
    with pytest.raises(RecipeError, match="translates between classes, and these data have none; sort the images"):
        fits(signals=Space((1, 32, 32), 0, 0).signals)
    with pytest.raises(RecipeError, match="'stargan-discriminator' takes sides that are multiples of 16, and these are "
                                          "28x28 images with 1 channel; set size=32x32, or fewer layers"):  # fmt: skip
        fits(signals=Space((1, 28, 28), 0, 4).signals)
    with pytest.raises(RecipeError, match="its traits\\(\\) do not name 'classifier'"):
        fits("discriminator.network=patch-discriminator:layers=2")
    with pytest.raises(RecipeError, match="do not name 'labels'"):
        fits("translator.network=resnet-translator")
    fits(signals=Space((1, 32, 32), attributes=3).signals)
    fits("translator.labels=concat", signals=Space((1, 32, 32), attributes=3).signals)
    with pytest.raises(RecipeError, match="labels=embed takes one class for each image, and these data have attr"):
        conditioned_on("x", "embed", Space((1, 32, 32), attributes=3))
    for recipe in ("dcgan", "vae", "aae"):
        game = read_recipe(recipe, []).game
        with pytest.raises(RecipeError, match="knows no attributes, but one class for each image at most"):
            compatibility.check(game, Space((1, 32, 32), attributes=3).signals, 1000, 16)
    with pytest.raises(RecipeError, match="works on images, and these are points"):
        fits(signals=Space((2,), 0, 4).signals)


PARTS = {"objective": "objective", "regularizer": "regularizers", "augmentation": "augmentations"}
REFUSED = {
    "needs 'autoencoder'": {"objective=began", "objective=ebgan", "regularizers=pulling-away"},
    "trains the head of classes, as this game does": {"regularizers=auxiliary-classifier"},
    "needs 'codes'": {"regularizers=mutual-information"},
    "needs 'zero-level'": {"augmentations=ada", "regularizers=vat"},
    "with 'translator'": {f"regularizers={name}" for name in
                          ("jacobian-clamping", "path-length", "zcr", "successive-consistency")},
}  # fmt: skip


def outcome(*settings):
    """Faults that settings are refused for, or the numbers of a turn."""
    small = ["translator.channels=4", "translator.blocks=1", "discriminator.channels=4", "discriminator.layers=2"]
    recipe = read_recipe("stargan-small", [*small, "regularizers=", "batch=4", *settings])
    signals = Space((1, 16, 16), 0, 3).signals
    try:
        compatibility.check(recipe.game, signals, 1000, 4)
    except RecipeError as error:
        return " ".join(error.faults)
    engine = Engine(recipe.game, signals, total=1000)

    class Noise:
        position = 0

        def next(self):
            self.position += 4
            return {"sample": torch.rand(4, 1, 16, 16) * 2 - 1, "label": torch.tensor([0, 1, 2, 0])}

    engine.turn(Noise())
    return engine.meter.take("report")


def test_every_part_plays_or_is_refused_for_its_reason():
    values = [f"{field}={name}" for kind, field in PARTS.items() for name in axes.registered(kind)]
    values += ["regularizers=content:reference=place", "regularizers=content:extractor=digits-cnn,reference=place"]
    played = {words: outcome(words) for words in values}
    refused = {words: fault for words, fault in played.items() if isinstance(fault, str)}
    for reason, wanted in REFUSED.items():
        for words in wanted:
            assert reason in refused.pop(words), words
    assert refused == {}
    assert all(np.isfinite(list(numbers.values())).all() for numbers in played.values() if isinstance(numbers, dict))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    rare = ["report=32", "samples=64", "evaluation=64", "checkpoint=32", "evaluator.count=40", "precision=fp32"]
    tiny = ["translator.channels=4", "translator.blocks=1", "discriminator.channels=4", "size=16", "seed=1", "batch=16",
            "evaluator.metrics=sliced-wasserstein"]  # fmt: skip
    out = tmp_path_factory.mktemp("multidomain") / "run"
    return zerosum.train("digits-inverted", "stargan-small", [*tiny, *rare], images=96, out=out, quiet=True)


def test_a_training_is_pictured_evaluated_and_goes_on_bit_for_bit(run):
    assert run.finished
    assert {line["images"] for line in run.evaluations} == {64, 96}
    assert (run.path / "report.html").is_file()
    assert (run.path / "samples" / "000000096.png").is_file()
    weights = {name: x.clone() for name, x in run.model.model.state_dict().items()}
    shutil.rmtree(next((run.path / "checkpoints").glob("*96*")))
    resumed = zerosum.resume(run.path, quiet=True)
    assert all(torch.equal(x, weights[name]) for name, x in resumed.model.model.state_dict().items())


def test_files_become_the_class_that_is_named(run, tmp_path):
    image = tmp_path / "one.png"
    Image.new("L", (24, 20), 90).save(image)
    done = {label: transform(run.path, "translate", [image], tmp_path / label, label=label)
            for label in ("plain", "inverted")}  # fmt: skip
    bytes_ = {label: one.files[0].read_bytes() for label, one in done.items()}
    assert bytes_["plain"] != bytes_["inverted"]
    with pytest.raises(RunError, match="this task needs a class, the same for all images; name it with --label"):
        transform(run.path, "translate", [image], tmp_path / "none")
    said = call("translate", run.path, image, "--label", "plane", "--out", tmp_path / "typo")
    assert said.exit_code == 2
    assert "there is no class 'plane'; did you mean 'plain'" in said.output


@pytest.fixture(scope="module")
def attributed(tmp_path_factory):
    """A training on images that are bright or not, and striped or not."""
    place = tmp_path_factory.mktemp("attributes")
    flags = np.stack([np.arange(200) % 2, np.arange(200) // 2 % 2], 1)
    images = np.full((200, 16, 16), 60) + 90 * flags[:, :1, None] + 40 * flags[:, 1:, None] * (np.arange(16) % 2)
    images = images + np.random.default_rng(0).integers(20, size=images.shape)
    np.savez(place / "set.npz", images=images.astype(np.uint8), labels=flags, classes=["bright", "striped"])
    tiny = ["translator.channels=4", "translator.blocks=1", "discriminator.channels=4", "size=16", "seed=1", "batch=16",
            "evaluator.metrics=domain-accuracy", "evaluator.split=held-out", "held_out=0.3"]  # fmt: skip
    return zerosum.train(
        place / "set.npz", "stargan-small", [*tiny, "data.attributes=all"], images=64, out=place / "run", quiet=True
    )


def test_attributes_are_trained_on_evaluated_and_asked_for(attributed, tmp_path):
    (line,) = attributed.evaluations
    assert line["metric"] == "domain-accuracy"
    assert line["floor"] == 1
    assert 0 < line["baseline"] < 0.9  # each is asked for what another image has
    assert line["protocol"]["labels"] == "others, in turn"
    image = tmp_path / "one.png"
    Image.new("L", (24, 16), 90).save(image)
    both, same, none = (transform(attributed.path, "translate", [image], tmp_path / f"{k}", label=label)
                  for k, label in enumerate(("striped,bright", "bright=1, striped=1", "none")))  # fmt: skip
    assert both.attributes == same.attributes == "bright=1, striped=1"
    assert none.attributes == "bright=0, striped=0"
    assert both.files[0].read_bytes() == same.files[0].read_bytes() != none.files[0].read_bytes()
    for label, fault in (
        (None, "this task needs attributes, the same for all images; name it with --label, as bright, or bright=0"),
        ("brigt", "there is no attribute 'brigt'; did you mean 'bright'"),
        ("bright=2", "--label bright=2: an attribute is 0 or 1, as bright=0"),
    ):
        with pytest.raises(RunError, match=fault):
            transform(attributed.path, "translate", [image], tmp_path / "not", label=label)
    said = call("translate", attributed.path, image, "--label", "striped", "--out", tmp_path / "said")
    assert "attributes that were asked for: bright=0, striped=1" in said.output
