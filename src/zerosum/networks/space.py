"""Sizes that networks are built for: the shape of the data, the size of the latent, the number of classes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from zerosum.core.signals import Signal, Signals


@dataclass(frozen=True)
class Space:
    """Sizes that a network takes from its game."""

    shape: tuple[int, ...]  # (channels, height, width) of images, or (dimensions,) of points
    latent: int = 0  # numbers in a latent; 0 for networks without one
    classes: int = 0  # 0 where the data have no classes
    attributes: int = 0  # 0 where the data have no attributes

    @property
    def is_image(self) -> bool:
        """True for images, false for points."""
        return len(self.shape) == 3

    @property
    def values(self) -> int:
        """Numbers in one sample."""
        return math.prod(self.shape)

    @property
    def signals(self) -> dict[str, Signal]:
        """Signals of the data: `sample`, and `label` where there are classes or attributes."""
        sample = Signal("image" if self.is_image else "points", self.shape)
        if self.attributes:
            return {"sample": sample, "label": Signal("attributes", (self.attributes,))}
        return {"sample": sample} | ({"label": Signal("label", (), self.classes)} if self.classes else {})

    @property
    def ports(self) -> tuple[dict[str, Signal], dict[str, Signal]]:
        """Inputs and outputs of a network that turns latents of this size into samples."""
        latent = {"latent": Signal("latent", (self.latent,))} if self.latent else {}
        return latent | {k: v for k, v in self.signals.items() if k == "label"}, {"sample": self.signals["sample"]}

    @classmethod
    def of(cls, inputs: Signals, outputs: Signals) -> Space:
        """Sizes from the signals of a generator, an encoder or a discriminator."""
        signals = {**inputs, **outputs}
        latent, label = signals.get("latent"), signals.get("label")
        attributes = label.shape[0] if label and label.kind == "attributes" else 0
        return cls(signals["sample"].shape, latent.shape[0] if latent else 0, label.classes if label else 0, attributes)

    def __str__(self) -> str:
        if self.is_image:
            channels, height, width = self.shape
            return f"{height}x{width} images with {channels} channel{'s' if channels > 1 else ''}"
        return f"points of {self.shape[0]} dimension{'s' if self.shape[0] > 1 else ''}"
