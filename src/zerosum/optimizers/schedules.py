"""Schedules: a factor on the learning rate, as a function of the clock in images.

`factor(images, total)` takes the images shown so far and the length of the run in images. Where that is a time, it is
what the pace so far leads to, so that a decay over the whole run has done as much as the clock; None where nobody says.
All of them hold their last value after their end, and warm up linearly from 0 at the first image if asked to.
`check(total)` refuses what cannot be, before the first image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from zerosum.core.errors import RecipeError
from zerosum.core.registry import Part, register
from zerosum.core.values import Fraction, SampleCount, write_count

__all__ = ["Constant", "Cosine", "Halving", "LateLinear", "Linear"]


def _warm(images: int, warmup: int) -> float:
    """Rise from 0 to 1 over the warm-up."""
    return min(1.0, images / warmup) if warmup else 1.0


def _progress(name: str, images: int, start: int, end: int, total: float | None) -> float:
    """Share of the decay that is done, 0 to 1; 0 as long as its end seems to come before its start."""
    last = end or _length(name, total)
    return min(1.0, max(0.0, (images - start) / (last - start))) if start < last else 0.0


def _check(name: str, start: int, end: float | None) -> None:
    if end is not None and start >= end:
        raise RecipeError(
            f"schedule {name!r}: start={write_count(start)} is not before the end at {write_count(int(end))} images; "
            "lower start, or raise end or the length of the run"
        )


def _length(name: str, total: float | None) -> float:
    if total is None:
        raise RecipeError(
            f"schedule {name!r}: end=0 means the length of the run, and this one has none; set {name}:end=200k, or "
            "give the engine a `total`, or before each turn the `share` of the run that is done"
        )
    return total


@register("schedule", "constant")
@dataclass(frozen=True)
class Constant(Part):
    """The learning rate stays as it is."""

    warmup: SampleCount = 0  # images over which it rises from 0; 0: no warm-up

    def factor(self, images: int, total: float | None) -> float:  # noqa: ARG002 - it has no end
        """Factor on the learning rate, 0 to 1."""
        return _warm(images, self.warmup)


@dataclass(frozen=True)
class _Decay(Part):
    """A fall from one place of the run to another."""

    start: SampleCount = 0  # images before the fall begins
    end: SampleCount = 0  # images at which it ends; 0: the length of the run
    final: Fraction = 0.0  # factor at the end, held from there
    warmup: SampleCount = 0  # images over which it rises from 0; 0: no warm-up

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.end:
            _check(self.name, self.start, self.end)

    def check(self, total: int | None) -> None:
        """Refuse a decay that would start at or after the end of a run of so many images; None: measured in time."""
        _check(self.name, self.start, self.end or total)


@register("schedule", "linear")
@dataclass(frozen=True)
class Linear(_Decay):
    """The learning rate falls in a straight line.

    Raises:
        RecipeError: the decay would start at or after its end.
    """

    def factor(self, images: int, total: float | None) -> float:
        """Factor on the learning rate, 0 to 1."""
        done = _progress(self.name, images, self.start, self.end, total)
        return _warm(images, self.warmup) * ((1 - done) + self.final * done)


@register("schedule", "late-linear")
@dataclass(frozen=True)
class LateLinear(Part):
    """The learning rate stays for a share of the run, then falls in a straight line to its end, as CycleGAN's.

    Raises:
        RecipeError: it would stay all the time.
    """

    hold: Fraction = 0.5  # share of the run that passes before the fall
    final: Fraction = 0.0  # factor at the end of the run
    warmup: SampleCount = 0  # images over which it rises from 0; 0: no warm-up

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hold == 1:
            raise RecipeError("schedule 'late-linear': hold=1 leaves nothing to fall in; set hold=0.5, or constant")

    def factor(self, images: int, total: float | None) -> float:
        """Factor on the learning rate, 0 to 1."""
        if total is None:
            raise RecipeError(
                "schedule 'late-linear' ends with the run, and this one has no length; give the engine a `total`, or "
                "before each turn the `share` of the run that is done"
            )
        done = max(0.0, _progress(self.name, images, 0, 0, total) - self.hold) / (1 - self.hold)
        return _warm(images, self.warmup) * ((1 - done) + self.final * done)


@register("schedule", "cosine")
@dataclass(frozen=True)
class Cosine(_Decay):
    """The learning rate falls along half a cosine: slowly, fast, slowly.

    Loshchilov & Hutter 2017, eq. 5, without restarts.

    Raises:
        RecipeError: the decay would start at or after its end.
    """

    def factor(self, images: int, total: float | None) -> float:
        """Factor on the learning rate, 0 to 1."""
        done = _progress(self.name, images, self.start, self.end, total)
        return _warm(images, self.warmup) * (self.final + (1 - self.final) * (1 + math.cos(math.pi * done)) / 2)


@register("schedule", "halving")
@dataclass(frozen=True)
class Halving(Part):
    """The learning rate is halved again and again, as BEGAN's authors' code does on a fixed clock."""

    every: SampleCount = 1_600_000  # images from one halving to the next; 100,000 updates of 16 images for BEGAN
    final: Fraction = 0.02  # the factor falls no lower
    warmup: SampleCount = 0  # images over which it rises from 0; 0: no warm-up

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.every:
            raise RecipeError("schedule 'halving': every=0 would halve for ever; set every=1600k, or schedule=constant")

    def factor(self, images: int, total: float | None) -> float:  # noqa: ARG002 - it has no end
        """Factor on the learning rate, 0 to 1."""
        return _warm(images, self.warmup) * max(self.final, 0.5 ** (images // self.every))
