"""What can be known before any data are decoded: faults that settings alone decide, and sizes that networks take."""

from __future__ import annotations

from zerosum.core import compatibility
from zerosum.core.errors import RecipeError
from zerosum.core.signals import Signal
from zerosum.data import Dataset, Preparation, attributes, pairs
from zerosum.data.domains import SIGNALS
from zerosum.data.fitting import Fits
from zerosum.recipes import Recipe

CLASSES = 10  # of data that are not known yet, where they have any


def fits(recipe: Recipe) -> Fits:
    """Tells which shapes (H, W, C) of images the networks of a recipe take."""

    def takes(shape: tuple[int, int, int], classes: int) -> bool:
        height, width, channels = shape
        return compatibility.wires(recipe.game, signals(recipe.data, (channels, height, width), classes))

    return takes


def signals(preparation: Preparation, shape: tuple[int, ...], classes: int) -> dict[str, Signal]:
    """Signals of images or points of a shape, as `Dataset.signals` gives them."""
    sample = Signal("image" if len(shape) == 3 else "points", shape)
    if preparation.domains:
        return dict.fromkeys(SIGNALS, sample)
    if (pairing := preparation.pairing) and len(shape) == 3:
        made = (pairing.channels(shape[0]), *shape[1:])
        return pairs.signals(*((made, shape) if preparation.direction == "AtoB" else (shape, made)))
    if preparation.attributes:
        return {"sample": sample, "label": attributes.signal(max(1, classes))}
    return {"sample": sample} | ({"label": Signal("label", (), classes)} if classes else {})


def check(recipe: Recipe) -> None:
    """Refuse a recipe that cannot work whatever the data hold, where its settings fix the size of images.

    Raises:
        RecipeError: every problem, as with data of that size in colour.
    """
    preparation = recipe.data
    if preparation.size == "auto":
        return
    faults: list[list[str]] = []
    for shape in _shapes(preparation):
        for classes in (0, CLASSES):
            try:
                available = signals(preparation, shape, classes)
                compatibility.check(recipe.game, available, recipe.length.samples(1), recipe.batch)
            except RecipeError as error:
                faults.append(error.faults)
            else:
                return
    raise RecipeError(min(faults, key=len))


def _shapes(preparation: Preparation) -> list[tuple[int, ...]]:
    """Shapes that samples may have: images of the size that is asked for, and points, which have none."""
    channels = [3, 1] if preparation.channels == "auto" else [int(preparation.channels)]
    sides = preparation.shape(set(), grey=False)[:2]
    return [*((many, *sides) for many in channels), (2,)]


def sized(recipe: Recipe, dataset: Dataset) -> Recipe:
    """The recipe with the size that was chosen for its networks, where its own rule would give another."""
    return recipe if recipe.data.size == dataset.size else recipe.replace(data=recipe.data.replace(size=dataset.size))
