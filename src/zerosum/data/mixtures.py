"""Points drawn from known Gaussian mixtures, where every failure of a generator can be counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from zerosum.core.registry import register
from zerosum.data.contents import Contents
from zerosum.data.part import DataPart

POINTS = 100_000


class Mixture(DataPart):
    """Base of equally likely round Gaussians: points whose modes a metric can count."""

    centres: ClassVar[np.ndarray]  # float32 [modes, D]
    spread: ClassVar[float]  # standard deviation of every mode

    def contents(self) -> Contents:
        """The points of seed 0; `open_data` draws those of its own seed."""
        return Contents(array=self.sample(0))

    def sample(self, seed: int, count: int = POINTS) -> np.ndarray:
        """Draw float32 points [count, D]."""
        random = np.random.default_rng(seed)
        modes = random.integers(len(self.centres), size=count)
        noise = random.standard_normal((count, self.centres.shape[1]))
        return (self.centres[modes].astype(np.float64) + self.spread * noise).astype(np.float32)


def _ring(modes: int) -> np.ndarray:
    angles = 2 * np.pi * np.arange(modes) / modes
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def _grid(sides: list[float]) -> np.ndarray:
    return np.array([[x, y] for x in sides for y in sides], dtype=np.float32)


@register("data", "dirac")
@dataclass(frozen=True)
class Dirac(Mixture):
    """100,000 points, all at 0 of one dimension."""

    centres: ClassVar[np.ndarray] = np.zeros((1, 1), np.float32)
    spread: ClassVar[float] = 0.0


@register("data", "ring8")
@dataclass(frozen=True)
class Ring8(Mixture):
    """100,000 points: 8 Gaussians on a circle of radius 1, deviation 0.01."""

    centres: ClassVar[np.ndarray] = _ring(8)
    spread: ClassVar[float] = 0.01


@register("data", "ring8-wide")
@dataclass(frozen=True)
class Ring8Wide(Mixture):
    """100,000 points: 8 Gaussians on a circle of radius 1, deviation 0.05."""

    centres: ClassVar[np.ndarray] = _ring(8)
    spread: ClassVar[float] = 0.05


@register("data", "grid25")
@dataclass(frozen=True)
class Grid25(Mixture):
    """100,000 points: 25 Gaussians on a 5x5 grid, deviation 0.0177."""

    centres: ClassVar[np.ndarray] = _grid([side / 2.828 for side in (-4, -2, 0, 2, 4)])
    spread: ClassVar[float] = 0.05 / 2.828


MIXTURES: dict[str, Mixture] = {mixture.name: mixture for mixture in (Dirac(), Ring8(), Ring8Wide(), Grid25())}
