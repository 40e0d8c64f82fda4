"""What a place is that is no run, in words, and what to do with it."""

from __future__ import annotations

import os
import shlex
from itertools import islice
from pathlib import Path

from zerosum.core.console import named
from zerosum.data.layout import is_image

MOST = 1_000  # files and folders that are looked at
NAMED = 3  # runs that are named


def is_run(path: Path) -> bool:
    """True for a directory that a training wrote."""
    return (path / "recipe.toml").is_file()


def resume_command(path: Path, *words: str) -> str:
    """The command that goes on with a run, as a shell takes it."""
    return shlex.join(["zerosum", "resume", str(path), *words])


def no_run(path: Path) -> str:
    """What a place is that is no run directory, and the command or the name that helps."""
    if not path.exists():
        return f"there is nothing; {_train('--out', path)} makes one"
    if not path.is_dir():
        return "it is a file"
    _, folders, files = next(os.walk(path), ("", ["?"], []))  # of one that may not be read
    if not folders and not files:
        return f"it is empty; {_train('--out', path)} makes one"
    if runs := sorted(name for name in folders[:MOST] if is_run(path / name)):
        more = f" and {len(runs) - NAMED} more" if len(runs) > NAMED else ""
        return f"it is a folder of runs; name one: {', '.join(named(path / name) for name in runs[:NAMED])}{more}"
    if _holds_images(path):
        return f"it is a folder of images; {_train(path)} trains on it"
    return "it has no recipe.toml"


def _train(*words: str | Path) -> str:
    return f"`{shlex.join(['zerosum', 'train', *map(str, words)])}`"


def _holds_images(folder: Path) -> bool:
    names = (name for _, _, files in os.walk(folder) for name in files)
    return any(map(is_image, islice(names, MOST)))
