"""Surface: model files, damaged, or written anew by somebody who knows the format."""

from __future__ import annotations

from pathlib import Path
from random import Random

import torch
from safetensors.torch import save

from benchmarks.surfaces.surface import HUGE, Case, Surface, damage, odd_value, tamper, to_json
from tests.small import trained
from zerosum.networks.space import Space
from zerosum.recipes import read_recipe
from zerosum.runs.storage import sealed
from zerosum.runs.storage.saved import load_model, save_model

WIDTHS = ("generator.channels=4",)
SMALL = {
    "dcgan": (Space((1, 8, 8), 100, 10), WIDTHS),
    "acgan": (Space((1, 8, 8), 110, 10), WIDTHS),
    "mixture": (Space((2,), 256), ("generator.widths=8",)),
    "r3gan-small": (Space((3, 8, 8), 64), ("generator.channels=8", "generator.blocks=1")),
    "stylegan2-small": (Space((3, 8, 8), 64), ("generator.channels=16", "generator.mapping=1", "generator.style=16")),
}


class Models(Surface):
    """A model file with a flipped bit or more, which must never be taken; or sealed again around odd content."""

    name = "model"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.file = folder / "model.safetensors"
        self.whole: dict[str, bytes] = {}
        self.parts: dict[str, tuple[dict, dict]] = {}
        for name, (space, words) in SMALL.items():
            recipe = read_recipe(name, list(words))
            save_model(self.file, trained(recipe, space.signals, tuple(map(str, range(space.classes)))))
            self.whole[name] = self.file.read_bytes()
            about, weights, _ = sealed.read(self.file, dict)
            self.parts[name] = {key: value for key, value in about.items() if key != "sha256"}, weights

    def case(self, random: Random) -> Case:
        """A file that is loaded and samples."""
        name = random.choice(list(SMALL))
        changed = random.random() < 0.5
        what, content = damage(self.whole[name], random) if changed else self._anew(name, random)
        same = content == self.whole[name]

        def call() -> None:
            self.file.write_bytes(content)
            model = load_model(self.file)
            assert model.sample(2).shape == (2, *model.signal.shape)
            assert same or not changed, "damage was not noticed"

        return Case(f"{name}: {what}", call)

    def _anew(self, name: str, random: Random) -> tuple[str, bytes]:
        about, weights = self.parts[name]
        kind = random.choice(("about", "about", "recipe", "weights", "metadata", "unsealed", "header"))
        if kind == "about":
            what, new = tamper(about, random)
            return f"sealed with {what}", sealed_as(weights, new)
        if kind == "recipe":
            what, text = self._recipe(about["recipe"], random)
            return f"sealed with recipe {what}", sealed_as(weights, {**about, "recipe": text})
        if kind == "weights":
            key, odd = random.choice(list(weights)), random.choice(ODD_TENSORS)
            new = (
                {**weights, key: odd} if random.random() < 0.5 else {one: w for one, w in weights.items() if one != key}
            )
            return f"sealed with other weights {key}", sealed_as(new, about)
        if kind == "metadata":
            value = to_json(odd_value(random)).decode(errors="replace")
            return f"metadata {value[:40]!r}", save(weights, {random.choice(("zerosum", "other")): value})
        if kind == "unsealed":
            what, new = tamper({**about, "format": "zerosum-generator-1"}, random)
            return f"unsealed with {what}", save(weights, {"zerosum": to_json(new).decode()})
        size = random.choice((0, 1, 2**40, 2**63, 100))
        return f"header of {size} bytes", size.to_bytes(8, "little") + self.whole[name][8:]

    def _recipe(self, text: str, random: Random) -> tuple[str, str]:
        lines = text.splitlines()
        place = random.choice([number for number, line in enumerate(lines) if " = " in line])
        before = lines[place]
        new = random.choice(("0", "1", "3", "7", "1000", "100000", "2000000000", str(2**40), "none", "batch", "concat"))
        words = before.split("=")
        at = random.randrange(1, len(words))
        tail = words[at].partition(",")
        words[at] = new + ("," + tail[2] if tail[1] else '"' if before.endswith('"') else "")
        lines[place] = "=".join(words)
        return lines[place][:80], "\n".join(lines)


ODD_TENSORS = (
    torch.zeros(0),
    torch.zeros(()),
    torch.full((3,), float("nan")),
    torch.zeros(2, 3, dtype=torch.int64),
    torch.zeros(1, 1, 1, 1, 1),
    torch.zeros(3, dtype=torch.bool),
)


def sealed_as(weights: dict, about: object) -> bytes:
    """A sealed file around anything."""
    try:
        return sealed.pack(weights, about if isinstance(about, dict) else {"about": about})
    except (ValueError, RecursionError):  # a number that JSON cannot have
        return save(weights, {"zerosum": to_json(HUGE).decode()})
