"""The engine applies updates: the only place that knows optimizers, precision, averages and finite checks."""

from __future__ import annotations

import copy
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from zerosum.core import arithmetic
from zerosum.core.average import reestimate
from zerosum.core.clock import Stream, reseed, seeded
from zerosum.core.game import Feed, Game
from zerosum.core.gradients import excerpt, refuse_unreduced, skip_together, total_norm
from zerosum.core.memory import ALONE, Bound, Memory
from zerosum.core.meter import Meter, NotFiniteError, not_finite, precise
from zerosum.core.model import Model, Networks, Prior
from zerosum.core.player import Learner
from zerosum.core.signals import Signals, build
from zerosum.core.slots import Described
from zerosum.core.team import Team, share

P = TypeVar("P", bound=Described)
Losses = dict[str, Tensor]  # of a player, by name, []


class Engine:
    """A game at play.

    Args:
        game: who plays and how.
        signals: what a sample of the data consists of, by name.
        seed: everything random is a function of this and of the clock.
        device: where networks live.
        precision: `fp32`, or `bf16` for automatic mixed precision (losses and penalties stay in float32).
        total: samples of the whole run, which schedules refer to; None where it is measured in time.
        team: ranks that train together: they begin with the weights of rank 0, hold the same after each turn, and
            read the meter alike.
    """

    def __init__(
        self,
        game: Game,
        signals: Signals,
        *,
        seed: int = 0,
        device: str | torch.device = "cpu",
        precision: str = "fp32",
        total: int | None = None,
        team: Team = ALONE,
    ) -> None:
        arithmetic.settle()
        self.game, self.signals, self.seed, self.total = game, signals, seed, total
        self.device, self.precision, self.team = torch.device(device), precision, team
        self.clock = 0  # samples drawn, by all ranks, when the turn began; between turns, so far
        self.share: float | None = None  # of a run that is measured in time: who plays says how much of it is done
        self.feed: Feed | None = None  # of the turn under way
        players = game.players()
        self.wirings = game.networks(signals)
        self.modules: dict[str, nn.Module] = {}
        self.learners: dict[str, Learner] = {}
        with seeded(seed, "weights"):
            for name, wiring in self.wirings.items():
                player = players[wiring.players[0]]
                module = build(player.network, wiring)
                player.initialization.apply(module)
                self.modules[name] = module.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        for name, player in players.items():
            moved = {key: self.modules[key] for key, wiring in self.wirings.items() if name in wiring.players}
            self.learners[name] = Learner(player, moved, [key for key in moved if self.wirings[key].players[0] == name])
        self.memory: dict[str, Memory] = {}
        self._bound: dict[str, Bound] = {}
        self.meter = Meter()
        self.attempt = 0  # how often this run went back to a checkpoint; above 0 it plays with other random numbers
        self.shown: dict[str, Tensor] = {}  # samples of the last turn, for who watches over a training
        self._watched: list[tuple[str, Tensor]] = []  # scalars of the turn under way
        self._common = Stream(seed)  # random numbers that all ranks draw alike, of the turn under way
        team.agree_(x for module in self._modules() for x in (*module.parameters(), *module.buffers()))

    def network(self, name: str) -> nn.Module:
        """A live network."""
        return self.modules[name]

    def networks(self, *names: str) -> tuple[nn.Module, ...]:
        """Several live networks."""
        return tuple(self.modules[name] for name in names)

    @property
    def averages(self) -> dict[str, nn.Module]:
        """Networks with the averages of their weights, of those that have them."""
        return {name: average for one in self.learners.values() for name, average in one.averages.items()}

    def _modules(self) -> tuple[nn.Module, ...]:
        return (*self.modules.values(), *self.averages.values())

    def turn(self, feed: Feed) -> None:
        """Play one step; its randomness depends on the seed, the clock, the attempt and the rank alone."""
        self.feed, self.clock = feed, feed.position
        self._watched.clear()  # of a turn that failed
        self._common = Stream(self.seed, self.clock, *([self.attempt] if self.attempt else []))
        reseed(*self._common.items, *([f"rank {self.team.rank}"] if self.team.world > 1 else []))
        for learner in self.learners.values():
            learner.set_rate(learner.player.schedule.factor(self.clock, self.horizon))
        with self.autocast():
            self.game.step(feed, self)
        for bound in self._bound.values():
            self.meter.watch(**bound.curves())
        self._note_watched()
        self.team.agree_(x for module in self._modules() for x in module.buffers())  # such as BatchNorm's statistics
        self.clock = feed.position

    @property
    def horizon(self) -> float | None:
        """Samples of the whole run; where it is measured in time, what the pace so far leads to."""
        if self.total is not None or self.share is None:
            return self.total
        return self.clock / self.share if self.clock and self.share else sys.maxsize

    def autocast(self) -> AbstractContextManager[torch.autocast | None]:
        """Mixed precision where the engine was asked for it."""
        if self.precision != "bf16":
            return nullcontext()
        # no cache: it would keep weights cast before an update, or cast without gradients, for the rest of the turn
        return torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False)

    def bind(self, key: str, part: P, *sizes: object) -> P:
        """A part together with its memory; a part without one as it is.

        Args:
            key: name of the memory in checkpoints.
            part: what may have `memory(*sizes)`, the tensors that it starts with.
            sizes: what it needs to know for them.
        """
        if not hasattr(part, "memory"):
            return part
        bound = self._bound.get(key)
        if bound is None or bound.part is not part:
            memory = self.memory.setdefault(key, self._remembered({}))  # or what a checkpoint held
            first = {name: value.to(self.device) for name, value in part.memory(*sizes).items() if name not in memory}
            memory.update(first)
            bound = self._bound[key] = Bound(part, memory)
        return cast("P", bound)  # it is called as the part is, but for the memory

    def _remembered(self, tensors: dict[str, Tensor]) -> Memory:
        return Memory(tensors, self.team, lambda: self._common.flowing())

    def updates(self, player: str) -> int:
        """How many times a player has moved."""
        return self.learners[player].updates

    def draw(self, prior: Prior, count: int) -> Tensor:
        """Random numbers [count, ...] of a prior such as a latent part; a rank gets its part of what one would draw."""
        if self.team.world == 1:
            return prior(count, self.device)
        with self._common.flowing():
            return share(prior(count * self.team.world, self.device), self.team)

    def watch(self, **values: Tensor) -> None:
        """Note further scalars worth a curve; of several ranks their means, at the end of the turn."""
        if self.team.world == 1:
            self.meter.watch(**values)
        else:
            self._watched += values.items()

    def _note_watched(self) -> None:
        means = [value.detach().to(precise(value.device), copy=True) for _, value in self._watched]
        self.team.average_(means)
        for (name, _), mean in zip(self._watched, means, strict=True):
            self.meter.watch(**{name: mean})
        self._watched.clear()

    def show(self, **samples: Tensor) -> None:
        """Let who watches over a training see samples of this turn, by name."""
        self.shown = {name: value.detach() for name, value in samples.items()}

    def update(self, player: str, **losses: Tensor) -> None:
        """Move one player: gradients of the sum of losses, optimizer, rules, average.

        Only this player's weights collect gradients: the opponent is frozen, and the backward pass does not even
        compute its weights' gradients.

        Raises:
            NotFiniteError: a loss or a gradient is not finite; the weights have not changed.
        """
        self.move({player: losses})

    def move(self, losses: dict[str, Losses]) -> None:
        """Move several players at once: all gradients are taken at the weights as they are, and averaged over ranks.

        Args:
            losses: of each player, by name.

        Raises:
            NotFiniteError: a loss or a gradient is not finite; no weights have changed.
        """
        means: dict[str, tuple[Tensor, Losses]] = {}
        shared: dict[int, list[str]] = {}  # players that lose the same differentiate it together
        for player, own in losses.items():
            shared.setdefault(id(own), []).append(player)
        for number, players in enumerate(shared.values(), 1):
            means |= dict.fromkeys(players, self._differentiate(players, losses[players[0]], keep=number < len(shared)))
        gradients = {player: self._check(player, *mean) for player, mean in means.items()}
        skip_together([self.learners[player].optimizer for player in means])
        for player, (total, values) in means.items():
            self._step(player)
            self.meter.note(player, total, values)
            self.meter.watch(**{f"{player}_gradient": gradients[player]})

    def _differentiate(self, players: list[str], losses: Losses, *, keep: bool) -> tuple[Tensor, Losses]:
        """Sum of losses, [], and each of them: means over ranks, as are the gradients, which are with the weights."""
        refuse_unreduced(players[0], losses)
        total = sum((loss.float() for loss in losses.values()), start=torch.zeros((), device=self.device))
        weights = [weight for player in players for weight in self.learners[player].parameters]
        for weight in weights:
            weight.grad = None
        with torch.autocast(self.device.type, enabled=False):
            total.backward(inputs=weights, retain_graph=keep)
        values = torch.stack([one.detach().float().reshape(()) for one in (total, *losses.values())])
        self.team.average_([values, *(one.grad for one in weights if one.grad is not None)])
        return values[0], dict(zip(losses, values[1:], strict=True))

    def _step(self, player: str) -> None:
        """Optimizer, rules and average of a player whose gradients are there."""
        learner = self.learners[player]
        before = None if self.meter.knows(f"{player}_step") else excerpt(learner.parameters)
        learner.optimizer.step()
        # fused optimizers do not say that they changed the weights: a gradient through them would be wrong unnoticed
        torch.autograd.graph.increment_version(learner.parameters)
        if before is not None:  # once between two reports is enough
            step = torch.linalg.vector_norm(excerpt(learner.parameters) - before)
            self.meter.watch(**{f"{player}_step": step / torch.linalg.vector_norm(before).clamp(min=1e-12)})
        learner.settle(self.clock if self.feed is None else self.feed.position)

    def _check(self, player: str, total: Tensor, losses: Losses) -> Tensor:
        """Norm of a player's gradients, []; stops where it or a loss is not finite."""
        learner = self.learners[player]
        gradient = total_norm(learner.parameters)
        finite = torch.isfinite(total) & torch.isfinite(gradient)
        if self.device.type != "cpu" and learner.optimizer.defaults.get("fused"):
            # no host sync: a fused step skips itself, and the meter raises at the next report
            learner.optimizer.found_inf = (~finite).float()  # type: ignore[attr-defined]
        elif not finite:
            raise not_finite(player, self.clock, losses, total, gradient)
        return gradient

    def model(self) -> Model:
        """What the training is for, ready to use: copies of networks, with averaged weights where there are any.

        Raises:
            NotFiniteError: a weight is not finite, so nothing that it would give is worth anything.
        """
        averages = self.averages
        live = {**self.modules, **averages}
        model = self.game.model(Networks(lambda name: copy.deepcopy(live[name]).eval()), self.signals)
        for name, network in model.networks.items():
            if not all(bool(one.isfinite().all()) for one in network.parameters()):
                raise NotFiniteError(f"weights of the {name} are not finite after {self.clock:,} samples")
        averaged = {name: network for name, network in model.networks.items() if name in averages}
        for task in model.tasks.values():
            if averaged and not task.asked:
                reestimate(task, averaged, self.seed, self.device)
        return model

    def state(self) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
        """Tensors by group, and numbers: all that a checkpoint needs."""
        tensors = {f"{name}.weights": module.state_dict() for name, module in self.modules.items()}
        tensors |= {f"{name}.average": average.state_dict() for name, average in self.averages.items()}
        tensors |= {f"{name}.optimizer": learner.moments() for name, learner in self.learners.items()}
        tensors |= {f"memory.{name}": memory for name, memory in self.memory.items()}
        tensors["meter"], counts = self.meter.state()
        players = {name: {"updates": one.updates, "clock": one.clock} for name, one in self.learners.items()}
        return tensors, {"clock": self.clock, "attempt": self.attempt, "players": players, "meter": counts}

    def load(self, tensors: dict[str, dict[str, Tensor]], numbers: dict[str, Any]) -> None:
        """Take back what `state` gave."""
        for name, module in self.modules.items():
            module.load_state_dict(tensors[f"{name}.weights"])
        for name, average in self.averages.items():
            average.load_state_dict(tensors[f"{name}.average"])
        for name, learner in self.learners.items():
            learner.load_moments(tensors[f"{name}.optimizer"])
            learner.updates, learner.clock = numbers["players"][name]["updates"], numbers["players"][name]["clock"]
        self._bound.clear()  # what the checkpoint does not hold, from before its part was bound, begins anew
        self.memory = {
            key.removeprefix("memory."): self._remembered({k: x.to(self.device, copy=True) for k, x in saved.items()})
            for key, saved in tensors.items()
            if key.startswith("memory.")
        }
        self.meter.load(tensors["meter"], numbers["meter"], self.device)
        self.clock, self.attempt = numbers["clock"], numbers.get("attempt", 0)
