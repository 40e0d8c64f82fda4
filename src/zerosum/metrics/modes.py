"""Mode coverage on mixtures whose centres are known."""

from __future__ import annotations

import torch
from torch import Tensor

_RADIUS = 3.0  # standard deviations within which a sample is of high quality


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
            about (K - 1) / 2N. It says how even the modes are, not how good: read it beside `high_quality`.

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
