"""The examples of docs/extending.md are files that train, resume and are refused like any part."""

import re
import subprocess
import sys
import types
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from zerosum import register
from zerosum.cli.main import app
from zerosum.core import registry, usercode
from zerosum.core.errors import DataError, RecipeError
from zerosum.data import Contents, DataPart

PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text()
EXAMPLES = dict(re.findall(r"<!-- file: (\w+\.py) -->\n```python\n(.*?)```\n\n", PAGE, re.DOTALL))
COMMANDS = {
    command.split()[-1]: command for command in re.findall(r"^    zerosum (train .*--use \w+\.py)$", PAGE, re.MULTILINE)
}
SMALL = ["batch=16", "generator.channels=8", "report=64", "checkpoint=64", "samples=128", "evaluation=128"]


@pytest.fixture(autouse=True, scope="module")
def _shelves():
    """Parts of these files are no parts of other tests."""
    shelves, used = {kind: dict(parts) for kind, parts in registry._registry.items()}, set(usercode._used)
    yield
    registry._registry.clear()
    registry._registry.update(shelves)
    usercode._used.clear()
    usercode._used.update(used)


def zerosum(folder, *arguments):
    command = [sys.executable, "-m", "zerosum.cli.main", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_every_file_of_the_page_has_its_command():
    assert len(EXAMPLES) >= 6
    assert EXAMPLES.keys() == COMMANDS.keys()


@pytest.mark.parametrize("file", ["drift.py", "patches.py", "invert.py"])
def test_an_example_trains_resumes_and_samples(file, tmp_path):
    (tmp_path / file).write_text(EXAMPLES[file])
    run = tmp_path / "run"
    begun = zerosum(tmp_path, *COMMANDS[file].split(), *SMALL, "--images", "128", "--out", str(run), "--quiet")
    assert begun.returncode == 0, begun.stderr
    name = file.removesuffix(".py")
    assert name in (run / "recipe.toml").read_text()
    (tmp_path / file).unlink()  # the run keeps a copy
    resumed = zerosum(tmp_path, "resume", str(run), "--images", "256", "--quiet")
    assert resumed.returncode == 0, resumed.stderr
    lines = (run / "metrics.jsonl").read_text()
    assert ('"discriminator.drift"' in lines and '"drift.mean"' in lines) == (name == "drift")
    assert zerosum(tmp_path, "sample", str(run), "--count", "4", "--out", "four.npz").returncode == 0


def test_an_objective_of_twelve_lines_is_listed_and_trains(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = EXAMPLES["exponential.py"]
    assert len([line for line in mine.splitlines() if line]) <= 12
    Path("exponential.py").write_text(mine)
    assert "exponential" in call("ls", "objective", "--use", "exponential.py").stdout
    begun = call(
        *COMMANDS["exponential.py"].split(), *SMALL[:-1], "evaluation=never", "--images", 64, "--out", "run", "--quiet"
    )
    assert begun.exit_code == 0, begun.stderr
    assert "exponential" in Path("run/recipe.toml").read_text()


def test_a_game_of_ones_own_trains_resumes_samples_and_is_judged(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = EXAMPLES["plainvae.py"]
    assert len(mine.splitlines()) <= 80
    Path("plainvae.py").write_text(mine)
    often = ["batch=16", "report=64", "checkpoint=64", "samples=128", "evaluation=128", "evaluator.count=40"]
    begun = call(*COMMANDS["plainvae.py"].split(), *often, "--images", 128, "--out", "run", "--quiet")
    assert begun.exit_code == 0, begun.stderr
    assert call("resume", "run", "--images", 192, "--quiet").exit_code == 0
    assert call("sample", "run", "--count", 4, "--out", "four.npz").exit_code == 0
    assert np.load("four.npz")["images"].shape == (4, 8, 8, 1)
    assert call("doctor", "run").exit_code == 0
    judged = call("evaluate", "run", "--metrics", "fd", "--json")
    assert judged.exit_code == 0, judged.stderr
    lines = Path("run/metrics.jsonl").read_text()
    assert '"encoder.distortion"' in lines
    assert "decoder.rate" in Path("run/report.html").read_text()


def call(*words):
    return CliRunner().invoke(app, list(map(str, words)))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the files of the page that data and judging need."""
    folder = tmp_path_factory.mktemp("extending")
    for file in ("stripes.py", "brightness.py", "thumbnails.py"):
        (folder / file).write_text(EXAMPLES[file])
    return folder


@pytest.mark.parametrize(
    ("file", "log"),
    [
        ("stripes.py", "thumbnails-4"),
        ("brightness.py", '"metric": "brightness"'),
        ("thumbnails.py", '"extractor": "thumbnails-3"'),
    ],
)
def test_data_metrics_and_extractors_of_the_users_train_and_resume(file, log, place, monkeypatch):
    monkeypatch.chdir(place)
    out, more = place / file.removesuffix(".py"), ["--use", "thumbnails.py"] if file == "stripes.py" else []
    small = [*SMALL, "evaluator.count=40", *(["evaluator.extractor=thumbnails"] if more else [])]
    words = ["mlp" if word == "dcgan" else word for word in COMMANDS[file].split()]
    small = [*[word for word in small if "channels" not in word], "generator.widths=16", "discriminator.widths=16"]
    begun = call(*words, *small, *more, "--images", 128, "--out", out, "--quiet")
    assert begun.exit_code == 0, begun.stderr
    assert file.removesuffix(".py") in (out / "recipe.toml").read_text() + (out / "environment.json").read_text()
    resumed = call("resume", out, "--images", 192, "--quiet")
    assert resumed.exit_code == 0, resumed.stderr
    assert log in (out / "evaluations.jsonl").read_text()
    assert '"sliced-wasserstein"' in (out / "evaluations.jsonl").read_text()  # added to, not replaced


def test_a_data_set_of_the_users_is_listed_shown_and_judged_with(place, monkeypatch):
    monkeypatch.chdir(place)
    use = ("--use", "stripes.py", "--use", "brightness.py")
    assert "Grey pictures of stripes" in call("ls", "data", *use).stdout
    assert "count = 1000  # pictures" in call("show", "stripes", *use).stdout
    np.savez(place / "s.npz", images=np.zeros((20, 8, 8), np.uint8))
    judged = call("evaluate", "s.npz", "--data", "stripes:count=100", "-m", "usual+brightness", *use)
    assert judged.exit_code == 0, judged.stderr
    assert "against 100 real ones" in judged.stderr
    assert "sliced-wasserstein" in judged.stdout
    assert "brightness" in judged.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["strips:count=9"], "did you mean 'stripes'"),
        (["stripes:cuont=9"], "data 'stripes' has no field 'cuont'; did you mean 'count'"),
        (["stripes:count=-9"], "data 'stripes': count: -9 must be at least 1"),
    ],
)
def test_a_data_set_of_the_users_is_refused_like_any_part(place, monkeypatch, words, message):
    monkeypatch.chdir(place)
    refused = call("train", *words, "--use", "stripes.py", "--out", "no")
    assert refused.exit_code == 2
    assert message in " ".join(refused.stderr.split())


def test_a_data_set_without_contents_is_refused_where_it_registers():
    with pytest.raises(RecipeError, match=r"data 'hollow': contents is missing: contents\(\) gives"):

        @register("data", "hollow")
        @dataclass(frozen=True)
        class Hollow(DataPart):
            """Has another name for it."""

            def load(self):
                return Contents(array=np.zeros((3, 4, 4)))


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ("np.zeros((9, 4, 4))", "contents() returned ndarray; return zerosum.data.Contents"),
        ("Contents()", "contents() gives neither an array nor files, or both"),
        (
            "Contents(array=np.zeros((3, 4, 4)), labels=np.zeros(2, int), classes=('a',))",
            "3 samples need 3",
        ),
        ("Contents(array=np.zeros((3, 4, 4)), labels=np.arange(3), classes=('a',))", "labels from 0 to 2 and 1 names"),
        ("Contents(array=np.zeros((3, 4, 4)), held_out=np.array([3]))", "held_out must be whole numbers from 0 to 2"),
        ("1 / 0", "failed in "),
    ],
)
def test_what_is_wrong_with_the_contents_is_said(contents, message):
    @dataclass(frozen=True)
    class Mine(DataPart):
        """Mine."""

        def contents(self):
            return eval(contents)

    part = Mine()
    object.__setattr__(part, "name", "mine")
    with pytest.raises(DataError, match=f"data 'mine'.*{re.escape(message)}"):
        part.source(None).contents()


def test_where_an_error_arose_is_said_where_there_is_a_file(monkeypatch):
    with pytest.raises(ZeroDivisionError) as raised:
        1 / 0  # noqa: B018
    error = raised.value
    cls = type("Mine", (), {"__module__": __name__})
    assert re.fullmatch(rf" in {re.escape(__file__)}, line \d+", usercode.origin_of(cls, error))
    monkeypatch.setitem(sys.modules, "console", types.ModuleType("console"))  # as __main__ in a console or a notebook
    cls.__module__ = "console"
    assert usercode.origin_of(cls, error) == ""


def test_an_augmentation_of_the_users_refuses_points_in_its_own_words(tmp_path):
    (tmp_path / "invert.py").write_text(EXAMPLES["invert.py"])
    refused = zerosum(tmp_path, "train", "ring8", "--recipe", "mixture", "augmentations=invert", "--use", "invert.py")
    assert refused.returncode == 2
    assert "augmentation 'invert' needs 'images': points have no negatives; leave augmentations empty" in " ".join(
        refused.stderr.split()
    )
