"""What the networks of a game are built for: the shape of the data, the size of the latent, the number of classes."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Space:
    """Sizes that a network takes from its game."""

    shape: tuple[int, ...]  # (channels, height, width) of images, or (dimensions,) of points
    latent: int = 0  # numbers in a latent; 0 for networks that see none
    classes: int = 0  # 0 where the data have no labels

    @property
    def is_image(self) -> bool:
        """True for images, false for points."""
        return len(self.shape) == 3

    @property
    def values(self) -> int:
        """Numbers in one sample."""
        return math.prod(self.shape)

    def many(self, count: int) -> str:
        """So many samples, in words."""
        return f"{count:,} x {self}" if self.is_image else f"{count:,} {self}"

    def __str__(self) -> str:
        if self.is_image:
            channels, height, width = self.shape
            return f"{height}x{width} images with {channels} channel{'s' if channels > 1 else ''}"
        return f"points of {self.shape[0]} dimension{'s' if self.shape[0] > 1 else ''}"
