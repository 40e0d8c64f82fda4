"""The composition matrix: which values of the product's axes do not go together. Every other row trains."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.axes import ABSENT, ENCODERS, NUMBERS, PLAYERS, Axes, Row, choices, registered
from zerosum.core import registry

CODES = f"discriminator.codes {NUMBERS['codes'][1]}"
TOLD = "not generator.labels none -"  # the generator is told the class
ASKED = "not discriminator.labels none -"  # the discriminator is told it, or tells it
AUTOENCODER = "discriminator began-discriminator"
PATCHES = "patch-discriminator multiscale-discriminator"
JOINT = "discriminator joint-mlp-discriminator joint-dcgan-discriminator"
NO_LEVEL = "objective wasserstein least-squares relativistic relativistic-average"  # a logit's sign says nothing
GRADIENT = "r1 r2 gradient-penalty dragan"
OWN_LOOKS = "gradient-penalty dragan cr bcr zcr vat alr"  # what shows the discriminator samples of its own
FLAT = "mlp-generator dirac-generator", "mlp-discriminator dirac-discriminator joint-mlp-discriminator"

# What is refused: rows in which all patterns of a line hold. A pattern is an axis and values, with "not" all others;
# a value may be a part's name with some of its settings. "regularizer" and "augmentation" mean either of the two that
# a row has, "not regularizer" neither of them.
MATRIX: tuple[tuple[str, ...], ...] = (
    # energies are for auto-encoders, free logits for all else
    ("objective began ebgan", f"not {AUTOENCODER}"),
    ("not objective began ebgan", AUTOENCODER),
    (f"regularizer {GRADIENT} lecam cr bcr zcr vat alr", AUTOENCODER),
    (
        "regularizer feature-matching:of=features content:of=features pulling-away:of=features",
        f"{AUTOENCODER} {PATCHES}",
    ),
    ("regularizer feature-matching:of=layers content:of=layers", f"not discriminator {PATCHES}"),
    ("regularizer pulling-away:of=code", f"not {AUTOENCODER}"),
    ("augmentation ada:control=adaptive", AUTOENCODER),
    # gradients of one sample's own logit, or at one latent
    (f"regularizer {GRADIENT}", "discriminator.norm batch"),
    ("regularizer path-length", "generator.norm batch"),
    ("regularizer path-length", "generator acgan-generator biggan-generator dirac-generator"),
    # comparisons in which nothing but the sample or the latent may differ
    ("regularizer cr bcr zcr", "discriminator.dropout 0.3"),
    ("regularizer zcr jacobian-clamping successive-consistency", "generator stylegan2-generator"),
    # the sign of a logit
    ("regularizer vat", NO_LEVEL),
    ("augmentation ada:control=adaptive,signal=real", NO_LEVEL),
    # the class: both players know of it or none, and the data have it
    (TOLD, "discriminator.labels none -", "not game pairs"),
    ("generator.labels none -", ASKED),
    ("not data digits", TOLD),
    ("not data digits", ASKED),
    ("generator.labels norm", "not generator.norm batch -"),
    # second heads and who trains them
    ("discriminator.labels classifier", "not regularizer auxiliary-classifier"),
    ("regularizer auxiliary-classifier", "not discriminator.labels classifier"),
    (CODES, "not regularizer mutual-information"),
    ("regularizer mutual-information", f"not {CODES}"),
    ("regularizer mutual-information", "not latent infogan"),
    # one logit of several samples
    ("pack 2", ASKED),
    ("pack 2", CODES),
    ("pack 2", AUTOENCODER),
    ("pack 2", JOINT),
    ("pack 2", "discriminator dagan-discriminator dirac-discriminator"),
    # limits on weights that are divided by their largest singular value
    *((f"{player}.rule {rule}", f"{player}.spectral True") for player in PLAYERS for rule in ("clip", "max-norm")),
    *((f"{player}.rule {rule}", f"{player} biggan-{player}") for player in PLAYERS for rule in ("clip", "max-norm")),
    # filters in layers of torch's
    ("regularizer orthogonal:player=generator orthogonal:player=both", "generator stylegan2-generator dirac-generator"),
    (
        "regularizer orthogonal:player=discriminator orthogonal:player=both",
        "discriminator stylegan2-discriminator dirac-discriminator",
    ),
    # points
    ("data ring8 line", "not augmentation none"),
    ("data ring8 line", f"not generator {FLAT[0]}"),
    ("data ring8 line", f"not discriminator {FLAT[1]}"),
    ("data ring8 line", "encoder dcgan-encoder"),
    ("not data line", "generator dirac-generator"),
    ("not data line", "discriminator dirac-discriminator"),
    # games whose players see more than one sample or latent
    ("game joint", f"not {JOINT}"),
    ("not game joint", JOINT),
    ("game pairs", "not generator dagan-generator"),
    ("not game pairs", "generator dagan-generator"),
    ("game pairs", "not discriminator dagan-discriminator"),
    ("not game pairs", "discriminator dagan-discriminator"),
    ("game pairs", "not data digits"),
    ("game vae-gan", f"{AUTOENCODER} {PATCHES}"),
    ("game vae-gan", "not latent normal"),
    (f"regularizer {OWN_LOOKS}", "game joint"),
    ("regularizer path-length successive-consistency", "game pairs"),
    ("regularizer content:reference=place", "not game pairs"),
    ("game lookahead:zero_sum=True", "selection top-k"),
    ("game lookahead:zero_sum=True", "objective began"),
)


@dataclass(frozen=True)
class Cell:
    """Values that do not go together, by axis. `said`: they can be written down, and must be refused."""

    line: tuple[str, ...]
    patterns: dict[str, frozenset[str]] = field(compare=False)
    said: bool = True

    def holds(self, row: Row) -> bool:
        """All patterns match."""
        return all(row[axis] in matched for axis, matched in self.patterns.items())


def cells(product: Axes) -> list[Cell]:
    """The matrix, twins and what cannot be said, on these axes."""
    lines = itertools.chain.from_iterable(_expand(line, product) for line in MATRIX)
    return [*lines, *_twins(product), *_unsaid(product)]


@functools.cache
def matches(value: str, item: str) -> bool:
    """A value is an item of a pattern, or has its name and settings."""
    name, _, settings = item.partition(":")
    own, _, listed = value.partition(":")
    return value == item or (own == name and {*filter(None, settings.split(","))} <= {*listed.split(",")})


def _expand(line: tuple[str, ...], product: Axes) -> Iterator[Cell]:
    """Cells of a line: a pattern on either of two axes makes two of them."""
    for chosen in itertools.product(*(_pattern(pattern, product) for pattern in line)):
        patterns: dict[str, frozenset[str]] = {}
        for axis, matched in itertools.chain.from_iterable(one.items() for one in chosen):
            patterns[axis] = patterns.get(axis, matched) & matched
        if all(patterns.values()):
            yield Cell(line, patterns)


def _pattern(pattern: str, product: Axes) -> list[dict[str, frozenset[str]]]:
    """Alternatives of a pattern, each with the values of its axes."""
    negated, (axis, *items) = pattern.startswith("not "), pattern.removeprefix("not ").split()
    assert axis in product, pattern
    found = {
        name: frozenset(value for value in product[name] if any(matches(value, item) for item in items) != negated)
        for name in (axis, f"{axis}-2")
        if name in product
    }
    neither = negated and items != ["none"]
    return [found] if neither else [{name: matched} for name, matched in found.items()]


def _twins(product: Axes) -> Iterator[Cell]:
    """The same part twice."""
    for kind in ("regularizer", "augmentation"):
        for name in registered(kind):
            both = {axis: frozenset(v for v in product[axis] if matches(v, name)) for axis in (kind, f"{kind}-2")}
            yield Cell(("twice", kind), both)


def _unsaid(product: Axes) -> Iterator[Cell]:
    """Fields that a network does not have, and players that a game does not have."""
    for player in PLAYERS:
        for name in product[player]:
            part = registry.lookup("network", name)
            for axis in (axis for axis in product if axis.startswith(f"{player}.") and not axis.endswith(".rule")):
                known = (
                    {str(value) for value in choices(part, axis.partition(".")[2])} if _has(part, axis) else {ABSENT}
                )
                yield Cell(("unsaid",), {player: frozenset([name]), axis: frozenset(product[axis]) - known}, said=False)
    for game in product["game"]:
        has = bool({*ENCODERS} & registry.field_types(registry.lookup("game", game.partition(":")[0])).keys())
        wrong = frozenset(name for name in product["encoder"] if (name == ABSENT) == has)
        yield Cell(("unsaid",), {"game": frozenset([game]), "encoder": wrong}, said=False)


def _has(part: type, axis: str) -> bool:
    return axis.partition(".")[2] in registry.field_types(part)
