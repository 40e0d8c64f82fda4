"""Sliced Wasserstein distance: an earth mover's distance without a network or an assignment problem."""

from __future__ import annotations

import torch
from torch import Tensor

from zerosum.metrics.checks import takes_arrays

_AT_ONCE = 64  # directions projected together, which bounds memory


@takes_arrays
def sliced_wasserstein(real: Tensor, fake: Tensor, projections: int = 256, seed: int = 0) -> float:
    """Root of the mean, over random unit directions, of the squared 1-D 2-Wasserstein distance; 0 for equal sets.

    Bonneel et al. 2015, eq. 7. In one dimension it is W2 exactly; moving a set by d gives about ||d|| / sqrt(D).
    The two sets may differ in size: the quantile functions are compared exactly, step by step. Directions depend only
    on the seed, global random state is neither read nor changed; everything is float64 on the CPU.

    Args:
        real: samples, `[N, ...]`, flattened to D numbers each.
        fake: samples, `[M, ...]`, of the same shape.
        projections: number of directions.
        seed: seed of the directions; compare only numbers of the same seed.

    Raises:
        ValueError: a set is empty, samples differ in shape or are not finite, or projections is below 1.
    """
    if not (real.ndim > 1 and real.shape[1:] == fake.shape[1:] and len(real) and len(fake)):
        shapes = f"{tuple(real.shape)} and {tuple(fake.shape)}"
        raise ValueError(f"sliced_wasserstein: two sets of samples of one shape are needed, their shapes are {shapes}")
    if projections < 1:
        raise ValueError(f"sliced_wasserstein: projections must be at least 1, not {projections}")
    real, fake = (x.detach().cpu().double().flatten(1) for x in (real, fake))
    if not (real.isfinite().all() and fake.isfinite().all()):
        raise ValueError("sliced_wasserstein: some samples are not finite")
    directions = torch.randn(
        real.shape[1], projections, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    directions /= torch.linalg.vector_norm(directions, dim=0)
    total = sum(_squares(real @ part, fake @ part).item() for part in directions.split(_AT_ONCE, 1))
    return (total / projections) ** 0.5


def _squares(real: Tensor, fake: Tensor) -> Tensor:
    """Sum over columns of W2^2 between the columns of `[N, P]` and `[M, P]`: the integral of squared quantile gaps."""
    n, m = len(real), len(fake)
    # Both quantile functions are steps; in units of 1/(n*m) the steps start at whole numbers.
    starts = torch.cat([torch.arange(n) * m, torch.arange(m) * n]).unique()
    widths = torch.diff(starts, append=torch.tensor([n * m])).double() / (n * m)
    gaps = real.sort(0).values[starts // m] - fake.sort(0).values[starts // n]
    return (widths @ gaps.square()).sum()
