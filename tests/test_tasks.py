"""Tasks of models: what games state, and what runs, files and commands make of it."""

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner

import zerosum
from tests.small import trained, words
from zerosum.cli.main import app
from zerosum.core import model
from zerosum.core.errors import DataError, RunError
from zerosum.core.model import Choice, Model, Networks, Task, reached
from zerosum.core.player import Player
from zerosum.core.registry import Part, lookup, register, slot
from zerosum.core.signals import Signal, Wiring
from zerosum.data import open_data
from zerosum.games.tasks import inference, reconstruction, translation
from zerosum.latents import Normal
from zerosum.networks import Default
from zerosum.networks.space import Space
from zerosum.optimizers import SGD, Constant
from zerosum.recipes import EvaluatorPart, Recipe, read_recipe
from zerosum.runs.evaluation.evaluate import evaluate
from zerosum.runs.evaluation.evaluator import Evaluator
from zerosum.runs.evaluation.given import way_back
from zerosum.runs.storage.saved import load_model, save_model
from zerosum.runs.storage.trained import with_task
from zerosum.runs.view.media import medium_of
from zerosum.runs.view.sample import draft

X = {"sample": Signal("image", (1, 8, 8))}


@register("network", "test-gain")
@dataclass(frozen=True)
class Gain(Part):
    """A number for each channel."""

    def build(self, inputs, outputs):
        return nn.Conv2d(inputs["sample"].shape[0], outputs["sample"].shape[0], 1, groups=inputs["sample"].shape[0])

    def traits(self):
        return frozenset({"translator"})


@register("game", "test-negative")
@dataclass(frozen=True)
class Negative(Part):
    """Learns to make the negative of an image; there is no latent, and nobody judges."""

    pack: ClassVar[int] = 1
    regularizers: ClassVar[tuple] = ()
    roles: ClassVar[dict[str, frozenset[str]]] = {}
    translator: Player = slot("player")

    def players(self):
        return {"translator": self.translator}

    def networks(self, signals):
        x = {"sample": signals["sample"]}
        return {name: Wiring(x, x, ("translator",)) for name in ("there", "back", "spare")}

    def step(self, feed, engine):
        x = feed.next()["sample"]
        engine.update("translator", error=sum((f(x) + x).square().mean() for f in engine.modules.values()))

    def model(self, networks, signals):
        x, there, back = {"sample": signals["sample"]}, networks["there"], networks["back"]
        tasks = {name: Task("translate", x, x, lambda sample, f=f: f(sample)) for name, f in
                 (("there", there), ("back", back))}  # fmt: skip
        return Model({"there": there, "back": back}, tasks)


RECIPE = Recipe(
    recipe="test-negative",
    game=Negative(Player(Gain(), SGD(lr=0.5), Constant(), Default())),
    batch=16,
    evaluator=EvaluatorPart(count=60),
)


def call(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    rare = ["report=64", "samples=128", "evaluation=never", "checkpoint=128"]
    out = tmp_path_factory.mktemp("tasks") / "run"
    return zerosum.train("digits", RECIPE, rare, images=640, out=out, threads=1, quiet=True)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Two digits of the data, and a colour photograph of another size."""
    folder = tmp_path_factory.mktemp("images")
    for number in (0, 1):
        Image.fromarray(open_data("digits").values[number, :, :, 0]).save(folder / f"{number}.png")
    Image.fromarray(np.full((20, 30, 3), (255, 0, 0), np.uint8)).save(folder / "red.jpg")
    return folder


# ---------------------------------------------------------------------- the core


def test_drawn_inputs_are_the_same_whatever_the_count():
    task = Task("generate", {"z": Signal("latent", (3,))}, {"y": Signal("points", (3,))}, lambda z: 2 * z,
                {"z": Normal(3), "kind": Choice(4)})  # fmt: skip
    model = Model({}, {"generate": task})
    whole = model.draw(150, seed=2)["y"]
    assert torch.equal(model.draw(20, seed=2, start=70)["y"], whole[70:90])
    assert not torch.equal(model.draw(20, seed=3)["y"], whole[:20])
    assert model.draw(0)["y"].shape == (0, 3)
    assert torch.equal(whole, 2 * model.inputs(150, 2)["z"])
    assert model.inputs(2).keys() == {"z"}  # a kind is drawn and dropped
    assert torch.equal(model.draw(5, z=torch.ones(5, 3))["y"], torch.full((5, 3), 2.0))


def test_a_tensor_alone_is_the_first_output():
    two = {"first": Signal("image", (1, 8, 8)), "second": Signal("image", (1, 8, 8))}
    task = Task("translate", X, two, lambda sample: sample)
    assert task({"sample": torch.zeros(1, 1, 8, 8)}).keys() == {"first"}


def test_tasks_take_classes_where_a_network_is_told_them_and_any_size_where_one_can():
    signals, latent = {**X, "label": Signal("label", classes=3)}, Signal("latent", (4,))
    plain, told = (lookup("network", "dcgan-generator")(labels=labels) for labels in ("none", "concat"))
    for part, names in ((plain, {"sample"}), (told, {"sample", "label"})):
        assert inference(nn.Identity(), part, latent, signals).inputs.keys() == names
        assert reconstruction(nn.Identity(), nn.Identity(), (plain, part), signals).inputs.keys() == names
    steps = [translation(network, X, X).step for network in (nn.Identity(), SimpleNamespace(step=4))]
    assert steps == [0, 4]


def test_a_translation_leads_back_by_the_task_between_the_same_samples():
    a, b = {"a": X["sample"]}, {"b": X["sample"]}
    there, back = translation(nn.Identity(), a, b), translation(nn.Identity(), b, a)
    both = Model({}, {"on": translation(nn.Identity(), b, {"c": X["sample"]}), "there": there, "back": back})
    assert [both.back(name) for name in ("on", "there", "back")] == [None, "back", "there"]
    assert Model({}, {"there": there, "back": reconstruction(nn.Identity(), nn.Identity(), (), X)}).back() is None


def test_the_way_back_to_a_class_is_told_the_class_that_each_sample_has():
    digits, told = open_data("digits"), []

    def shifted(x, label):
        told.extend(label.tolist())
        return x + label[:, None, None, None]

    classes = Choice(10)
    task = translation(shifted, {**X, "label": Signal("label", (), 10)}, X, classes)
    rows = np.array([3, 5, 8, 4])
    back = way_back(Model({}, {"translate": task}), None, digits, rows)
    levels = torch.zeros(3, 8, 8, 1)  # of the first three
    label = torch.from_numpy(digits.labels[rows[:3]])
    assert back(levels)[:, 0, 0, 0].tolist() == (127.5 * label).clamp(max=255).tolist()
    assert set(told) == set(label.tolist())
    assert way_back(Model({}, {"translate": task}), None, open_data("ring8"), rows) is None


def test_items_are_counted_and_larger_ones_come_fewer_at_once():
    signals = {"a": Signal("image", (1, 8, 8)), "b": Signal("latent", (4,)), "c": Signal("latent", (4,))}
    rows = {"a": torch.zeros(5, 1, 16, 12), "b": torch.zeros(5, 4)}
    assert model._times(signals, rows) == 3
    assert model._times(signals, {"b": rows["b"]}) == 1
    assert model._times(signals, {}) == 1
    assert model._count(rows) == 5
    with pytest.raises(ValueError, match="as many, one a row: there are none"):
        model._count({})


def test_what_a_task_is_not_given_is_said():
    task = Task("translate", X, X, lambda sample: sample, options={"psi": Signal("number")})
    with pytest.raises(ValueError, match=r"this task needs sample \[N, ...\]; it takes sample"):
        task({})
    with pytest.raises(ValueError, match="this task takes no label; it takes sample, psi"):
        task({"sample": torch.zeros(1), "label": 3})
    model = Model({}, {"there": task})
    with pytest.raises(RunError, match="this model has no task 'thre'; did you mean 'there'"):
        model.task("thre")
    with pytest.raises(ValueError, match=r"as many, one a row: sample 2, source 3"):
        model.compute({"sample": torch.zeros(2, 1), "source": torch.zeros(3, 1)})


def test_only_networks_that_are_asked_for_are_built():
    built = []
    networks = Networks(lambda name: built.append(name) or nn.Identity())
    model = RECIPE.game.model(networks, X)
    assert built == ["there", "back"]
    assert reached(model.networks, lambda: model({"sample": torch.zeros(1, 1, 8, 8)}, "back")) == {"back"}
    assert model.serving("there") == {"there"}


def test_an_engine_leaves_statistics_of_networks_that_nothing_is_drawn_for():
    recipe = read_recipe("vae", words("vae"))
    engine = zerosum.Engine(recipe.game, X)
    assert engine.model().tasks.keys() == {"generate", "encode", "reconstruct", "bound"}
    assert not {id(one) for one in engine.model().parameters()} & {
        id(one) for one in engine.network("decoder").parameters()
    }
    with torch.no_grad():
        next(engine.network("encoder").parameters()).fill_(float("nan"))
    with pytest.raises(Exception, match="weights of the encoder are not finite after 0"):
        engine.model()


# ---------------------------------------------------------------------- runs


def test_a_translator_is_trained_pictured_and_judged_beside_what_it_was_given(run, capsys):
    pictures = sorted((run.path / "samples").glob("0*.png"))
    assert len(pictures) >= 2
    with Image.open(pictures[-1]) as sheet:
        assert sheet.height > 64
    found = {line["metric"]: line for line in run.evaluations}
    assert {"fd", "sliced-wasserstein"} <= found.keys()
    results = evaluate(run.path, count=60, metrics="sliced-wasserstein", threads=1)
    (note,) = [one for one in results.notes if "without translation" in one]
    assert note.startswith("sample as it is, without translation: sliced-wasserstein ")
    untouched = float(note.rpartition(" ")[2])
    assert untouched < results[0].value  # negatives are less like digits than digits are
    other = evaluate(run.path, count=60, metrics="sliced-wasserstein", threads=1, task="back")
    assert other[0].value == pytest.approx(results[0].value, rel=0.5)
    with pytest.raises(RunError, match="this model has no task 'forth'"):
        evaluate(run.path, task="forth", threads=1)


@pytest.mark.parametrize(("data", "names"), [("digits", "fd kid prdc sliced-wasserstein"), ("ring8", "modes")])
def test_what_is_usual_goes_by_verb_and_medium(data, names):
    dataset = open_data(data)
    for verb in ("generate", "translate", "reconstruct"):
        evaluator = Evaluator(dataset, EvaluatorPart(), verb=verb)
        also = {"cycle-error", "domain-accuracy"} if verb == "translate" and dataset.is_image else set()
        assert {*names.split(), "sliced-wasserstein"} | also == {one.name for one in evaluator.metrics}
    kinds = {signal.kind for signal in dataset.signals.values()} - {"label"}
    assert {medium_of(Signal(kind, (1,))).noun for kind in kinds} <= {"images", "points"}
    assert medium_of(Signal("latent", (3,))).metrics == {}


def test_its_file_holds_both_networks_and_no_other(run):
    model = run.model
    assert model.verbs == ("translate",)
    assert model.model.networks.keys() == {"there", "back"}
    assert load_model(run.path / "model.safetensors").recipe == run.recipe
    x = torch.rand(3, 1, 8, 8) * 2 - 1
    with pytest.raises(RunError, match="this model has several tasks that translate: there, back; name one"):
        model.translate(x)
    assert (model.translate(x, "back") + x).abs().max() < 0.2
    assert torch.equal(model({"sample": x}, "there")["sample"], model.translate(x, "there"))
    assert next(iter(with_task(model, "back").model.tasks)) == "back"
    with pytest.raises(RunError, match="this model cannot reconstruct; it can translate"):
        model.reconstruct(x)
    with pytest.raises(RunError, match="this model draws nothing; it can translate what it is given"):
        draft(run.path, count=3)


def test_what_needs_latents_leaves_a_translator_out(run, tmp_path):
    assert call("sample", run.path, "--out", tmp_path / "s.png").exit_code == 2
    assert call("compare", run.path, "--html", tmp_path / "c.html").exit_code == 0
    assert "this model draws nothing" in (tmp_path / "c.html").read_text()
    assert call("doctor", run.path).exit_code == 0
    assert call("report", run.path).exit_code == 0
    page = (run.path / "report.html").read_text()
    assert "zerosum translate" in page
    assert "zerosum sample" not in page
    assert "images of 8 x 8" in run.model._repr_html_()
    longer = zerosum.resume(run.path, images=672, quiet=True)
    assert longer.metrics[-1]["images"] == 672


# ---------------------------------------------------------------------- files


def test_images_are_translated_in_the_size_and_channels_of_the_model(run, images, tmp_path):
    done = call("translate", run.path, images, "--task", "there", "--out", tmp_path / "out", "--json", "--quiet")
    assert done.exit_code == 0, done.stderr
    assert "3 images in" in done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.png", "1.png", "beside.png", "red.png"]
    before, after = (np.asarray(Image.open(folder / "1.png")).astype(int) for folder in (images, tmp_path / "out"))
    assert after.shape == (8, 8)
    assert np.abs(before + after - 255).max() < 30  # the negative
    assert np.asarray(Image.open(tmp_path / "out" / "red.png")).shape == (8, 8)
    again = call("translate", run.path, images / "0.png", "--task", "there", "--out", tmp_path / "out", "--quiet")
    assert again.exit_code == 0  # its own files are replaced


def test_a_vae_reconstructs_from_the_command_line_and_from_python_alike(images, tmp_path):
    recipe = read_recipe("vae", [*words("vae"), "decoder.labels=concat"])
    save_model(tmp_path / "m.safetensors", trained(recipe, Space((1, 8, 8), 0, 2).signals, ("no", "yes")))
    place = tmp_path / "m.safetensors"
    done = call("reconstruct", place, images / "0.png", images / "1.png", "--out", tmp_path / "r", "--label", "yes")
    assert done.exit_code == 0, done.stderr
    model = load_model(place)
    x = torch.stack([torch.from_numpy(np.asarray(Image.open(images / f"{n}.png")).copy()) for n in (0, 1)])[:, None]
    made = model.reconstruct(x / 127.5 - 1, label=torch.tensor([1, 1]))
    pixels = [np.asarray(Image.open(tmp_path / "r" / f"{n}.png")) for n in (0, 1)]
    assert np.array_equal(pixels, ((made[:, 0] + 1) * 127.5).round().numpy())
    assert model.encode(x / 127.5 - 1, label=torch.tensor([1, 1])).shape == (2, recipe.game.latent.size) if (
        "label" in model.model.task("encode").inputs) else True  # fmt: skip


def test_latents_of_images_are_kept_and_samples_lie_on_the_way_between_them(images, tmp_path):
    recipe = read_recipe("vae", words("vae"))
    place, kept, walk = (tmp_path / name for name in ("m.safetensors", "z.npz", "walk.npz"))
    save_model(place, trained(recipe, Space((1, 8, 8)).signals))
    done = call("encode", place, images / "0.png", images / "1.png", "--out", kept, "--json", "--quiet")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout) == {"task": "encode", "latents": str(kept), "count": 2, "size": 20}
    arrays, model = np.load(kept), load_model(place)
    assert [Path(name).name for name in arrays["files"]] == ["0.png", "1.png"]
    x = torch.stack([torch.from_numpy(np.asarray(Image.open(images / f"{n}.png")).copy()) for n in (0, 1)])[:, None]
    assert np.array_equal(arrays["latents"], model.encode(x / 127.5 - 1).numpy())
    way = call("sample", place, "--latents", kept, "--interpolate", 4, "--out", walk, "--quiet")
    assert way.exit_code == 0, way.stderr
    ends = np.load(walk)["images"][[0, 4], :, :, 0]
    again = ((model.reconstruct(x / 127.5 - 1)[:, 0] + 1) * 127.5).round().numpy()
    assert np.abs(ends - again).max() <= 1  # there and back: frame 0 is the first image, frame 4 the second
    assert call("encode", place, images / "0.png", "--out", kept).exit_code == 0  # its own file is replaced
    assert "latents are kept as FILE.npz" in call("encode", place, images / "0.png", "--out", tmp_path / "z.png").stderr


@pytest.mark.parametrize(
    ("verb", "words", "said"),
    [
        ("translate", ["nowhere.png", "--task", "there"], "nowhere.png is missing"),
        ("translate", ["text.png", "--task", "there"], "text.png: is not an image"),
        ("translate", ["empty", "--task", "there"], "empty: this folder holds no images"),
        ("translate", ["0.png", "a/0.png", "--task", "there"], "would both become 0.png; rename one of them"),
        ("translate", ["0.png"], "this model has several tasks that translate: there, back; name one with --task"),
        ("translate", ["0.png", "--task", "x"], "this model has no task 'x' that can translate; there is: back, there"),
        ("translate", ["0.png", "--task", "back", "--label", "3"], "--label: this task takes no class; leave it out"),
        ("reconstruct", ["0.png"], "this model cannot reconstruct; it can translate"),
    ],
)
def test_what_cannot_be_translated_is_said(run, images, tmp_path, monkeypatch, verb, words, said):
    monkeypatch.chdir(tmp_path)
    for folder in ("empty", "a"):
        (tmp_path / folder).mkdir()
    (tmp_path / "text.png").write_text("words")
    for name in ("0.png", "a/0.png"):
        (tmp_path / name).write_bytes((images / "0.png").read_bytes())
    done = call(verb, run.path, *words, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert said in done.stderr
    assert not (tmp_path / "out").exists()


def test_folders_are_translated_with_what_lies_in_them(run, images, tmp_path):
    for name in ("a/0.png", "b/0.png", "b/deep/red.jpg", ".hidden/0.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes((images / Path(name).name).read_bytes())
    out = tmp_path / "in" / "out"
    for _ in range(2):  # the second time the outputs of the first lie among the inputs
        done = call("translate", run.path, tmp_path / "in", "--task", "there", "--out", out)
        assert done.exit_code == 0, done.stderr
        written = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png"))
        assert written == ["a/0.png", "b/0.png", "b/deep/red.png", "beside.png"]


def test_what_can_be_read_is_translated_though_other_files_cannot(run, images, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "broken.png").write_bytes(b"no picture")
    for name in ("a.png", "z.png"):
        (folder / name).write_bytes((images / "0.png").read_bytes())
    done = call("translate", run.path, folder, tmp_path / "gone.png", "--task", "there", "--out", tmp_path / "out")
    assert done.exit_code == 2
    told = f"2 of 4 images are missing or bad; the others are in {tmp_path / 'out'}:\n  {folder / 'broken.png'}: is "
    assert told in done.stderr
    assert f"\n  {tmp_path / 'gone.png'} is missing" in done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "beside.png", "z.png"]
    before, after = (np.asarray(Image.open(place)).astype(int) for place in (images / "0.png", tmp_path / "out/z.png"))
    assert np.abs(before + after - 255).max() < 30  # the negative


def test_files_of_others_are_not_replaced(run, images, tmp_path):
    (tmp_path / "0.png").write_bytes(b"mine")
    done = call("translate", run.path, images / "0.png", "--task", "there", "--out", tmp_path)
    assert done.exit_code == 2
    assert (tmp_path / "0.png").read_bytes() == b"mine"


def test_data_without_the_samples_of_a_task_are_refused():
    with pytest.raises(DataError, match="digits: no samples are called 'a'; inputs and outputs must be named as"):
        open_data("digits").of("a")
