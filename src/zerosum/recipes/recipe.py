"""A recipe is a game filled in, with a name: a value that prints, compares, hashes and round-trips through TOML."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from zerosum.core import reading, registry, settings
from zerosum.core.errors import DamagedError, RecipeError, shown
from zerosum.core.game import Game
from zerosum.core.registry import Part, slot
from zerosum.core.values import Count, Length, Natural
from zerosum.data import Preparation
from zerosum.recipes.evaluator import EvaluatorPart


@dataclass(frozen=True)
class Recipe(Part):
    """Everything that decides what a training does, except the data themselves."""

    recipe: str = "custom"  # the name it started from
    length: Length = Length(200_000)  # how long: 200k images, 10epochs or 5min
    batch: Count = 64  # real images in each update of the discriminator
    seed: Natural = 0  # everything random is a function of it and of the clock
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # auto: bf16 for images where a measurement finds it faster
    report: Length = Length(5_000)  # how often metrics.jsonl gets a line
    samples: Length = Length(20_000)  # how often fixed latents are drawn into samples/
    evaluation: Length = Length(50_000)  # how often generated samples are evaluated
    checkpoint: Length = Length(50_000)  # how often everything is saved
    autosave: Length = Length(300, "seconds")  # save also after this long without a checkpoint: a crash loses no more
    keep: Count = 3  # checkpoints that stay, beside the best
    on_nan: Literal["stop", "rollback"] = "stop"  # rollback: at most 3 times back to the last checkpoint, then stop
    stop_when: str = ""  # end early, as fd<1.0: a number of evaluations.jsonl or metrics.jsonl, < or >, a limit
    patience: Length = Length(0)  # end early where the number that `best` follows has not improved for so long
    data: Preparation = slot("preparation", Preparation())  # how data are prepared: size, channels, range, split
    evaluator: EvaluatorPart = slot(
        "evaluator", EvaluatorPart(), formerly="judge"
    )  # what compares samples with real ones on the way
    game: Game = slot("game", None)  # who plays and how

    def __str__(self) -> str:
        return settings.to_toml(self)


def recipe(name: str) -> Callable[[Callable[[], Recipe]], Callable[[], Recipe]]:
    """Register a function that returns a recipe."""

    def put(function: Callable[[], Recipe]) -> Callable[[], Recipe]:
        return registry.add("recipe", name, function)

    return put


def read_recipe(name: str, words: list[str] | None = None) -> Recipe:
    """Make a recipe from its name or its .toml file, with `field=value` words applied.

    Raises:
        RecipeError: unknown name, no such file, or every fault of the file or the words together.
    """
    faults = [f"{shown(word)} is not field=value" for word in words or [] if "=" not in word]
    if faults:
        raise RecipeError(faults)
    if name.endswith(".toml"):
        try:
            loaded = settings.from_toml(Recipe, reading.read_text(Path(name)))
        except DamagedError as error:
            raise RecipeError(f"recipe {error}") from error
        except RecipeError as error:
            raise RecipeError([f"{name}: {fault}" for fault in error.faults]) from error
    else:
        loaded = registry.lookup("recipe", name)()
    return settings.assign(loaded, list(words or []))
