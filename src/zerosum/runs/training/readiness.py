"""Is all ready? Recipe, memory, metrics and rules are proven on the data before the first image."""

from __future__ import annotations

from typing import NamedTuple

import torch

from zerosum.core import compatibility
from zerosum.core.engine import Engine
from zerosum.core.model import outline
from zerosum.core.signals import Signals
from zerosum.data import Dataset, Feed
from zerosum.recipes import Recipe
from zerosum.runs.evaluation import proof
from zerosum.runs.evaluation.evaluator import Evaluator
from zerosum.runs.evaluation.given import compared, occasion
from zerosum.runs.training import plan, stopping
from zerosum.runs.training.failures import clear_memory
from zerosum.runs.training.footprint import network_bytes
from zerosum.runs.training.launching import ALONE, Place
from zerosum.runs.training.progress import Display
from zerosum.runs.training.rehearsal import Measured


class Readiness(NamedTuple):
    """What was found on the way."""

    measured: Measured  # precision, speed and memory of a turn
    evaluator: Evaluator  # what will compare samples with real ones


def prove(
    recipe: Recipe,
    dataset: Dataset,
    device: torch.device,
    display: Display,
    among: tuple[str, ...] | None = None,
    *,
    where: Place = ALONE,
) -> Readiness:
    """Check that everything fits, ending with a few real turns, which say what the training will take.

    Args:
        recipe: what is to be trained.
        dataset: on what.
        device: where.
        display: shows what is done.
        among: precisions to choose from; by default all that the recipe may have.
        where: which rank this is, and of how many; each rank has its part of the batch.

    Raises:
        RecipeError: every problem: what, why and how to mend it.
        TrainingError: memory is used up all the same.
    """
    with clear_memory():
        return _prove(recipe, dataset, device, display, among, where)


def _prove(
    recipe: Recipe,
    dataset: Dataset,
    device: torch.device,
    display: Display,
    among: tuple[str, ...] | None,
    where: Place,
) -> Readiness:
    signals, total = dataset.signals, recipe.length.samples(dataset.per_epoch)
    kept = compatibility.check(recipe.game, signals, total, recipe.batch)
    plan.check_networks(network_bytes(recipe.game, signals), device, where.beside(device))
    plan.check_least(recipe, kept, device, where)
    display.work("trying a few turns", 0, 0)
    feed = Feed(dataset, 2 * recipe.game.pack, seed=recipe.seed, balanced=recipe.data.balanced, device=device)
    measured = plan.rehearse(recipe, signals, feed, total, display.warn, among, where)
    task = outline(recipe.game, signals).task()
    real = compared(dataset, task)
    evaluator = Evaluator(real, recipe.evaluator, seed=recipe.seed, device=device, verb=occasion(dataset, task))
    proof.prove(evaluator, recipe.evaluator.count, "label" in task.inputs)
    judged = [name for metric in evaluator.metrics for name in metric.better]
    stopping.check(recipe, judged, reported(recipe, signals, feed, total) if recipe.stop_when else ())
    return Readiness(measured, evaluator)


def reported(recipe: Recipe, signals: Signals, feed: Feed, total: int | None) -> list[str]:
    """Names of the numbers that a turn gives to the log, by playing one."""
    engine = Engine(recipe.game, signals, total=total, device=feed.device)
    engine.share = 0.0
    with compatibility.blaming(recipe.game):
        engine.turn(feed)
    return list(engine.meter.take("report"))
