"""What players and games ask of the parts in their slots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn


class Described(Protocol):
    """What every part says of itself; see `zerosum.core.registry.Part`."""

    kind: ClassVar[str]
    name: ClassVar[str]

    @property
    def needs(self) -> dict[str, str]:
        """Trait of another part -> why, and what provides it."""
        ...

    @property
    def clashes(self) -> dict[str, str]:
        """Trait of another part -> why, and how to mend it."""
        ...

    def traits(self) -> frozenset[str]:
        """Properties that other parts may need or clash with."""
        ...


class Optimizer(Described, Protocol):
    """How weights follow gradients."""

    def build(self, parameters: Sequence[Tensor], /) -> torch.optim.Optimizer:
        """The optimizer of these weights."""
        ...


class Schedule(Described, Protocol):
    """How a learning rate changes; may have `check(total)`, which raises a RecipeError where it does not fit a run."""

    def factor(self, clock: int, total: float | None, /) -> float:
        """Factor on the learning rate at a clock; `total`, the samples of the run, is None where nobody knows."""
        ...


class ChangesWeights(Described, Protocol):
    """An initialization, or a rule that holds after each update."""

    def apply(self, module: nn.Module, /) -> None:
        """Change the weights of a module in place."""
        ...


class Regularizer(Described, Protocol):
    """A further loss. One that remembers is bound to its memory before it is called."""

    @property
    def player(self) -> str:
        """Role that pays, or "both"."""
        ...

    @property
    def every(self) -> int:
        """Updates of its player from one call to the next."""
        ...

    @property
    def tracks(self) -> frozenset[str]:
        """Samples that gradients of logits are taken at."""
        ...

    def __call__(self, exchange: Any, /, *args: Any, **memory: Any) -> Tensor:
        """The loss, []."""
        ...
