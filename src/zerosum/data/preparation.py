"""How images are made equal: size, channels, fit, transparency. One part, shown by `zerosum show images`."""

from __future__ import annotations

import glob
import re
import shlex
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from PIL import ImageColor

from zerosum.core.errors import RecipeError, UnknownPartError, shown
from zerosum.core.registry import Part, parse, register
from zerosum.core.values import Fraction
from zerosum.data.pairings import Files, Pairing
from zerosum.data.ranges import Span, read_span

LARGEST_OWN_SIDE = 256  # pixels; images above it are scaled down unless a size is asked for
USUAL_SIDE = 64  # pixels; where the images have no common square size
LARGEST_JUDGED_SIDE = 512  # pixels; with size=own, larger images are scaled down to it
_WAYS = {
    "background": "write a name as white, tomato or rebeccapurple, or #rrggbb",
    "range": "write the two numbers that stand for black and white",
}


@register("preparation", "images")
@dataclass(frozen=True)
class Preparation(Part):
    """Turn images of any size and mode into uint8 [H, W, C] of one shape.

    Fixed rules: EXIF rotation is applied, the first frame stands for an animation, CMYK becomes RGB. `channels=auto`
    is 1 where every file is grey by its mode, else 3, and for arrays as many as they have. `size=auto`: images that are
    all equal keep their size up to 256 pixels a side, cut to the nearest multiple that the networks take; larger ones
    keep their shape with 64 pixels on the long side; others become 64x64.
    """

    size: str = "auto"  # pixels, as 64 or 48x64 (height x width); auto: own where equal, <= 256 and taken, else 64
    channels: Literal["auto", "1", "2", "3", "4"] = "auto"  # 1 grey, 3 colour, 2 and 4 with transparency; auto: 1 or 3
    fit: Literal["crop", "pad", "stretch"] = "crop"  # centre crop, letterbox with black, or ignore the aspect ratio
    resample: Literal["lanczos", "bicubic", "box", "nearest"] = "lanczos"  # filter of every change of size
    background: str = "white"  # what shows through transparency, as tomato or #rrggbb; channels=4 keeps transparency
    range: str = "auto"  # black and white of 16-bit, float and other numbers, as 0..4095; auto: by what is there
    arrays: Literal["auto", "images", "points"] = "auto"  # what an array is; auto: rows [N, D] and series are points
    ignore: str = ""  # files and folders left out, patterns separated by blanks, as '*_mask.png thumbs'
    levels: str = "all"  # how many folders deep files are looked for: all, or 0 for those at the top, 1, 2 ...
    drop: tuple[str, ...] = ()  # columns of a table that are left out, by name or number from 1, separated by /
    standardise: bool = True  # points: each column minus its mean, over its deviation; samples are given back unscaled
    flip: bool = False  # mirror left to right with probability 1/2, each time an image is shown
    balanced: bool = False  # show every class equally often, however often it occurs; needs labels
    domains: tuple[str, ...] = ()  # two classes that a game translates between, as horse/zebra; auto: the only two
    attributes: tuple[str, ...] = ()  # what a game translates among in place of classes, as hat/young; all: every one
    pairs: str = ""  # input and target of a game: files, where the data hold both; else how the input is made, as edges
    direction: Literal["AtoB", "BtoA"] = "AtoB"  # of pairs; A is folder A, the left half, or the computed input
    held_out: Fraction = 0.1  # share kept from training for evaluation, where a set has no test part of its own

    def __post_init__(self) -> None:
        super().__post_init__()
        match = re.fullmatch(r"auto|own|([1-9]\d*)(?:x([1-9]\d*))?", self.size)
        if match is None:
            raise RecipeError(
                f"preparation 'images': size: {shown(self.size)} is not auto, own, 64, or 48x64 (height x width)"
            )
        if max(int(side or 0) for side in match.groups()) > 8192:
            raise RecipeError(f"preparation 'images': size: {shown(self.size)} is above 8192 pixels a side")
        if re.fullmatch(r"all|\d{1,3}", self.levels) is None:
            raise RecipeError(
                f"preparation 'images': levels: {shown(self.levels)} is not all, or a number of folders as 0 or 2"
            )
        if self.domains and self.domains != ("auto",) and not _are_two(self.domains):
            raise RecipeError("preparation 'images': domains: name two classes, as horse/zebra, or auto: the only two")
        self._check_pairs()
        self._check_attributes()
        for field, check in (("background", ImageColor.getrgb), ("range", read_span)):
            try:
                check(getattr(self, field))
            except ValueError as error:
                raise RecipeError(f"preparation 'images': {field}: {error}; {_WAYS[field]}") from error

    def _check_pairs(self) -> None:
        try:
            pairing = self.pairing
        except UnknownPartError:
            raise
        except RecipeError as error:
            raise RecipeError([f"preparation 'images': pairs: {fault}" for fault in error.faults]) from error
        if pairing and self.domains:
            raise RecipeError("preparation 'images': domains are sets without pairs, and pairs is set; leave one empty")

    def _check_attributes(self) -> None:
        if not self.attributes:
            return
        if len(set(self.attributes)) < len(self.attributes) or ("all" in self.attributes and len(self.attributes) > 1):
            raise RecipeError("preparation 'images': attributes: name each once, as hat/young, or all: every one")
        if other := next((name for name in ("domains", "pairs") if getattr(self, name)), None):
            raise RecipeError(
                f"preparation 'images': attributes are of single images, and {other} is set; leave it empty"
            )

    @property
    def pairing(self) -> Pairing | None:
        """Where inputs come from; None where samples are no pairs."""
        name, _, fields = self.pairs.partition(":")
        return parse("pairing", f"{name}:{fields.replace('/', ',')}") if name else None

    @property
    def layout(self) -> str:
        """How pairs lie in the data; "" where samples are no pairs, or their inputs are computed."""
        pairing = self.pairing
        return pairing.layout if isinstance(pairing, Files) else ""

    @property
    def span(self) -> Span | None:
        """The range that was stated; None: by what is there."""
        return read_span(self.range)

    def wants(self, name: str) -> bool:
        """True for a file, named from the top with "/", that neither `ignore` nor `levels` leaves out."""
        folders = name.split("/")
        deep = self.levels != "all" and len(folders) - 1 > int(self.levels)
        parts = (*folders, name)
        return not deep and not any(fnmatchcase(part, sign) for sign in self.ignore.split() for part in parts)

    @property
    def needs_survey(self) -> bool:
        """True where the shape depends on the images themselves."""
        return self.size == "own" or "auto" in (self.size, self.channels)

    def shape(self, sizes: set[tuple[int, int]], grey: bool, planes: int | None = None) -> tuple[int, int, int]:
        """Shape (H, W, C) for images of these (height, width) sizes, all grey or not, or arrays of so many channels."""
        channels = (planes or (1 if grey else 3)) if self.channels == "auto" else int(self.channels)
        if self.size == "own":
            return *_own(sizes), channels
        if self.size != "auto":
            sides = [int(side) for side in self.size.split("x")]
            return sides[0], sides[-1], channels
        height, width = next(iter(sizes)) if len(sizes) == 1 else (0, 0)
        side = height if height == width and 0 < height <= LARGEST_OWN_SIDE else USUAL_SIDE
        return side, side, channels

    def decoding(self) -> str:
        """The fields that change decoded pixels, as text; part of the cache key."""
        read = f"arrays={self.arrays},ignore={self.ignore},levels={self.levels}"
        pairs = f",pairs={self.layout}" if self.layout else ""
        pairs += ",attributes" if self.attributes else ""
        return f"size={self.size},channels={self.channels},range={self.range},{read},{self.rendering()}{pairs}"

    def rendering(self) -> str:
        """The fields that change decoded pixels once the shape is known."""
        return f"fit={self.fit},resample={self.resample},background={self.background}"


def leaving_out(name: str) -> str:
    """The setting that leaves out one file or folder, named from the top with "/", as it is typed in a shell."""
    pattern = re.sub(r"\s", "?", glob.escape(name))  # blanks separate patterns
    return shlex.quote(f"data.ignore={pattern}")


def _are_two(names: tuple[str, ...]) -> bool:
    return len(names) == len(set(names)) == 2 and "auto" not in names


def _own(sizes: set[tuple[int, int]]) -> tuple[int, int]:
    """The size of all images; of several sizes the one in the middle by area; at most 512 pixels a side."""
    height, width = sorted(sizes, key=lambda size: (size[0] * size[1], size))[len(sizes) // 2]
    scale = min(1.0, LARGEST_JUDGED_SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))
