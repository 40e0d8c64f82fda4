"""What images lose on their way to another set and back, and whether they lie hidden in what they became there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from zerosum.metrics.similarity import absolute_difference

NOISE = 4.0  # grey levels, of 255: standard deviation of noise that is hardly seen


@dataclass(frozen=True, eq=False)
class CycleErrors:
    """Mean absolute differences of the grey levels of images, 0 to 255, float64 `[N]`.

    Attributes:
        error: between an image and what comes back of it.
        noisy: the same, where its translation got noise before it went back.
        noise: between a translation and the same with noise: what a way back would pass on that changes nothing.
        constant: between it and the mean of all: the error of a way back that knows nothing of its image.
        change: between it and its translation; None where these differ in shape.
    """

    error: Tensor
    noisy: Tensor
    noise: Tensor
    constant: Tensor
    change: Tensor | None

    @property
    def hidden(self) -> float:
        """Share of what the way back knows of images that noise takes away, beyond the noise itself."""
        known, lost = self.constant - self.error, self.noisy - self.error - self.noise
        return min(1.0, max(0.0, float(lost.mean() / known.mean()))) if known.mean() > 0 else 0.0


def cycle_errors(
    given: Tensor, translated: Tensor, back: Callable[[Tensor], Tensor], noise: float = NOISE, seed: int = 0
) -> CycleErrors:
    """What images lose on their way there and back.

    Zhu et al. 2017, eq. 2. With noise after Chu et al. 2017, "CycleGAN, a Master of Steganography": where translations
    hide their images in a faint pattern, noise as faint erases these.

    Args:
        given: images, `[N, H, W, C]`, in grey levels from 0 to 255.
        translated: what they became, in this order; of as many channels or others.
        back: translates such images back.
        noise: standard deviation, in grey levels.
        seed: of the noise.
    """
    given, translated = given.float(), translated.float()
    random = torch.randn(translated.shape, generator=torch.Generator().manual_seed(seed))
    noisy = (translated + noise * random).round().clamp(0, 255)
    return CycleErrors(
        error=absolute_difference(back(translated), given),
        noisy=absolute_difference(back(noisy), given),
        noise=absolute_difference(noisy, translated),
        constant=absolute_difference(given.mean(0, keepdim=True), given),
        change=absolute_difference(translated, given) if translated.shape == given.shape else None,
    )
