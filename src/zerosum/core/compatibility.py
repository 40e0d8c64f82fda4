"""Does everything fit? All problems of a game are found and reported together, before the first image."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, get_args

import torch
from torch import Tensor, nn

from zerosum.core import registry
from zerosum.core.engine import Engine
from zerosum.core.errors import RecipeError, ZerosumError
from zerosum.core.game import Feed, Game, role
from zerosum.core.registry import Part
from zerosum.core.space import Space

Traits = frozenset[str]
LABELLED = {"labels", "classifier", "pairs"}  # traits of a discriminator that asks for classes: a pair is two of one
HEADS = {"classifier": "labels=none", "codes": "codes=0"}  # trait of a head that only a regularizer trains: without it


def check(game: Any, space: Space, total: int | None, batch: int | None = None) -> int:
    """Hold traits, needs and clashes together, then wire the networks without memory or arithmetic.

    Returns the bytes that one pass of each network keeps of a sample for its backward pass, in float32: the least that
    a training takes.

    Raises:
        RecipeError: every problem: what, why, and how to mend it.
    """
    misplaced = _seats(game, space)
    faults = [*_doubles(game), *misplaced, *_traits(game, space), *_heads(game), *_packs(game, batch)]
    faults += [*([] if misplaced else _labels(game)), *_schedules(game, total), *_own(game, space)]
    kept = Kept()
    faults += [] if faults else _wiring(game, space, kept)
    if faults:
        raise RecipeError(list(dict.fromkeys(faults)))  # players of one description have the same ones
    return kept.bytes // (2 * game.pack)


def wires(game: Any, space: Space) -> bool:
    """True where the networks can be built for a space and fit each other there."""
    return not (_own(game, space) or _wiring(game, space, Kept()))


def trial(game: Any, space: Space, feed: Feed, total: int | None, **place: Any) -> None:
    """Play one real turn on a few images with networks that are thrown away; `place` is the engine's device, precision.

    Raises:
        RecipeError: the turn fails; the message carries the reason.
    """
    with blaming(game):
        engine = Engine(game, space, total=total, **place)
        engine.share = 0.0
        engine.turn(feed)


@contextmanager
def blaming(game: Any) -> Iterator[None]:
    """Whatever a trial turn raises is a fault of the recipe.

    Raises:
        RecipeError: the message carries the reason, and which part raised it.
    """
    try:
        yield
    except ZerosumError:
        raise
    except Exception as error:
        what = f"{type(error).__name__}: {error}{_culprit(error, game)}"
        raise RecipeError(f"a trial turn on a few images failed: {what}") from error


def _culprit(error: BaseException, game: Any) -> str:
    """Which part of a game raised an error, where one did."""
    found, trace = "", error.__traceback__
    while trace is not None:
        part = trace.tb_frame.f_locals.get("self")
        if isinstance(part, Part) and part is not game:
            found = f" (raised by {part.kind} {part.name!r})"
        trace = trace.tb_next
    return found


def depends_on_length(game: Game) -> bool:
    """True where a schedule ends with the run, so that a longer run is another training."""
    try:
        for player in game.players().values():
            player.schedule.factor(0, None)
    except RecipeError:
        return True
    return False


def _doubles(game: Any) -> list[str]:
    parts = Counter(f"{part.kind} {part.name!r}" for part in (*game.regularizers, *game.augmentations))
    return [f"{part} is given {count} times; give it once" for part, count in parts.items() if count > 1]


def _seats(game: Any, space: Space) -> list[str]:
    """Hold each network beside its role and the data; a role that demands "joint" offers "joint game"."""
    faults = []
    for name, player in game.players().items():
        network, demanded = player.network, game.roles.get(role(name), frozenset())
        lacking = sorted(demanded - network.traits())
        if lacking:
            others = [one for one, part in registry.shelf("network").items() if demanded <= part().traits()]
            like = f", such as {name}.network={others[0]}" if others else ""
            why = f"its traits() do not name {lacking[0]!r}; `zerosum ls network` has those that do{like}"
            faults.append(f"{role(name)}.network: {network.name!r} is no {lacking[0]}: {why}")
        near = network.traits() | _data(space)
        faults += _misfits(network, near | {f"{trait} game" for trait in demanded}, near)
    return list(dict.fromkeys(faults))  # several players may have one network


def _data(space: Space) -> Traits:
    return frozenset({"images" if space.is_image else "points"} | ({"labels"} if space.classes else set()))


def _traits(game: Any, space: Space) -> list[str]:
    """Hold each part beside what it needs and what it clashes with.

    A player's rules are judged beside its network. What acts between players (objective, selection, augmentations,
    regularizers) may find what it needs with any of them, or in the latent. It clashes with the discriminators, or with
    the product where that pays for it, or with both; an auto-encoder that judges may disturb those too.
    """
    players, judges = game.players(), _judges(game)
    faults = []
    for player in players.values():
        near = player.network.traits() | _data(space)
        faults += [fault for rule in player.rules for fault in _misfits(rule, near, near)]
    objective = _data(space) | game.objective.traits() | game.latent.traits()
    present = objective.union(*(player.network.traits() for player in players.values()))
    made = players[game.product].network.traits()
    paid = {role(game.product): made | (judges & {"autoencoder"}), "both": made | judges}
    for part in (game.objective, game.selection, *game.augmentations, *game.regularizers):
        faults += _misfits(part, present, paid.get(getattr(part, "player", ""), judges) | objective)
    return list(dict.fromkeys(faults))  # several players may have one network


def _judges(game: Any) -> Traits:
    """Traits of all discriminators."""
    networks = [player.network for name, player in game.players().items() if role(name) == "discriminator"]
    return frozenset().union(*(network.traits() for network in networks))


def _misfits(part: Part, present: Iterable[str], near: Iterable[str]) -> list[str]:
    missing = [(trait, why) for trait, why in part.needs.items() if trait not in present]
    disturbing = [(trait, why) for trait, why in part.clashes.items() if trait in near]
    return [f"{part.kind} {part.name!r} needs {trait!r}: {why}" for trait, why in missing] + [
        f"{part.kind} {part.name!r} with {trait!r}: {why}" for trait, why in disturbing
    ]


def _labels(game: Any) -> list[str]:
    """Classes must reach who makes samples and who judges them, or neither."""
    product, judges = game.product, _judges(game)
    made = "labels" in game.players()[product].network.traits()
    judged = bool(judges & LABELLED)
    if made and not judged:
        return [
            f"the {product} is told a class and no discriminator asks for it, so nothing would tie samples to classes; "
            f"set {_ways(game, 'discriminator')}, or {product}.labels=none"
        ]
    if judged and not made:
        return [
            f"the discriminator asks for a class that the {product} is not told; set {_ways(game, product)}, or "
            "discriminator.labels=none"
        ]
    return []


def uses_labels(game: Any) -> bool:
    """True where the classes of the data reach the networks."""
    return "labels" in game.players()[game.product].network.traits() or bool(_judges(game) & LABELLED)


def with_labels(game: Any) -> str:
    """What would let the classes in, as `; a=b c=d would`; nothing where the networks cannot be told them."""
    roles = dict.fromkeys((game.product, "discriminator"))
    words = [f"{of}.labels={_label_ways(game, of)[0]}" for of in roles if _label_ways(game, of)]
    return f"; {' '.join(words)} would" if len(words) == len(roles) else ""


def _ways(game: Any, of: str) -> str:
    """How the class may enter the network of a role, or what to do where it cannot."""
    ways = _label_ways(game, of)
    return f"{of}.labels={' or '.join(ways)}" if ways else f"{of}.network to one that can be told the class"


def _label_ways(game: Any, of: str) -> list[str]:
    network = next(player.network for name, player in game.players().items() if role(name) == of)
    kind = registry.field_types(type(network)).get("labels")
    return [way for way in get_args(kind) if way not in ("none", "classifier")]


def _heads(game: Any) -> list[str]:
    """A second head of a discriminator that nothing trains would make noise of what it gives."""
    faults = []
    for trait, without in HEADS.items():
        if trait in _judges(game) and not any(trait in part.needs for part in game.regularizers):
            trainers = [name for name, part in registry.shelf("regularizer").items() if trait in part().needs]
            faults.append(
                f"nothing trains the discriminator's second head ({trait}); add regularizers={' or '.join(trainers)}, "
                f"or set discriminator.{without}"
            )
    return faults


def _packs(game: Any, batch: int | None) -> list[str]:
    faults = []
    alone = sorted(_judges(game) & {"labels", "classifier", "codes", "autoencoder", "joint", "pairs"})
    if game.pack > 1 and alone:
        faults.append(
            f"pack={game.pack} with {alone[0]!r}: a pack gets one logit, and its samples differ in what this "
            "discriminator tells of each; set pack=1, or choose a discriminator without it"
        )
    if batch is not None and batch % game.pack:
        nearest = max(1, round(batch / game.pack)) * game.pack
        faults.append(f"batch={batch} cannot be divided into packs of {game.pack}; set batch={nearest}")
    return faults


def _own(game: Any, space: Space) -> list[str]:
    """What only the game knows of itself, where it says so."""
    return game.faults(space) if hasattr(game, "faults") else []


def _schedules(game: Game, total: int | None) -> list[str]:
    faults = []
    for name, player in game.players().items():
        try:
            if hasattr(player.schedule, "check"):
                player.schedule.check(total)
            player.schedule.factor(0, sys.maxsize if total is None else total)
        except RecipeError as error:
            faults += [f"{role(name)}.schedule: {fault}" for fault in error.faults]
    return faults


def _built(network: Part, space: Space) -> nn.Module:
    """What a network builds.

    Raises:
        RecipeError: that is no module.
    """
    module: Any = network.build(space)  # type: ignore[attr-defined]
    if not isinstance(module, nn.Module):
        raise RecipeError(f"{network.name!r}: build(space) gave {type(module).__name__}, and must give an nn.Module")
    return module


class Kept:
    """What autograd keeps for backward passes, but the weights, counted once where several keep it."""

    def __init__(self) -> None:
        self.storages: dict[int, torch.UntypedStorage] = {}

    def keep(self, tensor: Tensor) -> Tensor:
        """Note a tensor."""
        storage = tensor.untyped_storage()
        self.storages.setdefault(storage._cdata, storage)
        return tensor

    def forget(self, module: nn.Module) -> None:
        """Leave out what belongs to a network."""
        for tensor in (*module.parameters(), *module.buffers()):
            self.storages.pop(tensor.untyped_storage()._cdata, None)

    @property
    def bytes(self) -> int:
        """How much it is."""
        return sum(storage.nbytes() for storage in self.storages.values())


def _wiring(game: Any, space: Space, kept: Kept) -> list[str]:
    faults: list[str] = []
    modules: dict[str, nn.Module] = {}
    count = 2 * game.pack
    with torch.device("meta"):
        for name, player in game.players().items():
            try:
                modules[name] = _built(player.network, game.view(name, space))
            except RecipeError as error:
                faults += [f"{role(name)}.network: {fault}" for fault in error.faults]
            except Exception as error:  # whatever a user's network raises is the user's to mend
                faults.append(f"{role(name)}.network: {player.network.name!r} cannot be built for {space}: {error!r}")
        if faults:
            return faults
        label = torch.zeros(count, dtype=torch.int64) if space.classes else None
        latent, real = torch.zeros(count, space.latent), torch.zeros(count, *space.shape)
        try:
            with torch.autograd.graph.saved_tensors_hooks(kept.keep, lambda tensor: tensor):
                fake, logits = game.wire(modules, real, latent, label)
        except Exception as error:  # as above
            return [f"the networks do not fit {space}: {type(error).__name__}: {error}"]
    for module in modules.values():
        kept.forget(module)
    if fake.shape != real.shape:
        faults.append(f"the generator makes {list(fake.shape[1:])} where the data are {list(real.shape[1:])} ({space})")
    for name, given in logits.items():
        if given.shape[:1] != (2,):
            where = f"the {name} gives logits {list(given.shape)} for a batch of 2"
            faults.append(f"{where}; the batch must come first")
    return faults
