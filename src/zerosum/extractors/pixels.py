"""Extractors without learned weights: raw pixels, their principal components, and points.

A Frechet distance on them compares means and covariances of pixels and nothing else. A Gaussian with the mean and
covariance of the real images has distance 0, though its samples are blurs without edges; a good generator scores worse.
So these numbers detect a collapse or wrong colours and contrast, and say which of two runs comes closer in that, but
not whether an image is realistic. Read them beside precision, recall and the images.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from zerosum.core.errors import RecipeError
from zerosum.core.registry import register
from zerosum.core.spacing import spaced
from zerosum.core.values import Count, SampleCount
from zerosum.extractors.extractor import Extractor, ExtractorPart, Images

RULE = "0..255 to -1..1; all channels, no resizing"
_SPARE = 16  # directions iterated beyond those asked for, which speeds up convergence
_ROUNDS = 8  # of subspace iteration
_CHUNK = 500  # images


class Flat(nn.Module):
    """Pixels in [-1, 1], in the order channel, row, column."""

    def forward(self, levels: Tensor) -> tuple[Tensor, None]:
        """Map levels `[N, C, H, W]` to `[N, C*H*W]`."""
        return levels.flatten(1) / 127.5 - 1, None


class Identity(nn.Module):
    """Points, unchanged."""

    def forward(self, points: Tensor) -> tuple[Tensor, None]:
        """Return the points `[N, D]`."""
        return points, None


class Projection(nn.Module):
    """Pixels in [-1, 1] on orthonormal directions through their mean."""

    def __init__(self, mean: Tensor, directions: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("directions", directions)

    def forward(self, levels: Tensor) -> tuple[Tensor, None]:
        """Map levels `[N, C, H, W]` to `[N, components]`."""
        pixels = levels.flatten(1) / 127.5 - 1
        return (pixels - self.get_buffer("mean")) @ self.get_buffer("directions"), None


@register("extractor", "values")
@dataclass(frozen=True)
class Values(ExtractorPart):
    """Points as they are."""

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse images.

        Raises:
            RecipeError: the samples are not points.
        """
        if len(shape) != 1:
            raise RecipeError(
                f"extractor 'values' looks at points [D], and a sample here has shape {list(shape)}; "
                "images are evaluated with extractor 'pixels' or 'pca'"
            )

    def make(self, shape: tuple[int, ...], device: torch.device | str) -> Extractor:
        """Make the extractor for points (D,)."""
        return Extractor("values", "", shape[0], 0, "none", shape, Identity(), device)


@register("extractor", "pixels")
@dataclass(frozen=True)
class Pixels(ExtractorPart):
    """All C*H*W pixels in [-1, 1]: for images of a few hundred; Frechet distances compare only their moments."""

    channels: ClassVar[tuple[int, ...]] = ()

    def make(self, shape: tuple[int, ...], device: torch.device | str) -> Extractor:
        """Make the extractor for images of any number of channels."""
        return Extractor("pixels", "", math.prod(shape), 0, RULE, shape, Flat(), device)


@register("extractor", "pca")
@dataclass(frozen=True)
class PCA(ExtractorPart):
    """Principal components of the real images' pixels: what varies most; Frechet distances compare only their moments.

    The directions come from the real training images, so both sides of a comparison must use the same built extractor.
    Scales are kept: the squared distance of two images is at most that of their pixels.
    """

    fitted: ClassVar[bool] = True
    channels: ClassVar[tuple[int, ...]] = ()
    components: Count = 64  # directions
    images: SampleCount = 5000  # real images that the directions are computed from, evenly spread over the training set

    def make(self, shape: tuple[int, ...], device: torch.device | str) -> Extractor:  # noqa: ARG002
        """Refuse, because the directions come from real images.

        Raises:
            ValueError: always.
        """
        raise ValueError("pca: reference: real images are needed, uint8 [N, H, W, C], of the part that trains")

    def fit(self, shape: tuple[int, ...], device: torch.device | str, reference: Images) -> Extractor:
        """Compute the directions from the reference; the extractor's sha256 is that of the images used.

        Raises:
            RecipeError: there are too few pixels or images for so many directions.
            ValueError: the reference has another shape.
        """
        levels = self._choose(reference, shape)
        if self.components > min(levels.shape[1], len(levels) - 1):
            raise RecipeError(
                f"extractor 'pca': {self.components} components need as many pixels and more images; here are "
                f"{len(levels)} images of {levels.shape[1]} pixels; take fewer: pca:components=N"
            )
        mean, directions, share = principal_directions(levels, self.components)
        network = Projection(mean.float(), directions.float())
        sha256 = hashlib.sha256(levels.tobytes()).hexdigest()
        rule = f"{RULE}; {self.components} principal components of {len(levels)} real images, {share:.1%} of variance"
        return Extractor(f"pca-{self.components}", sha256, self.components, 0, rule, shape, network, device)

    def _choose(self, reference: Images, shape: tuple[int, ...]) -> np.ndarray:
        """Evenly spread images as `[N, C*H*W]`."""
        expected = (*shape[1:], shape[0])
        if tuple(reference.shape[1:]) != expected or reference.dtype not in (np.uint8, torch.uint8):
            actual = f"{str(reference.dtype).removeprefix('torch.')} {list(reference.shape)}"
            raise ValueError(
                f"pca: reference: uint8 images [N, {', '.join(map(str, expected))}] are needed, not {actual}"
            )
        chosen = spaced(len(reference), self.images)
        return np.asarray(reference[chosen]).transpose(0, 3, 1, 2).reshape(len(chosen), math.prod(shape))


def principal_directions(levels: np.ndarray, count: int) -> tuple[Tensor, Tensor, float]:
    """Mean `[D]`, first principal directions `[D, count]`, their share of the variance; by subspace iteration.

    Halko, Martinsson, Tropp 2011, with an orthonormalisation in each round; float64. Images are processed in chunks, so
    no D x D matrix is formed. Directions are sorted by falling variance; the largest entry of each is positive.

    Args:
        levels: uint8 `[N, D]`, taken as 0..255 to -1..1.
        count: directions, at most D.
    """
    size = levels.shape[1]
    pieces = [levels[start : start + _CHUNK] for start in range(0, len(levels), _CHUNK)]
    mean = sum((_scaled(piece).sum(0) for piece in pieces), torch.zeros(size, dtype=torch.float64)) / len(levels)

    def covariance_times(basis: Tensor) -> Tensor:
        total = torch.zeros_like(basis)
        for piece in pieces:
            centred = _scaled(piece) - mean
            total += centred.T @ (centred @ basis)
        return total / len(levels)

    start = torch.randn(
        size, min(size, count + _SPARE), dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    basis = torch.linalg.qr(start).Q
    for _ in range(_ROUNDS):
        basis = torch.linalg.qr(covariance_times(basis)).Q
    variances, inner = torch.linalg.eigh(basis.T @ covariance_times(basis))
    directions = (basis @ inner).flip(1)[:, :count]
    largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))
    total = sum(((_scaled(piece) - mean).square().sum().item() for piece in pieces), 0.0) / len(levels)
    share = variances[-count:].sum().item() / total if total else 1.0  # images may all be the same
    return mean, directions * largest.sign(), share


def _scaled(levels: np.ndarray) -> Tensor:
    return torch.from_numpy(levels).double() / 127.5 - 1
