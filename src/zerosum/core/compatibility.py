"""Does everything fit? All problems of a game are found and reported together, before the first image."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import nn

from zerosum.core.engine import Engine
from zerosum.core.errors import RecipeError, ZerosumError
from zerosum.core.game import Feed, Game
from zerosum.core.space import Space


def check(game: Any, space: Space, total: int | None) -> None:
    """Hold traits, needs and clashes together, then wire the networks without memory or arithmetic.

    Raises:
        RecipeError: every problem: what, why, and how to mend it.
    """
    faults = [*_doubles(game), *_traits(game, space), *_schedules(game, total)]
    faults += [] if faults else _wiring(game, space)
    if faults:
        raise RecipeError(faults)


def trial(game: Any, space: Space, feed: Feed, total: int | None) -> None:
    """Play one real turn on a few images with networks that are thrown away.

    Raises:
        RecipeError: the turn fails; the message carries the reason.
    """
    try:
        Engine(game, space, total=total).turn(feed)
    except ZerosumError:
        raise
    except Exception as error:  # anything that a part raises here is a fault of the recipe
        raise RecipeError(f"a trial turn on two images failed: {type(error).__name__}: {error}") from error


def depends_on_length(game: Game) -> bool:
    """True where a schedule ends with the run, so that a longer run is another training."""
    try:
        for player in game.players().values():
            player.schedule.factor(0, None)
    except RecipeError:
        return True
    return False


def _doubles(game: Game) -> list[str]:
    names = Counter(part.name for part in game.regularizers)
    return [f"regularizer {name!r} is given {count} times; give it once" for name, count in names.items() if count > 1]


def _traits(game: Any, space: Space) -> list[str]:
    faults = []
    data = {"images" if space.is_image else "points"} | ({"labels"} if space.classes else set())
    for name, player in game.players().items():
        given = player.network.traits() | data
        if name not in player.network.traits() and name in ("generator", "discriminator"):
            why = f"its traits() do not name {name!r}; `zerosum ls network` has those that do"
            faults.append(f"{name}.network: {player.network.name!r} is no {name}: {why}")
        judged = [part for part in game.regularizers if part.player == name] + [player.network, *player.rules]
        judged += [game.objective] if name == "discriminator" and hasattr(game, "objective") else []
        for part in judged:
            faults += [
                f"{part.kind} {part.name!r} needs {trait!r}: {why}"
                for trait, why in part.needs.items()
                if trait not in given
            ]
            faults += [
                f"{part.kind} {part.name!r} with {trait!r}: {why}"
                for trait, why in part.clashes.items()
                if trait in given
            ]
    return faults


def _schedules(game: Game, total: int | None) -> list[str]:
    faults = []
    for name, player in game.players().items():
        try:
            player.schedule.factor(0, total)
        except RecipeError as error:
            faults += [f"{name}.schedule: {fault}" for fault in error.faults]
    return faults


@torch.no_grad()
def _wiring(game: Any, space: Space) -> list[str]:
    faults: list[str] = []
    modules: dict[str, nn.Module] = {}
    with torch.device("meta"):
        for name, player in game.players().items():
            try:
                modules[name] = player.network.build(space)
            except RecipeError as error:
                faults += [f"{name}.network: {fault}" for fault in error.faults]
            except Exception as error:  # whatever a user's network raises is the user's to mend
                faults.append(f"{name}.network: {player.network.name!r} cannot be built for {space}: {error!r}")
        if faults:
            return faults
        label = torch.zeros(2, dtype=torch.int64) if space.classes else None
        latent, real = torch.zeros(2, space.latent), torch.zeros(2, *space.shape)
        try:
            fake = game.sample(modules[game.product], latent, label)
            logits = modules["discriminator"](real, label) if "discriminator" in modules else None
        except Exception as error:  # as above
            return [f"the networks do not fit {space}: {type(error).__name__}: {error}"]
    if fake.shape != real.shape:
        faults.append(f"the generator makes {list(fake.shape[1:])} where the data are {list(real.shape[1:])} ({space})")
    if logits is not None and logits.shape[:1] != (2,):
        faults.append(
            f"the discriminator gives logits {list(logits.shape)} for a batch of 2; the batch must come first"
        )
    return faults
