"""What is left of a run where a file of it is damaged: which others are whole, and the ways to go on with them."""

from __future__ import annotations

import shlex
import warnings
from pathlib import Path

from zerosum.core.errors import DamagedError, ZerosumWarning
from zerosum.runs.storage import checkpoint, legacy, model
from zerosum.runs.storage.place import is_run


def is_whole(file: Path) -> bool:
    """True for a model file that can be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ZerosumWarning)  # one of an earlier version has no checksum
            model.read(file)
    except DamagedError:
        return False
    return True


def beside(file: Path) -> str:
    """What helps where a model file is damaged, to go on a sentence; empty where it lies in no run, or nothing."""
    run = file.parent
    if not is_run(run):
        return ""
    files = [run / name for name in ("model.safetensors", legacy.NAME, "best.safetensors") if name != file.name]
    ways = [f"{other} is whole" for other in files if is_whole(other)]
    if file.name in ("model.safetensors", legacy.NAME) and _has_checkpoint(run / "checkpoints"):
        ways.append(f"`{shlex.join(['zerosum', 'resume', str(run)])}` writes it again")
    return "".join(f"; {way}" for way in ways)


def _has_checkpoint(folder: Path) -> bool:
    """True where the newest or an older checkpoint is whole."""
    return any(_can_be_loaded(folder / name) for name in reversed(checkpoint.names(folder)))


def _can_be_loaded(folder: Path) -> bool:
    try:
        checkpoint.load(folder)
    except DamagedError:
        return False
    return True
