"""Code that comes with a run is run by nobody, unless the user says so."""

import hashlib
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import zerosum
from zerosum.cli.main import app
from zerosum.core import registry, usercode
from zerosum.core.errors import RecipeError, RunError, ZerosumWarning
from zerosum.runs import health
from zerosum.runs.storage import code
from zerosum.runs.storage.saved import load_model

STRANGE = """
from dataclasses import dataclass
from typing import ClassVar
from zerosum import Part, register
import pathlib
pathlib.Path({marker!r}).write_text("ran")

@register("objective", {name!r})
@dataclass(frozen=True)
class Strange(Part):
    pairs: ClassVar[bool] = False
    def discriminator(self, real, fake): return (-real).exp().mean() + fake.exp().mean()
    def generator(self, fake, real=None): return (-fake).exp().mean()
"""
WORDS = [
    "evaluator.count=40",
    "evaluator.metrics=sliced-wasserstein",
    "batch=16",
    "generator.channels=4",
    "discriminator.channels=4",
    "report=32",
    "samples=64",
    "evaluation=never",
]


def call(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments])


def forget(monkeypatch, name, digest):
    """As if the file had never been seen: no part of it, and no record of having written it."""
    monkeypatch.delitem(registry._registry["objective"], name, raising=False)
    usercode._used.discard(digest)
    (code._records() / digest).unlink(missing_ok=True)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run whose objective is that of a file, as its owner has it."""
    folder = tmp_path_factory.mktemp("strange")
    marker, name = folder / "marker", "strange-one"
    (folder / "x.py").write_text(STRANGE.format(marker=str(marker), name=name))
    words = [*WORDS, f"objective={name}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZEROSUM_CACHE", str(folder / "cache"))
        zerosum.train("digits", "dcgan", words, images=64, out=folder / "run", use=[folder / "x.py"], quiet=True)
        digest = hashlib.sha256((folder / "x.py").read_bytes()).hexdigest()
        assert (folder / "cache" / "code" / digest).is_file()  # the owner's record
    return folder / "run", folder / "x.py", marker, name, digest


@pytest.fixture
def stranger(trained, monkeypatch, tmp_path):
    """The same run on a machine that has never seen it."""
    run, file, marker, name, digest = trained
    forget(monkeypatch, name, digest)
    marker.unlink(missing_ok=True)
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    yield copy, file, marker, digest
    forget(monkeypatch, name, digest)


def commands(run, out):
    """Every command that takes a run, and whether it needs the code; "told": it says that there is some."""
    yield "told", ["sample", run, "--count", 4, "--out", out / "s.npz"]
    yield "told", ["sample", run / "model.safetensors", "--count", 4, "--out", out / "t.npz"]
    yield "told", ["evaluate", run, "--count", 40, "--metrics", "sliced-wasserstein", "--quiet"]
    yield True, ["resume", run, "--quiet"]
    yield True, ["train", "digits", "--recipe", run / "recipe.toml", "--out", out / "new", "--quiet"]
    yield True, ["train", "--from", run, "--images", 32, "--out", out / "taken", "--quiet"]
    yield True, ["train", "--from", run / "model.safetensors", "--images", 32, "--out", out / "taken", "--quiet"]
    yield True, ["show", run]
    yield False, ["report", run]
    yield False, ["doctor", run]
    yield False, ["doctor", run, "--json"]
    yield False, ["compare", run]
    yield False, ["compare", run, "--html", out / "c.html"]


def test_no_command_runs_what_came_with_a_run(stranger, tmp_path):
    run, _, marker, digest = stranger
    for needed, arguments in commands(run, tmp_path):
        done = call(*arguments)
        assert not marker.exists(), arguments
        assert done.exit_code == (2 if needed is True else 0), (arguments, done.stderr)
        assert "Traceback" not in done.stderr
        if needed is True:
            assert "there is no objective 'strange-one'" in done.stderr or arguments[0] == "resume"
        if needed and "--recipe" not in arguments:
            for words in ("x.py", f"sha256 {digest}", "--trust", "--use FILE", "trust=True"):
                assert words in done.stderr, arguments


def test_python_runs_nothing_either(stranger):
    run, _, marker, _ = stranger
    with pytest.raises(RecipeError, match=r"trust=True"):
        _ = zerosum.Run(run).recipe
    with pytest.warns(ZerosumWarning, match=r"trust=True"):
        model = zerosum.Run(run).model  # whose networks do without
    assert model.sample(3).shape == (3, 1, 8, 8)
    with pytest.raises(RunError, match="a training cannot go on without the code that it began with"):
        zerosum.resume(run, quiet=True)
    assert [finding.name for finding in health.diagnose(run)] == []
    assert not marker.exists()
    assert zerosum.Run(run, trust=True).recipe.game.objective.name == "strange-one"
    assert marker.exists()


@pytest.mark.parametrize("place", [2, 3, 5, 6, 7])  # evaluate, resume, train --from, show; `sample` below
def test_with_trust_it_runs(stranger, tmp_path, place):
    run, _, marker, _ = stranger
    _, arguments = list(commands(run, tmp_path))[place]
    done = call(*arguments, "--trust")
    assert done.exit_code == 0, done.stderr
    assert marker.exists()


def test_a_run_is_taken_over_with_its_code(stranger, tmp_path, monkeypatch):
    run, file, marker, digest = stranger
    words = ["train", "--from", run, "--images", 32, "--out", tmp_path / "new", "--quiet"]
    done = call(*words, "--trust", "--use", file)
    assert done.exit_code == 0, done.stderr
    assert [path.name for path in (tmp_path / "new" / "code").iterdir()] == ["x.py"]  # of two that are equal
    marker.unlink()
    monkeypatch.delitem(registry._registry["objective"], "strange-one")
    usercode._used.discard(digest)  # as in another process, which has the record that the file was copied here
    done = call("resume", tmp_path / "new", "--images", 48, "--quiet")
    assert done.exit_code == 0, done.stderr
    assert marker.exists()


def test_trust_needs_a_run_that_is_trusted(tmp_path):
    done = call("train", "digits", "--trust", "--out", tmp_path / "new")
    assert done.exit_code == 2
    assert "allows the Python files of the run that --from names; there is no --from" in done.stderr


def test_naming_the_same_file_allows_its_copy(stranger, tmp_path):
    run, file, marker, _ = stranger
    other = tmp_path / "other.py"
    other.write_text("x = 1")
    assert call("show", run, "--use", other).exit_code == 2
    assert not marker.exists()
    assert call("sample", run, "--use", file, "--out", tmp_path / "s.npz").exit_code == 0
    assert marker.exists()


def test_a_file_edited_since_replaces_the_copy_but_no_training_goes_on_with_it(stranger, tmp_path):
    run, file, _, digest = stranger
    code._record(digest)
    edited, ran = tmp_path / "x.py", tmp_path / "edited"
    edited.write_text(f"{file.read_text()}\nopen({str(ran)!r}, 'w').close()\n")
    refused = call("resume", run, "--use", edited)
    assert refused.exit_code == 2
    for words in (f"began with another x.py, which it keeps in {run}/code/x.py", f"train --from {run} --use {edited}"):
        assert words in refused.stderr
    registry._registry["objective"].pop("strange-one")  # the command above had loaded it, as another process has not
    usercode._used.discard(hashlib.sha256(edited.read_bytes()).hexdigest())
    ran.unlink()
    done = call("sample", run, "--use", edited, "--out", tmp_path / "s.npz")
    assert done.exit_code == 0, done.stderr
    assert ran.exists()
    assert "x.py is left alone: another x.py was named with --use" in done.stderr
    new = tmp_path / "new"
    done = call("train", "--from", run, "--use", edited, "--images", 32, "--out", new, "--quiet")
    assert done.exit_code == 0, done.stderr
    assert [path.read_text() for path in code.files(new)] == [edited.read_text()]


def test_a_machine_that_wrote_the_file_needs_no_word(stranger, tmp_path):
    run, _, marker, digest = stranger
    code._record(digest)
    assert call("sample", run, "--out", tmp_path / "s.npz").exit_code == 0
    assert marker.exists()
    (run / "code" / "x.py").write_text(f"open({str(tmp_path / 'evil')!r}, 'w')")  # changed since
    with pytest.warns(ZerosumWarning, match="were not run"):
        load_model(run / "model.safetensors")
    assert not (tmp_path / "evil").exists()


def test_a_record_is_only_ones_own(stranger, tmp_path):
    """A link in a shared cache, or a record inside the run, is none."""
    run, _, marker, digest = stranger
    code._records().mkdir(parents=True, exist_ok=True)
    (code._records() / digest).symlink_to("/dev/null")
    (run / "code" / digest).touch()
    assert call("show", run).exit_code == 2
    assert not marker.exists()


def test_files_of_one_name_stay_two(tmp_path):
    for folder, text in (("a", "x = 1"), ("b", "x = 2")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(text)
    code.keep(tmp_path, [tmp_path / "a" / "mine.py", tmp_path / "b" / "mine.py"])
    assert {path.name: path.read_text() for path in code.files(tmp_path)} == {"mine.py": "x = 1", "mine-2.py": "x = 2"}


def test_a_part_that_is_not_loaded_is_shown_by_its_text(stranger):
    run, _, _, _ = stranger
    history = health.read_history(run)
    assert str(history.recipe.game.objective) == "strange-one"
    assert type(history.recipe.game.objective) is registry.Unloaded


def test_pickles_are_read_by_restricted_readers_alone():
    """As docs/safety.md says: CIFAR-10's by a reader of our own, PyTorch's by `weights_only`; none is written."""
    sources = {path.name: path.read_text(encoding="utf-8") for path in Path(zerosum.__file__).parent.rglob("*.py")}
    assert [name for name, source in sources.items() if re.search(r"^(import|from) pickle\b", source, re.M)] == [
        "cifar.py"
    ]
    assert not re.search(r"pickle\.(loads?|dumps?|Pickler)\b", sources["cifar.py"])
    assert not [name for name, source in sources.items() if re.search(r"torch\.save\(|allow_pickle=True", source)]
    loads = [
        line
        for source in sources.values()
        for line in source.splitlines()
        if re.search(r"(?<!\.)\btorch\.load\(", line)
    ]
    assert len(loads) >= 3
    assert not [line for line in loads if "weights_only=True" not in line]


def test_a_model_file_of_arrays_with_objects_is_refused(tmp_path, stranger):
    """Latents are read without pickle."""
    run, file, _, _ = stranger
    usercode.use(file)
    np.savez(tmp_path / "l.npz", latents=np.array([{"a": 1}], dtype=object))
    done = call("sample", run, "--latents", tmp_path / "l.npz", "--out", tmp_path / "s.npz")
    assert done.exit_code == 2
    assert "is not an .npz of latents" in done.stderr
