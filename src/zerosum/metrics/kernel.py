"""Kernel distance: maximum mean discrepancy of features with a cubic kernel, unbiased at every sample size."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from zerosum.metrics.checks import samples, takes_arrays

_AT_ONCE = 2**22  # numbers in a temporary matrix, which bounds memory


@takes_arrays
def kernel_distance(real: Tensor, fake: Tensor) -> float:
    """Squared maximum mean discrepancy with the kernel (x.y / D + 1)^3; 0 on average for equal distributions.

    Binkowski et al. 2018 (KID, when the features are those of Inception v3); Gretton et al. 2012 for the estimate: the
    U-statistic over all pairs of different samples, so nothing is random. It may be negative. Lower is better.

    Args:
        real: features, `[N, D]`, at least 2 of them.
        fake: features, `[M, D]`, at least 2 of them.

    Raises:
        ValueError: shapes do not fit, a set has fewer than 2 samples, or some numbers are not finite.
    """
    real, fake = samples("kernel_distance", 2, real=real, fake=fake)
    return _discrepancy(_with_one(real), _with_one(fake))


@takes_arrays
def kernel_distance_subsets(
    real: Tensor, fake: Tensor, subsets: int = 100, size: int = 1000, seed: int = 2020
) -> tuple[float, float]:
    """`kernel_distance` of random subsets: mean and standard deviation (divided by `subsets`, not by one less).

    The protocol of Binkowski et al. 2018, with the stream of random numbers of torch-fidelity, whose input1 is `fake`.

    Args:
        real: features, `[N, D]`, at least `size` of them.
        fake: features, `[M, D]`, at least `size` of them.
        subsets: number of subsets, each drawn without replacement.
        size: samples in a subset, at least 2.
        seed: seed of the subsets.

    Raises:
        ValueError: shapes do not fit, a set is too small, some numbers are not finite, or a setting is too small.
    """
    if subsets < 1 or size < 2:
        raise ValueError(f"kernel_distance_subsets: 1 subset of size 2 at least is needed, not {subsets} of {size}")
    real, fake = samples("kernel_distance_subsets", size, real=real, fake=fake)
    real, fake = _with_one(real), _with_one(fake)
    stream = np.random.RandomState(seed)

    def draw(x: Tensor) -> Tensor:
        return x[torch.from_numpy(stream.choice(len(x), size, replace=False))]

    distances = [_discrepancy(draw(fake), draw(real)) for _ in range(subsets)]
    return float(np.mean(distances)), float(np.std(distances))


def _with_one(x: Tensor) -> Tensor:
    """Samples whose inner products are x.y / D + 1."""
    return torch.cat([x / x.shape[1] ** 0.5, x.new_ones(len(x), 1)], 1)


def _discrepancy(x: Tensor, y: Tensor) -> float:
    """Unbiased estimate with the kernel (x.y)^3, from pairs or from moments, whichever is cheaper."""
    n, m, d = len(x), len(y), x.shape[1]
    sums = _sums_from_moments if d**2 / 3 < (n + m) / 2 else _sums_from_pairs
    within_x, between, within_y = sums(x, y)
    return within_x / (n * (n - 1)) + within_y / (m * (m - 1)) - 2 * between / (n * m)


def _sums_from_pairs(x: Tensor, y: Tensor) -> tuple[float, float, float]:
    """Sums of the kernel over pairs of different samples of x, over all pairs of x and y, and over those of y."""
    return 2 * _sum(x, x, upper=True), _sum(x, y), 2 * _sum(y, y, upper=True)


def _sum(x: Tensor, y: Tensor, upper: bool = False) -> float:
    """Sum of (x_i.y_j)^3 over all i and j, or over i < j."""
    total, at_once = 0.0, max(1, _AT_ONCE // len(y))
    for start in range(0, len(x), at_once):
        rows = x[start : start + at_once]
        products = (rows @ y[start:].T).triu_(1) if upper else rows @ y.T
        flat = products.flatten()
        total += torch.dot(flat.square(), flat).item()
    return total


def _sums_from_moments(x: Tensor, y: Tensor) -> tuple[float, float, float]:
    """The same sums from third moments: (x.y)^3 is the inner product of x (x) x (x) x and y (x) y (x) y."""
    within_x, between, within_y = -_itself(x), 0.0, -_itself(y)
    for a in range(x.shape[1]):
        of_x, of_y, orders = _third_moments(x, a), _third_moments(y, a), _orders(x.shape[1] - a)
        within_x += (of_x * of_x * orders).sum().item()
        between += (of_x * of_y * orders).sum().item()
        within_y += (of_y * of_y * orders).sum().item()
    return within_x, between, within_y


def _third_moments(x: Tensor, a: int) -> Tensor:
    """Sums of x_a x_b x_c over samples, for b and c from a on."""
    return (x[:, a : a + 1] * x[:, a:]).T @ x[:, a:]


def _orders(count: int) -> Tensor:
    """How many of all (a, b, c) each entry represents: a may come first, second or third."""
    orders = torch.full((count, count), 3.0, dtype=torch.float64)
    orders[0] = orders[:, 0] = 1.5  # two entries for aac, aca and caa
    orders[0, 0] = 1
    return orders


def _itself(x: Tensor) -> float:
    """Sum of the kernel of each sample with itself."""
    return x.square().sum(1).pow(3).sum().item()
