"""The history of a training as its files tell it, and what is found wrong with it."""

from __future__ import annotations

import functools
import math
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from zerosum.recipes import Recipe

Line = dict[str, Any]
WINDOW = 10_000  # images over which something has to last before it counts
_OF_SEVERAL = re.compile(r"-\d+(?=[_.]|$)|-[ab]$")  # of discriminators, and of sets that have one each
_PLAYERS = {
    "generator": ("generators", "translator"),
    "discriminator": ("discriminators",),
}  # what games also call them
_ALSO = re.compile(r"^(generators|translator|discriminators)(?=[_.])")


@dataclass(frozen=True)
class Finding:
    """Something wrong: what was seen, what it means, what to try."""

    name: str
    severity: Literal["warning", "error"]  # error: as it is, the training cannot succeed
    since: int  # images at which it was first seen
    seen: str  # with the numbers
    meaning: str
    advice: str  # with the exact option
    until: int | None = None  # images at which it was no longer seen; None: it lasts

    def __str__(self) -> str:
        return f"{self.name}: {self.seen}; {self.meaning}. Try {self.advice}"


@dataclass(frozen=True)
class History:
    """What is known of a training up to some clock; it may grow at its end.

    Attributes:
        recipe: what is trained.
        data: the entry `data` of environment.json.
        reports: lines of metrics.jsonl, events among them.
        evaluations: lines of evaluations.jsonl.
    """

    recipe: Recipe
    data: Line = field(default_factory=dict)
    reports: list[Line] = field(default_factory=list)
    evaluations: list[Line] = field(default_factory=list)
    _columns: dict[str, tuple[int, list[tuple[int, float]]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )  # of each number: how many reports were read for it, and what `all` gives

    @property
    def images(self) -> int:
        """The clock."""
        return self.reports[-1]["images"] if self.reports else 0

    @property
    def facts(self) -> Line:
        """What `facts` knew of the data; nothing where it did not look."""
        return self.data.get("facts", {})

    @property
    def on_points(self) -> bool:
        """True where the data are known to be no images."""
        return len(self.facts.get("shape", "CHW")) != 3

    def first(self, name: str) -> float | None:
        """The number in the first report that has it."""
        return next((value for _, value in self.all(name)), None)

    def all(self, name: str) -> list[tuple[int, float]]:
        """Clock and number in every report that has it."""
        read, column = self._columns.get(name, (0, []))
        for line in self.reports[read:]:
            value = _value(line, name)
            if value is not None:
                column.append((line["images"], value))
        self._columns[name] = len(self.reports), column
        return column

    def last(self, name: str, count: int) -> list[float]:
        """The number in the last reports that have it, oldest first; nothing where there are fewer."""
        values = [value for _, value in self.all(name)[-count:]]
        return values if len(values) == count else []

    def recent(self, name: str, least: int = 2) -> list[float]:
        """The number in the reports of the last WINDOW images, oldest first, and in `least` reports at the least.

        Nothing where so much has not been trained yet.
        """
        values: list[float] = []
        for images, value in reversed(self.all(name)):
            if images <= self.images - WINDOW and len(values) >= least:
                break
            values.append(value)
        return values[::-1] if self.images >= WINDOW and len(values) >= least else []

    def judged(self, metric: str) -> Line | None:
        """The last evaluation by a metric."""
        return next((line for line in reversed(self.evaluations) if line["metric"] == metric), None)

    def rate(self, player: str) -> float | None:
        """Learning rate of a player, where its optimizer has one."""
        return getattr(getattr(getattr(self.recipe.game, self.player(player), None), "optimizer", None), "lr", None)

    def player(self, name: str) -> str:
        """What the game calls its `generator` or `discriminator`."""
        game = self.recipe.game
        return next((one for one in (name, *_PLAYERS.get(name, ())) if hasattr(game, one)), name)


@functools.lru_cache(4096)
def _of_several(key: str) -> str:
    """Name of a number whatever the game: `real_logit` of `real_logit-2`, `generator_step` of `generators_step`."""
    one = _OF_SEVERAL.sub("", key)
    return _ALSO.sub(lambda found: next(name for name, also in _PLAYERS.items() if found[0] in also), one)


def _value(line: Line, name: str) -> float | None:
    """A number of a report; of several discriminators their mean."""
    values = [line[name]] if name in line else [line[key] for key in line if _of_several(key) == name]
    numbers = [value for value in values if isinstance(value, (int, float)) and math.isfinite(value)]
    return sum(numbers) / len(numbers) if numbers else None
