"""Damage in a run directory: a sentence about it, and what can be done without it is done."""

import json
import os
import shutil
from typing import TypedDict

import pytest
from typer.testing import CliRunner

import zerosum
from benchmarks.surfaces.runs import WORDS
from zerosum.cli.main import app
from zerosum.core import reading
from zerosum.core.errors import DamagedError, ZerosumWarning
from zerosum.core.values import Count
from zerosum.core.writing import write_file


def call(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return zerosum.train(
        "digits", "dcgan", WORDS, images=64, out=tmp_path_factory.mktemp("damage") / "run", threads=1, quiet=True
    ).path


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def outcome(command, run, folder):
    arguments = {
        "sample": ["sample", run, "--count", 2, "--out", folder / "s.npz"],
        "resume": ["resume", run, "--quiet", "--threads", 1],
        "evaluate": ["evaluate", run, "--count", 20, "--metrics", "sliced-wasserstein", "--quiet", "--threads", 1],
    }
    done = call(*arguments.get(command, [command, run]))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def write(content):
    return lambda path: path.write_bytes(content)


def folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("file", "spoil", "works", "stops"),
    [
        ("best", write(b"\xff\xfe"), "sample doctor report compare resume", ""),
        ("latest", write(b"\x00"), "sample doctor compare", ""),
        ("best.safetensors", write(b""), "sample evaluate", ""),
        ("environment.json", write(b"{"), "sample doctor report", "compare resume"),
        ("environment.json", folder, "sample doctor", "compare"),
        ("recipe.toml", write(b"\xff"), "sample doctor report", "compare resume"),
        ("recipe.toml", write(b"batch = ["), "sample doctor", "resume"),
        ("metrics.jsonl", write(b"[1]\n3\nnull\n"), "doctor report compare resume", ""),
        ("metrics.jsonl", write(b'{"images": "x"}\n'), "doctor compare", ""),
        ("evaluations.jsonl", write(b"\xff\xff\n{}\n"), "doctor report compare", ""),
        ("model.safetensors", write(b"x" * 20), "doctor report", "sample evaluate"),
    ],
)
def test_what_is_damaged_stops_only_what_needs_it(run, tmp_path, file, spoil, works, stops):
    spoil(run / file)
    for command in works.split():
        done = outcome(command, run, tmp_path)
        assert done.exit_code == 0, (command, done.stderr)
    for command in stops.split():
        done = outcome(command, run, tmp_path)
        assert done.exit_code == 2, command
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert file in line


def test_a_damaged_line_is_left_out_and_said(run):
    lines = (run / "metrics.jsonl").read_text().splitlines()
    (run / "metrics.jsonl").write_text("\n".join([lines[0], '{"images": -3}', '{"seconds": 1}', *lines[1:]]) + "\n")
    with pytest.warns(ZerosumWarning, match=r"metrics\.jsonl: 2 of \d lines are damaged, and left out"):
        assert [json.dumps(line) for line in zerosum.Run(run).metrics] == lines
    done = outcome("doctor", run, run)
    assert "careful: metrics.jsonl: 2 of" in done.stderr


def test_a_line_that_was_cut_off_is_no_fault(run):
    before = zerosum.Run(run).metrics
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"images": 3')
    assert zerosum.Run(run).metrics == before


def test_a_run_whose_checkpoints_are_gone_is_not_begun_anew(run, tmp_path):
    shutil.rmtree(run / "checkpoints")
    logs = (run / "metrics.jsonl").read_bytes()
    done = outcome("resume", run, tmp_path)
    assert done.exit_code == 2
    assert "its checkpoints are gone" in done.stderr
    assert (run / "metrics.jsonl").read_bytes() == logs


def cut(run, *names):
    for name in names:
        for file in run.glob(name):
            file.write_bytes(file.read_bytes()[:40])


def test_what_a_damaged_generator_leaves_is_said(run, tmp_path):
    def said():
        text = outcome("sample", run, tmp_path).stderr.split("error: ")[1]
        return [part for part in text.strip().split("; ") if "is damaged" not in part]

    best, again = f"{run}/best.safetensors is whole", f"`zerosum resume {run}` writes it again"
    cut(run, "model.safetensors")
    assert said() == [best, again]
    cut(run, "best.safetensors")
    assert said() == [again]
    cut(run, "checkpoints/*/manifest.json")
    assert said() == []


def test_a_damaged_generator_is_written_again_from_the_checkpoint(run, tmp_path):
    before = (run / "model.safetensors").read_bytes()
    cut(run, "model.safetensors")
    text = f"{run}/model.safetensors was missing or damaged; it is written again from checkpoint 000000064"
    done = outcome("resume", run, tmp_path)
    assert (done.exit_code, text in done.stderr) == (0, True), done.stderr
    assert (run / "model.safetensors").read_bytes() == before
    assert "written again" not in outcome("resume", run, tmp_path).stderr


def test_what_damaged_checkpoints_leave_is_said(run, tmp_path):
    def said():
        return outcome("resume", run, tmp_path).stderr.strip().partition("every checkpoint is damaged ")[2]

    cut(run, "checkpoints/*/manifest.json")
    for name in ("model", "best"):
        file = f"{run}/{name}.safetensors"
        way = f"{file} can still make samples, or start a new run with its weights: zerosum train --from {file}"
        assert said().endswith(f"); {way}")
        cut(run, f"{name}.safetensors")
    assert said().endswith("); start the training again")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[" * 100 + "]" * 100, "nested too deeply"),
        ("[" * 100_000, "not JSON (nested too deeply)"),
        ('{"data": {"train": 0}, "threads": 1}', "data.train: 0 must be at least 1"),
        ('{"data": {"train": 3}}', "threads is missing"),
        ('{"data": {"train": true}, "threads": 1}', "data.train: True is not a whole number"),
        ('{"data": [], "threads": 1}', "data: [] is not a table"),
        ('{"threads": 1e400}', "data is missing"),
        ("9" * 5000, "not JSON (Exceeds the limit"),
        ("9" * 50, "a whole number is beyond 9,007,199,254,740,992"),
    ],
)
def test_a_shape_is_declared_and_held(text, fault):
    class Data(TypedDict):
        train: Count

    class Shape(TypedDict):
        data: Data
        threads: int

    with pytest.raises(DamagedError) as raised:
        reading.parse_json(text, Shape)
    assert fault in str(raised.value)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("place", ["/dev/zero", "/dev", "nowhere"])
def test_what_is_no_file_is_not_read(place, tmp_path):
    with pytest.raises(DamagedError, match=r"is (missing|not a regular file)"):
        reading.read_text(tmp_path / place)


def content(folder):
    """Every file below a folder, and what it holds."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}


@pytest.mark.parametrize("place", ["metrics.jsonl", "evaluations.jsonl", "loss.txt", "best", ".holder", ".lock"])
def test_a_link_in_the_place_of_a_file_is_never_written_through(run, tmp_path, place):
    victim = tmp_path / "victim"
    victim.write_text("mine\n")
    (run / place).unlink(missing_ok=True)
    (run / place).symlink_to(victim)
    before = content(run)
    done = call("resume", run, "--images", 128, "--quiet")
    assert done.exit_code == 2
    assert f"{place} is a link to " in done.stderr
    assert "nothing was changed" in done.stderr
    assert victim.read_text() == "mine\n"
    assert content(run) == before


@pytest.mark.parametrize("place", ["samples", "checkpoints"])
def test_a_link_in_the_place_of_a_folder_is_never_written_into(run, tmp_path, place):
    theirs = shutil.copytree(run / place, tmp_path / "theirs")
    (theirs / "000009999.png").write_text("mine")
    shutil.rmtree(run / place)
    (run / place).symlink_to(theirs)
    before = content(tmp_path)
    done = call("resume", run, "--images", 128, "--quiet")
    assert done.exit_code == 2
    assert f"{place} is a link to " in done.stderr
    assert content(tmp_path) == before


def test_pipes_and_folders_in_the_place_of_files_are_named_together(run):
    (run / "loss.txt").unlink()
    os.mkfifo(run / "loss.txt")
    folder(run / "metrics.jsonl")
    done = call("resume", run, "--images", 128, "--quiet")
    assert done.exit_code == 2
    assert "metrics.jsonl is a folder, loss.txt is a pipe" in done.stderr


def test_a_report_is_written_only_where_there_is_a_file_or_nothing(run, tmp_path):
    (run / "report.html").unlink()
    (run / "report.html").symlink_to(tmp_path / "page")
    done = call("report", run)
    assert done.exit_code == 2
    assert "report.html is a link to " in done.stderr
    assert (run / "report.html").is_symlink()


def test_a_lock_that_is_a_link_is_not_opened(run, tmp_path):
    (tmp_path / "victim").write_text("mine")
    (run / ".lock").unlink(missing_ok=True)
    (run / ".lock").symlink_to(tmp_path / "victim")
    assert call("report", run).exit_code == 0
    assert (tmp_path / "victim").read_text() == "mine"


def test_a_picture_of_the_users_survives_resume(run):
    (run / "samples" / "000009999.png").write_text("mine")
    shutil.copy(run / "samples" / "real.png", run / "samples" / "000000999.png")  # as if drawn after the checkpoint
    assert call("resume", run, "--images", 64, "--quiet", "--threads", 1).exit_code == 0
    assert (run / "samples" / "000009999.png").read_text() == "mine"
    assert not (run / "samples" / "000000999.png").exists()


def test_a_small_file_is_not_written_through_a_link_beside_it(tmp_path):
    (tmp_path / "victim").write_text("mine")
    (tmp_path / f".best.{os.getpid()}.new").symlink_to(tmp_path / "victim")
    write_file(tmp_path / "best", b"name")
    assert (tmp_path / "best").read_bytes() == b"name"
    assert (tmp_path / "victim").read_text() == "mine"
