"""Logits for the regularizers, and forward passes that leave running statistics and random state alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from zerosum.core.values import Range
from zerosum.critic import Exchange

STYLES = (
    "it calls the generator twice and compares, and style mixing and noise inputs differ between the calls; remove "
    "this regularizer, or take path-length, which is made for such a generator"
)
FROM_SAMPLES = {  # networks in the generator's place that have no latent to move
    trait: f"it moves latents, and the {trait} starts from samples; remove this regularizer"
    for trait in ("translator", "encoder")
}
SOURCE = (
    "it calls the generator for other samples than those of the move, and this one starts from the images of the move; "
    "remove this regularizer, or take jacobian-clamping"
)
Share = Annotated[float, Range(0, 1, open_low=True)]  # of a batch; some of it at least


def per_sample(logits: Tensor) -> Tensor:
    """One float32 logit per sample, `[N]`: a patch map counts as its mean."""
    return logits.float().flatten(1).mean(1) if logits.ndim > 1 else logits.float()


def logits_of(exchange: Exchange, name: str) -> Tensor:
    """Logits of "real" or "fake", one per pack of samples, `[N / pack]`."""
    return per_sample(getattr(exchange, name).logits)


def steady(exchange: Exchange) -> Callable[[Tensor], Tensor]:
    """The discriminator's logits as a plain function of the samples, `[N, ...]` to `[N / pack]`.

    Each call draws the same dropout and the same augmentation, so that logits differ only where samples do.
    """
    source = torch if exchange.real.x.device.type == "cpu" else torch.get_device_module(exchange.real.x.device)
    state = source.get_rng_state()

    def logits(x: Tensor) -> Tensor:
        source.set_rng_state(state)
        return per_sample(exchange.logits(x))

    return logits


@contextmanager
def still(network: Any) -> Iterator[None]:
    """Batch norms still normalise by their batch, but do not update their running statistics."""
    modules = network.modules() if isinstance(network, nn.Module) else ()
    norms = [m for m in modules if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
