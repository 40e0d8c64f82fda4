"""What a part remembers from turn to turn, and the part together with it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor

from zerosum.core.errors import RecipeError
from zerosum.core.team import Alone, Team, share

ALONE = Alone()


class Memory(dict[str, Tensor]):
    """Tensors by name, changed in place and equal on all ranks; saved with a checkpoint.

    Args:
        tensors: as they are at first.
        team: the ranks that hold it.
        common: gives a block in which all ranks draw the same random numbers; of several ranks `whole` needs it.
    """

    def __init__(
        self,
        tensors: Mapping[str, Tensor] = {},
        team: Team = ALONE,
        common: Callable[[], AbstractContextManager[None]] | None = None,
    ) -> None:
        super().__init__(tensors)
        self.team, self.common = team, common

    def mean(self, x: Tensor) -> Tensor:
        """Mean of a tensor over ranks, so that all remember the same; its gradient is a mean too."""
        return self.team.mean(x)

    def gather(self, x: Tensor) -> Tensor:
        """Batches [N, ...] of all ranks one after the other, [world * N, ...], without gradients: fit to remember."""
        return self.team.gather(x)

    def share(self, x: Tensor) -> Tensor:
        """This rank's part [N, ...] of what was gathered, [world * N, ...]."""
        return share(x, self.team)

    def whole(self, x: Tensor, work: Callable[[Tensor], Tensor]) -> Tensor:
        """This rank's part of what `work` makes of the batches of all ranks, with random numbers that all draw alike.

        Args:
            x: this rank's batch, [N, ...].
            work: called with [world * N, ...], without gradients; gives as many.
        """
        if self.team.world == 1:
            return work(x.detach())
        assert self.common is not None, "ranks that draw for themselves would not remember the same"
        with self.common():
            return self.share(work(self.gather(x)))


class Bound:
    """A part with its memory: methods that have a parameter `memory` receive it, all else is the part's own."""

    def __init__(self, part: Any, memory: Memory) -> None:
        self.part, self.memory = part, memory

    def __call__(self, *args: Any) -> Any:
        """What the part gives."""
        return self._with_memory("__call__")(*args)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # copies ask for these before they have a part
            raise AttributeError(name)
        return self._with_memory(name)

    def curves(self) -> dict[str, Tensor]:
        """What the part shows of its memory: scalars, by the names of their curves.

        Raises:
            RecipeError: one is not in the memory, or is not one number.
        """
        values = {}
        for name in getattr(self.part, "watched", ()):
            if name not in self.memory or self.memory[name].numel() != 1:
                names = [key for key, value in self.memory.items() if value.numel() == 1]
                at = f"{self.part.kind} {self.part.name!r}: watched"
                raise RecipeError(f"{at} names {name!r}; numbers of its memory are: {', '.join(names) or 'none'}")
            values[f"{self.part.name}.{name}"] = self.memory[name]
        return values

    def _with_memory(self, name: str) -> Any:
        member = getattr(self.part, name)
        takes = inspect.ismethod(member) and takes_memory(member.__func__)
        return functools.partial(member, memory=self.memory) if takes else member


@functools.cache
def takes_memory(function: Callable[..., Any]) -> bool:
    """True where a function has a parameter `memory`."""
    return "memory" in inspect.signature(function).parameters
