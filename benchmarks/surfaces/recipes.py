"""Surface: recipe.toml, written by hand or by another program, and given to `--recipe`."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from random import Random

from benchmarks.surfaces.surface import Case, Surface, damage, odd_value, tamper
from zerosum.core import compatibility, registry, settings
from zerosum.networks.space import Space
from zerosum.recipes import Recipe, read_recipe

LINES = (
    "x = " + "[" * 3_000, "a.b = 1\na = 2", "[game]\n[game]", "game = 'image'", "batch = 1979-05-27", "seed = -0",
    "[[game]]\npart = 'image'", "game = {part = 'image'}", ".".join("a" * 3_000) + " = 1", "batch = " + "9" * 5_000,
    "batch = 0x" + "f" * 400, "recipe = '''\n'''", "[judge]\npart = 'samples'\nmetrics = 'fd'", "\ufeffbatch = 3",
    "batch = 1_0", "[data]\npart = 'images'\nsize = 64",
)  # fmt: skip


class Recipes(Surface):
    """A recipe's file with an entry of another type, a missing or misspelt table, or damaged as text; also wired."""

    name = "recipe"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.whole = {name: settings.to_toml(read_recipe(name)) for name in registry.registered("recipe")}
        self.file = folder / "recipe.toml"

    def case(self, random: Random) -> Case:
        """A file, read as `train --recipe FILE` reads it; one in ten of those that are taken is wired for digits."""
        name = random.choice(list(self.whole))
        what, content = self._content(self.whole[name], random)
        wired = random.random() < 0.1

        def call() -> None:
            self.file.write_bytes(content)
            recipe = read_recipe(str(self.file))
            assert settings.from_toml(Recipe, settings.to_toml(recipe)) == recipe
            if wired:
                compatibility.check(recipe.game, Space((1, 8, 8), 0, 10).signals, 1_000, recipe.batch)

        return Case(f"{name}: {what}", call)

    def _content(self, text: str, random: Random) -> tuple[str, bytes]:
        kind = random.choice(("text", "value", "value", "value", "line", "odd value"))
        if kind == "text":
            return damage(text.encode(), random)
        if kind == "line":
            lines, line = text.splitlines(), random.choice(LINES)
            lines.insert(random.randrange(len(lines)), line)
            return f"line {line[:40]!r}", "\n".join(lines).encode()
        if kind == "odd value":
            lines, value = text.splitlines(), odd_value(random)
            places = [number for number, line in enumerate(lines) if " = " in line]
            place = random.choice(places)
            lines[place] = f"{lines[place].partition(' = ')[0]} = {_toml(value)}"
            return lines[place][:80], "\n".join(lines).encode(errors="surrogatepass")
        what, table = tamper(tomllib.loads(text), random)
        if not isinstance(table, dict):
            table = {"game": table}
        return what, "\n".join(f"{json.dumps(key)} = {_toml(value)}" for key, value in table.items()).encode(
            errors="surrogatepass"
        )


def _toml(value: object) -> str:
    """A value in TOML, as far as it has a word for it."""
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{json.dumps(key, ensure_ascii=False)} = {_toml(one)}" for key, one in value.items()) + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    try:
        return str(value)
    except ValueError:
        return "9" * 5_000
