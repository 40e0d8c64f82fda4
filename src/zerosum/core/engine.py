"""The engine applies updates: the only place that knows optimizers, precision, averages and finite checks."""

from __future__ import annotations

import copy
import math
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from zerosum.core import arithmetic
from zerosum.core.average import reestimate_statistics
from zerosum.core.clock import reseed, seeded
from zerosum.core.game import Feed, Game, role
from zerosum.core.ledger import Ledger, NotFiniteError
from zerosum.core.player import Seat
from zerosum.core.round import Round
from zerosum.core.space import Space

EXCERPT = 64  # numbers of a tensor of weights that tell how far an update moved it


class Engine:
    """A game at play.

    Args:
        game: who plays and how.
        space: sizes of data, latents and classes.
        seed: everything random is a function of this and of the clock.
        device: where networks live.
        precision: `fp32`, or `bf16` for automatic mixed precision (losses and penalties stay in float32).
        total: images of the whole run, which schedules refer to; None where it is measured in time.
    """

    def __init__(
        self,
        game: Game,
        space: Space,
        *,
        seed: int = 0,
        device: str | torch.device = "cpu",
        precision: str = "fp32",
        total: int | None = None,
    ) -> None:
        arithmetic.settle()
        self.game, self.space, self.seed, self.total = game, space, seed, total
        self.device, self.precision = torch.device(device), precision
        self.images = 0  # the clock: images drawn so far
        self.share: float | None = None  # of a run that is measured in time: who plays says how much of it is done
        self.feed: Feed | None = None  # of the turn under way
        with seeded(seed, "weights"):
            self.seats = {
                name: Seat(player, game.view(name, space), self.device) for name, player in game.players().items()
            }
        self.memory = {
            key: {name: value.to(self.device) for name, value in part.memory().items()}
            for key, part in self._remembering()
        }
        self.ledger = Ledger()
        self.attempt = 0  # how often this run went back to a checkpoint; above 0 it plays with other random numbers
        self.seen: tuple[Tensor, Tensor] | None = None  # real samples and fakes of the last turn

    def network(self, player: str) -> nn.Module:
        """The live network of a player."""
        return self.seats[player].module

    def turn(self, feed: Feed) -> None:
        """Play one step; its randomness depends on the seed, the clock and the attempt alone."""
        self.feed, self.images = feed, feed.position
        reseed(self.seed, self.images, *([self.attempt] if self.attempt else []))
        for seat in self.seats.values():
            seat.set_rate(seat.player.schedule.factor(self.images, self.horizon))
        with self.autocast():
            self.game.step(feed, self)
        self.images = feed.position

    @property
    def horizon(self) -> float | None:
        """Images of the whole run; where it is measured in time, what the pace so far leads to."""
        if self.total is not None or self.share is None:
            return self.total
        return self.images / self.share if self.images and self.share else sys.maxsize

    def autocast(self) -> AbstractContextManager[Any]:
        """Mixed precision where the engine was asked for it."""
        if self.precision != "bf16":
            return nullcontext()
        # no cache: it would keep weights cast before an update, or cast without gradients, for the rest of the turn
        return torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False)

    def due(self, player: str) -> list[Any]:
        """Regularizers of a player that this update of it has to carry (`every` counts its updates)."""
        updates = self.seats[player].updates
        return [part for part in self._regularizers(player) if updates % part.every == 0]

    def extras(self, player: str, exchange: Round) -> dict[str, Tensor]:
        """Losses of the due regularizers, by name. Every move asks for them, so its verdicts are noted here."""
        self._watch_verdicts(player, exchange)
        return {part.name: part(exchange, self.memory.get(f"{player}.{part.name}", {})) for part in self.due(player)}

    def recall(self, part: Any) -> dict[str, dict[str, Tensor]]:
        """Keyword `memory` for a part of the game that remembers, nothing for one that does not."""
        return {"memory": self.memory[part.name]} if part.name in self.memory else {}

    @torch.no_grad()
    def adapt(self, exchange: Round) -> None:
        """End of a turn: parts of the game that follow its course move their memory, and what they watch is noted."""
        self.seen = exchange.real.detach(), exchange.fake.detach()
        for name, part in self._parts():
            if hasattr(part, "adapt"):
                part.adapt(exchange, self.memory[name])
        for key, part in self._remembering():
            self.ledger.watch(
                **{f"{part.name}.{name}": self.memory[key][name] for name in getattr(part, "watched", ())}
            )

    @torch.no_grad()
    def _watch_verdicts(self, player: str, exchange: Round) -> None:
        """How often a discriminator ranks a real sample above a fake, and how far its logits spread.

        Pairs need no zero level, so this is the share of right verdicts under every objective: 1/2 is chance.
        """
        real, fake = exchange.real_logits, exchange.fake_logits
        if role(player) != "discriminator" or real is None or fake is None:
            return
        real, fake = real.float().flatten(), fake.float().flatten()
        right = (real - fake).sign().mean().add(1).div(2) if len(real) == len(fake) else None
        number = player.removeprefix(role(player))  # one of several has its own line: correct-2
        spreads = {f"real_spread{number}": real.std(correction=0), f"fake_spread{number}": fake.std(correction=0)}
        self.ledger.watch(**spreads, **({} if right is None else {f"correct{number}": right}))

    def _regularizers(self, player: str) -> list[Any]:
        return [part for part in self.game.regularizers if part.player in (role(player), "both")]

    def _parts(self) -> list[tuple[str, Any]]:
        """Parts of the game beside players and regularizers, by name."""
        others = (value for name, value in vars(self.game).items() if name != "regularizers")
        fields = (value if isinstance(value, tuple) else (value,) for value in others)
        return [(part.name, part) for parts in fields for part in parts if hasattr(part, "name")]

    def _remembering(self) -> list[tuple[str, Any]]:
        """Parts with a memory, by its key: a regularizer has one for each player that it acts on."""
        acting = [(f"{player}.{part.name}", part) for player in self.seats for part in self._regularizers(player)]
        return [(key, part) for key, part in (*self._parts(), *acting) if hasattr(part, "memory")]

    def update(self, player: str, **losses: Tensor) -> None:
        """Move one player: gradients of the sum of losses, optimizer, rules, average.

        Only this player's weights collect gradients: the opponent is frozen, and the backward pass does not even
        compute its weights' gradients.

        Raises:
            NotFiniteError: a loss or a gradient is not finite; the weights have not changed.
        """
        seat = self.seats[player]
        total = sum((loss.float() for loss in losses.values()), start=torch.zeros((), device=self.device))
        seat.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, enabled=False):
            total.backward(inputs=seat.parameters)
        gradient = total_norm(seat.parameters)
        self._stop_if_not_finite(player, seat, gradient, {"loss": total, **losses})
        before = None if self.ledger.knows(f"{player}_step") else excerpt(seat.parameters)
        seat.optimizer.step()
        if before is not None:  # once between two reports is enough
            step = torch.linalg.vector_norm(excerpt(seat.parameters) - before)
            self.ledger.watch(**{f"{player}_step": step / torch.linalg.vector_norm(before).clamp(min=1e-12)})
        seat.settle(self.images if self.feed is None else self.feed.position)
        self.ledger.note(player, total, losses)
        self.ledger.watch(**{f"{player}_gradient": gradient})

    def _stop_if_not_finite(self, player: str, seat: Seat, gradient: Tensor, losses: dict[str, Tensor]) -> None:
        finite = torch.isfinite(losses["loss"].detach()) & torch.isfinite(gradient)
        if self.device.type != "cpu" and seat.optimizer.defaults.get("fused"):
            # no host sync: a fused step skips itself, and the ledger raises at the next report
            seat.optimizer.found_inf = (~finite).float()  # type: ignore[attr-defined]
        elif not finite:
            found = {name: float(loss.detach()) for name, loss in losses.items()} | {"gradient": float(gradient)}
            what = "gradient" if math.isfinite(found.pop("loss")) else "loss"
            shown = ", ".join(f"{name} {value:g}" for name, value in found.items())
            raise NotFiniteError(
                f"the {what} of the {player} is not finite after {self.images:,} images ({shown}); its weights were "
                f"not changed. Lower {role(player)}.lr, or add a regularizer such as r1"
            )

    def product(self) -> nn.Module:
        """A copy of the network that the training is for, ready to use: averaged weights, evaluation mode.

        Raises:
            NotFiniteError: a weight is not finite, so what it would give is no sample.
        """
        seat = self.seats[self.game.product]
        module = copy.deepcopy(seat.module if seat.average is None else seat.average).eval()
        if not all(bool(one.isfinite().all()) for one in module.parameters()):
            raise NotFiniteError(f"weights of the {self.game.product} are not finite after {self.images:,} images")
        if seat.average is not None:
            with seeded(self.seed, "statistics"):
                reestimate_statistics(module, lambda: self.draw(module, 128))
        return module

    @torch.no_grad()
    def draw(self, module: nn.Module, count: int) -> Tensor:
        """Sample `count` items from a generator with random latents and labels."""
        latent = self.game.latent(count, self.device)
        classes = self.space.classes
        label = torch.randint(classes, (count,), device=self.device) if classes else None
        return self.game.sample(module, latent, label)

    def state(self) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
        """Tensors by group, and numbers: all that a checkpoint needs."""
        tensors = {
            f"{name}.{group}": state for name, seat in self.seats.items() for group, state in seat.state().items()
        }
        tensors |= {f"memory.{name}": memory for name, memory in self.memory.items()}
        tensors["ledger"], counts = self.ledger.state()
        seats = {name: {"updates": seat.updates, "images": seat.images} for name, seat in self.seats.items()}
        return tensors, {"images": self.images, "attempt": self.attempt, "seats": seats, "ledger": counts}

    def load(self, tensors: dict[str, dict[str, Tensor]], numbers: dict[str, Any]) -> None:
        """Take back what `state` gave."""
        for name, seat in self.seats.items():
            groups = {
                key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")
            }
            seat.load(groups)
            seat.updates, seat.images = numbers["seats"][name]["updates"], numbers["seats"][name]["images"]
        for name, memory in self.memory.items():
            saved = tensors.get(f"memory.{name}", {})
            memory.update({key: value.to(self.device, copy=True) for key, value in saved.items()})
        self.ledger.load(tensors["ledger"], numbers["ledger"], self.device)
        self.images, self.attempt = numbers["images"], numbers.get("attempt", 0)


def total_norm(parameters: list[nn.Parameter]) -> Tensor:
    """Euclidean norm of the gradients of all parameters together, []; the host does not wait for it."""
    gradients = [one.grad for one in parameters if one.grad is not None]
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)).float())


def excerpt(parameters: list[nn.Parameter]) -> Tensor:
    """Up to EXCERPT numbers of each matrix or kernel, [M]; of each vector where there are only vectors."""
    wide = [one for one in parameters if one.dim() > 1] or parameters
    flat = (one.detach().flatten() for one in wide)
    return torch.cat([one[:: max(1, len(one) // EXCERPT)][:EXCERPT].to(torch.float32, copy=True) for one in flat])
