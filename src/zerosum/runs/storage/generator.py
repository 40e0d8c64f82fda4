"""The generator file: averaged weights with, in its metadata, all that sampling needs. This file alone is enough."""

from __future__ import annotations

import functools
import operator
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from zerosum.core import arithmetic, registry, settings
from zerosum.core.clock import reseed, seeded
from zerosum.core.errors import DamagedError, RecipeError, RunError, ZerosumWarning, nearest
from zerosum.core.space import Space
from zerosum.core.writing import write_file
from zerosum.data import RULES, Units
from zerosum.recipes import Recipe
from zerosum.runs.storage import code, model, remains, sealed
from zerosum.runs.storage.place import is_run, no_run

GOLDEN = (5**0.5 - 1) / 2
BLOCK = 64  # latents that are drawn at once
CHUNK, CHUNK_OF_ACCELERATORS = 16, 64  # samples that are made at once; so many are made also where fewer are asked for


@dataclass
class Generator:
    """A generator that samples.

    Attributes:
        module: the network, in evaluation mode.
        space: sizes of what it makes.
        classes: names of the classes it can be asked for; empty where it takes no label.
        images: how many images it was trained on.
        units: of the points it makes; None for images, and where the data had none.
    """

    module: nn.Module
    recipe: Recipe
    space: Space
    classes: tuple[str, ...]
    images: int
    shares: tuple[float, ...] = ()  # of the classes among what trained; empty in files of earlier versions: all alike
    rules: int = RULES  # of the split of the data
    units: Units | None = None

    @property
    def conditional(self) -> bool:
        """True where it takes labels."""
        player = self.recipe.game.players()[self.recipe.game.product]
        return "labels" in player.network.traits()

    @property
    def blends(self) -> bool:
        """True where it takes shares of classes [N, classes] in place of labels [N]."""
        return "blends" in self.recipe.game.players()[self.recipe.game.product].network.traits()

    @property
    def styled(self) -> bool:
        """True where latents become styles, which can be moved towards their average."""
        return "styles" in self.recipe.game.players()[self.recipe.game.product].network.traits()

    def latents(self, count: int, seed: int = 0, start: int = 0) -> Tensor:
        """Latents [N, K] on the CPU of the samples from number `start` on.

        Latent i of a seed is the same whatever the count: latents come in blocks of BLOCK, each with a seed of its own.
        """
        first = start // BLOCK
        with seeded(seed, "sample"):
            blocks = [self._block(seed, number) for number in range(first, -(-(start + count) // BLOCK))]
        blocks = blocks or [self._block(seed, first)[:0]]
        return torch.cat(blocks)[start - first * BLOCK :][:count]

    def _block(self, seed: int, number: int) -> Tensor:
        reseed(seed, "sample", number)
        return self.recipe.game.latent(BLOCK, "cpu")

    def labels(self, count: int, label: str | int | None = None, start: int = 0) -> Tensor | None:
        """Labels [N] of the samples from number `start` on: one class as `find_label` reads it, or all in turn.

        None where it takes none.

        Raises:
            RunError: there is no such class, or it takes no labels.
        """
        if label is not None:
            return torch.full((count,), find_label(self, label))
        return torch.arange(start, start + count) % len(self.classes) if self.conditional else None

    def labels_by_share(self, count: int, seed: int = 0) -> Tensor | None:
        """Labels [N] as frequent as the classes were in training, to compare with data; None where it takes none.

        Label i is the class at point i of a golden-ratio sequence with a random start, so that the first n have these
        shares as nearly as n labels can, for every n.
        """
        if not self.conditional:
            return None
        shares = torch.tensor(self.shares or [1.0] * len(self.classes), dtype=torch.float64)
        start = np.random.default_rng(seed).random()
        points = (start + torch.arange(count, dtype=torch.float64) * GOLDEN) % 1
        return torch.searchsorted(shares.cumsum(0) / shares.sum(), points, right=True).clamp(max=len(shares) - 1)

    def _repr_html_(self) -> str:
        """As a notebook shows it."""
        from zerosum.runs.view.cards import generator_card  # which draws pictures

        return generator_card(self)

    @torch.no_grad()
    def sample(self, count: int, *, seed: int = 0, label: str | int | None = None, start: int = 0) -> Tensor:
        """Draw samples [N, C, H, W] in [-1, 1], or points [N, D] in the data's units, from number `start` on.

        Sample i of a seed is the same, bit for bit, in any count, where the device and its threads are.

        Raises:
            RunError: there is no such class, or it takes no labels.
        """
        latents, labels = self.latents(count, seed, start), self.labels(count, label, start)
        return self.outward(self.decode(latents, labels, start, seed))

    def outward(self, samples: Tensor) -> Tensor:
        """Samples as people see them: points in the data's own units."""
        return samples if self.units is None else torch.from_numpy(self.units.outward(samples.numpy()))

    @torch.no_grad()
    def sources(self, latent: Tensor, label: Tensor | None) -> Tensor:
        """Images [N, C, H, W] to start from, for a generator that starts from images."""
        network: Any = self.module
        device = next(network.parameters()).device
        return network.sources(latent.to(device), None if label is None else label.to(device)).cpu()

    @torch.no_grad()
    def decode(self, latent: Tensor, label: Tensor | None, start: int = 0, seed: int = 0) -> Tensor:
        """Turn latents [N, K] and labels [N] into samples on the CPU; points in networks' units."""
        return torch.cat([torch.empty(0, *self.space.shape), *self.chunks(latent, label, start=start, seed=seed)])

    @torch.no_grad()
    def chunks(
        self,
        latent: Tensor,
        label: Tensor | None,
        psi: float | None = None,
        start: int = 0,
        source: Tensor | None = None,
        seed: int = 0,
    ) -> Iterator[Tensor]:
        """Samples on the CPU, some at a time.

        `psi` moves styles towards their average; `source` are images [N, C, H, W] to start from.

        The last bits of a sample depend on how many are made at once and on its place among them. So all chunks are
        equally large, and a sample has its place by its number, which is `start` for the first: incomplete chunks are
        filled up. A network that draws noise of its own draws it from `seed` and the number of the chunk.
        """
        arithmetic.settle()
        device = next(self.module.parameters()).device
        size = CHUNK if device.type == "cpu" else CHUNK_OF_ACCELERATORS
        options: dict[str, Any] = {} if psi is None else {"psi": psi}
        done = 0
        while done < len(latent):
            number, place = divmod(start + done, size)
            many = min(size - place, len(latent) - done)
            filled = torch.arange(-place, size - place).clamp(0, many - 1) + done
            classes = None if label is None else label[filled].to(device)
            if source is not None:
                options["source"] = source[filled].to(device)
            network = functools.partial(self.module, **options) if options else self.module
            with seeded(seed, "chunk", number):
                samples = self.recipe.game.sample(network, latent[filled].to(device), classes)
            samples = samples[place : place + many].float().cpu()
            yield samples.clamp(-1, 1) if self.space.is_image else samples  # the output of some networks is linear
            done += many


def save_generator(path: Path, generator: Generator) -> None:
    """Write a generator file, whole or not at all."""
    about = {
        "format": model.FORMAT,
        "recipe": settings.to_toml(generator.recipe),
        "space": asdict(generator.space),
        "classes": generator.classes,
        "images": generator.images,
        "shares": generator.shares,
        "rules": generator.rules,
        "units": None if generator.units is None else generator.units.facts(),
    }
    weights = {key: value.detach().cpu().contiguous() for key, value in generator.module.state_dict().items()}
    write_file(path, sealed.pack(weights, about))


def load_generator(path: str | Path, *, trust: bool = False) -> Generator:
    """Read a generator file; one of an earlier version, without a checksum, is warned of.

    Args:
        path: the file.
        trust: run the Python files of the run that it lies in, whoever wrote them.

    Raises:
        RunError: it is missing, damaged, or no generator file.
        RecipeError: it was made with a part of the user's own that is not loaded; `--use` or `--trust` load it.
    """
    path = Path(path)
    try:
        about, weights = model.read(path)
    except DamagedError as error:
        raise DamagedError(f"{error}{remains.beside(path)}") from error
    code.load(path, trust=trust)
    try:
        recipe = settings.from_toml(Recipe, about["recipe"])
    except RecipeError as error:
        hint = code.withheld(path) or f"{path} needs parts that are not loaded; give their file with --use"
        raise RecipeError([*error.faults, hint]) from error
    if held := code.withheld(path):
        warnings.warn(held, ZerosumWarning, stacklevel=2)
    sizes = about["space"]
    space = Space(tuple(sizes["shape"]), sizes["latent"], sizes["classes"])
    module = model.build(path, recipe, space, weights)
    shares, units = tuple(about.get("shares", ())), _units(path, about)
    classes, rules = tuple(about["classes"]), about.get("rules", 1)
    return Generator(module, recipe, space, classes, about["images"], shares, rules, units)


def _units(path: Path, about: model.About) -> Units | None:
    facts, shape = about.get("units"), about["space"]["shape"]
    if facts is None:
        return None
    try:
        units = Units.read(facts)
        if [len(units.mean)] != shape:
            raise ValueError(f"they are of {len(units.mean)} columns")
        return units
    except (TypeError, ValueError, KeyError) as error:
        raise DamagedError(f"{path}: what it says of the units of its points is damaged ({error})") from error


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
        if not is_run(place):
            raise RunError(f"{place} is neither a run directory nor a generator file: {no_run(place)}")
        raise RunError(f"{place} has no generator.safetensors yet; it is written with the first checkpoint")
    return path


def with_latent(generator: Generator, text: str) -> Generator:
    """The generator with other latents, which have its own's size unless they say another.

    Raises:
        RunError: the size is another than the generator was trained with.
        RecipeError: there is no such latent.
    """
    wanted, game = generator.space.latent, generator.recipe.game
    latent = registry.parse("latent", text)
    if "size" in registry.field_types(type(latent)) and "size=" not in text:
        latent = latent.replace(size=wanted)
    if latent.size != wanted:
        raise RunError(f"--latent {text}: latents of {latent.size} numbers, and this generator takes {wanted}")
    return replace(generator, recipe=generator.recipe.replace(game=game.replace(latent=latent)))


def find_label(generator: Generator, label: str | int) -> int:
    """Number of a class: the one of that name, else the one whose name is that number, else the one at that place.

    Where every name is a number, as in 1, 2, ... or 01, 02, ..., a number always means the name.

    Raises:
        RunError: the generator takes no labels, or has no such class.
    """
    if not generator.conditional:
        raise RunError(
            "this generator takes no labels; train one with generator.labels=concat discriminator.labels=concat"
        )
    word, classes = str(label if isinstance(label, str) else operator.index(label)), generator.classes
    if word in classes:
        return classes.index(word)
    number = word.lstrip("0") or "0"
    numbers = [name.lstrip("0") or "0" for name in classes if name.isdecimal()]
    if len(numbers) == len(classes):
        if number in numbers:
            return numbers.index(number)
    elif word.isdecimal() and int(word) < len(classes):
        return int(word)
    raise RunError(f"there is no class {word!r}; {nearest(word, classes)}")
