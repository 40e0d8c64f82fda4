"""What variational games share: normal distributions of latents around what an encoder says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def divergence(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(mean, exp(log_var)) || N(0, I)) of [N, K] each, in nats, summed over K, mean over samples, []."""
    return (mean.square() + log_var.exp() - 1 - log_var).sum(1).mean() / 2


def each(measure: Callable[..., Tensor], *batches: Tensor) -> Tensor:
    """A mean over samples, taken for each sample by itself, [N]."""
    return torch.stack([measure(*one) for one in zip(*(x.split(1) for x in batches), strict=True)])


def means(encoder: Callable[..., Tensor], size: int) -> Callable[..., Tensor]:
    """The encoder as a function that gives the likeliest latents, the first `size` of its numbers [N, 2 size]."""

    def mean(sample: Tensor, label: Tensor | None = None) -> Tensor:
        return encoder(sample, label)[:, :size]

    return mean


def other_priors(game: Any) -> list[str]:
    """What is wrong with a prior that is not N(0, I)."""
    if game.latent.name == "normal":
        return []
    return [
        f"game {game.name!r} measures the divergence from N(0, I), not from {game.latent}; "
        f"set latent=normal:size={game.latent.size}"
    ]
