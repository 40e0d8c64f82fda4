"""Memory that networks take whatever the batch is, told before any of it is taken: they are built without memory."""

from __future__ import annotations

import torch
from torch import nn

from zerosum.core.average import NoAverage
from zerosum.core.compatibility import blaming
from zerosum.core.game import Game
from zerosum.core.signals import Signals, build
from zerosum.core.slots import Optimizer


def network_bytes(game: Game, signals: Signals) -> dict[str, int]:
    """Bytes of each network by name: weights, their average, their gradients, and what optimizers remember of them.

    Raises:
        RecipeError: an optimizer fails on a weight of two by two numbers.
    """
    players, sizes = game.players(), {}
    for name, wiring in game.networks(signals).items():
        owner = players[wiring.players[0]]
        with torch.device("meta"):
            module = build(owner.network, wiring)
        state = sum(one.numel() * one.element_size() for one in module.state_dict().values())
        moved = sum(one.numel() * one.element_size() for one in module.parameters() if one.requires_grad)
        with blaming(game):
            moments = sum(_moments(players[mover].optimizer) for mover in wiring.players)
        sizes[name] = state * (1 if isinstance(owner.average, NoAverage) else 2) + moved * (1 + moments)
    return sizes


def _moments(optimizer: Optimizer) -> int:
    """How many tensors of a weight's own shape an optimizer remembers of it, by one step with a small one."""
    weight = nn.Parameter(torch.zeros(2, 2))
    weight.grad = torch.zeros_like(weight)
    live = optimizer.build([weight])
    live.step()
    return sum(torch.is_tensor(one) and one.shape == weight.shape for one in live.state[weight].values())
