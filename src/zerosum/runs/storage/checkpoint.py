"""Checkpoints: safetensors and a manifest, written aside, flushed to disk, renamed; what is damaged is noticed.

A checkpoint either exists whole or not at all: a process killed at any instant leaves the previous one untouched.
No pickle is written or read here.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from zerosum.core.errors import DamagedError, TrainingError, shown
from zerosum.core.reading import misfit, parse_json, read_bytes
from zerosum.core.writing import flush, flush_folder
from zerosum.runs.storage import former

Groups = dict[str, dict[str, Tensor]]
NAME = r"[0-9]{9,18}"  # images, with zeros before them


class File(TypedDict):
    """A file of a checkpoint, in its manifest."""

    bytes: int
    sha256: str


class Contents(TypedDict):
    """What every manifest has."""

    files: dict[str, File]


class Sealed(TypedDict):
    """A manifest, and its checksum."""

    sha256: str
    manifest: dict[str, Any]


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds: tensors by group, and a manifest of plain values."""

    name: str
    tensors: Groups
    manifest: dict[str, Any]


def save(folder: Path, images: int, tensors: Groups, manifest: dict[str, Any]) -> str:
    """Write a checkpoint below `folder` and name it by the clock; return its name.

    Raises:
        TrainingError: a weight is not finite, so that the last good checkpoint stays the latest.
        OSError: the disk is full or read-only; nothing is left behind.
    """
    _refuse_not_finite(tensors)
    name = f"{images:09d}"
    aside = folder / f".writing-{name}-{os.getpid()}"
    aside.mkdir(parents=True)
    try:
        files = {}
        for group, named in tensors.items():
            content = save_tensors({key: value.detach().cpu().contiguous() for key, value in named.items()})
            flush(aside / f"{group}.safetensors", content)
            files[f"{group}.safetensors"] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        manifest = {**manifest, "files": files}
        flush(aside / "manifest.json", _sealed(manifest))
        flush_folder(aside)
        _remove(folder / name)
        aside.rename(folder / name)
        flush_folder(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return name


def _refuse_not_finite(tensors: Groups) -> None:
    for group, named in tensors.items():
        for key, value in named.items():
            if (
                group.endswith((".weights", ".average"))
                and value.is_floating_point()
                and not torch.isfinite(value).all()
            ):
                raise TrainingError(
                    f"{group.partition('.')[0]}: {key} is not finite, so nothing was saved; the last good checkpoint "
                    "stays. Lower the learning rate, or add a regularizer such as r1"
                )


def _sealed(manifest: dict[str, Any]) -> bytes:
    text = json.dumps(manifest, sort_keys=True, indent=1)
    return json.dumps(
        {"sha256": hashlib.sha256(text.encode()).hexdigest(), "manifest": manifest}, sort_keys=True, indent=1
    ).encode()


def _unsealed(content: bytes) -> dict[str, Any]:
    try:
        sealed = parse_json(content, Sealed)
        text = json.dumps(sealed["manifest"], sort_keys=True, indent=1)
    except DamagedError as error:
        raise DamagedError(f"manifest.json is damaged: {error}") from error
    if hashlib.sha256(text.encode()).hexdigest() != sealed["sha256"]:
        raise DamagedError("manifest.json is damaged (its sha256 differs)")
    if fault := misfit(sealed["manifest"], Contents):
        raise DamagedError(f"manifest.json is of another shape: {fault}")
    return sealed["manifest"]


def load(folder: Path) -> Checkpoint:
    """Read a checkpoint and hold every byte against its manifest.

    Raises:
        DamagedError: a file is missing or differs.
    """
    try:
        manifest = _unsealed(read_bytes(folder / "manifest.json"))
        tensors = {}
        for file, expected in manifest["files"].items():
            if Path(file).name != file:
                raise DamagedError(f"manifest.json names {shown(file)}, which is not a file of a checkpoint")
            content = (folder / file).read_bytes()
            if len(content) != expected["bytes"] or hashlib.sha256(content).hexdigest() != expected["sha256"]:
                raise DamagedError(f"{file} is not what was written (its sha256 differs)")
            tensors[file.removesuffix(".safetensors")] = load_tensors(content)
    except SafetensorError as error:
        raise DamagedError(f"{file} is not a file of tensors: {error}") from error
    except OSError as error:
        raise DamagedError(f"{Path(error.filename or folder).name} cannot be read: {error.strerror}") from error
    return Checkpoint(folder.name, former.tensors(tensors), former.manifest(manifest))


def names(folder: Path) -> list[str]:
    """Names of all complete checkpoints, oldest first."""
    return sorted(path.name for path in folder.glob("[0-9]*") if re.fullmatch(NAME, path.name) and path.is_dir())


def load_latest(folder: Path, warn: Callable[[str], None]) -> Checkpoint | None:
    """Read the newest checkpoint that is whole; damaged ones are named to `warn`. None if there is none at all.

    Raises:
        DamagedError: there are checkpoints, and all are damaged.
    """
    saved = names(folder)
    for name in reversed(saved):
        try:
            return load(folder / name)
        except DamagedError as error:
            warn(f"checkpoint {name} is damaged: {error}; falling back to the one before")
    if saved:
        raise DamagedError(f"{folder}: every checkpoint is damaged ({', '.join(saved)})")
    return None


def prune(folder: Path, keep: int, best: str | None) -> None:
    """Remove all but the last `keep` checkpoints and the best, and what killed processes left behind."""
    for name in names(folder)[:-keep]:
        if name != best:
            _remove(folder / name)
    for left in folder.glob(".writing-*"):
        shutil.rmtree(left, ignore_errors=True)
    for left in folder.glob(".removing-*"):
        shutil.rmtree(left, ignore_errors=True)


def drop_newer(folder: Path, name: str) -> None:
    """Remove the damaged checkpoints that come after the one a run goes on from."""
    for newer in names(folder):
        if newer > name:
            _remove(folder / newer)


def _remove(folder: Path) -> None:
    if folder.exists():  # renamed first: a half-removed checkpoint must not look like a damaged one
        aside = folder.with_name(f".removing-{folder.name}-{os.getpid()}")
        folder.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)
