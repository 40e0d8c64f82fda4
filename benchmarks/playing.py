"""A training that a benchmark begins, or goes on with where it was stopped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import zerosum
from zerosum.runs.storage.run import Run


def play(data: Path, recipe: str, words: Sequence[str], images: str, path: Path) -> Run:
    """Train a recipe, with settings, for so many images in a new run; one that is there goes on to as many."""
    if path.exists():
        return zerosum.resume(path, images=images)
    return zerosum.train(data, recipe, list(words), images=images, out=path)
