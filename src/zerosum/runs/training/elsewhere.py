"""A run that goes on elsewhere: on another device, with other threads, with its data in another place.

What the machine decides is kept where it can be, so that results stay bit for bit those of an uninterrupted run. Where
it cannot, the run goes on all the same; it is said, and `environment.json` lists it under `continuations`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any

import torch

from zerosum.core.errors import DataError, RunError
from zerosum.recipes import Recipe
from zerosum.runs.storage.environment import choose_device, computes_in_bf16, describe, use_threads
from zerosum.runs.storage.machine import cores
from zerosum.runs.training.launching import ALONE, Place

EXACT = (
    *("device", "accelerator", "processor", "instructions", "threads", "precision", "deterministic"),
    *("ranks", "torch", "zerosum"),
)
Say = Callable[[str], None]


def gone(error: DataError, source: str, *command: str) -> DataError:
    """The error of data that are not where they were, with the command that names another place."""
    return DataError(f"{error}\nThis run was trained on {source}; if the data were moved: {shlex.join(command)}")


def here(
    before: dict[str, Any],
    recipe: Recipe,
    say: Say,
    where: Place = ALONE,
    *,
    device: str | None = None,
    threads: int | None = None,
) -> dict[str, Any]:
    """What a run's `environment.json` says of this machine, where it goes on; sets the threads.

    Args:
        before: what it said so far.
        recipe: the run's.
        say: hears what could not be kept.
        where: which rank this is, and of how many.
        device: in place of the run's own.
        threads: in place of the run's own.

    Raises:
        RunError: a device was asked for that this machine does not have.
    """
    place = _device(str(before["device"]), say) if device is None else choose_device(device)
    place = where.device(place, named=device is not None)
    if threads is None and where.world == before.get("ranks", 1):
        threads = _threads(int(before["threads"]), say)
    use_threads(threads, say, ranks=where.sharing)
    now = describe(place, _precision(str(before["precision"]), recipe, place, say))
    return {**before, **now, "ranks": where.world}


def _device(requested: str, say: Say) -> torch.device:
    try:
        return choose_device(requested)
    except RunError:
        device = choose_device("auto")
        say(f"this run was on {requested}, which is not available here; it continues on {device}")
        return device


def _threads(requested: int, say: Say) -> int:
    if requested <= cores():
        return requested
    fitting = min(torch.get_num_threads(), cores())
    say(f"this run had {requested} threads, and there are {cores()} cores here; it continues with {fitting}")
    return fitting


def _precision(requested: str, recipe: Recipe, device: torch.device, say: Say) -> str:
    """Keep the precision, unless it was chosen for another machine and is none of this one."""
    if requested != "bf16" or recipe.precision == "bf16" or computes_in_bf16(device):
        return requested
    say(f"this run used bf16, which {device} does not support; it continues in fp32")
    return "fp32"


def changes(before: dict[str, Any], now: dict[str, Any]) -> dict[str, list[Any]]:
    """What differs of all that results depend on, bit for bit: old and new value by name."""
    before = {"ranks": 1, **before}  # of an older zerosum
    return {
        name: [before[name], now[name]] for name in EXACT if name in before and before[name] != now.get(name)
    }  # an older zerosum wrote fewer


def note(before: dict[str, Any], now: dict[str, Any], images: int, say: Say) -> dict[str, Any]:
    """The environment with this continuation in its list, where anything changed that results or data depend on."""
    changed = changes(before, now)
    origins = [str(one["data"]["source"]) for one in (before, now)]
    moved = {"data": origins} if origins[0] != origins[1] else {}
    if changed:
        words = ", ".join(f"{name} {old} -> {new}" for name, (old, new) in changed.items())
        say(f"from here on results differ in some bits from those of an uninterrupted run: {words}")
    if not changed and not moved:
        return now
    line = {"images": images, "bit_exact": not changed, "changed": {**changed, **moved}}
    return {**now, "continuations": [*before.get("continuations", []), line]}
