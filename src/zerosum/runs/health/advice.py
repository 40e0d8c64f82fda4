"""What to try, as options of the recipe at hand; and what its objective can reach."""

from __future__ import annotations

import functools
import itertools
import re
import warnings
from collections.abc import Sequence
from typing import Any

import torch

from zerosum.core import compatibility, settings, tree
from zerosum.core.errors import RecipeError, ZerosumWarning
from zerosum.core.registry import Part, Unloaded
from zerosum.recipes import Recipe
from zerosum.runs.health.history import History
from zerosum.runs.training.early import signals

PENALTIES = ("r1", "r2", "gradient-penalty", "dragan")
LOGITS = (-20.0, -5.0, -1.0, -0.5, 0.0, 0.5, 1.0, 5.0, 20.0)  # where the least loss is looked for


def offer(history: History, *options: str) -> str:
    """Those of the options that this recipe takes, beside what is no option of a recipe, in their order."""
    own = [called(history, option) for option in options]
    fitting = [option for option in own if option and ("=" not in option or fits(history, option))]
    return ", or ".join(dict.fromkeys(fitting)) or "another recipe"


def called(history: History, option: str) -> str:
    """An option with the names that the game has for its players."""
    return re.sub(r"\b(generator|discriminator)(?=\.)", lambda found: history.player(found[0]), option)


def fits(history: History, option: str) -> bool:
    """True where the recipe can be trained with these words, as far as the data are known, and they change it."""
    shape, option = tuple(history.facts.get("shape", ())), called(history, option)
    return _fits(history.recipe, option, shape, history.facts.get("classes", 0), history.data.get("train", 1))


@functools.cache
def _fits(recipe: Recipe, option: str, shape: tuple[int, ...], classes: int, train: int) -> bool:
    try:
        changed = settings.assign(recipe, option.split())
        if shape and _is_loaded(recipe):
            told = signals(changed.data, shape, classes)
            compatibility.check(changed.game, told, changed.length.samples(train), changed.batch)
    except RecipeError:
        return False
    return changed != recipe


def _is_loaded(recipe: Recipe) -> bool:
    """False where parts stand for others of a file that was not run: nothing can be tried with them."""
    return isinstance(recipe.game, Part) and not any(isinstance(part, Unloaded) for part in tree.walk(recipe))


def inward(history: History) -> tuple[str, ...]:
    """An output that pixels come back from, where the generator has a choice and ends in tanh."""
    player = getattr(history.recipe.game, "generator", None)
    ends = getattr(getattr(player, "network", None), "output", None)
    return ("generator.output=tanh-inward",) if ends == "tanh" else ()


def slower(history: History, factor: float, players: Sequence[str] = ("generator", "discriminator")) -> str:
    """Learning rates divided by a factor; nothing where there are none."""
    rates = {player: history.rate(player) for player in players}
    return " ".join(f"{player}.lr={rate / factor:.1g}" for player, rate in rates.items() if rate)


def penalty(history: History) -> tuple[str, ...]:
    """R1 beside the regularizers that are there, or ten times the weight of the penalty that is."""
    if heavier := weighed(history, 10):
        return heavier
    before = tuple(getattr(history.recipe.game, "regularizers", ()))
    words = f"regularizers={'+'.join(str(one) for one in (*before, 'r1:gamma=1'))}"
    plain = (words, f"discriminator.norm=none {words}")  # batch norm mixes the gradients of samples
    return next(((option,) for option in plain if fits(history, option)), ())


def weighed(history: History, factor: float) -> tuple[str, ...]:
    """So many times the weight of the penalty that is there; nothing where there is none."""
    for part in getattr(history.recipe.game, "regularizers", ()):
        for name in ("gamma", "weight"):
            if part.name in PENALTIES and hasattr(part, name):
                return (f"{part.name}.{name}={getattr(part, name) * factor:g}",)
    return ()


def swings(values: Sequence[float]) -> list[float]:
    """Heights of the rises and falls of a series, each from one turning point to the next."""
    turns: list[float] = []
    for value in values:
        if len(turns) > 1 and (turns[-1] - turns[-2]) * (value - turns[-1]) >= 0:
            turns[-1] = value
        else:
            turns.append(value)
    return [abs(b - a) for a, b in itertools.pairwise(turns)]


def bounds(game: Any) -> tuple[float, float] | None:
    """The least that a discriminator can lose, and what it loses by equal logits of 0; None where losses have no floor.

    There is none under critics (the loss falls with the scale of logits) and auto-encoders (logits are errors).
    """
    objective = getattr(game, "objective", None)
    if not hasattr(objective, "discriminator") or hasattr(objective, "memory") or reconstructs(game):
        return None
    return _bounds(objective)


def reconstructs(game: Any) -> bool:
    """True where logits are errors of reconstruction; those of fakes may well be the smaller ones, as BEGAN wants."""
    return hasattr(game, "objective") and "reconstruction" in game.objective.traits()


@functools.cache
def _bounds(objective: Any) -> tuple[float, float] | None:
    def loss(real: float, fake: float) -> float:
        return float(objective.discriminator(torch.tensor([real, real]), torch.tensor([fake, fake])))

    try:
        least, equal = min(loss(real, fake) for real in LOGITS for fake in LOGITS), loss(0.0, 0.0)
    except Exception as error:  # whatever a user's objective raises must stop neither training nor report
        text = f"objective {objective.name!r} failed on two logits ({type(error).__name__}: {error})"
        warnings.warn(f"{text}; how low its loss may fall is not checked", ZerosumWarning, stacklevel=2)
        return None
    return None if least < -1 else (least, equal)
