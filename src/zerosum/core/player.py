"""Players: as a value (`Player`, part of a recipe) and at the table (`Seat`, live networks and optimizer state)."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from zerosum.core.average import ExponentialAverage, NoAverage, update_average
from zerosum.core.registry import Part, register, slot
from zerosum.core.space import Space


@register("player", "player")
@dataclass(frozen=True)
class Player(Part):
    """The networks that share one optimizer and one goal."""

    network: Any = slot("network")  # its network
    optimizer: Any = slot("optimizer")  # optimizer, with its learning rate
    schedule: Any = slot("schedule")  # factor of the learning rate over the run
    initialization: Any = slot("initialization")  # initial weights
    average: Any = slot("average", NoAverage())  # average of its weights, used for samples
    rules: tuple[Any, ...] = slot("rule", ())  # what happens to its weights after each update


class Seat:
    """A player at the table.

    Attributes:
        module: the network that is trained.
        average: copy that holds the average of its weights, or None.
        updates: how many times it moved.
        images: the clock at its last move.
    """

    def __init__(self, player: Player, space: Space, device: torch.device) -> None:
        self.player = player
        self.module: nn.Module = player.network.build(space)
        player.initialization.apply(self.module)
        self.module.to(device)
        if space.is_image:
            self.module.to(memory_format=torch.channels_last)
        self.parameters = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        self.optimizer: torch.optim.Optimizer = player.optimizer.build(self.parameters)
        self.rates = [float(group["lr"]) for group in self.optimizer.param_groups]
        self.average = (
            None if isinstance(player.average, NoAverage) else copy.deepcopy(self.module).requires_grad_(False)
        )
        self.updates = self.images = 0

    def set_rate(self, factor: float) -> None:
        """Set the learning rate to its initial value times a factor."""
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor

    def settle(self, images: int) -> None:
        """Finish an update at this clock: rules on the weights, then their average."""
        for rule in self.player.rules:
            rule.apply(self.module)
        if self.average is not None and isinstance(self.player.average, ExponentialAverage):
            update_average(self.average, self.module, self.player.average.decay(images - self.images, images))
        self.updates, self.images = self.updates + 1, images

    def state(self) -> dict[str, dict[str, Tensor]]:
        """Everything that training changes, as named tensors: weights, average, optimizer."""
        names = [name for name, parameter in self.module.named_parameters() if parameter.requires_grad]
        moments = {
            f"{name}.{key}": value
            for name, parameter in zip(names, self.parameters, strict=True)
            for key, value in self.optimizer.state.get(parameter, {}).items()
            if isinstance(value, Tensor)
        }
        state = {"weights": self.module.state_dict(), "optimizer": moments}
        return state if self.average is None else {**state, "average": self.average.state_dict()}

    def load(self, state: dict[str, dict[str, Tensor]]) -> None:
        """Take back what `state` gave; memory formats stay those of the live tensors, so results stay bit-equal."""
        self.module.load_state_dict(state["weights"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        names = [name for name, parameter in self.module.named_parameters() if parameter.requires_grad]
        for name, parameter in zip(names, self.parameters, strict=True):
            moments = {
                key.removeprefix(f"{name}."): value
                for key, value in state["optimizer"].items()
                if key.rpartition(".")[0] == name
            }
            if moments:
                fused = bool(self.optimizer.defaults.get("fused"))
                self.optimizer.state[parameter] = {k: _like(k, value, parameter, fused) for k, value in moments.items()}


def _like(name: str, value: Tensor, parameter: Tensor, fused: bool) -> Tensor:
    """Copy a moment into the parameter's memory format; counters stay on the CPU unless the optimizer is fused."""
    if name == "step" or value.shape != parameter.shape:
        return value.to(parameter.device if fused else "cpu", copy=True)
    return torch.empty_like(parameter, memory_format=torch.preserve_format).copy_(value)
