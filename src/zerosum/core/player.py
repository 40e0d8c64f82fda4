"""Players: as a value (`Player`, part of a recipe) and at work (`Learner`: live networks, optimizer, averages)."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zerosum.core.average import Average, ExponentialAverage, NoAverage, update_average
from zerosum.core.registry import Part, register, slot
from zerosum.core.signals import Network
from zerosum.core.slots import ChangesWeights, Optimizer, Schedule


@register("player", "player")
@dataclass(frozen=True)
class Player(Part):
    """The networks that share one optimizer and one goal; all are built by one description."""

    network: Network = slot("network")  # its network
    optimizer: Optimizer = slot("optimizer")  # optimizer, with its learning rate
    schedule: Schedule = slot("schedule")  # factor of the learning rate over the run
    initialization: ChangesWeights = slot("initialization")  # initial weights
    average: Average = slot("average", NoAverage())  # average of its weights, used for samples
    rules: tuple[ChangesWeights, ...] = slot("rule", ())  # what happens to its weights after each update


class Learner:
    """A player at work: the networks that it moves, with one optimizer.

    Attributes:
        networks: what it moves, by name.
        parameters: their weights that are trained, in order.
        averages: copies that hold averages of weights, of the networks that it builds.
        updates: how many times it moved.
        clock: when it last moved, in samples drawn.
    """

    def __init__(self, player: Player, networks: Mapping[str, nn.Module], own: Iterable[str]) -> None:
        self.player, self.networks = player, dict(networks)
        self.parameters = [weight for net in networks.values() for weight in net.parameters() if weight.requires_grad]
        self.optimizer = player.optimizer.build(self.parameters)
        self.rates = [float(group["lr"]) for group in self.optimizer.param_groups]
        averaged = () if isinstance(player.average, NoAverage) else tuple(own)
        self.averages = {name: copy.deepcopy(networks[name]).requires_grad_(False) for name in averaged}
        self.updates = self.clock = 0

    def set_rate(self, factor: float) -> None:
        """Set the learning rate to its initial value times a factor."""
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor

    def settle(self, clock: int) -> None:
        """Finish an update at this clock: rules on the weights, then their average."""
        for rule in self.player.rules:
            for network in self.networks.values():
                rule.apply(network)
        if isinstance(self.player.average, ExponentialAverage):
            decay = self.player.average.decay(clock - self.clock, clock)
            for name, average in self.averages.items():
                update_average(average, self.networks[name], decay)
        self.updates, self.clock = self.updates + 1, clock

    def moments(self) -> dict[str, Tensor]:
        """Optimizer state by weight and name; of several networks, with their names before it."""
        return {
            f"{name}.{key}": value
            for name, weight in self._named()
            for key, value in self.optimizer.state.get(weight, {}).items()
            if isinstance(value, Tensor)
        }

    def load_moments(self, saved: Mapping[str, Tensor]) -> None:
        """Take back what `moments` gave; memory formats stay those of the live tensors, so results stay bit-equal."""
        fused = bool(self.optimizer.defaults.get("fused"))
        self.optimizer.state.clear()  # of a state from before the first update there are none
        for name, weight in self._named():
            state = {key[len(name) + 1 :]: value for key, value in saved.items() if key.rpartition(".")[0] == name}
            if state:
                self.optimizer.state[weight] = {key: _like(key, value, weight, fused) for key, value in state.items()}

    def _named(self) -> Iterator[tuple[str, nn.Parameter]]:
        for network, module in self.networks.items():
            before = f"{network}/" if len(self.networks) > 1 else ""
            for name, weight in module.named_parameters():
                if weight.requires_grad:
                    yield f"{before}{name}", weight


def _like(name: str, value: Tensor, parameter: Tensor, fused: bool) -> Tensor:
    """Copy a moment into the parameter's memory format; counters stay on the CPU unless the optimizer is fused."""
    if name == "step" or value.shape != parameter.shape:
        return value.to(parameter.device if fused else "cpu", copy=True)
    return torch.empty_like(parameter, memory_format=torch.preserve_format).copy_(value)
