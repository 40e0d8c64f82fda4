"""Ranks: processes that train one game together, each on its part of every batch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from zerosum.core.errors import TrainingError, printable
from zerosum.core.team import Team


class Ranks(Team):
    """The processes of a training, joined by torch.distributed: gloo between CPUs, NCCL between CUDA devices.

    All ranks make the same calls in the same order; a call returns once all have made it, with the same bits on each.

    Args:
        rank: of this process, from 0.
        world: how many there are.
        address: where they meet: `tcp://HOST:PORT` at rank 0, or `file:///PATH` of a file that does not exist yet.
        timeout: seconds that a call waits for the other ranks.

    Raises:
        TrainingError: a rank did not come, ended, or kept this one waiting too long. Every call may raise it, and
            none works after that. (NCCL does not raise at a rank that is lost: it ends the process after `timeout`.)
    """

    def __init__(self, rank: int, world: int, address: str, *, timeout: float = 600.0) -> None:
        self.rank, self.world, self.timeout = rank, world, timeout
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
        limit = timedelta(seconds=timeout)
        self._meet(dist.init_process_group, backend, address, limit, world_size=world, rank=rank)

    @torch.no_grad()
    def average_(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor of real numbers, in place, by its mean over the ranks: one exchange for each type."""
        for group in _grouped(tensors, lambda x: (x.device, x.dtype)):
            flat = torch.cat([x.reshape(-1) for x in group])
            self._meet(dist.all_reduce, flat)
            parts = (flat / self.world).split([x.numel() for x in group])
            for x, part in zip(group, parts, strict=True):
                x.copy_(part.view(x.shape))

    def mean(self, x: Tensor) -> Tensor:
        """Mean of a tensor over the ranks; its gradient is a mean over the ranks too, and can be differentiated."""
        mean: Tensor = _Mean.apply(x, self)
        return mean

    @torch.no_grad()
    def gather(self, x: Tensor) -> Tensor:
        """Batches [N, ...] of all ranks, N the same on each, in their order, [world * N, ...]; without gradients."""
        x = x.detach().contiguous()
        batches = [torch.empty_like(x) for _ in range(self.world)]
        self._meet(dist.all_gather, batches, x)
        return torch.cat(batches)

    @torch.no_grad()
    def agree_(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor, in place, by that of rank 0: their bytes, in one exchange."""
        for group in _grouped(tensors, lambda x: x.device):
            flat = torch.cat([x.reshape(-1).view(torch.uint8) for x in group])
            self._meet(dist.broadcast, flat, 0)
            parts = flat.split([x.numel() * x.element_size() for x in group])
            for x, part in zip(group, parts, strict=True):
                x.copy_(part.clone().view(x.dtype).view(x.shape))  # a clone begins where its type may begin

    def close(self) -> None:
        """Leave the others; they may have ended already."""
        dist.destroy_process_group()

    def _meet(self, exchange: Callable[..., Any], *args: Any, **options: Any) -> None:
        try:
            exchange(*args, **options)
        except RuntimeError as error:  # torch has no error of its own for a lost rank
            raise TrainingError(
                f"rank {self.rank} of {self.world} waited for the others in vain ({_reason(error)}): one of them has "
                f"ended, or has not answered for {self.timeout:g} s; see what stopped it, and start all of them again "
                "from what was saved last"
            ) from error


class _Mean(torch.autograd.Function):
    """Mean over ranks."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        mean = x.detach().clone()
        ranks.average_([mean])
        return mean

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.ranks.mean(gradient), None


def _reason(error: RuntimeError) -> str:
    """First sentence of an error, without the place in torch's sources."""
    return printable(re.sub(r"^\[\S+\] ", "", str(error).partition("\n")[0]).partition(". ")[0])


def _grouped(tensors: Iterable[Tensor], key: Callable[[Tensor], Any]) -> list[list[Tensor]]:
    groups: dict[Any, list[Tensor]] = {}
    for x in tensors:
        groups.setdefault(key(x), []).append(x)
    return list(groups.values())
