"""`zerosum evaluate`: runs, generator files, folders, archives and arrays against real samples."""

import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

import zerosum
from tests.small import EAGER, words
from zerosum.cli.main import app
from zerosum.core.errors import RecipeError, RunError
from zerosum.data import open_data
from zerosum.runs import pictures
from zerosum.runs.evaluate import evaluate


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
    assert {"modes", "high-quality", "sliced-wasserstein", "fd"} <= numbers(evaluate(points.path, metrics="all")).keys()


def test_a_generator_file_says_what_it_was_or_is_told(run, tmp_path):
    there = evaluate(run.path / "generator.safetensors", metrics="fd", count=100)
    assert there == evaluate(run.path, metrics="fd", count=100)
    shutil.copy(run.path / "generator.safetensors", tmp_path / "moved.safetensors")
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
    assert found["records"] == [evaluate(run.path, metrics="fd", count=100)[0].line()]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no-such-run"], "no-such-run: there is no such run, generator file, folder, archive or array file"),
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
    with pytest.raises(RecipeError, match="points are judged by extractor 'values'"):
        evaluate(points.path, extractor="digits-cnn")
