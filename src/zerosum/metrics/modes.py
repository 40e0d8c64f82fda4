"""Mode coverage where all modes are known: mixtures of Gaussians, stacked digits."""

from __future__ import annotations

import torch
from torch import Tensor

from zerosum.metrics.checks import takes_arrays

_RADIUS = 3.0  # standard deviations within which a sample is of high quality


@takes_arrays
def mode_coverage(points: Tensor, centres: Tensor, std: float) -> dict[str, float]:
    """Which modes of a mixture of isotropic Gaussians are reached, how well and how evenly.

    VEEGAN (Srivastava et al. 2017, section 4.1) and PacGAN (Lin et al. 2018, section 4.1), usually on 2500 samples.
    Every sample belongs to its nearest centre; it is of high quality if it lies within 3 std of that centre.

    Args:
        points: generated samples, `[N, D]`.
        centres: centres of the modes, `[K, D]`.
        std: standard deviation of each mode in each dimension, above 0.

    Returns:
        `modes`: modes with at least one high-quality sample, 0 to K.
        `high_quality`: share of samples of high quality, 0 to 1; a perfect sampler in 2-D reaches 0.98889, not 1.
        `reverse_kl`: KL(histogram of ALL samples over the modes || uniform) in nats, 0 to ln K; a perfect sampler has
            about (K - 1) / 2N. It measures evenness, not quality: read it beside `high_quality`.

    Raises:
        ValueError: shapes do not fit, there are no points, some are not finite, or std is not above 0.
    """
    points, centres = points.detach().cpu().double(), centres.detach().cpu().double()
    _check(points, centres, std)
    distance, mode = torch.cdist(points, centres, compute_mode="donot_use_mm_for_euclid_dist").min(1)
    good = distance < _RADIUS * std
    share = torch.bincount(mode, minlength=len(centres)).double() / len(points)
    kl = torch.xlogy(share, share * len(centres)).sum()
    return {
        "modes": len(mode[good].unique()),
        "high_quality": good.double().mean().item(),
        "reverse_kl": max(0.0, kl.item()),  # rounding can leave -1e-16
    }


@takes_arrays
def stacked_modes(digits: Tensor, classes: int = 1000) -> dict[str, float]:
    """Which of the equally likely combinations of digits occur, and how evenly; usually on 26,000 samples.

    Stacked MNIST, VEEGAN (Srivastava et al. 2017, table 2) and PacGAN (Lin et al. 2018, table 2): every channel of an
    image is a digit, which a classifier predicts. Two things to know before comparing numbers:

    A perfect sampler does not reach 0 but `floor`; where digits are as frequent as in MNIST (1 is more frequent than
    5) the combinations themselves are uneven, which adds 0.0043 for three channels.

    A classifier's errors invent modes: a generator of 10 modes scores 262 at 26,000 samples if 98.7 % of its digits
    are classified correctly. `modes_half` counts 12, as invented modes are rare.

    Args:
        digits: the class of every channel, whole numbers `[N, C]`, or the codes 100a + 10b + c of three, `[N]`.
        classes: how many combinations there are; for digits `[N, C]` the C-th power of the classes of one channel.

    Returns:
        `modes`: combinations seen at least once, 0 to `classes`.
        `modes_half`: combinations seen at least half as often as they would be if all were equally frequent.
        `reverse_kl`: KL(shares of the combinations || uniform) in nats, 0 to ln `classes`.
        `floor`: the expected `reverse_kl` of a perfect sampler, (classes - 1) / 2N, if N is a few times `classes` or
            more.

    Raises:
        ValueError: digits are not whole numbers within the classes, there are none, or classes is not a C-th power.
    """
    counts = torch.bincount(_codes(digits.detach().cpu(), classes))
    count = int(counts.sum())
    share = counts.double() / count
    return {
        "modes": int((counts > 0).sum()),
        "modes_half": int((2 * classes * counts >= count).sum()),
        "reverse_kl": max(0.0, torch.xlogy(share, share * classes).sum().item()),
        "floor": (classes - 1) / (2 * count),
    }


def _codes(digits: Tensor, classes: int) -> Tensor:
    """Number of the combination, `[N]`; the first channel counts most, as in 100a + 10b + c."""
    if digits.is_floating_point() or digits.ndim not in (1, 2) or not digits.numel():
        what = f"{digits.dtype} {tuple(digits.shape)}"
        raise ValueError(f"stacked_modes: whole digits [N, C] or codes [N] are needed, they are {what}")
    digits = digits.long().reshape(len(digits), -1)
    channels = digits.shape[1]
    base = round(classes ** (1 / channels)) if classes > 0 else 0
    if base < 1 or base**channels != classes:
        raise ValueError(f"stacked_modes: classes must be a whole number to the power {channels}, not {classes}")
    if digits.min() < 0 or digits.max() >= base:
        actual = f"{int(digits.min())}..{int(digits.max())}"
        raise ValueError(f"stacked_modes: each of {channels} channels must be 0..{base - 1}, not {actual}")
    return digits @ base ** torch.arange(channels - 1, -1, -1)


def _check(points: Tensor, centres: Tensor, std: float) -> None:
    if points.ndim != 2 or centres.ndim != 2 or points.shape[1] != centres.shape[1] or not len(centres):
        shapes = f"{tuple(points.shape)} and {tuple(centres.shape)}"
        raise ValueError(f"mode_coverage: points [N, D] and centres [K, D] are needed, their shapes are {shapes}")
    if not len(points):
        raise ValueError("mode_coverage: there are no points")
    if not points.isfinite().all():
        raise ValueError("mode_coverage: some points are not finite")
    if not std > 0:
        raise ValueError(f"mode_coverage: std must be above 0, not {std}")
