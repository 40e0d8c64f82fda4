"""Perceptual path length: how fast images change along a path between two latents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

_NOISE = 0.01  # share of the squared step that images of one latent may differ by


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

    Karras et al. 2019, section 4.1, eq. 2 and 3, where F is a perceptual distance's feature net: a number belongs to
    its F. A constant generator has 0, so a low number says nothing about quality.

    A step of 1e-4 leaves few digits of float32. Give float64 copies of the networks (`copy.deepcopy(net).double()`), or
    dtype=torch.float32: that moved the values of five small generators by less than 1e-4 of themselves, in pixels, and
    by 2e-3 where epsilon was 1e-5. Half precision is of no use. All but the two networks is float64 in any case.

    Args:
        decode: latents `[N, D]` to images. It is called on the starts and on the ends of a batch with the same state of
            torch's CPU generator, so labels or noise that it draws there are the same for both.
        features: what `decode` returns to numbers `[N, ...]`, flattened.
        latent: draws latents `[count, D]` from torch's CPU generator; of the space W: draws them and maps them.
        count: number of paths.
        path: `slerp` along great circles for normal latents (White 2016), or `lerp` in W and for uniform latents.
        sampling: `full` takes t at random in 0..1, `ends` takes the starts, t = 0.
        epsilon: length of the step, in units of t.
        trim: share of the paths left out at either end, the shortest and the longest.
        batch: paths decoded together; the value depends on it only where `decode` draws.
        dtype: of the latents that `decode` is given.
        seed: of everything drawn; no global randomness of the CPU is read or changed.

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
            one, other = (_drawn(latent, rows) for _ in range(2))
            t = torch.rand(rows, 1, dtype=torch.float64) * (sampling == "full")
            state = torch.get_rng_state()
            here = encode(mix(one, other, t), state)
            there = encode(mix(one, other, t + epsilon), state)
            lengths.append(_square(here, there) / epsilon**2)
            if not start:
                again = _square(here, encode(mix(one, other, t), state)) / epsilon**2
                _check_repeats(again.mean().item(), lengths[0].mean().item())
    return _trimmed_mean(torch.cat(lengths), trim)


def _drawn(latent: Callable[[int], Tensor], rows: int) -> Tensor:
    drawn = latent(rows).detach().cpu().double()
    if drawn.ndim != 2 or len(drawn) != rows:
        raise ValueError(f"perceptual_path_length: latents [{rows}, D] are needed, their shape is {tuple(drawn.shape)}")
    return drawn


def _slerp(one: Tensor, other: Tensor, t: Tensor) -> Tensor:
    """White 2016: weights from the angle between the two, so that lengths on the way are those of normal latents."""
    cosine = torch.cosine_similarity(one, other, dim=1)[:, None]
    angle = cosine.clamp(-1, 1).acos()
    sine = angle.sin()
    apart = sine > 1e-6  # else the two lie on a line, and so does the path
    weights = [torch.where(apart, (part * angle).sin() / sine, part) for part in (1 - t, t)]
    return weights[0] * one + weights[1] * other


def _square(here: Tensor, there: Tensor) -> Tensor:
    return (here - there).square().sum(1)


def _trimmed_mean(lengths: Tensor, trim: float) -> float:
    """Mean without what lies outside two percentiles, each moved outwards to a value that is there."""
    if not lengths.isfinite().all():
        raise ValueError("perceptual_path_length: some distances are not finite")
    low = lengths.quantile(trim, interpolation="lower")
    high = lengths.quantile(1 - trim, interpolation="higher")
    return lengths[(lengths >= low) & (lengths <= high)].mean().item()


def _check_repeats(again: float, length: float) -> None:
    if again > _NOISE * length:
        raise ValueError(
            f"perceptual_path_length: decode and features differ for the same latents (by {again:.3g}, where a step is "
            f"{length:.3g}); fix the noise that they add"
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
