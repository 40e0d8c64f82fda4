"""When a training ends before its length: a condition that a number meets, or no improvement for too long.

Both are functions of the lines that a run has written, in the order of the clock, so a resumed run decides alike.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from zerosum.core.errors import RecipeError, nearest
from zerosum.recipes import Recipe
from zerosum.runs.health import diagnostics, diagnostics_of_pairs
from zerosum.runs.storage import former

Line = dict[str, Any]
FREE = {"length", "on_nan", "stop_when", "patience", "autosave"}  # fields that change nothing before a run's end
CLOCK = ("images", "epoch", "seconds", "images_per_second")  # numbers of every report
_FORM = re.compile(r"\s*([A-Za-z][\w.-]*)\s*([<>])\s*(\S+)\s*")


@dataclass(frozen=True)
class Condition:
    """A number, and the limit that it has to pass."""

    name: str
    sign: str  # < or >
    limit: float

    def __str__(self) -> str:
        return f"{self.name}{self.sign}{self.limit:g}"

    def met(self, value: float) -> bool:
        """True where a value lies beyond the limit; never for NaN."""
        return value < self.limit if self.sign == "<" else value > self.limit


def as_free(before: Recipe, after: Recipe) -> Recipe:
    """The first recipe with those fields of the second that may change while a run goes on."""
    return before.replace(**{name: getattr(after, name) for name in FREE})


def read(text: str) -> Condition | None:
    """Read `fd<1.0`; None of an empty text.

    Raises:
        RecipeError: it is no condition.
    """
    if not text.strip():
        return None
    match = _FORM.fullmatch(text)
    try:
        limit = float(match[3]) if match else math.nan
    except ValueError:
        limit = math.nan
    if match is None or not math.isfinite(limit):
        raise RecipeError(f"stop_when: {text!r} is not a condition; write NAME<NUMBER or NAME>NUMBER, such as fd<1.0")
    return Condition(former.curve(match[1]), match[2], limit)


def check(recipe: Recipe, judged: Iterable[str], reported: Iterable[str] = ()) -> None:
    """Refuse rules that can never end a training, before it begins.

    Args:
        recipe: what is to be trained.
        judged: names of the numbers that its metrics may give.
        reported: names of the numbers that a turn gives to the log; only asked for where there is a condition.

    Raises:
        RecipeError: every fault, together.
    """
    faults = []
    try:
        condition = read(recipe.stop_when)
    except RecipeError as error:
        condition, faults = None, error.faults
    if condition is not None:
        curves = {*reported, *CLOCK, *diagnostics.NUMBERS, *diagnostics_of_pairs.NUMBERS, *judged}
        if condition.name not in curves:
            faults.append(f"stop_when: no number will be called {condition.name!r}; {nearest(condition.name, curves)}")
        if not (recipe.evaluation.amount or recipe.report.amount):
            faults.append("stop_when: nothing is measured on the way; set evaluation=50k or report=5k")
    if recipe.patience.unit == "seconds":
        faults.append(f"patience={recipe.patience}: it is counted in images or epochs, as patience=100k")
    if recipe.patience.amount and not recipe.evaluation.amount:
        faults.append("patience: nothing is evaluated on the way; set evaluation=50k")
    if faults:
        raise RecipeError(faults)


def reason(recipe: Recipe, reports: list[Line], evaluations: list[Line], per_epoch: int, followed: str) -> str | None:
    """Why a training is over before its length, or None; the first cause by the clock.

    Args:
        recipe: with its `stop_when` and `patience`.
        reports: lines of metrics.jsonl.
        evaluations: lines of evaluations.jsonl.
        per_epoch: images of an epoch.
        followed: the metric that `best` follows.
    """
    causes = []
    condition = read(recipe.stop_when)
    if condition is not None:
        causes += [next(_met(condition, reports, evaluations), None)]
    limit = recipe.patience.samples(per_epoch)
    if limit:
        lines = [line for line in evaluations if line["metric"] == followed]
        causes += [next(_stale(lines, limit), None)]
    reached = [cause for cause in causes if cause is not None]
    return min(reached)[1] if reached else None


def _met(condition: Condition, reports: list[Line], evaluations: list[Line]) -> Iterator[tuple[int, str]]:
    """Clock and words of each time that the condition holds; a number that an evaluation left out ends nothing."""
    values = [(line["images"], line["value"]) for line in evaluations if line["metric"] == condition.name]
    values = values or [(line["images"], line[condition.name]) for line in reports if condition.name in line]
    for images, value in values:
        if isinstance(value, (int, float)) and condition.met(value):
            yield images, f"{condition.name} {value:.4g} {condition.sign} {condition.limit:g} after {images:,} images"


def _stale(lines: list[Line], limit: int) -> Iterator[tuple[int, str]]:
    """Clock and words of each evaluation that comes too long after the best one."""
    best = math.inf
    since = lines[0]["images"] if lines else 0
    for line in lines:
        value = -line["value"] if line.get("higher_is_better") else line["value"]
        if value < best:
            best, since = value, line["images"]
        elif line["images"] - since >= limit:
            passed = f"for {line['images'] - since:,} images, at {line['images']:,}"
            yield line["images"], f"{line['metric']} has not improved on {abs(best):.4g} {passed}"
