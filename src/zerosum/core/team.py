"""Who trains together: processes that hold the same players and see different samples."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from torch import Tensor


class Team(Protocol):
    """The processes of a training (ranks)."""

    rank: int  # of this process, from 0
    world: int  # how many there are

    def average_(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor, in place, by its mean over the ranks."""
        ...

    def mean(self, x: Tensor) -> Tensor:
        """Mean of a tensor over the ranks; its gradient is a mean over the ranks too."""
        ...

    def gather(self, x: Tensor) -> Tensor:
        """Batches [N, ...] of all ranks, in their order, [world * N, ...]; without gradients."""
        ...

    def agree_(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor, in place, by that of rank 0."""
        ...


def share(x: Tensor, team: Team) -> Tensor:
    """A rank's part [N, ...] of what all ranks have together, [world * N, ...]."""
    return x if team.world == 1 else x.chunk(team.world)[team.rank]


class Alone:
    """One process."""

    rank, world = 0, 1

    def average_(self, tensors: Iterable[Tensor]) -> None:
        """Nothing to do."""

    def mean(self, x: Tensor) -> Tensor:
        """The tensor itself."""
        return x

    def gather(self, x: Tensor) -> Tensor:
        """The batch itself."""
        return x.detach()

    def agree_(self, tensors: Iterable[Tensor]) -> None:
        """Nothing to do."""
