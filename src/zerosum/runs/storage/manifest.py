"""The numbers of a checkpoint."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from zerosum.core.errors import DamagedError
from zerosum.core.reading import misfit
from zerosum.core.values import Natural, NonNegative
from zerosum.runs.storage.checkpoint import Checkpoint


class Moves(TypedDict):
    """How far a player came."""

    updates: Natural
    clock: Natural


class Manifest(TypedDict):
    """Numbers of a checkpoint, without which a training cannot go on."""

    recipe: str
    data: str
    clock: Natural
    seconds: NonNegative
    attempt: NotRequired[Natural]
    logs: dict[str, Natural]
    players: dict[str, Moves]
    meter: dict[str, Natural]


def check_manifest(saved: Checkpoint) -> None:
    """Hold the numbers of a checkpoint against what a training writes.

    Raises:
        DamagedError: they are something else.
    """
    if fault := misfit(saved.manifest, Manifest):
        raise DamagedError(f"checkpoint {saved.name}: its manifest is of another shape: {fault}")
