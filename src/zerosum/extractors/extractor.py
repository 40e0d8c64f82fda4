"""A fixed function from images to features, with a name that says exactly which one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from zerosum.core import arithmetic
from zerosum.core.errors import RecipeError
from zerosum.core.registry import Part

Images = np.ndarray | Tensor


@dataclass(frozen=True, eq=False)
class Features:
    """Features of a set of samples, and their class probabilities."""

    values: Tensor  # [N, D], float32, or the dtype of the points: what distances are measured on
    probabilities: Tensor | None  # [N, K], float64, each row sums to 1; None where the extractor predicts no classes


@dataclass(frozen=True, eq=False)
class Extractor:
    """A fixed function from images to features; the same images give the same features, whatever ran before.

    Features of two extractors are not comparable, nor are distances between them: print `identity` beside every number.
    `network` maps levels `[N, C, H, W]`, float32 in 0..255, to `(features [N, D], logits [N, K] or None)`; for points
    it maps `[N, D]`. Resizing and scaling are part of it.
    """

    name: str
    sha256: str  # of the weights, 64 hexadecimal digits; "" where the name says everything
    size: int  # numbers in a feature, D
    classes: int  # classes that it predicts, K; 0 for none
    rule: str  # how the input is preprocessed, in words
    shape: tuple[int, ...]  # of one sample that it was built for: (C, H, W), or (D,) for points
    network: nn.Module
    device: torch.device | str = "cpu"
    chunk: int = 500  # samples in one forward pass, which bounds memory

    def __post_init__(self) -> None:
        self.network.to(self.device).eval().requires_grad_(False)

    @property
    def identity(self) -> str:
        """Name and first 12 digits of the weights' sha256, as results carry it: `mnist-cnn-v1@0123456789ab`."""
        return f"{self.name}@{self.sha256[:12]}" if self.sha256 else self.name

    def __call__(self, images: Images) -> Features:
        """Extract features of images, uint8 `[N, H, W, C]`, or of points, float `[N, D]`; they come back on the CPU.

        Raises:
            ValueError: samples of another type or shape than it was built for, or none.
        """
        channels, *sides = self.shape
        if sides:
            self._check(images, (*sides, channels), images.dtype in (torch.uint8, np.uint8), "uint8 images")
            return self._look(piece.permute(0, 3, 1, 2).float() for piece in _pieces(images, self.chunk))
        self._check(images, self.shape, images.dtype not in (torch.uint8, np.uint8), "points")
        return self._look(_pieces(images, self.chunk))

    def unrounded(self, images: Tensor) -> Features:
        """Extract features of a generator's output, float `[N, C, H, W]` in [-1, 1], without rounding to 256 levels.

        For differences between images that rounding would hide, such as steps along a path; metrics of sets of images
        use rounded ones.

        Raises:
            ValueError: images of another shape than it was built for, or none.
        """
        self._check(images, self.shape, images.is_floating_point() and images.ndim == 4, "float images")
        return self._look(piece.detach().float().add(1).mul(127.5) for piece in images.split(self.chunk))

    def _check(self, images: Images, shape: tuple[int, ...], fits: bool, what: str) -> None:
        if not fits or tuple(images.shape[1:]) != shape or not len(images):
            actual = f"{str(images.dtype).removeprefix('torch.')} {list(images.shape)}"
            raise ValueError(f"{self.name}: {what} [N, {', '.join(map(str, shape))}] are needed, not {actual}")

    @torch.no_grad()
    def _look(self, pieces: Iterator[Tensor]) -> Features:
        arithmetic.settle()
        values, probabilities = [], []
        with exact(self.device):
            for piece in pieces:
                features, logits = self.network(piece.to(self.device))
                values.append(features.cpu())
                if logits is not None:
                    probabilities.append(logits.cpu().double().softmax(1))
        return Features(torch.cat(values), torch.cat(probabilities) if probabilities else None)


class ExtractorPart(Part):
    """Base of the parts of kind `extractor`; `build` makes the extractor for images of one shape."""

    needs_file: ClassVar[bool] = False  # True where weights or a package are not part of zerosum
    fitted: ClassVar[bool] = False  # True where it is fitted to real images
    channels: ClassVar[tuple[int, ...]] = (1, 3)  # numbers of channels that it takes; () for any

    def build(
        self, shape: tuple[int, ...], device: torch.device | str = "cpu", reference: Images | None = None
    ) -> Extractor:
        """Make the extractor.

        Args:
            shape: of one sample, as networks see it: (C, H, W), or (D,) for points.
            device: where it computes; samples and features are on the CPU.
            reference: real images, uint8 `[N, H, W, C]`, of the part that trains; needed where it is `fitted`.

        Raises:
            RecipeError: it does not take samples of this shape, or a package is missing.
            DataError: its weights cannot be found or are damaged.
            ValueError: the reference is needed and missing, or has another shape.
        """
        self.check(shape)
        return self.make(shape, device) if reference is None else self.fit(shape, device, reference)

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse samples that it cannot take.

        Raises:
            RecipeError: these are not images, or they have another number of channels; the message names extractors
                that take them.
        """
        if len(shape) != 3:
            raise RecipeError(
                f"extractor {self.name!r} looks at images [C, H, W], and a sample here has shape {list(shape)}; "
                "points are evaluated with extractor 'values'"
            )
        if self.channels and shape[0] not in self.channels:
            raise RecipeError(
                f"extractor {self.name!r} looks at images of {' or '.join(map(str, self.channels))} channels, not "
                f"{shape[0]}; any number is evaluated with extractor 'pixels' or 'pca'"
            )

    @abstractmethod
    def make(self, shape: tuple[int, ...], device: torch.device | str) -> Extractor:
        """Make the extractor for a checked shape, without real images."""

    def fit(self, shape: tuple[int, ...], device: torch.device | str, reference: Images) -> Extractor:  # noqa: ARG002
        """Make the extractor for a checked shape, given real images; most extractors ignore them."""
        return self.make(shape, device)


def _pieces(images: Images, chunk: int) -> Iterator[Tensor]:
    for start in range(0, len(images), chunk):
        piece = images[start : start + chunk]
        # a copy, because memory-mapped files are read-only
        yield piece if isinstance(piece, Tensor) else torch.from_numpy(np.array(piece))


@contextmanager
def exact(device: torch.device | str) -> Iterator[None]:
    """Plain float32: no autocast, no TF32 or bf16 inside products, no algorithm chosen by timing."""
    backends: Any = torch.backends
    products = (backends.cuda.matmul, backends.cudnn.conv, backends.mkldnn.matmul, backends.mkldnn.conv)
    before = [product.fp32_precision for product in products]
    cudnn = backends.cudnn.benchmark, backends.cudnn.deterministic
    try:
        for product in products:
            product.fp32_precision = "ieee"
        backends.cudnn.benchmark, backends.cudnn.deterministic = False, True
        with torch.autocast(torch.device(device).type, enabled=False):
            yield
    finally:
        backends.cudnn.benchmark, backends.cudnn.deterministic = cudnn
        for product, precision in zip(products, before, strict=True):
            product.fp32_precision = precision
