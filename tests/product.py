"""The composition product: axes read from the registry, the matrix of what is refused, and one play of a combination.

A combination is a row: axis -> text of its value. Three kinds of statement about rows:
    axes(wide)      every registered part and every choice among its fields, so a new part joins by itself
    MATRIX          which values do not go together; every other row trains
    play(row)       what really happens: "trained", or a `Refusal`; anything else is a fault and raises
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin

import torch

from zerosum import augmentations, latents, networks, objectives, optimizers, regularizers, selection  # noqa: F401
from zerosum.core import compatibility, registry, values
from zerosum.core.average import ExponentialAverage, NoAverage
from zerosum.core.engine import Engine
from zerosum.core.errors import RecipeError
from zerosum.core.player import Player
from zerosum.core.space import Space
from zerosum.data import Feed, open_data
from zerosum.games import ImageGame

Row = dict[str, str]
Axes = dict[str, tuple[str, ...]]

# ---------------------------------------------------------------------- axes

SMALL = {  # settings that make any network quick, where it has such a field
    "channels": 8, "widths": (8, 8), "hidden": 4, "style": 4, "mapping": 1, "embedding": 4, "blocks": 1, "units": 4,
    "kernels": 2, "group": 2,
}  # fmt: skip
SIZE = {"size": 8, "noise": 4, "categories": 3, "continuous": 1}  # of latents, and of the codes in them
NUMBERS = {"codes": (0, SIZE["categories"] + SIZE["continuous"]), "dropout": (0.0, 0.3), "power": (1, 2)}
AWAKE = {  # parts whose default does nothing on the first images
    "ada": {"p": 0.5},
    "lecam": {"after": 0},
    "top-k": {"until": 0},
    "mutual-information": {"categories": SIZE["categories"], "continuous": SIZE["continuous"]},
}
ABSENT = "-"  # of a field: the network has none of this name
PLAIN = {"dcgan-generator", "dcgan-discriminator", "non-saturating", "normal", "adam"}  # first of their axes
DATA = ("digits", "digits-unlabelled", "ring8", "line")
PLAYERS = ("generator", "discriminator")


def choices(part: type, name: str) -> tuple[Any, ...]:
    """Values of a field that are walked: all of a Literal or a bool, two of some numbers, else none."""
    plain, _ = values.strip(registry.field_types(part)[name])
    if get_origin(plain) is Literal:
        return get_args(plain)
    return (False, True) if plain is bool else NUMBERS.get(name, ())


def text(kind: str, name: str, **settings: Any) -> str:
    """Text of a part with some settings, and those that wake it up."""
    part = registry.lookup(kind, name)
    types = registry.field_types(part)
    small = {key: value for key, value in SIZE.items() if kind == "latent" and key in types}
    return str(part(**(small | AWAKE.get(name, {}) | settings)))


def variants(kind: str, wide: bool) -> Iterator[str]:
    """Every part of a kind; wide: also with each of its choices changed, one at a time."""
    for name, part in registry.shelf(kind).items():
        yield text(kind, name)
        for key in registry.field_types(part) if wide else ():
            for value in choices(part, key):
                if text(kind, name, **{key: value}) != text(kind, name):
                    yield text(kind, name, **{key: value})


def seats(player: str) -> list[str]:
    """Networks that the image game takes in a seat."""
    shelf = registry.shelf("network").items()
    return [name for name, part in shelf if player in part().traits() and "joint" not in part().traits()]


def fields(player: str) -> dict[str, list[str]]:
    """Choices among the fields of a player's networks: field -> values, ABSENT first."""
    found: dict[str, list[str]] = {}
    for name in seats(player):
        part = registry.lookup("network", name)
        for key in registry.field_types(part):
            for value in choices(part, key):
                known = found.setdefault(f"{player}.{key}", [ABSENT])
                known += [] if str(value) in known else [str(value)]
    return found


def axes(wide: bool = False) -> Axes:
    """All axes of the product, the plainest value of each first."""
    few = [axis for player in PLAYERS for axis in ((player, seats(player)), *fields(player).items())]
    found: dict[str, Any] = {"data": DATA, **dict(few)}
    found["objective"] = variants("objective", wide)
    for kind in ("regularizer", "augmentation"):
        found[kind] = ("none", *variants(kind, wide))
        found[f"{kind}-2"] = ("none", *variants(kind, wide=False))
    found |= {f"{player}.rule": ("none", *variants("rule", wide)) for player in PLAYERS}
    found |= {kind: tuple(variants(kind, wide)) for kind in ("selection", "latent", "initialization", "optimizer")}
    found |= {"average": ("none", "ema"), "precision": ("fp32", "bf16")}
    found |= dict.fromkeys(("pack", "discriminator_updates", "generator_updates"), ("1", "2"))
    found |= {"fresh_fakes": ("True", "False")}
    return {name: tuple(sorted(listed, key=lambda v: v.split(":")[0] not in PLAIN)) for name, listed in found.items()}


# ---------------------------------------------------------------------- matrix

IMAGES, POINTS = ("digits", "digits-unlabelled"), ("ring8", "line")
GRADIENT = "r1 r2 gradient-penalty dragan"
LOGITS = f"{GRADIENT} lecam cr bcr zcr vat alr"  # what reads logits or their gradients
AUTOENCODER = "discriminator began-discriminator"
SMOOTH = "zcr jacobian-clamping successive-consistency"  # what compares two outputs of a generator

# What is refused: rows in which all patterns of a line hold. A pattern is an axis and values, "not" for all others;
# "regularizer" means either of the two, "not regularizer" neither.
MATRIX: tuple[tuple[str, ...], ...] = (
    # energies are for auto-encoders, free logits for all else
    ("objective began ebgan", "not " + AUTOENCODER),
    ("not objective began ebgan", AUTOENCODER),
    (f"regularizer {LOGITS}", AUTOENCODER),
    ("augmentation ada:control=adaptive", AUTOENCODER),
    ("regularizer feature-matching:of=features content pulling-away:of=features", AUTOENCODER),
    ("regularizer pulling-away:of=code", "not " + AUTOENCODER),
    # per-sample gradients
    (f"regularizer {GRADIENT}", "discriminator.norm batch"),
    ("regularizer path-length", "generator.norm batch"),
    ("regularizer path-length", "generator acgan-generator biggan-generator"),
    # comparisons in which only the sample may differ
    ("regularizer cr bcr zcr", "discriminator.dropout 0.3"),
    (f"regularizer {SMOOTH}", "generator stylegan2-generator"),
    # what the sign of a logit says
    ("regularizer vat", "objective wasserstein least-squares relativistic relativistic-average"),
    (
        "augmentation ada:control=adaptive,signal=real",
        "objective wasserstein least-squares relativistic relativistic-average",
    ),
    # the class: both players are told it, or none; the data have it
    ("not generator.labels none -", "discriminator.labels none -"),
    ("generator.labels none -", "not discriminator.labels none -"),
    ("data digits-unlabelled ring8 line", "not generator.labels none -"),
    ("data digits-unlabelled ring8 line", "not discriminator.labels none -"),
    ("generator.labels norm", "generator.norm none layer instance group"),
    # second heads and who trains them
    ("discriminator.labels classifier", "not regularizer auxiliary-classifier"),
    ("regularizer auxiliary-classifier", "not discriminator.labels classifier"),
    ("discriminator.codes 4", "not regularizer mutual-information"),
    ("regularizer mutual-information", "not discriminator.codes 4"),
    ("regularizer mutual-information", "not latent infogan"),
    # one logit of several samples
    ("pack 2", "not discriminator.labels none -"),
    ("pack 2", "discriminator.codes 4"),
    ("pack 2", AUTOENCODER),
    # limits on weights that are divided by their norm
    ("discriminator.rule clip", "discriminator.spectral True"),
    ("discriminator.rule clip", "discriminator biggan-discriminator"),
    ("generator.rule clip", "generator.spectral True"),
    ("generator.rule clip", "generator biggan-generator"),
    # points
    ("data ring8 line", "not augmentation none"),
    ("data ring8", "not generator mlp-generator"),
    ("data ring8", "not discriminator mlp-discriminator"),
    ("data line", "not generator mlp-generator dirac-generator"),
    ("data line", "not discriminator mlp-discriminator dirac-discriminator"),
    ("data digits digits-unlabelled", "generator dirac-generator"),
    ("data digits digits-unlabelled", "discriminator dirac-discriminator"),
    ("pack 2", "discriminator dirac-discriminator"),
)


@dataclass(frozen=True)
class Cell:
    """Values that do not go together: axis -> values. `said`: the row can be written down, and must be refused."""

    line: tuple[str, ...]
    patterns: dict[str, frozenset[str]] = field(hash=False, compare=False)
    said: bool = True

    def holds(self, row: Row) -> bool:
        """All patterns match; an axis that is not filled in yet matches nothing."""
        return all(row.get(axis) in matched for axis, matched in self.patterns.items())


@functools.cache
def matches(value: str, item: str) -> bool:
    """An item of a pattern: the value itself, or a part's name with some of its settings."""
    name, _, settings = item.partition(":")
    own, _, listed = value.partition(":")
    return value == item or (own == name and {*filter(None, settings.split(","))} <= {*listed.split(",")})


def cells(product: Axes) -> list[Cell]:
    """The matrix, and what cannot be said, on these axes."""
    return [*itertools.chain(*(_expand(line, product) for line in MATRIX)), *_doubles(product), *_unsaid(product)]


def _expand(line: tuple[str, ...], product: Axes) -> Iterator[Cell]:
    """Cells of a line; a pattern on one of two axes makes two, and "not" holds on both."""
    options: list[list[dict[str, frozenset[str]]]] = []
    for pattern in line:
        negated, (axis, *items) = pattern.startswith("not "), pattern.removeprefix("not ").split()
        both = [name for name in (axis, f"{axis}-2") if name in product]
        found = {
            name: frozenset(v for v in product[name] if any(matches(v, item) for item in items) != negated)
            for name in both
        }
        joined = negated and items != ["none"]
        options.append([found] if joined else [{name: matched} for name, matched in found.items()])
    for chosen in itertools.product(*options):
        patterns: dict[str, frozenset[str]] = {}
        for one in chosen:
            for axis, matched in one.items():
                patterns[axis] = patterns.get(axis, matched) & matched
        if all(patterns.values()):
            yield Cell(line, patterns)


def _doubles(product: Axes) -> Iterator[Cell]:
    for kind in ("regularizer", "augmentation"):
        for name in registry.shelf(kind):
            both = {axis: frozenset(v for v in product[axis] if matches(v, name)) for axis in (kind, f"{kind}-2")}
            yield Cell((f"{kind} {name}", f"{kind}-2 {name}"), both)


def _unsaid(product: Axes) -> Iterator[Cell]:
    """Settings that a network does not have."""
    for player in PLAYERS:
        for name, axis in itertools.product(product[player], (a for a in product if a.startswith(f"{player}."))):
            if not axis.endswith(".rule"):
                part, key = registry.lookup("network", name), axis.partition(".")[2]
                known = choices(part, key) if key in registry.field_types(part) else ()
                wrong = frozenset(product[axis]) - ({str(value) for value in known} or {ABSENT})
                yield Cell((f"{player} {name}", axis), {player: frozenset([name]), axis: wrong}, said=False)


# ---------------------------------------------------------------------- rows

Order = Callable[[str, tuple[str, ...], Row], Any]  # which values of an axis to try first


def plain(axis: str, listed: tuple[str, ...], row: Row) -> tuple[str, ...]:
    """The plainest first."""
    return listed


class Product:
    """Axes and the cells on them; fills rows in."""

    def __init__(self, wide: bool = False) -> None:
        self.axes = axes(wide)
        self.cells = cells(self.axes)
        self._about = {axis: [cell for cell in self.cells if axis in cell.patterns] for axis in self.axes}

    def holding(self, row: Row) -> list[Cell]:
        """Cells that hold in a row: why it should be refused."""
        return [cell for cell in self.cells if cell.holds(row)]

    def complete(self, given: Row, order: Order = plain, but: Cell | None = None) -> Row | None:
        """A whole row around some values in which no cell holds (but those of one line); None where there is none."""
        domains = self.axes | {axis: (value,) for axis, value in given.items()}
        cells = [cell for cell in self.cells if but is None or cell.line != but.line]
        narrowed = self._narrow(domains, cells, but)
        return narrowed and self._fill(narrowed, [axis for axis in self.axes if axis not in given], order, but)

    def _fill(self, domains: Axes, left: list[str], order: Order, but: Cell | None) -> Row | None:
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

    def _narrow(self, domains: Axes, waiting: list[Cell], but: Cell | None) -> Axes | None:
        """Values that are left to each axis once a cell may hold nowhere; None where an axis has none left."""
        domains, waiting = dict(domains), list(waiting)
        while waiting:
            cell = waiting.pop()
            if but is not None and cell.line == but.line:
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
            for value in listed:
                row = self.complete({axis: value})
                if row is not None:
                    yield row

    def pairs(self) -> Iterator[Row]:
        """Rows that train, in which every two values occur together that can; deterministic."""
        open_pairs = {
            pair: None
            for a, b in itertools.combinations(self.axes, 2)
            for pair in itertools.product(((a, v) for v in self.axes[a]), ((b, v) for v in self.axes[b]))
        }
        place = {axis: index for index, axis in enumerate(self.axes)}

        def new(axis: str, value: str, row: Row) -> int:
            one = (axis, value)
            others = ((other, one) if place[other[0]] < place[axis] else (one, other) for other in row.items())
            return sum(pair in open_pairs for pair in others)

        def greedy(axis: str, listed: tuple[str, ...], row: Row) -> list[str]:
            return sorted(listed, key=lambda value: -new(axis, value, row))

        while open_pairs:
            first, second = next(iter(open_pairs))
            row = self.complete(dict([first, second]), greedy)
            if row is None:
                del open_pairs[first, second]
                continue
            for pair in itertools.combinations(row.items(), 2):
                open_pairs.pop(pair, None)
            yield row

    def refusals(self) -> Iterator[tuple[Cell, Row]]:
        """Rows that must be refused for one line of the matrix alone: all values of it that can be had alone."""
        seen = set()
        for cell in self.cells:
            for chosen in itertools.product(*(sorted(matched) for matched in cell.patterns.values())):
                row = self.complete(dict(zip(cell.patterns, chosen, strict=True)), but=cell) if cell.said else None
                if row is not None and tuple(row.values()) not in seen:
                    seen.add(tuple(row.values()))
                    yield cell, row


# ---------------------------------------------------------------------- play

MEND = re.compile(r"[a-z_]+=\S|\b(choose|set|remove|leave|take|give|add)\b")


@dataclass(frozen=True)
class Refusal:
    """A combination was refused, with reasons that say how to mend it."""

    faults: tuple[str, ...]


class Few:
    """A feed of a few samples, over and over."""

    def __init__(self, data: str, batch: int) -> None:
        self.samples, self.labels = samples(data)
        self.batch, self.position = batch, 0

    def next(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The next batch."""
        chosen = torch.arange(self.position, self.position + self.batch) % len(self.samples)
        self.position += self.batch
        return self.samples[chosen], None if self.labels is None else self.labels[chosen]


@functools.cache
def samples(data: str) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Sixteen digits, or points of the plane or the line."""
    if data in POINTS:
        points, _ = Feed(open_data("ring8"), 16).next()
        return points[:, : 1 if data == "line" else 2].clone(), None
    images, labels = Feed(open_data("digits"), 16).next()
    return images, labels if data == "digits" else None


def space(row: Row) -> Space:
    """Sizes of a row's data."""
    shape = {"ring8": (2,), "line": (1,)}.get(row["data"], (1, 8, 8))
    latent = registry.parse("latent", row["latent"]).size
    return Space(shape, latent, 10 if row["data"] == "digits" else 0)


def network(row: Row, player: str) -> Any:
    """A player's network at its smallest."""
    part = registry.lookup("network", row[player])
    types = registry.field_types(part)
    own = {axis.partition(".")[2]: value for axis, value in row.items() if axis.startswith(f"{player}.")}
    said = {key: values.read(own[key], types[key]) for key in types if own.get(key, ABSENT) != ABSENT}
    return part(**({key: value for key, value in SMALL.items() if key in types} | said))


def game(row: Row) -> ImageGame:
    """The game of a row."""

    def part(kind: str) -> Any:
        return registry.parse(kind, row[kind])

    def parts(kind: str, *axes: str) -> tuple[Any, ...]:
        return tuple(registry.parse(kind, row[axis]) for axis in axes if row[axis] != "none")

    def player(name: str) -> Player:
        average = NoAverage() if row["average"] == "none" else ExponentialAverage()
        constant = optimizers.Constant()
        rules = parts("rule", f"{name}.rule")
        return Player(network(row, name), part("optimizer"), constant, part("initialization"), average, rules)

    return ImageGame(
        generator=player("generator"),
        discriminator=player("discriminator"),
        objective=part("objective"),
        latent=part("latent"),
        regularizers=parts("regularizer", "regularizer", "regularizer-2"),
        augmentations=parts("augmentation", "augmentation", "augmentation-2"),
        selection=part("selection"),
        **{name: int(row[name]) for name in ("pack", "discriminator_updates", "generator_updates")},
        fresh_fakes=row["fresh_fakes"] == "True",
    )


def play(row: Row, turns: int = 2) -> Engine | Refusal:
    """Check a row, then play real turns on two logits' worth of images.

    Raises:
        AssertionError: it trained, and weights did not move or are not finite; or a refusal that mends nothing.
        Exception: it fails in a way that tells nobody how to mend it.
    """
    try:
        made = game(row)
        compatibility.check(made, space(row), 1000, 2 * made.pack)
        engine = Engine(made, space(row), precision=row["precision"], total=1000)
    except RecipeError as error:
        lacking = [fault for fault in error.faults if not MEND.search(fault)]
        assert not lacking, f"no word of how to mend it: {lacking}"
        return Refusal(tuple(error.faults))
    before = {name: _weights(engine, name) for name in PLAYERS}
    feed = Few(row["data"], 2 * made.pack)
    for _ in range(turns):
        engine.turn(feed)
    for name, weights in before.items():
        after = _weights(engine, name)
        assert all(torch.isfinite(w).all() for w in after), f"weights of the {name} are not finite"
        assert any(not torch.equal(*both) for both in zip(weights, after, strict=True)), f"the {name} did not move"
    return engine


def _weights(engine: Engine, player: str) -> list[torch.Tensor]:
    return [weight.detach().clone() for weight in engine.network(player).parameters()]
