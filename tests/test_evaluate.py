"""`zerosum evaluate`: runs, generator files, folders, archives and arrays against real samples."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import zerosum
from tests.small import EAGER, words
from zerosum.cli.main import app
from zerosum.core.errors import RecipeError, RunError
from zerosum.data import open_data
from zerosum.runs.evaluation.evaluate import evaluate
from zerosum.runs.view import pictures


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "run"
    settings = [*words("dcgan"), *EAGER, "generator.labels=concat", "discriminator.labels=concat"]
    return zerosum.train("digits", "dcgan", settings, images=640, out=path, quiet=True)


@pytest.fixture(scope="module")
def points(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "points"
    return zerosum.train("ring8", "mixture", [*words("mixture"), *EAGER], images=640, out=path, quiet=True)


@pytest.fixture(scope="module")
def reals(tmp_path_factory):
    """A folder of 60 digits in folders by class, and an array file of 60 others."""
    place, digits = tmp_path_factory.mktemp("reals"), open_data("digits")
    for number, index in enumerate(digits.train[:60]):
        folder = place / "real" / digits.classes[digits.labels[index]]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").write_bytes(pictures.encode(digits.values[index]))
    others = digits.train[60:120]
    np.savez(place / "fake.npz", images=digits.values[others], labels=digits.labels[others])
    return place


def called(*words):
    return CliRunner().invoke(app, ["evaluate", *map(str, words)])


def numbers(records):
    return {record.metric: record.value for record in records}


def test_a_run_is_judged_by_what_it_held_out_as_often_as_one_likes(run):
    first = evaluate(run.path, count=100)
    assert evaluate(run.path, count=100) == first
    assert numbers(first).keys() == {
        "fd", "kid", "precision", "recall", "density", "coverage", "sliced-wasserstein",
    }  # fmt: skip
    protocol = first[0].protocol
    assert (protocol["real"], protocol["count"], protocol["count_real"]) == ("held-out", 100, 180)
    assert protocol["weights"] == "averaged"
    assert numbers(evaluate(run.path, count=100, seed=1)) != numbers(first)
    assert first[0].value > 3 * first[0].floor  # 640 images teach little


def test_all_metrics_of_a_conditional_run_and_of_points(run, points):
    found = numbers(evaluate(run.path, metrics="all", count=100))
    assert {"accuracy", "path-length", "ct", "ct-pixels", "authenticity", "label-kl", "jensen-shannon"} <= found.keys()
    assert "modes" not in found
    assert all(np.isfinite(value) for value in found.values())
    assert {"modes", "high-quality", "sliced-wasserstein", "fd"} <= numbers(
        evaluate(points.path, metrics="all", count=500)
    ).keys()


def test_a_generator_file_says_what_it_was_or_is_told(run, tmp_path):
    there = evaluate(run.path / "model.safetensors", metrics="fd", count=100)
    assert there == evaluate(run.path, metrics="fd", count=100)
    shutil.copy(run.path / "model.safetensors", tmp_path / "moved.safetensors")
    assert evaluate(tmp_path / "moved.safetensors", "digits", metrics="fd", count=100) == there
    with pytest.raises(RunError, match="there is nothing to compare with; give real samples with --data"):
        evaluate(tmp_path / "moved.safetensors")
    with pytest.raises(RunError, match=r"makes samples of shape \[1, 8, 8\], and ring8 has \[2\]"):
        evaluate(run.path, "ring8")


def test_samples_are_judged_against_all_real_ones(reals):
    records = evaluate(reals / "fake.npz", reals / "real", extractor="digits-cnn", metrics="fd+kid")
    protocol = records[0].protocol
    assert (protocol["real"], protocol["count"], protocol["count_real"], protocol["weights"]) == ("all", 60, 60, "")
    assert records[0].value == pytest.approx(records[0].floor, rel=1)
    assert numbers(evaluate(reals / "real", reals / "real", extractor="digits-cnn", metrics="fd"))["fd"] < 1e-6
    some = evaluate(reals / "fake.npz", reals / "real", metrics="sliced-wasserstein", count=20)
    assert some[0].protocol["count"] == 20


def test_samples_of_another_size_are_brought_to_that_of_the_real_ones(reals, tmp_path):
    large = np.random.default_rng(0).integers(0, 255, (30, 16, 12, 3), dtype=np.uint8)
    np.save(tmp_path / "large.npy", large)
    records = evaluate(tmp_path / "large.npy", reals / "real", metrics="sliced-wasserstein")
    assert records[0].value > 2 * records[0].floor


def test_copies_in_an_array_file_are_flagged_and_held_out_images_are_not(tmp_path):
    digits = open_data("digits")
    np.savez(tmp_path / "copies.npz", images=digits.values[digits.train[:180]])
    np.savez(tmp_path / "honest.npz", images=digits.values[digits.held_out])
    copied, honest = (
        numbers(evaluate(tmp_path / f"{name}.npz", "digits", metrics="ct+authenticity", split="held-out"))
        for name in ("copies", "honest")
    )
    assert copied["ct"] < -6
    assert copied["ct-pixels"] < -6
    assert copied["authenticity"] == 0
    assert abs(honest["ct"]) < 3
    assert abs(honest["ct-pixels"]) < 3
    words = "--data", "digits", "--metrics", "ct", "--split", "held-out"
    told = [called(tmp_path / f"{name}.npz", *words).stderr for name in ("copies", "honest")]
    assert ["there are copies" in one for one in told] == [True, False]


def test_the_command_prints_a_table_or_one_object(run):
    printed = called(run.path, "--metrics", "fd+prdc", "--count", 100)
    assert printed.exit_code == 0
    assert all(word in printed.stdout for word in ("metric", "value", "floor", "baseline", "recall", "higher"))
    assert "100 samples against 180 real ones (held-out), extractor digits-cnn-v1@" in printed.stderr
    assert "careful, fd: 100 samples, and the distance is biased upwards below about 10,000" in printed.stderr
    found = json.loads(called(run.path, "--metrics", "fd", "--count", 100, "--json").stdout)
    assert found["results"] == [evaluate(run.path, metrics="fd", count=100)[0].line()]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no-such-run"], "no-such-run: there is no such run, model file, folder, archive or array file"),
        (["RUN", "--metrics", "fid"], "there is no metric 'fid'"),
        (["RUN", "--extractor", "vgg"], "there is no extractor 'vgg'"),
        (["RUN", "--metrics", "modes"], "metric 'modes' needs a mixture whose modes are known"),
        (["RUN", "--split", "test"], "split"),
        (["RUN", "--data", "nowhere"], "nowhere"),
    ],
    ids=str,
)
def test_mistakes_are_one_message_and_status_2(run, words, message):
    printed = called(*[run.path if word == "RUN" else word for word in words])
    assert printed.exit_code == 2
    assert message in printed.stderr
    assert "Traceback" not in printed.stderr


def test_an_extractor_that_does_not_fit_is_refused(points):
    with pytest.raises(RecipeError, match="points are evaluated with extractor 'values'"):
        evaluate(points.path, extractor="digits-cnn")


def folder(place, *shapes, count=24, seed=0):
    """Pictures of several shapes [H, W] in a folder."""
    place.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        for height, width in shapes:
            coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
            image = coarse.repeat(height // 4, 0).repeat(width // 4, 1)
            (place / f"{height}-{width}-{number}.png").write_bytes(pictures.encode(image))
    return place


def test_folders_are_judged_at_the_images_own_size_and_nothing_is_cut_away(tmp_path):
    real = folder(tmp_path / "real", (32, 64))
    edges = tmp_path / "edges"
    edges.mkdir()
    for path in real.iterdir():
        image = np.array(Image.open(path))
        image[:, :15] = image[:, -15:] = 0  # 30 columns differ, outside the square in the middle
        (edges / path.name).write_bytes(pictures.encode(image))
    records = evaluate(edges, real, metrics="sliced-wasserstein", extractor="pixels")
    assert records[0].value > 0.1
    assert {name: records[0].protocol[name] for name in ("size", "rendering")} == {
        "size": "32x64", "rendering": "fit=stretch,resample=lanczos,background=white",
    }  # fmt: skip
    assert records.notes == []
    told = called(edges, "--data", real, "--metrics", "sliced-wasserstein")
    assert "images of 32x64 (height x width), brought to it by fit=stretch,resample=lanczos" in told.stderr


def test_other_sizes_are_brought_to_that_of_the_real_ones_and_said(tmp_path):
    real = folder(tmp_path / "real", (32, 64))
    larger = folder(tmp_path / "larger", (64, 128))
    found = evaluate(larger, real, metrics="sliced-wasserstein", extractor="pixels")
    assert found[0].value < found[0].floor / 10  # the same pictures
    assert found.notes == [f"{larger}: size: 24 images of 64x128 resized to 32x64 (height x width)"]
    mixed = folder(tmp_path / "mixed", (16, 16), (32, 32), (32, 64), count=8)
    found = evaluate(larger, mixed, metrics="sliced-wasserstein", extractor="pixels")
    assert found[0].protocol["size"] == "32x32"
    assert found.notes[0].startswith(f"{mixed}: size: 16 images of 2 sizes, 16x16 to 32x64, resized to 32x32")


def test_data_that_changed_since_the_training_are_said(tmp_path):
    photos = folder(tmp_path / "photos", (8, 8), count=60)
    settings = [*words("mlp"), *EAGER, "evaluator.metrics=sliced-wasserstein"]
    run = zerosum.train(photos, "mlp", settings, images=32, out=tmp_path / "run", quiet=True)
    assert evaluate(run.path, count=20, extractor="pixels").notes == []
    (fewer,) = evaluate(run.path, count=200, extractor="pixels").notes
    assert fewer.startswith("only 30 of 200 samples are evaluated: ")
    folder(photos, (8, 8), count=80)
    (note,) = evaluate(run.path, count=20, extractor="pixels").notes
    assert "other data than the 54 samples that this run was trained on; it is evaluated against" in note
    assert note.endswith("what is there now: 72 to train on, 8 held out")
    assert note in called(run.path, "--count", 20).stderr
