"""Ranks: processes that train one game together, each on its part of every batch."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import Store

from zerosum.core.clock import mix
from zerosum.core.errors import LostRankError, printable
from zerosum.core.gradients import as_stored
from zerosum.core.team import Team

DYING = 1.0  # seconds from the end of a connection to the end of the process that had it, at most


class Ranks(Team):
    """The processes of a training, joined by torch.distributed: gloo between CPUs, NCCL between CUDA devices.

    All ranks make the same calls in the same order; a call returns once all have made it, with the same bits on each.

    Args:
        rank: of this process, from 0.
        world: how many there are.
        meeting: where they meet: `tcp://HOST:PORT` at rank 0, `file:///PATH` of a file that does not exist yet, or a
            store that all have.
        timeout: seconds that a call waits for the other ranks.

    Raises:
        LostRankError: a rank did not come, ended, or kept this one waiting too long. Every call may raise it, and
            none works after that. (NCCL does not raise at a rank that is lost: it ends the process after `timeout`.)
    """

    def __init__(self, rank: int, world: int, meeting: str | Store, *, timeout: float = 600.0) -> None:
        self.rank, self.world, self.timeout = rank, world, timeout
        self._processes: list[list[int]] = []  # of each rank: machine and number of its process
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
        where: dict[str, Any] = {"init_method": meeting} if isinstance(meeting, str) else {"store": meeting}
        limit = timedelta(seconds=timeout)
        self._meet(dist.init_process_group, backend, timeout=limit, world_size=world, rank=rank, **where)
        self._processes = self.gather(torch.tensor([[_machine(), os.getpid()]])).tolist()

    @torch.no_grad()
    def average_(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor of real numbers, in place, by its mean over the ranks: one exchange for each type."""
        for group in _grouped(tensors, lambda x: (x.device, x.dtype)):
            ordered = [as_stored(x) for x in group]
            flat = torch.cat([x.reshape(-1) for x in ordered])
            self._meet(dist.all_reduce, flat)
            parts = flat.div_(self.world).split([x.numel() for x in group])
            torch._foreach_copy_(ordered, [part.view(x.shape) for x, part in zip(ordered, parts, strict=True)])

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

    def lost(self) -> list[int]:
        """Ranks on this machine whose process has ended; one that is about to may take a moment."""
        local = [rank for rank, (machine, _) in enumerate(self._processes) if machine == _machine()]
        until = time.monotonic() + DYING
        while not (ended := [rank for rank in local if not _is_running(self._processes[rank][1])]):
            if time.monotonic() > until:
                return []
            time.sleep(0.01)
        return ended

    def _meet(self, exchange: Callable[..., object], *args: object, **options: object) -> None:
        try:
            exchange(*args, **options)
        except RuntimeError as error:  # torch has no error of its own for a lost rank
            if lost := self.lost():
                raise LostRankError(lost_ranks(lost, self.world), lost) from error
            raise LostRankError(
                f"rank {self.rank} of {self.world} waited for the others in vain ({_reason(error)}): one of them has "
                f"ended, or has not answered for {self.timeout:g} s; see what stopped it"
            ) from error


def lost_ranks(lost: Sequence[int], world: int) -> str:
    """Which ranks were lost, in words."""
    which = " and ".join(map(str, lost))
    return f"rank{'s' if len(lost) > 1 else ''} {which} of {world} ended before the others did"


def _machine() -> int:
    """A number of this machine, since it was started."""
    return mix(platform.node(), _read("/proc/sys/kernel/random/boot_id"))


def _is_running(process: int) -> bool:
    """True for a process of this machine that has not ended; one that its parent has not waited for has."""
    if os.name != "posix":
        return True  # nobody says
    if _read("/proc/self/stat"):
        stat = _read(f"/proc/{process}/stat")
        return bool(stat) and stat.rpartition(")")[2].split()[0] not in "ZX"
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _read(file: str) -> str:
    """What Linux says in a file; elsewhere, or where there is none, nothing."""
    try:
        return Path(file).read_text(encoding="utf-8")
    except OSError:
        return ""


class _Mean(torch.autograd.Function):
    """Mean over ranks."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        mean = x.clone()
        ranks.average_([mean])
        return mean

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.ranks.mean(gradient), None


def _reason(error: RuntimeError) -> str:
    """First sentence of an error, without the place in torch's sources."""
    return printable(re.sub(r"^\[\S+\] ", "", str(error).partition("\n")[0]).partition(". ")[0])


def _grouped(tensors: Iterable[Tensor], key: Callable[[Tensor], Hashable]) -> list[list[Tensor]]:
    groups: dict[Hashable, list[Tensor]] = {}
    for x in tensors:
        groups.setdefault(key(x), []).append(x)
    return list(groups.values())
