"""Values of fields: their types, their ranges, and their text.

A field's annotation is all that reading, writing and checking need:
`float`, `int`, `bool`, `str`, `Literal[...]`, `tuple[int, ...]`, and the annotated types below.
"""

from __future__ import annotations

import fractions
import math
import re
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from zerosum.core.errors import nearest, shown


@dataclass(frozen=True)
class Range:
    """Allowed values of a number: low <= x <= high, or low < x where `open_low` says so."""

    low: float
    high: float = math.inf
    open_low: bool = False

    def __str__(self) -> str:
        low = f"{'above' if self.open_low else 'at least'} {self.low:g}"
        return low if self.high == math.inf else f"{low} and at most {self.high:g}"

    def __contains__(self, value: float) -> bool:
        return (value > self.low if self.open_low else value >= self.low) and value <= self.high


Positive = Annotated[float, Range(0, open_low=True)]
NonNegative = Annotated[float, Range(0)]
Fraction = Annotated[float, Range(0, 1)]
Count = Annotated[int, Range(1)]
Natural = Annotated[int, Range(0)]
Repeats = Annotated[int, Range(1, 1_000)]  # how often something is done, or built, in a loop
SampleCount = Annotated[int, Range(0), "samples"]  # a position or span of the clock: text may say 50k or 2M


LARGEST = 2**53  # whole numbers above it are not exact as float64
_UNITS = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}
_SECONDS = {"s": 1, "sec": 1, "min": 60, "h": 3600}


def read_count(text: str) -> int:
    """Read a number of samples: `300`, `50k`, `1.5M`."""
    match = re.fullmatch(r"(\d{1,30}(?:\.\d{1,30})?)([kKmMgG]?)", text.strip().replace("_", ""))
    if match is None:
        raise ValueError(f"{shown(text)} is not a number of samples; write 50000, 50k or 1.5M")
    count = fractions.Fraction(match[1]) * _UNITS[match[2].lower()]
    if count.denominator != 1 or count > LARGEST:
        raise ValueError(f"{shown(text)} is not a whole number of samples up to {LARGEST:,}")
    return int(count)


def write_count(count: int) -> str:
    """Write a number of samples as short as it stays exact: 50000 -> 50k."""
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if count and count % size == 0:
            return f"{count // size}{unit}"
    return str(count)


@dataclass(frozen=True)
class Length:
    """How long or how often: in samples, in epochs, or in seconds of training. `never` is zero."""

    amount: float
    unit: Literal["samples", "epochs", "seconds"] = "samples"

    @classmethod
    def read(cls, text: str) -> Length:
        """Read `200k`, `10epochs`, `5min`, `90s`, `2h` or `never`."""
        word = text.strip().lower()
        if word == "never":
            return cls(0)
        match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?) ?(samples|epochs?|s|sec|min|h)?", word)
        if match and (match[2] or "").startswith("epoch"):
            return cls(float(match[1]), "epochs")
        if match and match[2] in _SECONDS:
            return cls(float(match[1]) * _SECONDS[match[2]], "seconds")
        try:
            return cls(read_count(word.removesuffix("samples").strip()))
        except ValueError:
            raise ValueError(f"{shown(text)} is not a length; write 200k (samples), 10epochs, 5min or never") from None

    def __str__(self) -> str:
        if not self.amount:
            return "never"
        if self.unit == "samples":
            return write_count(int(self.amount))
        if self.unit == "epochs":
            return f"{self.amount:g}epochs"
        return f"{self.amount / 60:g}min" if self.amount % 60 == 0 else f"{self.amount:g}s"

    def samples(self, per_epoch: int) -> int | None:
        """Number of samples it stands for, at least one; None if it counts seconds."""
        if self.unit == "seconds":
            return None
        return max(1, round(self.amount * (per_epoch if self.unit == "epochs" else 1))) if self.amount else 0


def strip(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    """Split an annotation into its plain type and its notes."""
    if get_origin(kind) is Annotated:
        return get_args(kind)[0], get_args(kind)[1:]
    return kind, ()


def check(value: Any, kind: Any) -> str | None:
    """Say what is wrong with a value of a field, or None."""
    plain, notes = strip(kind)
    origin = get_origin(plain)
    if origin in (Union, UnionType):
        faults = [check(value, option) for option in get_args(plain)]
        return None if None in faults else faults[0]
    if origin is Literal:
        options = get_args(plain)
        if value in options:
            return None
        word = value if isinstance(value, str) else shown(value)
        return f"{shown(value)} is not allowed; {nearest(word, map(str, options))}"
    if origin is tuple:
        if not isinstance(value, tuple):
            return f"{shown(value)} is not a list; separate its numbers by '/'"
        return next((fault for item in value if (fault := check(item, get_args(plain)[0]))), None)
    return _check_plain(value, plain, notes)


def _check_plain(value: Any, plain: Any, notes: tuple[Any, ...]) -> str | None:
    if plain is float:
        value = as_float(value)
    if plain in (int, float, bool, str, Length) and (type(value) is not plain):
        return f"{shown(value)} is not {_describe(plain)}"
    if plain is float and not math.isfinite(value):
        return f"{shown(value)} is not a finite number"
    if plain is int and abs(value) > LARGEST:
        return f"{shown(value)} must be at most {LARGEST:,}"
    if plain is Length and not 0 <= value.amount <= LARGEST:
        return f"{value.amount:g} {value.unit} is not a length"
    if plain is str and not value.isprintable():
        return f"{shown(value)} has characters that cannot be printed"
    outside = next((note for note in notes if isinstance(note, Range) and value not in note), None)
    return f"{shown(value)} must be {outside}" if outside else None


def as_float(value: Any) -> Any:
    """A whole number as a float, infinite where it is too large for one; any other value as it is."""
    if type(value) is not int:
        return value
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _describe(plain: Any) -> str:
    return {int: "a whole number", float: "a number", bool: "true or false", str: "text", Length: "a length"}[plain]


def read(text: str, kind: Any) -> Any:
    """Read the text of a field of this type.

    Raises:
        ValueError: where the text cannot be read; ranges are checked by `check`.
    """
    plain, notes = strip(kind)
    text = text.strip()
    if get_origin(plain) is tuple:
        return tuple(read(item, get_args(plain)[0]) for item in text.split("/") if item.strip())
    if "samples" in notes:
        return read_count(text)
    if plain is Length:
        return Length.read(text)
    if plain is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{shown(text)} is not true or false")
        return text.lower() == "true"
    if plain in (int, float):
        try:
            return plain(text)
        except ValueError:
            raise ValueError(f"{shown(text)} is not {_describe(plain)}") from None
    return text


def write(value: Any, kind: Any) -> str:
    """Write a value so that `read` gives it back."""
    plain, notes = strip(kind)
    if isinstance(value, tuple):
        return "/".join(write(item, get_args(plain)[0]) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    if "samples" in notes:
        return write_count(value)
    if plain is float:
        return repr(float(value))
    return str(value)
