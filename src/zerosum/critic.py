"""What a discriminator says of samples, and what regularizers make of it. The core knows none of this."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from zerosum.core.engine import Engine
from zerosum.core.game import role
from zerosum.core.slots import Described, Regularizer
from zerosum.protocols import Objective, Selection

Given = dict[str, Tensor | None]


def pack(x: Tensor, size: int) -> Tensor:
    """Join `size` consecutive samples along their channels: [N, C, ...] to [N / size, size * C, ...]."""
    return x if size == 1 else x.reshape(len(x) // size, size * x.shape[1], *x.shape[2:])


class Answer(NamedTuple):
    """What a discriminator says of samples."""

    logits: (
        Tensor  # [N / pack], or maps [N / pack, ...]; of several members [N / pack, members], the means of their maps
    )
    features: Tensor | None  # what its last layer sees, [N / pack, F]; None where it does not show it
    maps: tuple[Tensor, ...]  # logits of each of its members: what an objective is applied to, one after the other
    layers: tuple[Tensor, ...] = ()  # what its stages see, where it shows them


def logits_of(maps: Sequence[Tensor]) -> Tensor:
    """Logits of one member as they are; of several the mean of each one's map, [N, members]."""
    return maps[0] if len(maps) == 1 else torch.stack([one.flatten(1).mean(1) for one in maps], 1)


class Critic:
    """A discriminator behind augmentations, which may judge several samples together.

    Args:
        network: called as D(x, label=...) with what is given beside x, by name; or D.features and D.logits; or
            D.layers: maps of each of its members from the first stage to the logits.
        augmentations: what happens to everything that it sees, in their order.
        pack: consecutive samples that one logit judges (PacGAN, Lin et al. 2018).
        precise: scores are computed in float32, whatever the engine's precision: a penalty follows their gradient.
    """

    def __init__(
        self,
        network: Any,
        augmentations: Sequence[Callable[[Tensor], Tensor]] = (),
        pack: int = 1,
        *,
        precise: bool = False,
    ) -> None:
        self.network, self.augmentations, self.pack, self.precise = network, augmentations, pack, precise
        weights = network.parameters() if isinstance(network, nn.Module) else ()
        self._weight = next((weight for weight in weights if weight.requires_grad), None)

    @property
    def version(self) -> int:
        """How often the weights of the network have changed."""
        return 0 if self._weight is None else self._weight._version

    def __call__(self, x: Tensor, *, track: bool = False, grad: bool = True, **given: Tensor | None) -> Scored:
        """Samples with their scores.

        Args:
            x: samples [N, ...].
            track: x becomes a float32 leaf, so that penalties can take gradients of logits with respect to it.
            grad: false: nothing flows back through the scores.
            given: what the network sees beside x, such as `label` [N].
        """
        return Scored(self, x.detach().float().requires_grad_() if track else x, given, grad=grad)

    def examine(self, x: Tensor, given: Given) -> Answer:
        """What the network says of samples [N, ...]."""
        for augmentation in self.augmentations:
            x = augmentation(x)
        x, given = pack(x, self.pack), {name: y if y is None else y[:: self.pack] for name, y in given.items()}
        if hasattr(self.network, "layers"):
            members = self.network.layers(x, **given)
            maps = tuple(stages[-1] for stages in members)
            return Answer(logits_of(maps), None, maps, tuple(one for stages in members for one in stages[:-1]))
        features = self.network.features(x, **given) if hasattr(self.network, "features") else None
        logits = self.network(x, **given) if features is None else self.network.logits(features, given.get("label"))
        return Answer(logits, features, (logits,))


class Scored:
    """Samples and what a critic says of them, computed when it is first asked for.

    Attributes:
        critic: who says it.
        x: the samples, [N, ...].
        given: what the critic sees beside them.
    """

    def __init__(self, critic: Critic, x: Tensor, given: Given, *, grad: bool = True) -> None:
        self.critic, self.x, self.given = critic, x, given
        self._grad, self._version = grad, critic.version
        self._answer: Answer | None = None

    @property
    def logits(self) -> Tensor:
        """Logits [N / pack], or maps of them [N / pack, ...]; higher looks more real.

        Raises:
            RuntimeError: the discriminator has moved since.
        """
        return self._look().logits

    @property
    def features(self) -> Tensor | None:
        """What the discriminator's last layer sees of the samples, [N / pack, F]; None where it does not show it.

        Raises:
            RuntimeError: the discriminator has moved since.
        """
        return self._look().features

    @property
    def maps(self) -> tuple[Tensor, ...]:
        """Logits of each of the discriminator's members.

        Raises:
            RuntimeError: the discriminator has moved since.
        """
        return self._look().maps

    @property
    def layers(self) -> tuple[Tensor, ...]:
        """What the discriminator's stages see of the samples, [N / pack, ...] each; none where it does not show them.

        Raises:
            RuntimeError: the discriminator has moved since.
        """
        return self._look().layers

    def _look(self) -> Answer:
        if self._answer is None:
            if self.critic.version != self._version:
                raise RuntimeError("the discriminator has moved since it was shown these samples; show them again")
            with torch.set_grad_enabled(torch.is_grad_enabled() and self._grad):
                self._answer = self._precisely() if self.critic.precise else self.critic.examine(self.x, self.given)
        return self._answer

    def _precisely(self) -> Answer:
        given = {name: y if y is None or not y.is_floating_point() else y.float() for name, y in self.given.items()}
        with torch.autocast(self.x.device.type, enabled=False):
            return self.critic.examine(self.x.float(), given)


@dataclass(frozen=True)
class Exchange:
    """What regularizers look at: an update under way, between its players.

    All of it may be asked for; what is not costs nothing.
    """

    player: str  # role that moves: "discriminator" or "generator"
    critic: Critic  # the discriminator
    real: Scored  # real samples
    fake: Scored  # generated ones: detached where the discriminator moves, attached where the generator does
    generator: Any = None  # a network, or one behind a function; called as G(latent, label)
    latent: Tensor | None = None  # of the generated samples, [N, K]
    clock: int = 0  # samples drawn so far
    alone: tuple[Tensor, Tensor] | None = None  # real and generated samples, where the critic sees more than these

    @property
    def samples(self) -> dict[str, Tensor]:
        """Samples [N, ...] that are `real` and `fake`, without what the critic sees beside them."""
        real, fake = self.alone or (self.real.x, self.fake.x)
        return {"real": real, "fake": fake}

    @property
    def label(self) -> Tensor | None:
        """Classes of both, [N]; None where there are none."""
        return self.real.given.get("label")

    def logits(self, x: Tensor) -> Tensor:
        """What the critic says of any samples [N, ...], beside what is given for real and generated ones alike.

        Raises:
            ValueError: the discriminator judges samples together with something that other samples do not have.
        """
        given = self.real.given
        if any(value is not self.fake.given.get(name) for name, value in given.items()):
            raise ValueError(
                "this game's discriminator judges pairs, so a part cannot show it single samples; remove the "
                "regularizer that judges samples of its own making"
            )
        return self.critic.examine(x, given).logits


class Regularization:
    """The regularizers that an update of a player carries.

    Args:
        parts: all regularizers of a game.
        player: who moves.
        engine: counts its updates, of which a regularizer comes with each so many (`every`), and keeps its memory.
        mover: the player whose updates count, where `player` is one of several networks that it moves.
    """

    def __init__(self, parts: Iterable[Regularizer], player: str, engine: Engine, mover: str = "") -> None:
        self.role, self.clock, updates = role(player), engine.clock, engine.updates(mover or player)
        acting = [part for part in parts if part.player in (self.role, "both")]
        bound = [engine.bind(f"{player}.{part.name}", part) for part in acting]  # so that each turn notes its memory
        self.due = [part for part in bound if updates % part.every == 0]
        self.tracks: frozenset[str] = frozenset().union(*(part.tracks for part in self.due))

    def __call__(
        self,
        real: Scored,
        fake: Scored,
        generator: Callable[..., Tensor],
        latent: Tensor | None,
        alone: tuple[Tensor, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Losses by name, each times its `every`: what comes seldom counts as much as what comes always."""
        exchange = Exchange(self.role, real.critic, real, fake, generator, latent, self.clock, alone)
        return {part.name: part.every * part(exchange) for part in self.due}

    def mean(
        self, met: list[tuple[Scored, Scored]], generator: Callable[..., Tensor], latent: Tensor | None
    ) -> dict[str, Tensor]:
        """The same against several critics: the mean over them, but a part that remembers meets the first alone."""
        exchanges = [Exchange(self.role, real.critic, real, fake, generator, latent, self.clock) for real, fake in met]
        costs = {}
        for part in self.due:
            selected = exchanges[:1] if hasattr(part, "memory") else exchanges
            costs[part.name] = part.every * torch.stack([part(exchange) for exchange in selected]).mean()
        return costs


@torch.no_grad()
def verdicts(real: Scored, fake: Scored, suffix: str = "") -> dict[str, Tensor]:
    """Scalars worth a curve: mean and spread of logits, and how often a real sample is ranked above a fake.

    Pairs need no zero level, so `pairwise_accuracy` is meaningful under every objective; 1/2 is chance.

    Args:
        real: real samples, as the discriminator moves.
        fake: generated ones.
        suffix: of their names, where there are several discriminators.
    """
    statistics = {"real_logit": real.logits.mean(), "fake_logit": fake.logits.mean()}
    a, b = real.logits.float().flatten(), fake.logits.float().flatten()
    statistics |= {"real_spread": a.std(correction=0), "fake_spread": b.std(correction=0)}
    if len(a) == len(b):
        statistics["pairwise_accuracy"] = (a - b).sign().mean().add(1).div(2)
    return {f"{name}{suffix}": value for name, value in statistics.items()}


def distinguish(loss: Objective, real: Scored, fake: Scored) -> Tensor:
    """What a discriminator pays to the objective, []: for each of its members, added up (Wang et al. 2018, eq. 3)."""
    return reduce(add, [loss.discriminator(*maps) for maps in zip(real.maps, fake.maps, strict=True)])


def charge(loss: Objective, fake: Scored, real: Scored, selection: Selection, clock: int) -> Tensor:
    """What a generator pays to the objective for the selected fakes, beside real logits where pairs count, [].

    Of several judges each charges it, and that is added up.
    """
    maps = fake.maps  # they are looked at before the real ones
    sides = [maps, real.maps] if loss.pairs else [maps]
    chosen = selection(fake.logits, clock)
    if chosen is not None:
        sides = [tuple(one[chosen] for one in side) for side in sides]
    return reduce(add, [loss.generator(*logits) for logits in zip(*sides, strict=True)])


@dataclass(frozen=True)
class Outcome:
    """How a turn ended, for the parts that follow a training."""

    real: Tensor  # logits of the last real batch
    fake: Tensor  # logits of the last fakes
    batch: int  # samples in that batch
    clock: int  # samples drawn when the turn began


@torch.no_grad()
def adapt(parts: Iterable[Described], real: Tensor, fake: Tensor, *, batch: int, clock: int) -> None:
    """Let each part that adapts move its memory at the end of a turn; arguments as in `Outcome`."""
    outcome = Outcome(real.detach(), fake.detach(), batch, clock)
    for part in parts:
        if hasattr(part, "adapt"):
            part.adapt(outcome)
