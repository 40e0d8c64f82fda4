"""Path length: a generator whose images change by the same amount for equal steps anywhere in latent space."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from zerosum.core.memory import Memory
from zerosum.core.registry import Part, register
from zerosum.core.values import Count, Fraction, NonNegative
from zerosum.critic import Exchange
from zerosum.regularizers.passes import FROM_SAMPLES, SOURCE, Share

_CONSTANT = (
    "the generator makes the same of every latent, so there is no path to measure; remove this regularizer, or choose "
    "a generator.network that uses its latents"
)


@register("regularizer", "path-length")
@dataclass(frozen=True)
class PathLength(Part):
    """Pulls the length of the generator's Jacobian to its own running mean a: weight * E (||J^T y|| - a)^2.

    StyleGAN2, Karras et al. 2020, eq. 4, with y ~ N(0, I) / sqrt(H W) shaped like an image. J is taken with respect to
    w where the generator has styles (`mapping` and `synthesis`), with gradients into the mapping; else to z. Where
    `mapping` gives one w per layer, `[N, L, d]`, the length is sqrt(mean over layers of ||.||^2). The mean a moves by
    `decay` towards the lengths of this batch before it is used, and, as in the authors' code, the new a is not detached
    inside the penalty; only the stored mean is. The discriminator receives nothing from it. On several ranks a is
    the mean over the lengths of all ranks, the same on each; each measures `share` of its own part of the batch.

    Raises:
        ValueError: the generator's images do not depend on its latents.
    """

    player: ClassVar[str] = "generator"
    tracks: ClassVar[frozenset[str]] = frozenset()
    watched: ClassVar[tuple[str, ...]] = ("mean",)
    clashes: ClassVar[dict[str, str]] = {
        "batchnorm": (
            "it measures how each image follows its own latent, and BatchNorm makes an image depend on the whole "
            "batch; set generator.norm=none, layer or group, or a network without it: generator.network=r3gan-generator"
        ),
        "source": SOURCE,
        **FROM_SAMPLES,
    }
    weight: NonNegative = 2.0  # weight of (length - mean)^2
    decay: Fraction = 0.01  # share by which the mean moves to the lengths of a batch
    share: Share = 0.5  # part of the batch that is used
    every: Count = 4  # generator updates from one penalty to the next; each then counts that many times

    def memory(self) -> dict[str, Tensor]:
        """The running mean of the lengths, 0 at first."""
        return {"mean": torch.zeros(())}

    def __call__(self, exchange: Exchange, memory: Memory) -> Tensor:
        """Penalty of an update, `[]`; moves the mean."""
        assert exchange.latent is not None
        count = math.ceil(self.share * len(exchange.latent))
        label = None if exchange.label is None else exchange.label[:count]
        with torch.autocast(exchange.latent.device.type, enabled=False):
            lengths = _lengths(exchange.generator, exchange.latent[:count].detach().float(), label)
        mean = memory["mean"].lerp(memory.mean(lengths.mean()), self.decay)
        with torch.no_grad():
            memory["mean"].copy_(mean)
        return self.weight * (lengths - mean).square().mean()


def _lengths(G: Any, z: Tensor, label: Tensor | None) -> Tensor:
    """||J^T y|| for one random y per sample, `[N]`, differentiable."""
    if hasattr(G, "synthesis"):
        start = G.mapping(z, label)
        images = G.synthesis(start)
    else:
        start = z.requires_grad_()
        images = G(start, label)
    y = torch.randn_like(images) / math.sqrt(images[0, 0].numel())
    (gradient,) = torch.autograd.grad((images * y).sum(), start, create_graph=True, allow_unused=True)
    if gradient is None:
        raise ValueError(f"path-length: {_CONSTANT}")
    layers = gradient.shape[1] if gradient.ndim == 3 else 1
    return torch.linalg.vector_norm(gradient.flatten(1), dim=1) / math.sqrt(layers)
