"""What a training will take on this machine: which precision, how much memory, how long; said before it begins."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import torch

from zerosum.core import settings
from zerosum.core.compatibility import blaming
from zerosum.core.download import cache_folder
from zerosum.core.engine import Engine
from zerosum.core.errors import RecipeError
from zerosum.core.signals import Signals
from zerosum.core.writing import remember
from zerosum.data import Feed
from zerosum.recipes import Recipe
from zerosum.runs.storage import machine
from zerosum.runs.storage.environment import computes_in_bf16, describe
from zerosum.runs.training.launching import ALONE, Place
from zerosum.runs.training.moments import clock
from zerosum.runs.training.rehearsal import Measured, Rehearsal

LAYOUT = 1  # raise it when rehearsals measure otherwise, and what was remembered is left alone
FACTS = ("zerosum", "torch", "processor", "instructions", "threads", "device", "accelerator", "deterministic")
TOO_MUCH, NEAR = 1.1, 0.85  # of the free memory: refused, warned of
USUAL = 2  # times what one pass of each network keeps: what a turn takes
GIB = 1 << 30
Say = Callable[[str], None]


def candidates(recipe: Recipe, signals: Signals, device: torch.device) -> tuple[str, ...]:
    """Precisions that a recipe may train in.

    Points stay in fp32: small layers gain nothing, and near 2 the numbers of bf16 are 1/64 apart, as wide as a mode.
    """
    if recipe.precision != "auto":
        return (recipe.precision,)
    points = any(signal.kind == "points" for signal in signals.values())
    return ("fp32",) if points or not computes_in_bf16(device) else ("fp32", "bf16")


def rehearse(
    recipe: Recipe,
    signals: Signals,
    feed: Feed,
    total: int | None,
    say: Say,
    among: tuple[str, ...] | None = None,
    where: Place = ALONE,
) -> Measured:
    """Prove that a recipe runs, and measure it, or remember what was measured.

    Args:
        recipe: what is to be trained.
        signals: of its data.
        feed: of its data; its batch is changed.
        total: images of the whole training; None where it is measured in time.
        say: hears where memory will be short.
        among: precisions to choose from, in place of all that the recipe may have.
        where: which rank this is, and of how many: a turn has its part of a batch.

    Raises:
        RecipeError: a turn fails, or the training would not fit into memory; with the setting that fits.
    """
    among = among or candidates(recipe, signals, feed.device)
    free = machine.free(feed.device)
    engine = Engine(recipe.game, signals, total=total, device=feed.device, precision=among[0])
    share = recipe.replace(batch=recipe.batch // where.world)
    rehearsal = Rehearsal(engine, feed, share.batch)
    place = None if has_own_parts(recipe.game) else _place(share, signals, feed.device, among)
    measured = None if place is None else recall(place)
    if measured is None:
        with blaming(recipe.game):
            measured = rehearsal.run(among)
        if place is not None and not measured.busy and not measured.refused:  # what failed may succeed another time
            remember(place, json.dumps(asdict(measured)).encode())
    else:
        rehearsal.prove(measured.precision)
        measured = replace(measured, compared=f"{measured.compared}, remembered")
    measured = together(measured, where, feed.device)
    if free is not None:
        check_memory(recipe, measured, free, say, where)
    return measured


def together(measured: Measured, where: Place, device: torch.device) -> Measured:
    """What ranks will take together that do as this one does, each with its part of the batch."""
    if where.world == 1:
        return measured
    here, fixed = where.beside(device), measured.fixed
    return replace(
        measured,
        seconds_per_image=measured.seconds_per_image / where.world,
        fixed=None if fixed is None else here * fixed + (here - 1) * machine.private(),
        per_image=-(-measured.per_image * here // where.world),
    )


# ---------------------------------------------------------------------- what is remembered


def _place(recipe: Recipe, signals: Signals, device: torch.device, among: tuple[str, ...]) -> Path:
    """File of what was measured on this machine for the same game, shapes and batch."""
    machine_facts = describe(device, "")
    parts = [LAYOUT, [machine_facts[name] for name in FACTS], among, settings.to_toml(recipe.game), recipe.batch]
    key = hashlib.sha256(
        json.dumps([*parts, {name: asdict(one) for name, one in signals.items()}]).encode()
    ).hexdigest()[:32]
    return cache_folder() / "rehearsals" / f"{key}.json"


def recall(place: Path) -> Measured | None:
    """What a file holds; None where there is none, or it is damaged."""
    try:
        return Measured(**json.loads(place.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def has_own_parts(part: Any) -> bool:
    """True where a part of the user's own is in a game: its code may change under the same name."""
    if isinstance(part, tuple):
        return any(map(has_own_parts, part))
    if not is_dataclass(part):
        return False
    foreign = type(part).__module__.partition(".")[0] != "zerosum"
    return foreign or any(has_own_parts(getattr(part, one.name)) for one in fields(part))


# ---------------------------------------------------------------------- memory


def check_memory(recipe: Recipe, measured: Measured, free: int, say: Say, where: Place = ALONE) -> None:
    """Stop before a training that would be killed, and warn of one that may be.

    Raises:
        RecipeError: it needs more memory than there is; with the setting that fits.
    """
    needed = measured.bytes(recipe.batch) or 0
    if needed <= NEAR * free:
        return
    of = f" on {where.world} ranks" if where.world > 1 else ""
    text = f"training needs about {gib(needed)} of memory at batch={recipe.batch}{of}, and {gib(free)} are free"
    way = fitting(recipe, measured, free, where)
    if needed > TOO_MUCH * free:
        raise RecipeError(f"{text}; {way}")
    say(f"{text}: that may not be enough; {way}")


def check_networks(sizes: Mapping[str, int], device: torch.device, copies: int = 1) -> None:
    """Stop before networks are built that alone would take more memory than there is.

    Args:
        sizes: bytes of each.
        device: where they will be.
        copies: of all of them there, one for each rank.

    Raises:
        RecipeError: with what each would take.
    """
    needed, free = copies * sum(sizes.values()), machine.free(device)
    if free is not None and needed > free:
        each = ", ".join(f"{name} {gib(size)}" for name, size in sizes.items())
        raise RecipeError(
            f"the networks alone need {gib(needed)} of memory, whatever the batch ({each}: weights, gradients, "
            f"optimizer state, averages{f'; {copies} ranks' if copies > 1 else ''}), and {gib(free)} are free; set "
            f"fewer {'ranks, ' if copies > 1 else ''}channels or widths"
        )


def check_least(recipe: Recipe, kept: int, device: torch.device, where: Place = ALONE) -> None:
    """Stop before a turn is tried where one pass of each network alone would take more memory than there is.

    Args:
        recipe: what is to be trained.
        kept: bytes that it keeps of each sample, in float32.
        device: where.
        where: which rank this is, and of how many.

    Raises:
        RecipeError: with the setting that should fit.
    """
    half = recipe.precision != "fp32" and not any(part.tracks for part in recipe.game.regularizers)
    least, free = kept // 2 if half else kept, machine.free(device)
    usual = together(Measured(recipe.precision, 0.0, 0, USUAL * least), where, device)
    if free is not None and usual.per_image * recipe.batch > USUAL * free:
        raise RecipeError(
            f"training needs more than {gib(usual.per_image * recipe.batch // USUAL)} of memory at "
            f"batch={recipe.batch}, and {gib(free)} are free; {fitting(recipe, usual, free, where)}"
        )


def fitting(recipe: Recipe, measured: Measured, free: int, where: Place = ALONE) -> str:
    """The setting that would fit."""
    pack = recipe.game.pack * where.world
    room = (NEAR * free - (measured.fixed or 0)) / max(1, measured.per_image) / pack
    batch = pack * (1 << int(room).bit_length() - 1) if room >= 1 else 0
    if batch >= 2 * pack and batch < recipe.batch:
        return f"batch={batch} needs about {gib(measured.bytes(batch) or 0)}"
    return "set a smaller size= (half the size needs about a quarter), or fewer channels of both networks"


def gib(count: int) -> str:
    """Bytes in GiB, for people."""
    return f"{count / GIB:.1f} GiB"


def expectation(measured: Measured, left: int | None) -> str:
    """What was measured, for people; `left`: images that are still to come."""
    speed = f"about {1 / max(measured.seconds_per_image, 1e-9):,.0f} images/s"
    time = "" if left is None else f", {clock(left * measured.seconds_per_image)} without evaluations"
    return f"{measured}; {speed}{time}"
