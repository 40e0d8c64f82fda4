"""Translation without pairs: losses and gradients by hand, pools, what fits together."""

import json
import re
import shutil
from unittest import mock

import numpy as np
import pytest
import torch

import zerosum
from tests import axes
from tests.translators import IMAGE, Factor, Fixed, alternatives, misjudged, one_turn
from zerosum.core import compatibility, registry
from zerosum.core.engine import Engine
from zerosum.core.errors import RecipeError, RunError
from zerosum.core.signals import Signal
from zerosum.data import open_data, to_images
from zerosum.games.domain import Domain
from zerosum.games.unpaired import _here
from zerosum.networks import Default
from zerosum.recipes import read_recipe
from zerosum.runs.evaluation.evaluate import evaluate
from zerosum.runs.evaluation.evaluator import order

BEGAN = axes.text(registry.lookup("network", "began-discriminator"))


def by_hand(*settings, factors=(0.5, 0.25)):
    """An engine whose networks are one number each: both translators the first, both discriminators the second."""
    game = read_recipe("cyclegan", [*settings]).game
    game = game.replace(
        generators=game.generators.replace(network=Factor(factors[0], mean=False), initialization=Default()),
        discriminators=game.discriminators.replace(network=Factor(factors[1], mean=True), initialization=Default()),
    )
    return Engine(game, {"a": IMAGE, "b": IMAGE}, total=1000)


def test_losses_are_those_of_the_paper_by_hand():
    engine = by_hand("identity=5", "pool.size=0")
    a, b = np.array([1.0, -2.0, 4.0]), np.array([3.0, 5.0, -1.0])
    engine.networks("b_to_a")[0].factor.data.fill_(-2.0)
    engine.networks("b")[0].factor.data.fill_(0.125)
    with mock.patch.object(engine.learners["generators"].optimizer, "step"):  # the pool sees the same translators
        engine.turn(Fixed(a=a.tolist(), b=b.tolist()))
    g, f, p, q = 0.5, -2.0, 0.25, 0.125
    found = engine.meter.take("report")
    expected = {
        "generators.adversarial-a": ((p * f * b - 1) ** 2).mean(),  # 2 * (s - 1)^2 / 2
        "generators.adversarial-b": ((q * g * a - 1) ** 2).mean(),
        "generators.cycle-a": 10 * abs(f * g * a - a).mean(),
        "generators.cycle-b": 10 * abs(g * f * b - b).mean(),
        "generators.identity-a": 5 * abs(f * a - a).mean(),
        "generators.identity-b": 5 * abs(g * b - b).mean(),
        "discriminators.adversarial-a": ((p * a - 1) ** 2 + (p * f * b) ** 2).mean() / 2,
        "discriminators.adversarial-b": ((q * b - 1) ** 2 + (q * g * a) ** 2).mean() / 2,
    }
    assert {name for name in found if name.startswith(("generators.", "discriminators."))} == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-5), name
    assert found["real_logit-b"] == pytest.approx(q * b.mean(), rel=1e-5)


def test_nothing_is_lost_between_equal_sets_by_translators_that_change_nothing():
    engine = by_hand("identity=5", factors=(1.0, 0.25))
    engine.turn(Fixed(a=[1.0, 2.0], b=[1.0, 2.0]))
    found = engine.meter.take("report")
    assert [found[f"generators.{name}-{one}"] for name in ("cycle", "identity") for one in "ab"] == [0, 0, 0, 0]


def test_a_cycle_moves_both_translators_and_no_discriminator():
    engine = by_hand("pool.size=4")
    losses = {}
    update = engine.update

    def spy(player, **named):
        losses[player] = {
            name: torch.autograd.grad(loss, [net.factor for net in nets], retain_graph=True, allow_unused=True)
            for name, loss in named.items()
        }
        update(player, **named)

    nets = engine.networks("a_to_b", "b_to_a", "a", "b")
    with mock.patch.object(engine, "update", spy):
        engine.turn(Fixed(a=[1.0, -2.0], b=[3.0, 5.0]))
    moved = {
        f"{player}.{name}": [grad is not None and bool(grad) for grad in gradients]
        for player, named in losses.items()
        for name, gradients in named.items()
    }
    assert moved["generators.cycle-a"] == moved["generators.cycle-b"] == [True, True, False, False]
    assert moved["generators.adversarial-a"][:2] == [False, True]
    assert moved["generators.adversarial-b"][:2] == [True, False]
    assert moved["discriminators.adversarial-a"] == [False, False, True, False]
    assert moved["discriminators.adversarial-b"] == [False, False, False, True]
    assert "generators.identity-a" not in moved  # of weight 0: translators are not even called


def test_discriminators_see_translations_of_earlier_turns():
    engine = by_hand("pool.size=2")
    for turn in range(8):
        engine.turn(Fixed(a=[1.0 + turn], b=[10.0 + turn]))
    assert {"pool-a", "pool-b"} <= engine.memory.keys()
    assert [engine.memory[f"pool-{one}"]["count"].item() for one in "ab"] == [2, 2]
    assert engine.memory["pool-a"]["images"].shape == (2, 1, 2, 2)
    assert engine.memory["pool-a"]["images"].abs().min() > 3  # halves of what b had
    assert engine.memory["pool-b"]["images"].abs().max() < 5  # halves of what a had


def test_the_model_translates_both_ways():
    engine = by_hand()
    engine.networks("b_to_a")[0].factor.data.fill_(-2.0)
    model = engine.model()
    assert {name: task.verb for name, task in model.tasks.items()} == {"a_to_b": "translate", "b_to_a": "translate"}
    x = torch.ones(3, 1, 2, 2)
    assert torch.equal(model.compute({"a": x})["b"], x / 2)
    assert torch.equal(model.compute({"b": x}, "b_to_a")["a"], -2 * x)


def fits(*settings, signals=None, batch=4):
    recipe = read_recipe("cyclegan-small", [*settings])
    image = Signal("image", (1, 16, 16))
    compatibility.check(recipe.game, signals or {"a": image, "b": image}, 1000, batch)


def test_what_does_not_fit_is_said_with_how_to_mend_it():
    image = Signal("image", (1, 16, 16))
    for settings, how, told in [
        ((), {"signals": {"sample": image}}, "needs two sets, a and b, and these data are one; set data.domains=auto"),
        (("pool.size=3",), {}, "pool.size=3 holds no batch of 4; set pool.size=4, or 0 for none"),
        (("generators.network=dcgan-generator",), {}, "'dcgan-generator' cannot serve as translator"),
        (("discriminators.network=joint-dcgan-discriminator",), {}, "judges images beside 'joint'"),
        (("discriminators.network=dcgan-discriminator:labels=projection",), {}, "judges images beside 'labels'"),
        (("regularizers=zcr",), {}, "regularizer 'zcr' with 'translator'"),
        (("objective=ebgan",), {}, "objective 'ebgan' needs 'autoencoder'"),
    ]:
        with pytest.raises(RecipeError) as error:
            fits(*settings, **how)
        assert told in str(error.value), settings
    fits("pool.size=0")
    with pytest.raises(RecipeError, match=r"one set of samples, and these data are a and b; leave data\.domains empty"):
        compatibility.check(read_recipe("dcgan").game, {"a": image, "b": image}, 1000, 4)


REFUSED = {  # each for its reason
    "needs 'autoencoder'": ["objective=began", "objective=ebgan", "regularizers=pulling-away"],
    "needs 'features'": ["regularizers=content", "regularizers=feature-matching"],
    "with 'translator'": [f"regularizers={name}" for name in ["jacobian-clamping", "path-length", "zcr"]]
    + ["regularizers=successive-consistency"],
    "needs 'zero-level'": ["augmentations=ada", "regularizers=vat"],
    "needs 'classifier'": ["regularizers=auxiliary-classifier"],
    "needs 'codes'": ["regularizers=mutual-information"],
    "with 'autoencoder'": ["began-discriminator"],
    "judges images beside": ["dagan-discriminator", "joint-dcgan-discriminator", "joint-mlp-discriminator"],
    "'dirac-discriminator'": ["dirac-discriminator"],
}


def values():
    """Settings of a game, one at a time; and some that need each other."""
    yield from alternatives("discriminators")
    for objective in ("began", "ebgan"):
        yield [f"objective={objective}", f"discriminators.network={BEGAN}", "regularizers=pulling-away"]
    yield ["objective=hinge", "augmentations=ada:p=0.5+flip", "regularizers=vat+lecam:after=0"]
    yield ["objective=relativistic", "discriminators.network=dcgan-discriminator", "regularizers=feature-matching"]


def outcome(words):
    """Faults that settings are refused for, or the numbers of a turn."""
    small = ["generators.channels=4", "generators.blocks=1", "discriminators.initialization=default", "batch=2"]
    small += [] if any("network=" in word for word in words) else ["discriminators.channels=4"]
    return one_turn(read_recipe("cyclegan-small", [*small, *words]).game, "a", "b")


@pytest.fixture(scope="module")
def played():
    """What each of the values does."""
    return {" ".join(words): outcome(words) for words in values()}


def test_every_part_plays_or_is_refused_for_its_reason(played):
    assert misjudged(played, REFUSED) == []
    assert len(played) > 50


def test_parts_act_on_each_set_by_itself(played):
    found = played["objective=hinge augmentations=ada:p=0.5+flip regularizers=vat+lecam:after=0"]
    assert {f"discriminators.{name}-{one}" for name in ("vat", "lecam") for one in "ab"} <= found.keys()
    found = played["regularizers=r1"]
    assert found["discriminators.r1-a"] > 0
    assert found["discriminators.r1-b"] > 0
    assert found["discriminators.r1-a"] != found["discriminators.r1-b"]


def test_sets_may_have_other_shapes_and_faults_name_the_settings_of_both_networks():
    grey, colour = Signal("image", (1, 4, 4)), Signal("image", (3, 4, 4))
    wirings = by_hand().game.networks({"a": grey, "b": colour})
    given = {name: [*wiring.inputs.values(), *wiring.outputs.values()] for name, wiring in wirings.items()}
    assert (given["a_to_b"], given["b_to_a"]) == ([grey, colour], [colour, grey])
    assert (given["a"][0], given["b"][0]) == (grey, colour)
    assert _here("set discriminator.a=1, or generator.b=2") == "set discriminators.a=1, or generators.b=2"


def test_an_augmentation_of_real_images_does_not_reach_what_discriminators_compare():
    domain = Domain(by_hand("augmentations=flip+shift:where=both").game, "a", by_hand())
    assert [[part.name for part in parts] for parts in (domain.alter, domain.augment)] == [["flip"], ["shift"]]


def judged_there_and_back(run):
    """Evaluation of either way has the error of the way there and back, of images as they lie in files."""
    results = evaluate(run.path, metrics="cycle-error+sliced-wasserstein", task="b_to_a", split="held-out", count=40)
    found = {one.metric: one for one in results}
    dataset = open_data("digits-inverted", run.recipe.data, seed=run.recipe.seed)
    rows = order(dataset.of("b"), "held-out", 0)[:40]
    x = torch.from_numpy(dataset.values[rows]).permute(0, 3, 1, 2) / 127.5 - 1
    made = run.model.translate(x, "b_to_a")
    back = run.model.translate(torch.from_numpy(to_images(made)).permute(0, 3, 1, 2) / 127.5 - 1, "a_to_b")
    assert found["cycle-error"].value == pytest.approx(float((back - x).abs().mean()) * 127.5, abs=0.02)
    assert found["change"].value == pytest.approx(float((made - x).abs().mean()) * 127.5, abs=0.3)
    assert found["cycle-error"].baseline == pytest.approx(float((x - x.mean(0)).abs().mean()) * 127.5, rel=1e-4)
    told = " ".join(results.notes)
    assert re.search(
        r"b as it is, without translation: cycle-error 0, cycle-error-noise [\d.]+, change 0, sliced-wass", told
    )


def test_a_training_is_pictured_evaluated_and_goes_on_bit_for_bit(tmp_path):
    rare = ["report=32", "samples=64", "evaluation=64", "checkpoint=32", "evaluator.count=40", "precision=fp32"]
    tiny = ["generators.channels=4", "generators.blocks=1", "discriminators.channels=4", "pool.size=8", "seed=1"]
    settings = [*tiny, *rare, "evaluator.metrics=sliced-wasserstein"]
    whole = zerosum.train("digits-inverted", "cyclegan-small", settings, images=96, out=tmp_path / "run", quiet=True)
    assert whole.finished
    assert {line["images"] for line in whole.evaluations} == {64, 96}
    assert (whole.path / "report.html").is_file()
    assert (whole.path / "samples" / "000000096.png").is_file()
    losses = (whole.path / "metrics.jsonl").read_text()
    assert '"generators.cycle-a"' in losses
    assert '"overfitting-b"' in losses
    told = "two sets: a is plain (808 to train on) and b is inverted (809 to train on)"
    assert told in json.loads((whole.path / "environment.json").read_text())["decisions"]
    translated = whole.model.translate(torch.zeros(2, 1, 16, 16), "b_to_a")
    assert translated.shape == (2, 1, 16, 16)
    assert whole.model.translate(torch.zeros(1, 1, 13, 37), "b_to_a").shape == (1, 1, 13, 37)
    with pytest.raises(RunError, match=r"can translate \[N, 1, H, W\], and these are \[1, 3, 16, 16\]"):
        whole.model.translate(torch.zeros(1, 3, 16, 16), "b_to_a")
    judged_there_and_back(whole)
    weights = whole.model.model.state_dict()
    shutil.rmtree(next((whole.path / "checkpoints").glob("*96*")))
    again = zerosum.resume(whole.path, quiet=True)
    assert again.finished
    assert all(torch.equal(x, weights[name]) for name, x in again.model.model.state_dict().items())
