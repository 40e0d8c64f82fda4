"""The composition product: rows of its axes, and what really happens to a row.

`Product` fills rows in so that no cell of the matrix holds (they train), or one alone (they are refused for it).
`play` checks a row and plays its first turns.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tests.axes import ABSENT, ENCODERS, PLAYERS, Axes, Row, axes, small
from tests.matrix import Cell, cells
from zerosum import optimizers
from zerosum.core import compatibility, registry, values
from zerosum.core.average import ExponentialAverage, NoAverage
from zerosum.core.engine import Engine
from zerosum.core.errors import RecipeError
from zerosum.core.player import Player
from zerosum.core.signals import Signal
from zerosum.data import Feed, open_data
from zerosum.networks.space import Space

Order = Callable[[str, tuple[str, ...], Row], Sequence[str]]  # which values of an axis to try first


def plain(axis: str, listed: tuple[str, ...], row: Row) -> Sequence[str]:
    """The plainest first."""
    return listed


class Product:
    """Axes, the cells on them, and rows: dictionaries with a value on each axis."""

    def __init__(self, wide: bool = False, refused: bool = False) -> None:
        """Args: wide: with each choice of each part; refused: rows may be what the matrix refuses."""
        self.axes = axes(wide)
        self.cells = [cell for cell in cells(self.axes) if not (refused and cell.said)]
        self._about = {axis: [cell for cell in self.cells if axis in cell.patterns] for axis in self.axes}

    def holding(self, row: Row) -> list[Cell]:
        """Cells that hold in a row: why it should be refused."""
        return [cell for cell in self.cells if cell.holds(row)]

    def complete(self, given: Row, order: Order = plain, but: tuple[str, ...] = ()) -> Row | None:
        """A row around some values in which no cell holds, but those of one line; None where there is none."""
        domains = self.axes | {axis: (value,) for axis, value in given.items()}
        narrowed = self._narrow(domains, [cell for cell in self.cells if cell.line != but], but)
        return narrowed and self._fill(narrowed, [axis for axis in self.axes if axis not in given], order, but)

    def _fill(self, domains: Axes, left: list[str], order: Order, but: tuple[str, ...]) -> Row | None:
        if not left:
            return {axis: value for axis, (value,) in domains.items()}
        axis, *left = left
        row = {name: listed[0] for name, listed in domains.items() if len(listed) == 1}
        for value in order(axis, domains[axis], row):
            narrowed = self._narrow(domains | {axis: (value,)}, self._about[axis], but)
            found = narrowed and self._fill(narrowed, left, order, but)
            if found:
                return found
        return None

    def _narrow(self, domains: Axes, waiting: list[Cell], but: tuple[str, ...]) -> Axes | None:
        """Values that are left to each axis once no cell may hold; None where an axis has none left."""
        domains, waiting = dict(domains), list(waiting)
        while waiting:
            cell = waiting.pop()
            if cell.line == but:
                continue
            free = [axis for axis, matched in cell.patterns.items() if not matched.issuperset(domains[axis])]
            if not free:
                return None
            if len(free) == 1:
                kept = tuple(value for value in domains[free[0]] if value not in cell.patterns[free[0]])
                waiting += self._about[free[0]] if len(kept) < len(domains[free[0]]) else []
                domains[free[0]] = kept
        return domains

    def singles(self) -> Iterator[Row]:
        """Each value of each axis once, all else as plain as can be."""
        for axis, listed in self.axes.items():
            yield from filter(None, (self.complete({axis: value}) for value in listed))

    def pairs(self) -> Iterator[Row]:
        """Rows that train, in which every two values occur together that can; greedy and deterministic.

        It does not matter which of two regularizers, or of two augmentations, is called the second.
        """
        place = {axis: index for index, axis in enumerate(self.axes)}

        def key(*pair: tuple[str, str]) -> tuple[tuple[str, str], ...]:
            return tuple(
                sorted(((axis.removesuffix("-2"), value) for axis, value in pair), key=lambda o: (place[o[0]], o[1]))
            )

        waiting = {
            key((a, one), (b, other)): {a: one, b: other}
            for a, b in itertools.combinations(self.axes, 2)
            for one, other in itertools.product(self.axes[a], self.axes[b])
        }

        def greedy(axis: str, listed: tuple[str, ...], row: Row) -> Sequence[str]:
            news = {value: sum(key((axis, value), other) in waiting for other in row.items()) for value in listed}
            return sorted(listed, key=lambda value: -news[value])

        while waiting:
            pair, given = next(iter(waiting.items()))
            row = self.complete(given, greedy)
            for covered in itertools.combinations(row.items(), 2) if row else [pair]:
                waiting.pop(key(*covered), None)
            if row:
                yield row

    def refusals(self) -> Iterator[tuple[Cell, Row]]:
        """Rows in which one line of the matrix holds, and no other; each choice of its values once."""
        for cell in self.cells:
            for chosen in itertools.product(*(sorted(matched) for matched in cell.patterns.values())):
                row = self.complete(dict(zip(cell.patterns, chosen, strict=True)), but=cell.line) if cell.said else None
                if row:
                    yield cell, row


# ---------------------------------------------------------------------- from rows to games


def space(row: Row) -> dict[str, Signal]:
    """Signals of a row's data."""
    shape = {"ring8": (2,), "line": (1,)}.get(row["data"], (1, 8, 8))
    return Space(shape, 0, 10 if row["data"] == "digits" else 0).signals


def game(row: Row) -> Any:
    """The game of a row.

    Raises:
        RecipeError: a part refuses its settings.
    """

    def parts(kind: str, *axes: str) -> tuple[Any, ...]:
        return tuple(registry.parse(kind, row[axis]) for axis in axes if row[axis] != "none")

    def player(name: str) -> Player:
        (optimizer,), (initialization,) = parts("optimizer", "optimizer"), parts("initialization", "initialization")
        average = NoAverage() if row["average"] == "none" else ExponentialAverage()
        rules = parts("rule", f"{name}.rule") if name in PLAYERS else ()
        return Player(_network(row, name), optimizer, optimizers.Constant(), initialization, average, rules)

    name, _, told = row["game"].partition(":")
    cls = registry.lookup("game", name)
    types = registry.field_types(cls)
    settings = {
        key: values.read(value, types[key]) for key, _, value in (one.partition("=") for one in told.split(",")) if key
    }
    if "discriminator" not in types:
        return cls(player("encoder"), player("generator"), *parts("latent", "latent"), **settings)
    return cls(
        **{name: player(name) for name in PLAYERS},
        **{name: player("encoder") for name in ENCODERS if name in types},
        **{kind: parts(kind, kind)[0] for kind in ("objective", "latent", "selection")},
        **{f"{kind}s": parts(kind, kind, f"{kind}-2") for kind in ("regularizer", "augmentation")},
        **{key: int(row[key]) for key in ("pack", "discriminator_updates")},
        **settings,
    )


def _network(row: Row, player: str) -> Any:
    part = registry.lookup("network", row[player])
    types = registry.field_types(part)
    own = {axis.partition(".")[2]: value for axis, value in row.items() if axis.startswith(f"{player}.")}
    said = {key: values.read(own[key], types[key]) for key in types if own.get(key, ABSENT) != ABSENT}
    return part(**small(part, **said))


# ---------------------------------------------------------------------- from games to turns

MEND = re.compile(r"[a-z_]+=\S|\b(choose|set|remove|leave|take|use|give|add|zerosum ls)\b")


@dataclass(frozen=True)
class Refusal:
    """A row was refused before the first image, for reasons that say how to mend it."""

    faults: tuple[str, ...]


class Few:
    """A feed of sixteen samples, over and over; two logits' worth at a time."""

    def __init__(self, row: Row, logits: int = 2) -> None:
        self.samples, self.labels = _samples(row["data"])
        self.batch, self.position = logits * int(row["pack"]), 0

    def next(self) -> dict[str, torch.Tensor]:
        """The next batch."""
        chosen = torch.arange(self.position, self.position + self.batch) % len(self.samples)
        self.position += self.batch
        batch = {"sample": self.samples[chosen]}
        return batch if self.labels is None else {**batch, "label": self.labels[chosen]}


@functools.cache
def _samples(data: str) -> tuple[torch.Tensor, torch.Tensor | None]:
    if data in ("ring8", "line"):
        points = Feed(open_data("ring8"), 16).next()["sample"]
        return points[:, : 1 if data == "line" else 2].clone(), None
    images, labels = Feed(open_data("digits"), 16).next().values()
    return images, labels if data == "digits" else None


def play(row: Row, turns: int = 2, logits: int = 2) -> Engine | Refusal:
    """Check a row, then play turns on a few images.

    Raises:
        AssertionError: it trained, and weights did not move or are not finite; or a refusal that mends nothing.
        Exception: it fails in a way that no check and no trial explains.
    """
    try:
        engine = Engine(checked(game(row), row), space(row), precision=row["precision"], total=1000)
        before, feed = {name: _weights(engine, name) for name in engine.learners}, Few(row, logits)
        for _ in range(turns):
            explained(engine, row, feed)
    except RecipeError as error:
        lacking = [fault for fault in error.faults if not MEND.search(fault)]
        assert not lacking, f"no word of how to mend it: {lacking}"
        return Refusal(tuple(error.faults))
    for name, weights in before.items():
        after = _weights(engine, name)
        assert all(weight.isfinite().all() for weight in after.values()), f"weights of the {name} are not finite"
        moved = any(not torch.equal(weights[key], after[key]) for key in after)
        assert moved or _pulled(engine, name) or not _lost(engine, name), f"the {name} did not move"
    return engine


def checked(made: Any, row: Row) -> Any:
    """The game, if it passes the check.

    Raises:
        RecipeError: it does not.
    """
    compatibility.check(made, space(row), 1000, 2 * made.pack)
    return made


def explained(engine: Engine, row: Row, feed: Few) -> None:
    """Play a turn; what a part refuses in the first one is what the trial says of it.

    Raises:
        RecipeError: the trial finds it too.
    """
    try:
        engine.turn(feed)
    except ValueError:
        if not engine.clock:
            compatibility.trial(engine.game, engine.signals, Few(row), 1000)
        raise


def idle(engine: Engine, row: Row, turns: int = 3) -> list[str]:
    """Weights that no turn moves: nothing trains them."""
    before, feed = {name: _weights(engine, name) for name in engine.learners}, Few(row, logits=8)
    for _ in range(turns):
        engine.turn(feed)
    after = {name: _weights(engine, name) for name in engine.learners}
    return [
        f"{name}.{key}" for name in after for key in after[name] if torch.equal(before[name][key], after[name][key])
    ]


def _pulled(engine: Engine, player: str) -> bool:
    """True where a gradient reached the weights, though its step may be less than their last bit."""
    return any(one.grad is not None and bool(one.grad.any()) for one in engine.network(player).parameters())


def _lost(engine: Engine, player: str) -> bool:
    """False where all losses of a player were 0: a hinge that all samples are beyond leaves nothing to learn from."""
    losses = [loss for name, loss in engine.meter.finite().items() if name.startswith(f"{player}.")]
    return not losses or any(losses)


def _weights(engine: Engine, player: str) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in engine.network(player).named_parameters()}
