"""How the ranks of a training stay together: rank 0 decides, and before each turn all hear what is next.

Whatever depends on time, on files or on one process (lengths in minutes, early stops, signals, checkpoints, going back
to one) is decided by rank 0 alone. Each order is one small exchange, in which every rank also says whether it was asked
to stop; so all of them end at the same turn.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import torch

from zerosum.core.team import Team


class Order(IntEnum):
    """What all ranks do next."""

    TURN = 0  # play a turn
    WAIT = 1  # for the next order, while rank 0 evaluates or saves
    BEGIN = 2  # have players as before the first turn
    LOAD = 3  # the checkpoint of a clock
    END = 4


class Heard(NamedTuple):
    """An order as it reaches a rank."""

    order: Order
    number: int  # TURN: the attempt; LOAD: the clock; END: 1 where the training is finished
    share: float  # of the whole that is done
    stop: bool  # some rank was asked to stop, so no turn is played


def tell(team: Team, order: Order, number: int = 0, *, share: float = 0.0, asked: bool = False) -> bool:
    """Give an order, as rank 0; true where any rank was asked to stop."""
    if team.world == 1:
        return asked
    return _exchange(team, asked, order, number, share).stop


def hear(team: Team, *, asked: bool) -> Heard:
    """Wait for an order, as another rank; `asked`: this one was asked to stop."""
    return _exchange(team, asked, 0, 0, 0.0)


def _exchange(team: Team, asked: bool, order: int, number: int, share: float) -> Heard:
    orders = team.gather(torch.tensor([[asked, order, number, share]], dtype=torch.float64))
    _, order, number, share = orders[0].tolist()
    return Heard(Order(int(order)), int(number), share, bool(orders[:, 0].any()))


def announce(team: Team, text: str = "") -> str:
    """A text of rank 0, on every rank."""
    content = bytearray(text.encode())
    size = torch.tensor(len(content))
    team.agree_([size])
    letters = torch.zeros(int(size), dtype=torch.uint8)
    if content:
        letters.copy_(torch.frombuffer(content, dtype=torch.uint8))
    team.agree_([letters])
    return bytes(letters.tolist()).decode()
