"""How images are made equal: size, channels, fit, transparency. One part, shown by `zerosum show images`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from zerosum.core.errors import RecipeError
from zerosum.core.registry import Part, register
from zerosum.core.values import Fraction

LARGEST_OWN_SIDE = 256  # pixels; images above it are scaled down unless a size is asked for
USUAL_SIDE = 64  # pixels; where the images have no common square size


@register("data", "images")
@dataclass(frozen=True)
class Preparation(Part):
    """Turn images of any size and mode into uint8 [H, W, C] of one shape.

    Fixed rules: EXIF rotation is applied, the first frame stands for an animation, 16-bit grey is divided by 257,
    CMYK becomes RGB, float pixels must lie in 0..1.
    """

    size: str = "auto"  # pixels, as 64 or 48x64 (height x width); auto: own size if all equal, square, <= 256, else 64
    channels: Literal["auto", "1", "3"] = "auto"  # 1 grey, 3 colour; auto: 1 if every file is grey by its mode, else 3
    fit: Literal["crop", "pad", "stretch"] = "crop"  # centre crop, letterbox with black, or ignore the aspect ratio
    resample: Literal["lanczos", "bicubic", "box", "nearest"] = "lanczos"  # filter of every change of size
    background: Literal["white", "black"] = "white"  # what shows through transparency
    flip: bool = False  # mirror left to right with probability 1/2, each time an image is shown
    balanced: bool = False  # show every class equally often, however often it occurs; needs labels
    held_out: Fraction = 0.1  # share kept from training for judgement, where a set has no test part of its own

    def __post_init__(self) -> None:
        super().__post_init__()
        found = re.fullmatch(r"auto|([1-9]\d*)(?:x([1-9]\d*))?", self.size)
        if found is None:
            raise RecipeError(f"data 'images': size: {self.size!r} is not auto, 64, or 48x64 (height x width)")
        if max(int(side or 0) for side in found.groups()) > 8192:
            raise RecipeError(f"data 'images': size: {self.size!r} is above 8192 pixels a side")

    @property
    def needs_survey(self) -> bool:
        """True where the shape depends on the images themselves."""
        return "auto" in (self.size, self.channels)

    def shape(self, sizes: set[tuple[int, int]], grey: bool) -> tuple[int, int, int]:
        """Shape (H, W, C) for images of these (height, width) sizes, all grey or not."""
        channels = (1 if grey else 3) if self.channels == "auto" else int(self.channels)
        if self.size != "auto":
            sides = [int(side) for side in self.size.split("x")]
            return sides[0], sides[-1], channels
        height, width = next(iter(sizes)) if len(sizes) == 1 else (0, 0)
        side = height if height == width and 0 < height <= LARGEST_OWN_SIDE else USUAL_SIDE
        return side, side, channels

    def decoding(self) -> str:
        """The fields that change decoded pixels, as text; part of the cache key."""
        return f"size={self.size},channels={self.channels},{self.rendering()}"

    def rendering(self) -> str:
        """The fields that change decoded pixels once the shape is known."""
        return f"fit={self.fit},resample={self.resample},background={self.background}"
