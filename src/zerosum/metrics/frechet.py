"""Frechet distance: two sets of features compared as if each were a Gaussian."""

from __future__ import annotations

import torch
from torch import Tensor

from zerosum.metrics.checks import samples, takes_arrays

_LARGEST_START = 5000  # fakes in the smallest subset of the extrapolation, at most


@takes_arrays
def frechet_distance(real: Tensor, fake: Tensor) -> float:
    """|mu1 - mu2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) of two sets of features; 0 for equal sets, lower is better.

    Heusel et al. 2017 (FID, when the features are those of Inception v3); Dowson and Landau 1982. Covariances are
    unbiased (divided by N - 1). The distance is biased upwards, about as 1/N: compare only numbers of equal N.

    Args:
        real: features, `[N, D]`, at least 2 of them.
        fake: features, `[M, D]`, at least 2 of them.

    Raises:
        ValueError: shapes do not fit, a set has fewer than 2 samples, or some numbers are not finite.
    """
    real, fake = samples("frechet_distance", 2, real=real, fake=fake)
    return _distance(real.mean(0), _root_of_data(real), fake.mean(0), _root_of_data(fake))


def frechet_distance_of(a: Moments, b: Moments) -> float:
    """`frechet_distance` of two sets, given by their moments.

    Raises:
        ValueError: they differ in D, or one has fewer than 2 samples.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"frechet_distance_of: features are of {len(a.mean)} and of {len(b.mean)} numbers")
    return _distance(a.mean, _root(a.covariance), b.mean, _root(b.covariance))


@takes_arrays
def frechet_distance_infinity(
    real: Tensor, fake: Tensor, points: int = 15, seed: int = 0, repeats: int = 3
) -> tuple[float, float]:
    """Frechet distance extrapolated to infinitely many fakes, and its standard deviation over draws of subsets.

    Chong and Forsyth 2020: the bias is linear in 1/M, so a line through the distances of subsets of the fakes meets
    1/M = 0 without it; the bias of the finite real set stays. Subsets are drawn without replacement; their sizes go
    evenly from M/10 (from 5000 at most) to M. Read the value only together with its spread.

    Args:
        real: features, `[N, D]`, at least 2 of them.
        fake: features, `[M, D]`, at least 3 of them.
        points: subsets on one line, at least 2.
        seed: seed of the subsets.
        repeats: lines, each through its own subsets, at least 2.

    Returns:
        Mean and standard deviation of the intercepts of the lines.

    Raises:
        ValueError: shapes do not fit, a set is too small, some numbers are not finite, or a setting is too small.
    """
    real, fake = samples("frechet_distance_infinity", 2, real=real, fake=fake)
    if len(fake) < 3 or points < 2 or repeats < 2:
        raise ValueError(
            "frechet_distance_infinity: 3 fakes, 2 points and 2 repeats are needed at least, "
            f"not {len(fake)}, {points} and {repeats}"
        )
    generator = torch.Generator().manual_seed(seed)
    mean, root = real.mean(0), _root_of_data(real)
    sizes = torch.linspace(min(_LARGEST_START, max(len(fake) // 10, 2)), len(fake), points, dtype=torch.float64).long()

    def distance(size: int) -> float:
        subset = fake[torch.randperm(len(fake), generator=generator)[:size]]
        return _distance(mean, root, subset.mean(0), _root_of_data(subset))

    distances = torch.tensor([[distance(size) for size in sizes.tolist()] for _ in range(repeats)], dtype=torch.float64)
    line = torch.stack([torch.ones(points, dtype=torch.float64), 1 / sizes], 1)
    intercepts = torch.linalg.lstsq(line, distances.T).solution[0]
    return intercepts.mean().item(), intercepts.std().item()


class Moments:
    """Count, mean and covariance of features, accumulated over batches in float64.

    Sums are taken about a point near the data, the mean of the first batch, to avoid cancellation where features lie
    far from 0. Where each rank has a part, give all ranks the same `shift`; then an all-reduce that adds `count`, `sum`
    and `outer` of `tensors()` in place is enough.

    Args:
        d: numbers in a feature.
        shift: the point, `[D]`; none: mean of the first batch.
    """

    def __init__(self, d: int, shift: Tensor | None = None) -> None:
        self._shifted = shift is not None
        self._tensors = {
            "count": torch.zeros((), dtype=torch.int64),
            "shift": torch.zeros(d, dtype=torch.float64) if shift is None else shift.detach().to("cpu", torch.float64),
            "sum": torch.zeros(d, dtype=torch.float64),
            "outer": torch.zeros(d, d, dtype=torch.float64),
        }

    @classmethod
    def of(cls, tensors: dict[str, Tensor]) -> Moments:
        """An accumulator that continues from a copy of these `tensors()`."""
        moments = cls(len(tensors["shift"]), tensors["shift"])
        moments._tensors = {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
        moments._shifted = moments.count > 0 or bool(tensors["shift"].any())
        return moments

    def tensors(self) -> dict[str, Tensor]:
        """Count `[]`, the point `shift` `[D]`, sum of x - shift `[D]`, sum of their outer products `[D, D]`; live."""
        return self._tensors

    @takes_arrays
    def add(self, batch: Tensor) -> Moments:
        """Add features `[N, D]`; returns itself.

        Raises:
            ValueError: the batch has another shape, or some of its numbers are not finite.
        """
        tensors = self._tensors
        if batch.ndim != 2 or batch.shape[1] != len(tensors["shift"]):
            raise ValueError(f"Moments: batches [N, {len(tensors['shift'])}] are needed, not {tuple(batch.shape)}")
        if not len(batch):
            return self
        (batch,) = samples("Moments", batch=batch)
        if not self._shifted:
            tensors["shift"], self._shifted = batch.mean(0), True
        batch = batch - tensors["shift"]
        tensors["count"] += len(batch)
        tensors["sum"] += batch.sum(0)
        tensors["outer"] += batch.T @ batch
        return self

    @property
    def count(self) -> int:
        """Number of features added."""
        return int(self._tensors["count"])

    @property
    def mean(self) -> Tensor:
        """Their mean, `[D]`."""
        return self._tensors["shift"] + self._tensors["sum"] / max(1, self.count)

    @property
    def covariance(self) -> Tensor:
        """Their covariance, `[D, D]`, divided by N - 1.

        Raises:
            ValueError: fewer than 2 were added.
        """
        if self.count < 2:
            raise ValueError(f"Moments: a covariance needs at least 2 samples, {self.count} were seen")
        tensors = self._tensors
        return (tensors["outer"] - torch.outer(tensors["sum"], tensors["sum"]) / self.count) / (self.count - 1)


def _distance(mean: Tensor, root: Tensor, other_mean: Tensor, other_root: Tensor) -> float:
    """Distance of Gaussians whose covariances are S = R R^T.

    The eigenvalues of S1 S2 are the squared singular values of R1^T R2, so tr (S1 S2)^(1/2) is its nuclear norm: real,
    symmetric in the two, and without a matrix that is nearly singular.
    """
    cross = torch.linalg.svdvals(root.T @ other_root).sum()
    distance = (mean - other_mean).square().sum() + root.square().sum() + other_root.square().sum() - 2 * cross
    return max(0.0, distance.item())  # rounding can leave -1e-15


def _root_of_data(x: Tensor) -> Tensor:
    """R `[D, K]` with R R^T = covariance of `x`; the data themselves where they are fewer than dimensions."""
    centred = (x - x.mean(0)) / (len(x) - 1) ** 0.5
    return centred.T if len(x) <= x.shape[1] else _root(centred.T @ centred)


def _root(covariance: Tensor) -> Tensor:
    """R `[D, K]` with R R^T = covariance."""
    values, vectors = torch.linalg.eigh(covariance)
    # Rounding turns an eigenvalue of 0 into 1e-16, and its root of 1e-8 would count.
    positive = values > len(values) * torch.finfo(values.dtype).eps * values[-1]
    return vectors[:, positive] * values[positive].sqrt()
