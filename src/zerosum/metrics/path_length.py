"""Perceptual path length: how fast images change along a path between two latents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

_NOISE = 0.01  # largest squared difference between two images of one latent, as a share of the squared step


@torch.no_grad()
def perceptual_path_length(
    decode: Callable[[Tensor], Tensor],
    features: Callable[[Tensor], Tensor],
    latent: Callable[[int], Tensor],
    count: int = 10_000,
    *,
    path: Literal["slerp", "lerp"] = "slerp",
    sampling: Literal["full", "ends"] = "full",
    epsilon: float = 1e-4,
    trim: float = 0.01,
    batch: int = 100,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
) -> float:
    """Mean of |F(G(z_t)) - F(G(z_t+epsilon))|^2 / epsilon^2 over random paths z_t; lower is smoother.

    Karras et al. 2019, section 4.1, eq. 2 and 3, where F is the feature network of a perceptual distance: compare only
    numbers of the same F. A constant generator has 0, so a low number says nothing about quality.

    A step of 1e-4 leaves few digits of float32. Give float64 copies of the networks (`copy.deepcopy(net).double()`), or
    dtype=torch.float32: that moved the values of five small generators by less than 1e-4 of themselves, in pixels, and
    by 2e-3 where epsilon was 1e-5. Half precision is useless. Everything but the two networks is float64 in any case.

    Args:
        decode: latents `[N, D]` to images. It is called on the starts and on the ends of a batch with the same state of
            torch's CPU generator, so labels or noise that it draws are the same for both.
        features: images, as `decode` returns them, to numbers `[N, ...]`, which are flattened.
        latent: draws latents `[count, D]` from torch's CPU generator; for the space W it also maps them.
        count: number of paths.
        path: `slerp` along great circles for normal latents (White 2016), or `lerp` in W and for uniform latents.
        sampling: `full` takes t at random in 0..1, `ends` takes the starts, t = 0.
        epsilon: length of the step, in units of t.
        trim: share of the paths left out at either end, the shortest and the longest.
        batch: paths decoded at a time; the value depends on it only where `decode` draws random numbers.
        dtype: of the latents that `decode` receives.
        seed: of all random numbers; the CPU's global random state is neither read nor changed.

    Raises:
        ValueError: a setting is out of its range, latents are not `[N, D]`, a distance is not finite, or `decode` gives
            different images for the same latents.
    """
    _check(count, path, sampling, epsilon, trim, batch)

    def encode(latents: Tensor, state: Tensor) -> Tensor:
        torch.set_rng_state(state)
        return features(decode(latents.to(dtype))).detach().cpu().double().flatten(1)

    mix = _slerp if path == "slerp" else torch.lerp
    lengths: list[Tensor] = []
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reseed accelerators too
        for start in range(0, count, batch):
            rows = min(batch, count - start)
            first, second = (_latents(latent, rows) for _ in range(2))
            t = torch.rand(rows, 1, dtype=torch.float64) * (sampling == "full")
            state = torch.get_rng_state()
            before = encode(mix(first, second, t), state)
            after = encode(mix(first, second, t + epsilon), state)
            lengths.append(_square(before, after) / epsilon**2)
            if not start:
                repeated = _square(before, encode(mix(first, second, t), state)) / epsilon**2
                _check_repeats(repeated.mean().item(), lengths[0].mean().item())
    return _trimmed_mean(torch.cat(lengths), trim)


def _latents(latent: Callable[[int], Tensor], rows: int) -> Tensor:
    latents = latent(rows).detach().cpu().double()
    if latents.ndim != 2 or len(latents) != rows:
        raise ValueError(
            f"perceptual_path_length: latents [{rows}, D] are needed, their shape is {tuple(latents.shape)}"
        )
    return latents


def _slerp(first: Tensor, second: Tensor, t: Tensor) -> Tensor:
    """White 2016: weights from the angle between the two, which keep the lengths of normal latents along the path."""
    cosine = torch.cosine_similarity(first, second, dim=1)[:, None]
    angle = cosine.clamp(-1, 1).acos()
    sine = angle.sin()
    apart = sine > 1e-6  # else the two lie on a line, and so does the path
    weights = [torch.where(apart, (part * angle).sin() / sine, part) for part in (1 - t, t)]
    return weights[0] * first + weights[1] * second


def _square(before: Tensor, after: Tensor) -> Tensor:
    return (before - after).square().sum(1)


def _trimmed_mean(lengths: Tensor, trim: float) -> float:
    """Mean of the values within two percentiles, each moved outwards to the nearest value."""
    if not lengths.isfinite().all():
        raise ValueError("perceptual_path_length: some distances are not finite")
    low = lengths.quantile(trim, interpolation="lower")
    high = lengths.quantile(1 - trim, interpolation="higher")
    return lengths[(lengths >= low) & (lengths <= high)].mean().item()


def _check_repeats(repeated: float, length: float) -> None:
    if repeated > _NOISE * length:
        raise ValueError(
            f"perceptual_path_length: decode and features differ for the same latents (by {repeated:.3g}, where a step "
            f"is {length:.3g}); fix the noise that they add"
        )


def _check(count: int, path: str, sampling: str, epsilon: float, trim: float, batch: int) -> None:
    if count < 1 or batch < 1:
        raise ValueError(f"perceptual_path_length: count and batch must be at least 1, not {count} and {batch}")
    if path not in ("slerp", "lerp"):
        raise ValueError(f"perceptual_path_length: path must be slerp or lerp, not {path!r}")
    if sampling not in ("full", "ends"):
        raise ValueError(f"perceptual_path_length: sampling must be full or ends, not {sampling!r}")
    if not 0 < epsilon < 1:
        raise ValueError(f"perceptual_path_length: epsilon must lie between 0 and 1, not {epsilon}")
    if not 0 <= trim < 0.5:
        raise ValueError(f"perceptual_path_length: trim must be at least 0 and below 0.5, not {trim}")
