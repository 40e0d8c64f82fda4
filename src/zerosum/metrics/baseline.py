"""The trivial generator: a Gaussian in the leading principal axes of each class. A GAN should not lose to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

_PASSES = 4  # over the samples; each brings the axes closer to the principal ones
_SPARE = 10  # axes iterated beyond those that are kept, which speeds up convergence
HELD_BYTES = 1 << 29  # largest size of means and axes that are kept in memory
_AT_ONCE = 1024  # samples in float64 at a time, which bounds memory


@dataclass(frozen=True, eq=False)
class ClassPCAGaussian:
    """Mean and scaled principal axes of each class; of all samples where there are no classes.

    Attributes:
        shape: of one sample: (H, W, C) of an image, (D,) of a point.
        gaussian: mean `[D]` and at most `components` axes `[., D]` of a class, float64; each axis is as long as the
            deviation along it. Kept for all classes if they are small, else computed for a class when it is sampled.
        components: number of axes.
        shares: float64 `[K]`, share of each class.
        labelled: False where there are no labels, and all samples form one class.
        whole: True for images, which are rounded and clamped to 0..255.
    """

    shape: tuple[int, ...]
    gaussian: Callable[[int], tuple[Tensor, Tensor]]
    components: int
    shares: Tensor
    labelled: bool
    rounded: bool

    @classmethod
    def fit(cls, samples: Tensor, labels: Tensor | None = None, components: int = 50, seed: int = 0) -> Self:
        """Fit uint8 images `[N, H, W, C]` or float points `[N, D]`, by class where there are labels `[N]`.

        The axes come from subspace iteration from a random start (Halko et al. 2011, algorithm 4.4), a few passes over
        the samples, which are not copied; `seed` determines the start.

        Raises:
            ValueError: samples or labels have another shape, there are none, or components is below 1.
        """
        _check(samples, labels, components)
        samples, generator = samples.cpu(), torch.Generator().manual_seed(seed)
        flat = samples.reshape(len(samples), -1)
        labelled, classes = labels is not None, torch.zeros(len(flat), dtype=torch.int64)
        if labels is not None:
            classes = labels.cpu().long()
        counts = torch.bincount(classes)
        members = classes.argsort(stable=True).split(counts.tolist())

        def gaussian(k: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
            rows = flat[members[k]] if labelled else flat
            mean = _mean(rows)
            if generator is None and len(rows) <= components:  # the samples span the whole covariance
                return mean, (rows.double() - mean) / max(1, len(rows) - 1) ** 0.5
            return mean, _axes(rows, mean, components, generator or torch.Generator().manual_seed(seed + k))

        little = len(counts) * (components + 1) * flat.shape[1] * 8 <= HELD_BYTES
        gaussians = [gaussian(k, generator) for k in range(len(counts))] if little else None
        rounded, shares = not samples.is_floating_point(), counts.double() / len(flat)
        gaussian_of = gaussian if gaussians is None else gaussians.__getitem__
        return cls(tuple(samples.shape[1:]), gaussian_of, components, shares, labelled, rounded)

    def sample(self, count: int, seed: int = 0, labels: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Draw `count` samples of the fitted kind: uint8 `[count, H, W, C]` or float32 `[count, D]`, and their labels.

        Classes are as frequent as in the fitted data, or given by `labels` `[count]`. Labels are None without classes.

        Raises:
            ValueError: labels are not `count` of the classes, or there are no classes.
        """
        generator = torch.Generator().manual_seed(seed)
        if labels is None:
            labels = torch.multinomial(self.shares, count, replacement=True, generator=generator)
        else:
            labels = self._checked(labels, count)
        flat = torch.empty(count, math.prod(self.shape), dtype=torch.uint8 if self.rounded else torch.float32)
        noise = torch.randn(count, self.components, dtype=torch.float64, generator=generator)
        for k in labels.unique().tolist():
            chosen, (mean, axes) = labels == k, self.gaussian(k)
            values = mean + noise[chosen, : len(axes)] @ axes
            flat[chosen] = values.round().clamp(0, 255).to(torch.uint8) if self.rounded else values.float()
        return flat.reshape(count, *self.shape), labels if self.labelled else None

    def _checked(self, labels: Tensor, count: int) -> Tensor:
        labels = labels.cpu().long()
        if not self.labelled:
            raise ValueError("ClassPCAGaussian: it was fitted without labels, so none can be asked for")
        if labels.shape != (count,) or (count and not 0 <= int(labels.min()) <= int(labels.max()) < len(self.shares)):
            raise ValueError(f"ClassPCAGaussian: {count} labels in 0..{len(self.shares) - 1} are needed")
        if count and not self.shares[labels].all():
            raise ValueError("ClassPCAGaussian: a class is asked for that had no samples")
        return labels


def _mean(rows: Tensor) -> Tensor:
    total = torch.zeros(rows.shape[1], dtype=torch.float64)
    for part in rows.split(_AT_ONCE):
        total += part.double().sum(0)
    return total / max(1, len(rows))


def _covariance_times(rows: Tensor, mean: Tensor, basis: Tensor) -> Tensor:
    """Covariance `[D, D]` (ddof 1) times `[D, r]`, without forming the covariance."""
    product = torch.zeros_like(basis)
    for part in rows.split(_AT_ONCE):
        centred = part.double() - mean
        product += centred.T @ (centred @ basis)
    return product / max(1, len(rows) - 1)


def _axes(rows: Tensor, mean: Tensor, components: int, generator: torch.Generator) -> Tensor:
    """Leading principal axes times their deviations, `[components, D]`, longest first, padded with zeros."""
    size = len(mean)
    basis = torch.randn(size, min(components + _SPARE, size), dtype=torch.float64, generator=generator)
    for _ in range(_PASSES):
        basis = torch.linalg.qr(_covariance_times(rows, mean, basis)).Q
    small = basis.T @ _covariance_times(rows, mean, basis)
    variances, turn = torch.linalg.eigh((small + small.T) / 2)
    leading = (basis @ turn * variances.clamp(min=0).sqrt()).T.flip(0)[:components]
    axes = torch.zeros(components, size, dtype=torch.float64)
    axes[: len(leading)] = leading
    return axes


def _check(samples: Tensor, labels: Tensor | None, components: int) -> None:
    images = samples.ndim == 4 and samples.dtype == torch.uint8
    points = samples.ndim == 2 and samples.is_floating_point()
    if not (images or points) or not samples.numel():
        what = f"{samples.dtype} {tuple(samples.shape)}"
        raise ValueError(f"ClassPCAGaussian: uint8 images [N, H, W, C] or float points [N, D] are needed, not {what}")
    if labels is not None and (labels.shape != samples.shape[:1] or labels.is_floating_point() or labels.min() < 0):
        raise ValueError(f"ClassPCAGaussian: {len(samples)} labels, whole and at least 0, are needed")
    if components < 1:
        raise ValueError(f"ClassPCAGaussian: components must be at least 1, not {components}")
