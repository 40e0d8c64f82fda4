"""A history of generated images, which discriminators see in place of the newest ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from zerosum.core.memory import Memory
from zerosum.core.registry import Part, register
from zerosum.core.signals import Signal
from zerosum.core.slots import Described
from zerosum.core.values import Natural


class Pool(Described, Protocol):
    """What discriminators see in place of the newest samples. It is bound to its memory before it is called."""

    @property
    def size(self) -> int:
        """How many samples it holds; a batch of all ranks must fit in."""
        ...

    def memory(self, signal: Signal, /) -> dict[str, Tensor]:
        """The tensors that it starts with, for samples of a signal."""
        ...

    def __call__(self, x: Tensor, /, *args: Any, **memory: Any) -> Tensor:
        """Samples [N, ...] in the place of new ones."""
        ...


@register("pool", "history")
@dataclass(frozen=True)
class ImagePool(Part):
    """The last images that were put in and not taken out: each new one is given on, or changes places with an old one.

    Shrivastava et al. 2017, section 2.3, as in CycleGAN, Zhu et al. 2017, section 4. Until the pool is full, each image
    is kept and given on; from then on, with probability 1/2, an image is kept in the place of a random old one, which
    is given on. Images of one batch never change places with each other, so a batch must fit into the pool.

    On several ranks there is one pool, which sees the images of all of them, in their order.
    """

    size: Natural = 50  # images; 0: none is kept, and all are given on

    def memory(self, signal: Signal) -> dict[str, Tensor]:
        """Room for images of a signal, and how many are there."""
        if not self.size:
            return {}
        return {"images": torch.zeros(self.size, *signal.shape), "count": torch.zeros((), dtype=torch.int64)}

    def __call__(self, x: Tensor, memory: Memory) -> Tensor:
        """Images [N, ...] in the place of new ones, detached."""
        x = x.detach().float()
        return memory.whole(x, lambda new: self.exchange(new, memory)) if self.size else x

    def exchange(self, new: Tensor, memory: Memory) -> Tensor:
        """Put images [N, ...] of all ranks in, and take as many out; the host waits for nothing."""
        images, count = memory["images"], memory["count"]
        number = torch.arange(len(new), device=new.device)
        free = (self.size - count).clamp(max=len(new))
        # old places in random order, before those that are free or filled by this very batch
        later = torch.arange(self.size, device=new.device) >= count
        places = (torch.rand(self.size, device=new.device) + later).argsort()
        filling, swapping = number < free, torch.rand(len(new), device=new.device) < 0.5
        place = torch.where(filling, count + number, places[(number - free).clamp(min=0)])
        old = images[place]
        taken, kept = (swapping & ~filling).view(-1, *[1] * (new.dim() - 1)), swapping | filling
        images.index_copy_(0, place, torch.where(kept.view_as(taken), new, old))
        count.add_(free)
        return torch.where(taken, old, new)
