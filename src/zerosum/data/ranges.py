"""From numbers of any type to the 256 levels of a pixel: which range they fill, and how it is scaled."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from zerosum.core.errors import DataError, shown

Span = tuple[float, float]  # what becomes 0, and what becomes 255
DEPTHS = (1023, 4095, 16383, 65535)  # the largest numbers of 10, 12, 14 and 16 bits
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_CHUNK = 1 << 22  # numbers looked at or converted at a time


@dataclass(frozen=True)
class Extent:
    """The smallest and the largest of some numbers, and of which kind they are."""

    low: float
    high: float
    integers: bool  # of a whole-number type

    def join(self, other: Extent) -> Extent:
        """The extent of both."""
        return Extent(min(self.low, other.low), max(self.high, other.high), self.integers and other.integers)

    def __str__(self) -> str:
        return f"{'whole numbers' if self.integers else 'floats'} from {self.low:g} to {self.high:g}"


def extent(array: np.ndarray) -> Extent:
    """Smallest and largest number of an array, which is not copied; NaN where it holds one."""
    integers = array.dtype.kind in "bui"
    lows, highs = [], []
    rows = max(1, _CHUNK // max(1, array[:1].size))
    for start in range(0, len(array), rows):
        part = array[start : start + rows]
        lows.append(float(part.min()))
        highs.append(float(part.max()))
    return Extent(float(np.min(lows)), float(np.max(highs)), integers)


def read_span(text: str) -> Span | None:
    """Read `0..4095` or `-1..1`; None for `auto`.

    Raises:
        ValueError: it is neither, or empty.
    """
    if text == "auto":
        return None
    match = re.fullmatch(rf"({_NUMBER})\.\.({_NUMBER})", text)
    if match is None or not float(match[1]) < float(match[2]) or math.isinf(float(match[2]) - float(match[1])):
        raise ValueError(f"{shown(text)} is not auto, or LOW..HIGH as in 0..4095 or -1..1")
    return float(match[1]), float(match[2])


def choose_span(of: Extent, stated: Span | None, where: str) -> Span:
    """The range that numbers fill: the stated one, else the usual one that they can only have come from.

    Raises:
        DataError: NaN or infinity; or no range is stated and several could be meant.
    """
    if not (math.isfinite(of.low) and math.isfinite(of.high)):
        raise DataError(f"{where}: holds NaN or infinity")
    if stated is not None:
        return stated
    usual = _usual(of)
    if usual is None:
        ways = f"data.range={min(0, of.low):g}..{of.high:g}, or the range that they were made for"
        raise DataError(f"{where}: {of}; this does not tell what is black and what is white, so set {ways}")
    return usual


def _usual(of: Extent) -> Span | None:
    slack = 0 if of.integers else 1e-3  # floats that were resampled overshoot a little
    if -slack <= of.low and of.high <= 1 + slack:
        return 0, 1
    if not of.integers and -1 - slack <= of.low and of.high <= 1 + slack:
        return -1, 1
    if of.low >= 0 and 128 <= of.high <= 255:
        return 0, 255
    if of.integers and of.low >= 0 and 255 < of.high <= 65535:
        return 0, next(top for top in DEPTHS if top >= of.high)
    return None


def note(of: Extent, span: Span) -> str:
    """What was decided, in words."""
    beyond = " (values outside are clipped)" if of.low < span[0] or of.high > span[1] else ""
    return f"range: {of} are read as {span[0]:g}..{span[1]:g}{beyond}; data.range=LOW..HIGH states another"


def to_levels(array: np.ndarray, span: Span) -> np.ndarray:
    """Scale numbers so that the span becomes 0..255, as uint8; what lies outside is cut to it."""
    if array.dtype == np.uint8 and span == (0, 255):
        return array
    low, high = span
    scaled = (array.astype(np.float64) - low) * (255 / (high - low))
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
