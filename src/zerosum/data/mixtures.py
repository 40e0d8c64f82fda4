"""Points drawn from known Gaussian mixtures, where every failure of a generator can be counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

POINTS = 100_000


@dataclass(frozen=True, eq=False)
class Mixture:
    """Equally likely round Gaussians."""

    about: str
    centres: np.ndarray  # float32 [modes, D]
    spread: float  # standard deviation of every mode

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


MIXTURES = {
    "dirac": Mixture("100,000 points, all at 0 of one dimension", np.zeros((1, 1), np.float32), 0.0),
    "ring8": Mixture("100,000 points: 8 Gaussians on a circle of radius 1, deviation 0.01", _ring(8), 0.01),
    "ring8-wide": Mixture("100,000 points: 8 Gaussians on a circle of radius 1, deviation 0.05", _ring(8), 0.05),
    "grid25": Mixture(
        "100,000 points: 25 Gaussians on a 5x5 grid, deviation 0.0177",
        _grid([side / 2.828 for side in (-4, -2, 0, 2, 4)]),
        0.05 / 2.828,
    ),
}
