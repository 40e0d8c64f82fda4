"""An extractor for images whose channels are separate images, as in Stacked MNIST."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from zerosum.core.errors import RecipeError
from zerosum.core.registry import parse, register
from zerosum.extractors.extractor import Extractor, ExtractorPart


class Planes(nn.Module):
    """The same network on every channel; features are joined, classes combined, the first channel counting most."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        """Map levels `[N, C, H, W]` to features `[N, C * D]` and logits of combinations `[N, K^C]`."""
        count, channels = levels.shape[:2]
        features, logits = self.network(levels.flatten(0, 1).unsqueeze(1))
        logs = logits.view(count, channels, -1)
        joint = logs[:, 0]
        for channel in range(1, channels):  # the logarithm of a product is the sum
            joint = (joint.unsqueeze(2) + logs[:, channel].unsqueeze(1)).flatten(1)
        return features.reshape(count, -1), joint


@register("extractor", "stacked")
@dataclass(frozen=True)
class Stacked(ExtractorPart):
    """A classifier of grey images on each channel: three digits are one of 1,000 classes (PacGAN, Lin et al. 2018)."""

    channels: ClassVar[tuple[int, ...]] = (2, 3)
    of: str = "mnist-cnn"  # extractor of grey images that predicts classes

    def make(self, shape: tuple[int, ...], device: torch.device | str) -> Extractor:
        """Make the extractor for images of two or three channels.

        Raises:
            RecipeError: the extractor of one channel predicts no classes.
        """
        part: Any = parse("extractor", self.of)
        single: Extractor = part.build((1, *shape[1:]), device)
        if not single.classes:
            raise RecipeError(f"extractor 'stacked': {self.of!r} knows no classes to combine; take of=mnist-cnn")
        digest = hashlib.sha256(f"{shape[0]} planes {single.sha256}".encode()).hexdigest()
        classes, rule = math.prod([single.classes] * shape[0]), f"each of {shape[0]} channels alone: {single.rule}"
        size = shape[0] * single.size
        return Extractor(f"stacked-{single.name}", digest, size, classes, rule, shape, Planes(single.network), device)
