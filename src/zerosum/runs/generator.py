"""The generator file: averaged weights with, in its metadata, all that sampling needs. This file alone is enough."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from zerosum.core import arithmetic, registry, settings
from zerosum.core.clock import seeded
from zerosum.core.errors import RecipeError, RunError
from zerosum.core.space import Space
from zerosum.recipes import Recipe
from zerosum.runs.checkpoint import write_file

KEY, FORMAT = "zerosum", "zerosum-generator-1"


@dataclass
class Generator:
    """A generator that samples.

    Attributes:
        module: the network, in evaluation mode.
        space: sizes of what it makes.
        classes: names of the classes it can be asked for; empty where it takes no label.
        images: how many images it was trained on.
    """

    module: nn.Module
    recipe: Recipe
    space: Space
    classes: tuple[str, ...]
    images: int

    @property
    def conditional(self) -> bool:
        """True where it takes labels."""
        player = self.recipe.game.players()[self.recipe.game.product]
        return "labels" in player.network.traits()

    def labels(self, count: int, label: int | None = None) -> Tensor | None:
        """Labels [N] for `count` samples: one class, or all in turn; None where it takes none."""
        if not self.conditional:
            return None
        return torch.full((count,), label) if label is not None else torch.arange(count) % len(self.classes)

    @torch.no_grad()
    def sample(self, count: int, *, seed: int = 0, label: int | None = None, chunk: int = 256) -> Tensor:
        """Draw samples [N, C, H, W] in [-1, 1], or points [N, D]; equal for equal seeds."""
        with seeded(seed, "sample"):
            latent = self.recipe.game.latent(count, "cpu")
        return self.decode(latent, self.labels(count, label), chunk)

    @torch.no_grad()
    def decode(self, latent: Tensor, label: Tensor | None, chunk: int = 256) -> Tensor:
        """Turn latents [N, K] and labels [N] into samples on the CPU, `chunk` at a time."""
        return torch.cat(list(self._chunks(latent, label, chunk)))

    def _chunks(self, latent: Tensor, label: Tensor | None, chunk: int) -> Iterator[Tensor]:
        arithmetic.settle()
        device = next(self.module.parameters()).device
        for start in range(0, len(latent), chunk):
            part = slice(start, start + chunk)
            one = None if label is None else label[part].to(device)
            samples = self.recipe.game.sample(self.module, latent[part].to(device), one).float().cpu()
            yield samples.clamp(-1, 1) if self.space.is_image else samples  # the output of some networks is linear


def save_generator(path: Path, generator: Generator) -> None:
    """Write a generator file, whole or not at all."""
    about = {
        "format": FORMAT,
        "recipe": settings.to_toml(generator.recipe),
        "space": asdict(generator.space),
        "classes": generator.classes,
        "images": generator.images,
    }
    weights = {key: value.detach().cpu().contiguous() for key, value in generator.module.state_dict().items()}
    # one key: the order of several in the file would differ from time to time
    write_file(path, save_tensors(weights, {KEY: json.dumps(about)}))


def load_generator(path: str | Path) -> Generator:
    """Read a generator file.

    Raises:
        RunError: it is missing, damaged, or no generator file.
        RecipeError: it was made with a part of the user's own that is not loaded; `--use` loads it.
    """
    about, weights = _read(Path(path))
    try:
        recipe = settings.from_toml(Recipe, about["recipe"])
    except RecipeError as error:
        raise RecipeError(
            [*error.faults, f"{path} needs parts that are not loaded; give their file with --use"]
        ) from error
    sizes = about["space"]
    space = Space(tuple(sizes["shape"]), sizes["latent"], sizes["classes"])
    module: nn.Module = recipe.game.players()[recipe.game.product].network.build(space)
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise RunError(f"{path}: its weights do not fit its own recipe: {error}") from error
    return Generator(module.eval(), recipe, space, tuple(about["classes"]), about["images"])


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not path.is_file():
        raise RunError(f"{path}: there is no such generator file")
    try:
        with safetensors.safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {}).get(KEY, "{}"))
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a dict)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise RunError(f"{path} is no generator file, or it is damaged: {error}") from error
    if about.get("format") != FORMAT:
        raise RunError(f"{path} is a safetensors file, but not one that zerosum wrote")
    return about, weights


def find_generator(place: str | Path) -> Path:
    """The generator file of a run directory, or the file itself.

    Raises:
        RunError: there is none.
    """
    place = Path(place)
    if not place.exists():
        raise RunError(f"{place}: there is no such run or generator file")
    path = place / "generator.safetensors" if place.is_dir() else place
    if not path.is_file():
        raise RunError(f"{place} has no generator.safetensors yet; it is written with the first checkpoint")
    for file in sorted((place / "code").glob("*.py")) if place.is_dir() else []:
        registry.use(file)
    return path
