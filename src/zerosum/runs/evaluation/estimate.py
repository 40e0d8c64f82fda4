"""A number over seeds: its mean, the 95 % interval of Student's t, and both as text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import Any


@dataclass(frozen=True)
class Estimate:
    """A number over seeds."""

    mean: float
    half_width: float | None  # of the 95 % interval; None with one seed
    values: dict[int, float]  # by seed

    @classmethod
    def of(cls, points: Iterable[tuple[int, float]]) -> Estimate | None:
        """From pairs of seed and value; several of one seed are no further evidence, and count as their mean."""
        by_seed: dict[int, list[float]] = {}
        for seed, value in points:
            by_seed.setdefault(seed, []).append(value)
        values = {seed: fmean(several) for seed, several in sorted(by_seed.items())}
        if not values:
            return None
        finite = all(map(math.isfinite, values.values()))
        return cls(fmean(values.values()) if finite else math.nan, half_width(list(values.values())), values)

    @property
    def low(self) -> float:
        """Lower end of the interval; the mean with one seed."""
        return self.mean - (self.half_width or 0.0)

    @property
    def high(self) -> float:
        """Upper end of the interval; the mean with one seed."""
        return self.mean + (self.half_width or 0.0)


def half_width(values: Sequence[float]) -> float | None:
    """Half the width of the 95 % interval for the mean: t(0.975, n - 1) * s / sqrt(n); None for a single value."""
    if len(values) < 2:
        return None
    if not all(map(math.isfinite, values)):
        return math.nan
    from scipy.special import stdtrit  # type: ignore[import-untyped]  # comes with scikit-learn

    return float(stdtrit(len(values) - 1, 0.975)) * stdev(values) / math.sqrt(len(values))


def entries(estimate: Estimate | None) -> dict[str, Any]:
    """What an object says of an estimate; nothing for none."""
    return {} if estimate is None else {**asdict(estimate), "n": len(estimate.values)}


def write(estimate: Estimate) -> str:
    """An estimate as text: to two digits of its half width, or to four digits of its own."""
    half = estimate.half_width
    if half is None or not math.isfinite(half):
        return f"{estimate.mean:,.0f}" if abs(estimate.mean) >= 1000 else f"{estimate.mean:.4g}"
    places = 4 if half == 0 else max(0, 1 - math.floor(math.log10(half)))
    return f"{estimate.mean:,.{places}f} ± {half:,.{places}f}"
