"""The units of points: networks see every column at the same scale, people see it as it was given."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

Range = tuple[float, float]


@dataclass(frozen=True)
class Units:
    """Inside, a column is (value - mean) / deviation; outside it is the value.

    Attributes:
        names: of the columns; () where they have none.
        mean: of the training points, or 0 where nothing is standardised.
        deviation: of the training points; 1 where that is 0, or nothing is standardised.
        low: smallest value of the training points.
        high: largest one.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def of(cls, points: np.ndarray, names: tuple[str, ...], *, standardised: bool) -> Units:
        """Units of training points [N, D]."""
        exact = points.astype(np.float64)
        mean, deviation = exact.mean(0), exact.std(0)
        deviation = np.where(deviation > 1e-12 * np.abs(mean), deviation, 1.0)
        if not standardised:
            mean, deviation = np.zeros_like(mean), np.ones_like(deviation)
        rows = (mean, deviation, exact.min(0), exact.max(0))
        return cls(names, *(tuple(map(float, row)) for row in rows))

    @classmethod
    def read(cls, facts: dict[str, Any]) -> Units:
        """From `facts`.

        Raises:
            TypeError, ValueError, KeyError: they are none.
        """
        numbers = {key: tuple(map(float, facts[key])) for key in ("mean", "deviation", "low", "high")}
        units = cls(tuple(map(str, facts["names"])), **numbers)
        sizes = {len(row) for row in numbers.values()}
        if (
            len(sizes) > 1
            or (units.names and len(units.names) not in sizes)
            or not np.isfinite([*numbers.values()]).all()
        ):
            raise ValueError("units of several lengths, or not finite")
        return units

    def facts(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    def inward(self, points: np.ndarray) -> np.ndarray:
        """From the data's units to the networks': float32 [N, D]."""
        return ((points.astype(np.float64) - self.mean) / self.deviation).astype(np.float32)

    def outward(self, points: np.ndarray) -> np.ndarray:
        """From the networks' units to the data's: [N, D] of `dtype`."""
        return (points.astype(np.float64) * self.deviation + self.mean).astype(self.dtype)

    @property
    def dtype(self) -> type[np.generic]:
        """Of points in the data's units: float32 where it tells them apart, else float64."""
        fine = (np.abs(self.mean) < 1e4 * np.asarray(self.deviation)).all()
        return np.float32 if fine else np.float64

    @property
    def ranges(self) -> list[Range]:
        """Range of every column, to draw it in."""
        return list(zip(self.low, self.high, strict=True))

    def __str__(self) -> str:
        if not any(self.mean) and set(self.deviation) == {1.0}:
            return "as they are"
        return "each column minus its mean, over its standard deviation, both of the training points"
