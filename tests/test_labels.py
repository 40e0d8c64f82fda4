"""One rule for classes that are asked for, and labels as frequent as in the data."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors
import torch
from typer.testing import CliRunner

import zerosum
from tests.small import EAGER, trained, words
from zerosum.cli.main import app
from zerosum.core.errors import RecipeError, RunError, ZerosumWarning
from zerosum.data import to_images
from zerosum.games.checks import with_labels
from zerosum.networks.space import Space
from zerosum.recipes import read_recipe
from zerosum.runs.evaluation.evaluate import with_shares
from zerosum.runs.storage.saved import load_model, save_model
from zerosum.runs.storage.trained import find_label
from zerosum.runs.training.drawing import classes_shown
from zerosum.runs.view.sample import draft, write

LABELS = ["generator.labels=concat", "discriminator.labels=concat"]


def generator(classes, shares=(), labels=LABELS):
    recipe, classes = read_recipe("mlp", [*words("mlp"), *labels]), tuple(classes)
    return trained(recipe, Space((1, 8, 8), 8, len(classes)).signals, classes, shares=shares)


@pytest.mark.parametrize(
    ("classes", "label", "number"),
    [
        (["cat", "dog", "2"], "dog", 1),
        (["cat", "dog", "2"], 2, 2),
        (["cat", "dog", "2", "x"], "2", 2),  # a name comes first
        (["2", "cat", "dog"], 2, 0),
        (["cat", "dog"], 1, 1),
        (["1", "2", "3"], 3, 2),  # names that are numbers are meant, not places
        (["1", "2", "3"], "1", 0),
        (["01", "02", "10"], 2, 1),
        (["00", "01"], 0, 0),
        (["0", "1"], np.int64(1), 1),
        (["0", "1"], torch.tensor(1), 1),
    ],
)
def test_a_label_is_a_name_else_a_number(classes, label, number):
    assert find_label(generator(classes), label) == number
    assert generator(classes).labels(3, label).tolist() == [number] * 3


def test_the_command_line_draws_the_class_that_python_draws(tmp_path):
    classes = ("1", "2", "10")  # the place of each is the name of another
    recipe = read_recipe("mlp", [*words("mlp"), *LABELS])
    made = trained(recipe, Space((1, 8, 8), 0, len(classes)).signals, classes)
    save_model(tmp_path / "g.safetensors", made)
    for number, name in enumerate(classes):
        out = tmp_path / f"{name}.npz"
        asked = ["sample", str(tmp_path / "g.safetensors"), "--label", name, "-n", "3", "--out", str(out)]
        assert CliRunner().invoke(app, asked).exit_code == 0
        with np.load(out) as file:
            assert file["labels"].tolist() == [number] * 3
            assert np.array_equal(file["images"], to_images(made.sample(3, label=name)))


@pytest.mark.parametrize(("classes", "label"), [(["1", "2"], 0), (["cat", "dog"], "dgo"), (["cat"], 1), (["cat"], -1)])
def test_a_class_that_is_not_there_is_refused(classes, label):
    with pytest.raises(RunError, match=rf"there is no class '{label}'; (did you mean 'dog'|there is: )"):
        find_label(generator(classes), label)


def test_of_1500_classes_only_some_are_listed():
    with pytest.raises(RunError, match=r"\(1,500 in all\)") as raised:
        find_label(generator(map(str, range(1500))), "x")
    assert len(str(raised.value)) < 500


def test_a_generator_without_labels_refuses_one_also_from_python():
    with pytest.raises(RunError, match="this model takes no labels"):
        generator(["a"], labels=[]).sample(1, label=0)


def test_labels_by_share_are_as_frequent_as_in_the_data_whatever_the_count():
    shares = (0.5, 0.0, 0.3, 0.19, 0.01)
    made = generator("abcde", shares)
    for seed in range(3):
        labels = made.labels_by_share(2000, seed)
        for count in (100, 317, 2000):
            assert (np.abs(np.bincount(labels[:count], minlength=5) - count * np.array(shares)) < 4).all()
        assert torch.equal(made.labels_by_share(100, seed), labels[:100])
    assert not torch.equal(made.labels_by_share(100, 0), made.labels_by_share(100, 1))
    assert np.bincount(generator("abc").labels_by_share(300)).tolist() == pytest.approx([100] * 3, abs=2)
    assert generator("abc", labels=[]).labels_by_share(5) is None
    assert made.labels(7).tolist() == [0, 1, 2, 3, 4, 0, 1]  # samples stay in turn


@pytest.fixture(scope="module")
def lopsided(tmp_path_factory):
    """A conditional run on 90 dark images and 10 light ones of classes called 3 and 7."""
    place = tmp_path_factory.mktemp("labels")
    values = np.array([0] * 90 + [255] * 10, np.uint8)[:, None, None] * np.ones((1, 8, 8), np.uint8)
    labels = np.array([0] * 90 + [1] * 10)
    np.savez(place / "two.npz", images=values, labels=labels, classes=np.array(["3", "7"]))
    settings = [*words("mlp"), *EAGER, *LABELS]
    return zerosum.train(place / "two.npz", "mlp", settings, images=128, out=place / "run", quiet=True)


def test_a_run_keeps_the_shares_and_judges_by_them(lopsided):
    made = lopsided.model
    assert made.shares == (0.9, 0.1)
    assert made.rules == 2
    protocols = [line["protocol"] for line in lopsided.evaluations]
    assert {protocol["labels"] for protocol in protocols} == {"by share"}
    assert torch.equal(lopsided.sample(5, label=7), lopsided.sample(5, label="7"))
    assert torch.equal(lopsided.sample(5, label=7), made.decode(made.latents(5), torch.ones(5, dtype=torch.int64)))


def test_a_file_of_an_earlier_version_knows_no_shares(lopsided, tmp_path):
    made = lopsided.model
    save_model(tmp_path / "g.safetensors", made)
    with safetensors.safe_open(tmp_path / "g.safetensors", "pt") as file:
        about = json.loads(file.metadata()["zerosum"])
        weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a dict)
    del about["shares"], about["rules"], about["sha256"], about["signals"]
    about |= {"format": "zerosum-generator-1", "space": {"shape": [1, 8, 8], "latent": 100, "classes": 2}}
    weights = {key.removeprefix("generator."): value for key, value in weights.items()}
    safetensors.torch.save_file(weights, tmp_path / "old.safetensors", {"zerosum": json.dumps(about)})
    with pytest.warns(ZerosumWarning, match="no checksum"):
        old = load_model(tmp_path / "old.safetensors")
    assert (old.shares, old.rules) == ((), 1)
    evaluator = SimpleNamespace(dataset=SimpleNamespace(classes=("3", "7"), shares=(0.9, 0.1)))
    assert with_shares(evaluator, old).shares == (0.9, 0.1)  # of the data, where they have its classes
    evaluator.dataset.classes = ("3",)
    with pytest.warns(ZerosumWarning, match="so all are drawn equally often"):
        assert with_shares(evaluator, old).shares == ()


def test_an_npz_of_samples_names_its_classes(lopsided, tmp_path):
    write(draft(lopsided.path, count=4), tmp_path / "s.npz")
    with np.load(tmp_path / "s.npz") as file:
        assert file["classes"].tolist() == ["3", "7"]
        assert file["labels"].tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("side", "classes", "rows"), [(64, 1500, 40), (128, 1500, 25), (256, 1500, 10), (256, 10, 10), (8, 3, 3)]
)
def test_a_sheet_shows_classes_spread_over_all_and_stays_small(side, classes, rows):
    data = SimpleNamespace(is_image=True, shape=(3, side, side), classes=tuple(map(str, range(classes))))
    chosen = classes_shown(data)
    assert len(chosen) == len(set(chosen.tolist())) == rows
    assert (chosen.min(), chosen.max()) == (0, classes - 1)
    assert np.diff(chosen).max() <= np.ceil((classes - 1) / (rows - 1))


def test_one_hot_maps_of_very_many_classes_are_refused_before_they_fill_the_memory():
    network = read_recipe("dcgan", LABELS).game.discriminator.network
    with pytest.raises(RecipeError, match=r"1,500 classes would take gigabytes; set discriminator.labels=embed or"):
        network.build(*Space((3, 64, 64), 100, 1500).ports)
    with torch.device("meta"):
        network.build(*Space((3, 64, 64), 100, 100).ports)


@pytest.mark.parametrize(
    ("recipe", "way"),
    [
        ("dcgan", "; generator.labels=concat discriminator.labels=concat would"),
        ("vae", "; decoder.labels=concat would"),
        ("began", ""),  # its networks cannot be told a class
    ],
)
def test_what_would_let_the_classes_in_is_said_where_there_is_a_way(recipe, way):
    assert with_labels(read_recipe(recipe).game) == way
