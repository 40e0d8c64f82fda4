"""The size of a set whose images are all equal: their own where the networks take it, else the nearest."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from zerosum.core import writing
from zerosum.data.pixels import Shape
from zerosum.data.preparation import LARGEST_OWN_SIDE, USUAL_SIDE, Preparation

Size = tuple[int, int]  # (height, width)
Fits = Callable[[Shape, int], bool]  # whether networks take images of a shape (H, W, C) in so many classes
STEPS = (1, 2, 4, 8, 16, 32, 64)  # sides are cut to multiples of these, the smallest that fits
SQUARES = (64, 32, 128, 16, 256)  # pixels; where no such multiple does


@dataclass(frozen=True)
class Facts:
    """What a size is chosen by.

    Attributes:
        size: (height, width) of all images; None where they differ.
        usual: (H, W, C) by the preparation's own rule.
        classes: how many there are.
    """

    size: Size | None
    usual: Shape
    classes: int


def fitted(preparation: Preparation, facts: Facts, fits: Fits) -> Preparation:
    """The preparation with a size that networks take; as it is where that is its own rule's, or where none is."""
    height, width, channels = facts.usual
    for size in _candidates(facts.size, (height, width)):
        if fits((*size, channels), facts.classes):
            return preparation if size == (height, width) else preparation.replace(size=f"{size[0]}x{size[1]}")
    return preparation


def _candidates(native: Size | None, usual: Size) -> Iterator[Size]:
    """Sizes to try, the best first: of the images' own shape, then the usual one, then squares."""
    if native is not None and max(native) <= LARGEST_OWN_SIDE:
        yield from ((native[0] // step * step, native[1] // step * step) for step in STEPS if min(native) >= step)
    elif native is not None and native[0] != native[1]:
        scale = USUAL_SIDE / max(native)
        sides = [[max(step, round(side * scale / step) * step) for side in native] for step in STEPS[3:]]
        yield from ((height, width) for height, width in sides)
    yield usual
    yield from ((side, side) for side in SQUARES)


def recall(place: Path) -> Facts | None:
    """Read what was remembered; None where there is nothing, or it is damaged."""
    try:
        saved = json.loads(place.read_text(encoding="utf-8"))
        height, width, channels = map(int, saved["usual"])
        size = None if saved["size"] is None else (int(saved["size"][0]), int(saved["size"][1]))
        return Facts(size, (height, width, channels), int(saved["classes"]))
    except (OSError, ValueError, TypeError, LookupError):
        return None


def remember(facts: Facts, place: Path) -> None:
    """Write it down, to save a look at all files."""
    writing.remember(place, json.dumps(asdict(facts)).encode())
