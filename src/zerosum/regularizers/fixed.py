"""What a fixed network sees of images, with gradients to them: an extractor's features, or maps of several sizes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor, nn

from zerosum.core import registry
from zerosum.core.errors import RecipeError


def check(text: str) -> None:
    """Refuse an extractor that has no weights of its own.

    Raises:
        RecipeError: it is fitted to real images, or there is none of that name.
    """
    part: Any = registry.parse("extractor", text)
    if part.fitted:
        raise RecipeError(
            f"extractor {part.name!r} is fitted to real images, and a loss needs a network with weights of its own; "
            "take one such as efficientnet-lite0"
        )


def seen(text: str, x: Tensor, of: Literal["features", "layers"]) -> list[Tensor]:
    """What an extractor sees of images [N, C, H, W] in [-1, 1], flat, [N, F] each, in float32.

    `layers`: of maps of each size the last, from the largest to the smallest, then the features.
    """
    network = _network(text, tuple(x.shape[1:]), str(x.device))
    maps: dict[tuple[int, ...], Tensor] = {}

    def keep(_: nn.Module, __: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4:
            maps[tuple(output.shape[2:])] = output

    hooks = [module.register_forward_hook(keep) for module in network.modules() if of == "layers"]
    try:
        with torch.autocast(x.device.type, enabled=False):
            features, _ = network((x.float() + 1) * 127.5)
    finally:
        for hook in hooks:
            hook.remove()
    return [*(one.flatten(1) for one in maps.values()), features]


@lru_cache(maxsize=4)
def _network(text: str, shape: tuple[int, ...], device: str) -> nn.Module:
    part: Any = registry.parse("extractor", text)
    network: nn.Module = part.build(shape, device).network
    return network
