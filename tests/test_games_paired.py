"""Translation by pairs: losses and gradients by hand, what the discriminator sees, what fits together."""

import shutil
from unittest import mock

import numpy as np
import pytest
import torch
from torch.nn.functional import softplus

import zerosum
from tests import axes
from tests.small import trained
from tests.translators import IMAGE, Factor, Fixed, alternatives, misjudged, one_turn
from zerosum.augmentations import ADA, DiffAugment, Flip
from zerosum.core import compatibility, registry
from zerosum.core.engine import Engine
from zerosum.core.errors import RecipeError
from zerosum.core.signals import Signal
from zerosum.data import open_data
from zerosum.games.paired import joined
from zerosum.metrics import absolute_difference
from zerosum.networks import Default
from zerosum.recipes import read_recipe
from zerosum.runs.evaluation.evaluate import evaluate
from zerosum.runs.evaluation.evaluator import order
from zerosum.runs.view import pictures
from zerosum.runs.view.beside import beside


def by_hand(*settings, factors=(0.5, 0.25)):
    """An engine whose networks are one number each: the translator's, and the discriminator's."""
    game = read_recipe("pix2pix", [*settings]).game
    game = game.replace(
        generator=game.generator.replace(network=Factor(factors[0], mean=False), initialization=Default()),
        discriminator=game.discriminator.replace(network=Factor(factors[1], mean=True), initialization=Default()),
    )
    return Engine(game, {"input": IMAGE, "target": IMAGE}, total=1000)


def test_losses_are_those_of_the_paper_by_hand():
    engine = by_hand()
    a, b = np.array([1.0, -2.0, 4.0]), np.array([3.0, 5.0, -1.0])
    with mock.patch.object(engine.learners["discriminator"].optimizer, "step"):
        engine.turn(Fixed(input=a.tolist(), target=b.tolist()))
    g, d = 0.5, 0.25
    real, fake = d * (a + b) / 2, d * (a + g * a) / 2  # means over both halves
    found = engine.meter.take("report")
    expected = {
        "discriminator.adversarial": (np.log1p(np.exp(-real)) + np.log1p(np.exp(fake))).mean() / 2,
        "generator.adversarial": np.log1p(np.exp(-fake)).mean(),
        "generator.distance": 100 * abs(g * a - b).mean(),
    }
    assert {name for name in found if name.startswith(("generator.", "discriminator."))} == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-5), name
    assert found["fake_logit"] == pytest.approx(fake.mean(), rel=1e-5)


def test_a_constant_offset_costs_a_hundred_times_itself():
    engine = by_hand(factors=(1.0, 0.25))
    engine.turn(Fixed(input=[1.0, -2.0], target=[0.75, -2.25]))
    assert engine.meter.take("report")["generator.distance"] == pytest.approx(25)


def test_the_discriminator_moves_first_by_half_its_loss_and_then_judges_the_same_outputs():
    for judging in (1.0, 0.5):
        engine = by_hand(f"judging={judging}", "discriminator.optimizer=sgd:lr=1", "distance=0")
        batch = Fixed(input=[1.0, -2.0], target=[3.0, 5.0])
        d = torch.tensor(0.25, requires_grad=True)
        a, b = (batch.batch[name][:, 0, 0, 0] for name in ("input", "target"))
        loss = softplus(-d * (a + b) / 2).mean() + softplus(d * 0.75 * a).mean()
        (slope,) = torch.autograd.grad(loss, d)
        engine.turn(batch)
        moved = engine.network("discriminator").factor.detach()
        assert moved == pytest.approx(0.25 - judging * slope.item(), rel=1e-5)
        paid = softplus(-moved * 0.75 * a).mean()
        assert engine.meter.take("report")["generator.adversarial"] == pytest.approx(paid.item(), rel=1e-5)


def test_the_input_changes_what_the_discriminator_says_where_it_sees_it():
    x, y, z = (torch.randn(2, 1, 16, 16) for _ in range(3))
    for conditional in (True, False):
        word = f"conditional={str(conditional).lower()}"
        recipe = read_recipe("pix2pix-small", [word, "generator.channels=2", "discriminator.channels=2"])
        engine = Engine(recipe.game, dict.fromkeys(("input", "target"), Signal("image", (1, 16, 16))))
        first, second = (recipe.game.scores(engine.modules, {"input": one, "target": z}) for one in (x, y))
        assert torch.equal(first["discriminator"], second["discriminator"]) != conditional
        third = recipe.game.scores(engine.modules, {"input": x, "target": y})
        assert not torch.equal(first["discriminator"], third["discriminator"])


@pytest.mark.parametrize("part", [Flip(), DiffAugment(), ADA(p=0.7, control="fixed", cutout=0.5)])
@pytest.mark.parametrize("channels", [(3, 3), (1, 3), (3, 1), (1, 1)])
def test_both_halves_of_a_pair_are_changed_alike(part, channels):
    torch.manual_seed(0)
    x = torch.rand(6, 1, 16, 16) * 2 - 1
    a, b = (x.expand(-1, count, -1, -1) for count in channels)
    change = part if part.name != "ada" else lambda x: part(x, {"p": torch.tensor(part.p)})
    changed = joined(change, channels[0], torch.cat([a, b], 1))
    assert changed.shape == (6, sum(channels), 16, 16)
    assert not torch.equal(changed[:, :1], x)
    for one in changed.unbind(1)[1:]:  # a grey pair stays one, wherever its pixels went
        torch.testing.assert_close(one, changed[:, 0], rtol=0, atol=1e-5)


def test_augmentations_of_real_pairs_reach_the_translator():
    engine = by_hand("augmentations=flip:probability=1")
    seen = []
    engine.network("generator").register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    batch = Fixed(input=[1.0, -2.0], target=[3.0, 5.0])
    batch.batch = {name: torch.randn(2, 1, 2, 2) for name in ("input", "target")}
    engine.turn(batch)
    assert torch.equal(seen[0], batch.batch["input"].flip(3))
    assert torch.equal(engine.shown["real"], batch.batch["target"].flip(3))


def test_the_model_translates():
    model = by_hand().model()
    x = torch.ones(3, 1, 2, 2)
    assert {name: task.verb for name, task in model.tasks.items()} == {"translate": "translate"}
    assert torch.equal(model.compute({"input": x})["target"], x / 2)


def test_what_does_not_fit_is_said_with_how_to_mend_it():
    image = Signal("image", (1, 16, 16))
    for settings, signals, told in [
        ((), {"sample": image}, "set data.pairs=files where they hold both"),
        (("generator.network=dcgan-generator",), None, "'dcgan-generator' cannot serve as translator"),
        (("discriminator.network=dcgan-discriminator:labels=projection",), None, "judges images beside 'labels'"),
        ((), {"input": image, "target": Signal("image", (1, 16, 32))}, "keeps the size of an image"),
    ]:
        game = read_recipe("pix2pix-small", [*settings]).game
        with pytest.raises(RecipeError) as error:
            compatibility.check(game, signals or {"input": image, "target": image}, 1000, 4)
        assert told in str(error.value), settings


BEGAN = axes.text(registry.lookup("network", "began-discriminator"))
REFUSED = {  # each for its reason
    "needs 'autoencoder'": ["objective=began", "objective=ebgan", "regularizers=pulling-away"],
    "needs 'features'": ["regularizers=content", "regularizers=feature-matching"],
    "with 'translator'": [f"regularizers={name}" for name in ["jacobian-clamping", "path-length", "zcr"]]
    + ["regularizers=successive-consistency"],
    "needs 'classifier'": ["regularizers=auxiliary-classifier"],
    "needs 'codes'": ["regularizers=mutual-information"],
    "with 'autoencoder'": ["began-discriminator"],
    "judges images beside": ["dagan-discriminator", "joint-dcgan-discriminator", "joint-mlp-discriminator"],
    "'dirac-discriminator'": ["dirac-discriminator"],
}


def values():
    """Settings of a game, one at a time; and some that need each other."""
    yield from alternatives("discriminator")
    for objective in ("began", "ebgan"):
        yield [f"objective={objective}", f"discriminator.network={BEGAN}", "regularizers=pulling-away"]
    yield ["objective=hinge", "augmentations=ada:p=0.5+flip", "regularizers=vat+lecam:after=0"]
    yield ["conditional=false", "augmentations=diffaugment", "regularizers=r1+r2"]
    yield ["discriminator.network=dcgan-discriminator", "regularizers=content:reference=place+feature-matching"]
    yield ["regularizers=content:extractor=digits-cnn,reference=place"]  # of outputs alone: it takes 1 or 3 channels
    yield ["generator.network=resnet-translator:channels=4,blocks=1"]


def outcome(words):
    """Faults that settings are refused for, or the numbers of a turn."""
    small = ["discriminator.initialization=default", "batch=2"]
    small += [] if any("discriminator.network=" in word for word in words) else ["discriminator.channels=4"]
    small += [] if any("generator.network=" in word for word in words) else ["generator.channels=4"]
    return one_turn(read_recipe("pix2pix-small", [*small, *words]).game, "input", "target")


@pytest.fixture(scope="module")
def played():
    """What each of the values does."""
    return {" ".join(words): outcome(words) for words in values()}


def test_every_part_plays_or_is_refused_for_its_reason(played):
    assert misjudged(played, REFUSED) == []
    assert len(played) > 50


def test_a_reference_is_the_other_half_of_a_pair(played):
    found = [one for words, one in played.items() if "place" in words]
    assert len(found) == 2
    assert all(one["generator.content"] > 0 for one in found)


def test_a_training_is_evaluated_and_goes_on_bit_for_bit(tmp_path):
    rare = ["report=16", "samples=32", "evaluation=32", "checkpoint=16", "evaluator.count=40", "precision=fp32"]
    tiny = ["generator.channels=2", "discriminator.channels=2", "discriminator.layers=1", "data.pairs=edges", "batch=8"]
    settings = [*tiny, *rare, "evaluator.metrics=similarity", "data.size=12"]
    whole = zerosum.train("digits", "pix2pix-small", settings, images=48, out=tmp_path / "run", quiet=True)
    assert whole.finished
    assert {line["images"] for line in whole.evaluations} == {32, 48}
    assert (whole.path / "samples" / "000000048.png").is_file()
    losses = (whole.path / "metrics.jsonl").read_text()
    assert '"generator.distance"' in losses
    assert '"overfitting"' in losses
    assert whole.model.translate(torch.zeros(2, 1, 12, 12)).shape == (2, 1, 12, 12)
    assert whole.model.translate(torch.zeros(1, 1, 13, 20)).shape == (1, 1, 13, 20)  # in multiples of 4, cut to size
    best = {line["metric"]: line["baseline"] for line in whole.evaluations}
    results = evaluate(whole.path, metrics="similarity", count=40)
    by_name = [note.partition(": ") for note in results.notes if ": l1 " in note]
    told = {name: dict(one.split() for one in numbers.split(", ")) for name, _, numbers in by_name}
    assert list(told) == [
        "input as it is, without translation", "the mean target", "the target of the nearest training input"
    ]  # fmt: skip
    for metric, end in {"l1": min, "psnr": max, "ssim": max}.items():
        assert best[metric] == pytest.approx(end(float(one[metric]) for one in told.values()), rel=1e-3)
    dataset = open_data("digits", whole.recipe.data)
    rows = order(dataset, "held-out", 0)[:40]
    inputs, targets = (torch.from_numpy(np.ascontiguousarray(dataset.of(n).values[rows])) for n in ("input", "target"))
    shown = absolute_difference(inputs, targets).mean().item()
    assert float(told["input as it is, without translation"]["l1"]) == pytest.approx(shown, rel=1e-3)
    weights = whole.model.model.state_dict()
    shutil.rmtree(next((whole.path / "checkpoints").glob("*48*")))
    again = zerosum.resume(whole.path, quiet=True)
    assert again.finished
    assert all(torch.equal(x, weights[name]) for name, x in again.model.model.state_dict().items())


def test_a_picture_shows_input_output_and_target():
    recipe = read_recipe("pix2pix-small", ["data.pairs=edges"])
    dataset = open_data("digits", recipe.data)
    model = trained(recipe, dataset.signals, networks={"generator": torch.nn.Identity()})
    rows = np.random.default_rng(3).permutation(dataset.held_out)[:32]
    inputs, targets = dataset.inputs[rows], dataset.values[rows]
    assert np.array_equal(beside(model, dataset, seed=3), pictures.beside(inputs, np.stack([inputs, targets], 1)))
