"""Evaluations on the way of a training: whatever fails in one is noted and shown, and the training goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from zerosum.core.errors import ZerosumError
from zerosum.core.model import outline
from zerosum.data import Dataset
from zerosum.recipes import Recipe
from zerosum.runs.evaluation.evaluate import drawn, known, weights_of
from zerosum.runs.evaluation.evaluator import Evaluator
from zerosum.runs.evaluation.given import compared, occasion
from zerosum.runs.evaluation.result import Results, failure
from zerosum.runs.storage.logs import Logs
from zerosum.runs.storage.trained import TrainedModel
from zerosum.runs.training.progress import Display

SHOWN = 3  # numbers on the progress line


@dataclass
class Evaluations:
    """Judges what one training makes.

    Attributes:
        seconds: that its evaluations took.
    """

    recipe: Recipe
    dataset: Dataset
    device: str
    logs: Logs
    display: Display
    seconds: float = 0.0

    @cached_property
    def evaluator(self) -> Evaluator:
        """What compares samples with real ones."""
        task = outline(self.recipe.game, self.dataset.signals).task()
        real, recipe = compared(self.dataset, task), self.recipe
        return Evaluator(
            real, recipe.evaluator, seed=recipe.seed, device=self.device, verb=occasion(self.dataset, task)
        )

    @property
    def followed(self) -> str:
        """The number that `best` and `patience` follow; "" where nothing can be judged any more."""
        try:
            return self.evaluator.best
        except ZerosumError:  # the extractor's weights are gone; `evaluate` has said so
            return ""

    def has(self, images: int) -> bool:
        """True where samples were judged at this clock."""
        return any(line["images"] == images for line in self.logs.evaluations)

    def evaluate(self, images: int, model: Callable[[], TrainedModel], note: Callable[..., Any]) -> None:
        """Evaluate a model; `note` writes what could not be measured between the reports."""
        began = time.monotonic()
        self.display.doing("evaluating")
        results = self._results(model)
        for result in results:
            self.logs.evaluation({"images": images, **result.line()})
        self.display.metric = ", ".join(f"{one.metric} {one.value:.3g}" for one in results[:SHOWN])
        omitted = "; ".join(results.left_out())
        before = next((line["not_measured"] for line in reversed(self.logs.reports) if "not_measured" in line), "")
        if omitted and omitted != before:
            note(not_measured=omitted)
            self.display.say(f"not measured at {images:,} images: {omitted}", "yellow")
        self.seconds += time.monotonic() - began

    def _results(self, make: Callable[[], TrainedModel]) -> Results:
        try:
            trained = make()
            fake = drawn(self.evaluator, trained, self.recipe.evaluator.count, self.recipe.seed, self.dataset)
            return self.evaluator.attempt(
                fake, weights_of(trained), **known(self.evaluator, trained, self.dataset, len(fake))
            )
        except Exception as error:  # an evaluation must never end a training
            return Results(omitted={"evaluation": failure(error)})
