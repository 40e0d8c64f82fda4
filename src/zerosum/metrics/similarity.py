"""How alike two images are, pixel by pixel: absolute difference, signal to noise, structural similarity."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from zerosum.metrics.checks import takes_arrays

PEAK = 255.0  # difference of black and white
WINDOW, SIGMA = 11, 1.5  # pixels of SSIM's Gaussian window, and its deviation
K1, K2 = 0.01, 0.03
AT_ONCE = 64  # images in float64 together


@takes_arrays
def absolute_difference(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference of the grey levels of images, 0 to 255, float64 `[N]`.

    Args:
        a: uint8 `[N, H, W, C]`.
        b: as many of that size.
    """
    return (a.double() - b.double()).abs().flatten(1).mean(1)


@takes_arrays
def peak_signal_to_noise(a: Tensor, b: Tensor) -> Tensor:
    """10 log10 of 255^2 over the mean squared difference of images, in decibels, float64 `[N]`; arguments as above.

    Equal images would have infinitely many; here they have those of one grey level in one number of a pixel.
    """
    squares = (a.double() - b.double()).square().flatten(1)
    return 10 * (PEAK**2 / squares.mean(1).clamp(min=1 / squares.shape[1])).log10()


@takes_arrays
def structural_similarity(a: Tensor, b: Tensor) -> Tensor:
    """SSIM of images, at most 1 for equal ones, float64 `[N]`; arguments as above.

    Wang, Bovik, Sheikh & Simoncelli 2004, eq. 13: means, variances and covariance in Gaussian windows of 11x11 pixels,
    mean over all windows inside the image and over channels.

    Raises:
        ValueError: a side has fewer than 11 pixels.
    """
    if min(a.shape[1:3]) < WINDOW:
        raise ValueError(f"SSIM looks at windows of {WINDOW}x{WINDOW} pixels, and these images are smaller")
    parts = [_similarity(x, y) for x, y in zip(a.split(AT_ONCE), b.split(AT_ONCE), strict=True)]
    return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64)


def _similarity(a: Tensor, b: Tensor) -> Tensor:
    """SSIM of some images, `[N]`."""
    x, y = (one.double().permute(0, 3, 1, 2) for one in (a, b))
    mean_x, mean_y = _blurred(x), _blurred(y)
    var_x, var_y = _blurred(x * x) - mean_x**2, _blurred(y * y) - mean_y**2
    covariance = _blurred(x * y) - mean_x * mean_y
    c1, c2 = (K1 * PEAK) ** 2, (K2 * PEAK) ** 2
    same = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return (same / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))).flatten(1).mean(1)


def _blurred(x: Tensor) -> Tensor:
    """Gaussian means of every whole window of images `[N, C, H, W]`."""
    place = torch.arange(WINDOW, dtype=x.dtype) - WINDOW // 2
    weight = (-(place**2) / (2 * SIGMA**2)).exp()
    weight = (weight / weight.sum()).expand(x.shape[1], 1, 1, WINDOW)
    x = conv2d(x, weight, groups=x.shape[1])
    return conv2d(x, weight.transpose(2, 3), groups=x.shape[1])
