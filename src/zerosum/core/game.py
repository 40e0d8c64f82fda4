"""What a game is: players, and one readable step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from torch import nn

from zerosum.core.model import Model
from zerosum.core.player import Player
from zerosum.core.signals import Batch, Signals, Wiring
from zerosum.core.slots import Described, Regularizer

if TYPE_CHECKING:
    from zerosum.core.engine import Engine


class Feed(Protocol):
    """Where data come from; `position`, the samples drawn, is its only state."""

    position: int

    def next(self) -> Batch:
        """Next batch: tensors [N, ...] by the names of their signals."""
        ...


class Setup(Described, Protocol):
    """Who plays, and with which networks."""

    roles: ClassVar[dict[str, frozenset[str]]]  # traits that the network of a role must have

    @property
    def pack(self) -> int:
        """Samples that one logit judges; a batch must be a multiple of it."""
        ...

    @property
    def regularizers(self) -> tuple[Regularizer, ...]:
        """Further losses."""
        ...

    def players(self) -> dict[str, Player]:
        """All players by name; what follows a `-` numbers players of one role, as in `critic-2`."""
        ...

    def networks(self, signals: Signals) -> dict[str, Wiring]:
        """All networks by name: what they receive and give, and who moves them."""
        ...


@runtime_checkable
class Game(Setup, Protocol):
    """Who plays and in which order. A game is a value; the engine holds the live networks.

    A game may also have `faults(signals, batch) -> list[str]`: what does not fit, why, and how to mend it; and
    `scores(networks, batch) -> dict[str, Tensor]`: logits of real samples by player, by which the health monitor
    compares what was trained on with what was held out.
    """

    def step(self, feed: Feed, engine: Engine) -> None:
        """One turn: every player moves as the paper's algorithm says."""
        ...

    def model(self, networks: Mapping[str, nn.Module], signals: Signals) -> Model:
        """What the training is for: networks that it needs, taken from these by name, and its tasks."""
        ...


def role(player: str) -> str:
    """Role of a player: `critic` for `critic-2`."""
    return player.partition("-")[0]
