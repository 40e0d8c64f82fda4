"""What flows between data and networks: signals by name, and batches of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from zerosum.core.errors import RecipeError
from zerosum.core.slots import Described

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Signal:
    """One kind of tensor; the batch comes first and does not count."""

    kind: str  # such as points, latent, logit
    shape: tuple[int, ...] = ()  # of one item; () for a number
    classes: int = 0  # of a class number: how many there are

    def __str__(self) -> str:
        size = f" of {self.classes}" if self.classes else f" {list(self.shape)}" if self.shape else ""
        return self.kind + size


Signals = Mapping[str, Signal]


class Network(Described, Protocol):
    """Describes a network."""

    def build(self, inputs: Signals, outputs: Signals, /) -> nn.Module:
        """A new network for the signals that it receives and gives."""
        ...


class Wiring(NamedTuple):
    """A network's place in a game.

    A module is called with the first input as it is, and the others by name. The first player builds the network and
    averages its weights; several may move it, each with an optimizer of its own.
    """

    inputs: Signals
    outputs: Signals
    players: tuple[str, ...]
    items: int = 1  # samples of the data that one call item holds, as a pack does


def told(signals: Signals) -> str:
    """Signals in words."""
    return ", ".join(f"{name}: {signal}" for name, signal in signals.items())


def zeros(signal: Signal, count: int) -> Tensor:
    """A batch of nothing."""
    return torch.zeros(count, *signal.shape, dtype=torch.int64 if signal.classes else torch.float32)


def build(part: Network, wiring: Wiring) -> nn.Module:
    """The module that a network part builds for what it receives and gives.

    Raises:
        RecipeError: that is no module.
    """
    module = part.build(wiring.inputs, wiring.outputs)
    if not isinstance(module, nn.Module):
        raise RecipeError(f"{part.name!r}: build gave {type(module).__name__}, and must give an nn.Module")
    return module
