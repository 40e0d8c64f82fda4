"""Checkpoints: whole or not at all, and damage is noticed."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from zerosum.core import writing
from zerosum.core.errors import RunError, TrainingError
from zerosum.runs.storage import checkpoint, former
from zerosum.runs.storage.directory import RunDirectory
from zerosum.runs.training import saving

TENSORS = {
    "generator.weights": {"a": torch.arange(6.0).view(2, 3).t(), "b": torch.tensor(3)},
    "meter": {"sum": torch.tensor(1.5, dtype=torch.float64)},
    "memory.nothing": {},
}


def test_what_is_saved_is_loaded(tmp_path):
    name = checkpoint.save(tmp_path, 5000, TENSORS, {"seconds": 1.25})
    assert name == "000005000"
    loaded = checkpoint.load(tmp_path / name)
    assert loaded.manifest["seconds"] == 1.25
    assert loaded.tensors.keys() == TENSORS.keys()
    for group, named in TENSORS.items():
        for key, value in named.items():
            assert torch.equal(loaded.tensors[group][key], value)
            assert loaded.tensors[group][key].dtype == value.dtype


def test_no_pickle_is_written(tmp_path):
    name = checkpoint.save(tmp_path, 1, TENSORS, {})
    files = sorted(path.name for path in (tmp_path / name).iterdir())
    assert files == [
        "generator.weights.safetensors",
        "manifest.json",
        "memory.nothing.safetensors",
        "meter.safetensors",
    ]


@pytest.mark.parametrize("file", ["generator.weights.safetensors", "meter.safetensors", "manifest.json"])
def test_any_flipped_byte_is_noticed(tmp_path, file):
    name = checkpoint.save(tmp_path, 1, TENSORS, {"seconds": 1})
    path = tmp_path / name / file
    content = path.read_bytes()
    for place in range(0, len(content), max(1, len(content) // 40)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(checkpoint.DamagedError, match=file):
            checkpoint.load(tmp_path / name)
    path.write_bytes(content)
    checkpoint.load(tmp_path / name)


@pytest.mark.parametrize("file", ["meter.safetensors", "manifest.json"])
def test_a_missing_or_shortened_file_is_noticed(tmp_path, file):
    name = checkpoint.save(tmp_path, 1, TENSORS, {})
    path = tmp_path / name / file
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(checkpoint.DamagedError):
        checkpoint.load(tmp_path / name)
    path.unlink()
    with pytest.raises(checkpoint.DamagedError, match=file):
        checkpoint.load(tmp_path / name)


def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(tmp_path):
    for images in (100, 200, 300):
        checkpoint.save(tmp_path, images, TENSORS, {})
    (tmp_path / "000000300" / "meter.safetensors").write_bytes(b"x")
    said = []
    assert checkpoint.load_latest(tmp_path, said.append).name == "000000200"
    assert said == [
        "checkpoint 000000300 is damaged: meter.safetensors is not what was written (its sha256 differs); "
        "falling back to the one before"
    ]
    for images in (100, 200):
        (tmp_path / f"{images:09d}" / "manifest.json").unlink()
    with pytest.raises(RunError, match="every checkpoint is damaged"):
        checkpoint.load_latest(tmp_path, said.append)


def test_no_checkpoint_is_no_error(tmp_path):
    assert checkpoint.load_latest(tmp_path, print) is None


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    with pytest.raises(TrainingError, match=r"generator: a is not finite, so nothing was saved"):
        checkpoint.save(tmp_path, 1, {"generator.weights": {"a": torch.tensor([1.0, float("nan")])}}, {})
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_checkpoints_before(tmp_path, monkeypatch):
    checkpoint.save(tmp_path, 100, TENSORS, {})
    flush, calls = checkpoint.flush, []

    def full(path, content):
        calls.append(path)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        flush(path, content)

    monkeypatch.setattr(checkpoint, "flush", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(tmp_path, 200, TENSORS, {})
    assert [path.name for path in tmp_path.iterdir()] == ["000000100"]
    checkpoint.load(tmp_path / "000000100")


@pytest.mark.parametrize("step", range(1, 12))
def test_a_process_that_dies_inside_a_write_leaves_the_checkpoint_before(tmp_path, step):
    checkpoint.save(tmp_path, 100, TENSORS, {})
    program = f"""
import os, sys, torch
from zerosum.runs.storage import checkpoint
calls = []
def die_at(real):
    def called(*arguments, **named):
        calls.append(1)
        if len(calls) == {step}:
            os._exit(9)
        return real(*arguments, **named)
    return called
os.fsync = die_at(os.fsync)
os.rename, os.replace = die_at(os.rename), die_at(os.replace)
folder = checkpoint.Path({str(tmp_path)!r})
checkpoint.save(folder, 200, {{"generator.weights": {{"a": torch.ones(3)}}, "meter": {{}}}}, {{}})
checkpoint.prune(folder, 1, None)
"""
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    assert done.returncode in (0, 9)
    newest = checkpoint.load_latest(tmp_path, pytest.fail)
    assert newest.name in ("000000100", "000000200")
    checkpoint.prune(tmp_path, 3, None)
    assert {path.name for path in tmp_path.iterdir()} <= {"000000100", "000000200"}


def test_the_last_and_the_best_stay(tmp_path):
    for images in range(100, 700, 100):
        checkpoint.save(tmp_path, images, {"meter": {}}, {})
    (tmp_path / ".writing-000000900-1").mkdir()
    checkpoint.prune(tmp_path, 2, "000000200")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000200", "000000500", "000000600"]


def test_only_newer_checkpoints_are_dropped_and_only_checkpoints_are_listed(tmp_path):
    for images in (100, 200, 300):
        checkpoint.save(tmp_path, images, {"meter": {}}, {})
    (tmp_path / "000000400").write_text("a file, not a folder")
    (tmp_path / "400").mkdir()
    assert checkpoint.names(tmp_path) == ["000000100", "000000200", "000000300"]
    checkpoint.drop_newer(tmp_path, "000000200")
    assert checkpoint.names(tmp_path) == ["000000100", "000000200"]
    assert (tmp_path / "400").is_dir()


def test_a_small_file_is_the_old_or_the_new_one(tmp_path, monkeypatch):
    path = tmp_path / "latest"
    writing.write_file(path, b"old")

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        writing.write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["latest"]


def test_processes_that_write_the_same_file_do_not_meet(tmp_path, monkeypatch):
    path, flush = tmp_path / "report.html", writing.flush

    def other(aside, content):  # another process comes in between
        flush(aside, content)
        with monkeypatch.context() as patch:
            patch.setattr(writing, "flush", flush)
            patch.setattr(os, "getpid", lambda: -1)
            writing.write_file(path, b"the other's")

    monkeypatch.setattr(writing, "flush", other)
    writing.write_file(path, b"ours")
    assert path.read_bytes() == b"ours"
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]


def test_the_manifest_says_what_each_file_is(tmp_path):
    name = checkpoint.save(tmp_path, 1, TENSORS, {})
    manifest = json.loads((tmp_path / name / "manifest.json").read_text())["manifest"]
    file = Path(tmp_path / name / "meter.safetensors")
    assert manifest["files"]["meter.safetensors"]["bytes"] == file.stat().st_size


def test_names_of_earlier_versions_are_read_as_todays(tmp_path):
    sums = {"report/correct-2": torch.tensor(3.0), "epoch/discriminator": torch.tensor(1.0)}
    counts = {"report/correct-2": 4, "epoch/discriminator": 1}
    name = checkpoint.save(tmp_path, 1, {"ledger": sums}, {"ledger": counts, "seats": {"generator": {"updates": 7}}})
    loaded = checkpoint.load(tmp_path / name)
    assert loaded.tensors == {
        "meter": {"report/pairwise_accuracy-2": sums["report/correct-2"], **dict([*sums.items()][1:])}
    }
    assert loaded.manifest["meter"] == {"report/pairwise_accuracy-2": 4, "epoch/discriminator": 1}
    assert loaded.manifest["players"] == {"generator": {"updates": 7}}
    assert former.report({"images": 5, "correct": 0.5, "corrected": 1}) == {
        "images": 5, "pairwise_accuracy": 0.5, "corrected": 1,
    }  # fmt: skip


def test_what_cannot_be_cleared_away_is_no_checkpoint_and_no_fault(tmp_path, monkeypatch):
    for images in (100, 200, 300):
        checkpoint.save(tmp_path, images, {"meter": {}}, {})

    def busy(*_, **__):
        raise OSError(errno.EBUSY, "Device or resource busy")

    with monkeypatch.context() as patch:  # as on a network disk whose files are still open elsewhere
        patch.setattr(os, "unlink", busy)
        checkpoint.prune(tmp_path, 1, None)
        checkpoint.save(tmp_path, 300, TENSORS, {})
    assert checkpoint.names(tmp_path) == ["000000300"]
    assert checkpoint.load(tmp_path / "000000300").tensors.keys() == TENSORS.keys()
    checkpoint.prune(tmp_path, 1, None)
    assert [path.name for path in tmp_path.iterdir()] == ["000000300"]


def test_the_best_is_that_of_the_metric_that_is_followed(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(saving, "save_model", lambda _path, model: written.append(model))
    scores = [(100, "fd", 3.0), (200, "fd", 2.0), (200, "kid", 9.0), (300, "kid", 1.0), (300, "fd", 5.0)]
    logs = SimpleNamespace(evaluations=[dict(zip(("images", "metric", "value"), one, strict=True)) for one in scores])
    keeper = saving.Keeper(RunDirectory(tmp_path), None, "", logs, lambda: "fd")
    names = [f"{images:09d}" for images in (100, 200, 300)]
    best = [keeper._best(name, lambda name=name: name) for name in names]
    assert best == [names[0], names[1], names[1]]
    assert written == names[:2]
    assert (tmp_path / "best").read_text() == f"{names[1]}\n"
