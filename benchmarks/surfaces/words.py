"""Surface: settings as `field=value` words."""

from __future__ import annotations

from pathlib import Path
from random import Random

from benchmarks.surfaces.surface import Case, Surface
from zerosum.core import registry, tree
from zerosum.recipes import read_recipe

ODD = (
    "", "none", "true", "-1", "0", "1e999", "nan", "inf", "9" * 400, "9" * 5_000, "1e5", "1.5", "½", "٣", "k", "5k",
    "1.23k", "never", "5min", f"{'9' * 400}epochs", "1_000", "\x00", "\x1b[2J", "é" * 50, "a" * 5_000, "/", "//",
    "1/2/3", "0/0", ":", ":=", "+", "a+b", "x:y=z", "x:y", "r1:gamma=", "r1:gamma=1,gamma=2", "r1:gamma=nan", "+r1",
    "r1+r1", "=", "==", ",", "(", "%s", "{}", "fd<", "fd<nan", "fd<1e999", "64x64", "0x0", "8192x8193", "9" * 30 + "x1",
)  # fmt: skip


class Words(Surface):
    """A few words, some of them odd, on any recipe."""

    name = "words"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.recipes = list(registry.registered("recipe"))
        self.parts = [name for kind in registry.kinds() for name in registry.registered(kind)]
        self.fields: dict[str, list[str]] = {}

    def case(self, random: Random) -> Case:
        """One to four words."""
        name = random.choice(self.recipes)
        if name not in self.fields:
            below = tree.walk(read_recipe(name))
            self.fields[name] = sorted({field for part in below for field in registry.field_types(type(part))})
        words = [self._word(name, random) for _ in range(random.randint(1, 4))]
        return Case(f"{name} {words!r}"[:400], lambda: str(read_recipe(name, words)))

    def _word(self, recipe: str, random: Random) -> str:
        key = random.choice(self.fields[recipe])
        if random.random() < 0.3:
            places = ("game", "game.generator", "generator", "discriminator", "data", "evaluator", "")
            key = f"{random.choice(places)}.{key}"
        if random.random() < 0.1:
            place = random.randrange(len(key) + 1)
            key = key[:place] + random.choice((".", "..", "=", "\x00", "x", " ", "é")) + key[place:]
        value = random.choice(ODD) if random.random() < 0.5 else random.choice(self.parts)
        if random.random() < 0.3:
            value += random.choice((":", "+", ",", "=", "")) + random.choice(ODD)
        return f"{key}={value}"
