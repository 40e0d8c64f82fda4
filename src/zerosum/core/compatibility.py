"""Does everything fit? All problems of a game are found and reported together, before the first turn."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from zerosum.core import registry, usercode
from zerosum.core.engine import Engine
from zerosum.core.errors import RecipeError, ZerosumError, is_out_of_memory
from zerosum.core.game import Feed, Game, Setup, role
from zerosum.core.registry import Part
from zerosum.core.signals import Signals, Wiring, build, told, zeros
from zerosum.core.slots import Described

Traits = frozenset[str]


def check(game: Game, signals: Signals, total: int | None, batch: int | None = None) -> int:
    """Hold traits, needs and clashes together, then wire the networks without memory or arithmetic.

    Returns the bytes that one pass of each network keeps of a sample for its backward pass, in float32: the least that
    a training takes.

    Raises:
        RecipeError: every problem: what, why, and how to mend it.
    """
    faults = [*_doubles(game), *misplaced(game, signals), *_rules(game, signals), *_schedules(game, total)]
    faults += game.faults(signals, batch) if hasattr(game, "faults") else []
    saved = Saved()
    faults += [] if faults else _wiring(game, signals, saved)
    if faults:
        raise RecipeError(list(dict.fromkeys(faults)))  # players of one description have the same ones
    return saved.bytes // _count(game.networks(signals))


def wires(game: Game, signals: Signals) -> bool:
    """True where the networks can be built for data of these signals, and fit each other there."""
    return not _wiring(game, signals, Saved())


def trial(game: Game, signals: Signals, feed: Feed, total: int | None, **place: Any) -> None:
    """Play one real turn on a few samples with networks that nobody keeps; `place` is the engine's device, precision.

    Raises:
        RecipeError: the turn fails, or moves nobody; the message carries the reason.
    """
    with blaming(game):
        engine = Engine(game, signals, total=total, **place)
        engine.share = 0.0
        engine.turn(feed)
    if not any(learner.updates for learner in engine.learners.values()):
        raise RecipeError(f"game {game.name!r}: its step moves no player; each is moved by engine.update(player, ...)")


@contextmanager
def blaming(game: object) -> Iterator[None]:
    """Whatever a trial turn raises is a fault of the recipe.

    Raises:
        RecipeError: the message carries the reason, and which part raised it.
    """
    try:
        yield
    except ZerosumError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        what = f"{type(error).__name__}: {error}{culprit(error, game)}"
        raise RecipeError(f"a trial turn on a few samples failed: {what}") from error


def culprit(error: BaseException, game: object) -> str:
    """Which part of a game raised an error, and where in a user's file, in brackets; empty where neither did."""
    part = _raiser(error, game)
    words = f"raised by {part.kind} {part.name!r}" if part else ""
    quoted = f"{words}{own_place(error, game)}".strip()
    return f" ({quoted})" if quoted else ""


def own_place(error: BaseException, game: object) -> str:
    """Where in a file of the user's own an error arose, as ` in FILE, line N`; empty where it did not."""
    part = _raiser(error, game)
    foreign = part is not None and not type(part).__module__.startswith("zerosum.")
    return usercode.place_of(error) or (usercode.origin_of(type(part), error) if foreign else "")


def _raiser(error: BaseException, game: object) -> Part | None:
    """The innermost part of a game that an error came through."""
    innermost, trace = None, error.__traceback__
    while trace is not None:
        part = trace.tb_frame.f_locals.get("self")
        if isinstance(part, Part) and part is not game:
            innermost = part
        trace = trace.tb_next
    return innermost


def depends_on_length(game: Game) -> bool:
    """True where a schedule ends with the run, so that a longer run is another training."""
    try:
        for player in game.players().values():
            player.schedule.factor(0, None)
    except RecipeError:
        return True
    return False


def _doubles(game: Game) -> list[str]:
    """Parts of one slot that are there twice."""
    slots = [getattr(game, name) for name in registry.field_types(type(game))]
    parts = Counter(f"{part.kind} {part.name!r}" for slot in slots if isinstance(slot, tuple) for part in slot)
    return [f"{part} is given {count} times; give it once" for part, count in parts.items() if count > 1]


def _rules(game: Game, signals: Signals) -> list[str]:
    """Hold what happens to a player's weights beside its network."""
    faults = []
    for player in game.players().values():
        near = player.network.traits() | data_traits(signals)
        faults += [fault for rule in player.rules for fault in misfits(rule, near, near)]
    return faults


def misplaced(game: Setup, signals: Signals) -> list[str]:
    """Hold each network beside its role and the data; a role that demands "joint" offers "joint game"."""
    faults = []
    for name, player in game.players().items():
        network, demanded = player.network, game.roles.get(role(name), frozenset())
        lacking = sorted(demanded - network.traits())
        if lacking:
            others = [one for one, part in registry.registered("network").items() if demanded <= part().traits()]
            like = f", such as {name}.network={others[0]}" if others else ""
            why = f"its traits() do not name {lacking[0]!r}; `zerosum ls network` has those that do{like}"
            faults.append(f"{role(name)}.network: {network.name!r} cannot serve as {lacking[0]}: {why}")
        near = network.traits() | data_traits(signals)
        faults += misfits(network, near | {f"{trait} game" for trait in demanded}, near)
    return list(dict.fromkeys(faults))  # several players may have one network


def data_traits(signals: Signals) -> Traits:
    """What data bring: their kinds, such as points."""
    return frozenset(signal.kind if signal.kind.endswith("s") else f"{signal.kind}s" for signal in signals.values())


def misfits(part: Described, present: Iterable[str], near: Iterable[str]) -> list[str]:
    """What a part needs and does not find among traits that are present, and what it clashes with among those near."""
    missing = [(trait, why) for trait, why in part.needs.items() if trait not in present]
    disturbing = [(trait, why) for trait, why in part.clashes.items() if trait in near]
    return [f"{part.kind} {part.name!r} needs {trait!r}: {why}" for trait, why in missing] + [
        f"{part.kind} {part.name!r} with {trait!r}: {why}" for trait, why in disturbing
    ]


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


class Saved:
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


def _wiring(game: Game, signals: Signals, saved: Saved) -> list[str]:
    """Build every network without memory or arithmetic, and call it with what it is to receive."""
    faults: list[str] = []
    modules: dict[str, nn.Module] = {}
    try:
        players, wirings = game.players(), game.networks(signals)
    except KeyError as error:
        return [f"game {game.name!r} asks for {error} of the data, and these have {', '.join(signals)}"]
    with torch.device("meta"):
        for name, wiring in wirings.items():
            part, where = players[wiring.players[0]].network, f"{role(wiring.players[0])}.network"
            try:
                module = build(part, wiring)
            except RecipeError as error:
                faults += [f"{where}: {fault}" for fault in error.faults]
            except Exception as error:  # whatever a user's network raises is the user's to mend
                faults.append(f"{where}: {part.name!r} cannot be built for data of {told(signals)}: {error!r}")
            else:
                modules[name] = module
                faults += _called(name, module, wiring, _count(wirings) // wiring.items, signals, saved)
        faults += [] if faults else _tasks(game, modules, signals)
    return list(dict.fromkeys(faults))


def _tasks(game: Game, modules: dict[str, nn.Module], signals: Signals) -> list[str]:
    """What is wrong with the tasks of the model that a training is for."""
    faults = []
    try:
        model = game.model(modules, signals)
        for name, task in model.tasks.items():
            given = task({key: zeros(signal, 2) for key, signal in task.inputs.items()})
            for key, signal in task.outputs.items():
                if list(given[key].shape) != [2, *signal.shape]:
                    expected = f"{[2, *signal.shape]} for a batch of 2"
                    faults.append(f"task {name!r} gives {key} {list(given[key].shape)}, not {expected}")
    except Exception as error:  # as below
        faults.append(f"the model of this game does not work: {type(error).__name__}: {error}")
    return faults


def _count(wirings: Mapping[str, Wiring]) -> int:
    """Samples that networks are called with: two items of the largest."""
    return 2 * max(wiring.items for wiring in wirings.values())


def _called(name: str, module: nn.Module, wiring: Wiring, count: int, signals: Signals, saved: Saved) -> list[str]:
    """What is wrong with what a network gives for a batch of zeros."""
    first, *conditions = [(key, zeros(signal, count)) for key, signal in wiring.inputs.items()]
    try:
        with torch.autograd.graph.saved_tensors_hooks(saved.keep, lambda tensor: tensor):
            given = module(first[1], **dict(conditions))
    except Exception as error:  # as above
        return [f"the networks do not fit data of {told(signals)}: {type(error).__name__}: {error}"]
    saved.forget(module)
    outputs = given if isinstance(given, dict) else dict.fromkeys(list(wiring.outputs)[:1], given)
    faults = []
    for key, signal in wiring.outputs.items():
        actual = list(outputs[key].shape)
        if actual[:1] != [count]:
            faults.append(f"the {name} gives {key}s {actual} for a batch of {count}; the batch must come first")
        elif signal.shape and actual[1:] != list(signal.shape):
            data = "the data are" if key in signals else "it must make"
            faults.append(f"the {name} makes {actual[1:]} where {data} {list(signal.shape)}")
    return faults
