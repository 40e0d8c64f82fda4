"""Adam whose kernel is given large weights as they lie in memory, so that it copies nothing.

PyTorch's fused kernel on CPUs clones each gradient that is not contiguous, as those of weights in channels_last, which
takes up to three times as long as the step itself. The same numbers in the order of memory are contiguous, and each
is updated by itself, so results are the same bit for bit.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["DenseAdam", "DenseAdamW"]
LEAST = 1 << 12  # numbers of a weight; of smaller ones a copy costs less than a look
LAST = torch.channels_last


class DenseAdam(torch.optim.Adam):
    """PyTorch's Adam, with the same results."""

    def _init_group(self, group: dict[str, Any], *lists: list[Tensor]) -> bool:
        complex_: bool = super()._init_group(group, *lists)
        if group["fused"]:
            in_memory_order(*lists[:4])  # weights, gradients, both moments
        return complex_


class DenseAdamW(DenseAdam, torch.optim.AdamW):
    """PyTorch's AdamW, with the same results."""


def in_memory_order(*lists: list[Tensor]) -> None:
    """Put views of tensors, as their numbers lie in memory, in the place of those that lie alike in channels_last."""
    for place, tensors in enumerate(zip(*lists, strict=True)):
        if all(map(_is_last, tensors)):
            for one, tensor in zip(lists, tensors, strict=True):
                one[place] = tensor.permute(0, 2, 3, 1)


def _is_last(x: Tensor) -> bool:
    large = x.dim() == 4 and x.numel() >= LEAST and x.device.type == "cpu"
    return large and x.is_contiguous(memory_format=LAST) and not x.is_contiguous()
