"""The MNIST speedrun: seconds of training until the Frechet distance stays below a target, and what ten minutes reach.

    ZEROSUM_DATA=... python -m benchmarks.speedrun [--recipe mnist-speedrun] [--data mnist] [--seeds 3] [--first 0]
                                                      [--minutes 10] [FIELD=VALUE ...]

The rules: training seconds on two cores, from the first turn on; judging does not count. Judged are 10,000 samples of
the averaged generator, rounded to 256 levels, by the public LeNet against all 60,000 training images (Fashion-MNIST: by
the shipped classifier). A target counts from the first judgement below it after which none was above. Each run
writes a line to benchmarks/results/speedrun.jsonl with its curve.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks import lines
from benchmarks.lines import append
from zerosum.core.engine import Engine
from zerosum.data import Dataset, Feed, open_data
from zerosum.metrics.suite import FD
from zerosum.recipes import EvaluatorPart, Recipe, read_recipe
from zerosum.runs.evaluation.evaluate import drawn
from zerosum.runs.evaluation.evaluator import Evaluator
from zerosum.runs.storage.trained import TrainedModel
from zerosum.runs.training.plan import rehearse

RESULTS = lines.RESULTS / "speedrun.jsonl"
TARGETS = (2.0, 1.0, 0.5, 0.3, 0.12)
MARKS = (20, 40, 60, 90, 120, 180, 240, 300, 360, 420, 480, 540, 600)  # seconds of training at which it is judged
COUNT = 10_000


def evaluator_of(data: str, dataset: Dataset) -> Evaluator:
    """The judge of the rules."""
    extractor = "lenet" if data == "mnist" else "auto"
    return Evaluator(dataset, EvaluatorPart(metrics=(FD(),), extractor=extractor, count=COUNT, split="train"))


class Race:
    """One training against the clock."""

    def __init__(self, recipe: Recipe, dataset: Dataset, evaluator: Evaluator, marks: tuple[int, ...] = MARKS) -> None:
        device = torch.device("cpu")
        self.feed = Feed(dataset, recipe.batch, seed=recipe.seed, device=device)
        self.total = recipe.length.samples(self.feed.per_epoch)
        self.signals = dataset.signals
        precision = rehearse(
            recipe, self.signals, Feed(dataset, recipe.batch, device=device), self.total, print
        ).precision
        self.recipe, self.dataset, self.evaluator, self.precision = recipe, dataset, evaluator, precision
        self.marks = marks
        options = {"seed": recipe.seed, "device": device, "precision": precision, "total": self.total}
        self.engine = Engine(recipe.game, self.signals, **options)
        self.floor: dict[str, float | None] = {}  # of real images in the place of generated ones
        self.seconds, self.curve = 0.0, list[dict[str, float]]()

    def run(self, limit: float) -> None:
        """Train to the recipe's end or the limit in seconds; judge at each mark and at the end."""
        marks = iter([mark for mark in self.marks if mark < limit])
        mark = next(marks, limit)
        while self.seconds < limit and (not self.total or self.feed.position < self.total):
            began = time.perf_counter()
            self.engine.turn(self.feed)
            self.seconds += time.perf_counter() - began
            if self.seconds >= mark:
                self.look()
                mark = next(marks, limit)
        if not self.curve or self.curve[-1]["images"] != self.feed.position:
            self.look()

    def look(self) -> None:
        """Evaluate the averaged generator as it is."""
        engine = self.engine
        generator = TrainedModel(engine.model(), self.recipe, self.signals, self.dataset.classes, self.feed.position)
        found = self.evaluator.evaluate(drawn(self.evaluator, generator, self.evaluator.settings.count, 0))
        self.floor = {one.metric: one.floor for one in found}
        values = {one.metric: round(one.value, 4) for one in found}
        self.curve.append({"seconds": round(self.seconds, 1), "images": self.feed.position, **values})
        shown = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        print(f"{self.seconds:6.0f} s {self.feed.position:>9,} images  {shown}", flush=True)

    def reached(self, target: float) -> float | None:
        """Seconds from which on no judgement was above the target."""
        above = [place for place, point in enumerate(self.curve) if point["fd"] > target]
        first = above[-1] + 1 if above else 0
        return self.curve[first]["seconds"] if first < len(self.curve) else None


def note(race: Race, options: argparse.Namespace, results: Path = RESULTS, **found: Any) -> None:
    """Write a line of results."""
    line: dict[str, Any] = {
        "data": options.data,
        "recipe": options.recipe,
        "words": options.words,
        "seed": race.recipe.seed,
        "extractor": race.evaluator.extractor.identity,
        **found,
        "curve": race.curve,
        "floor": race.floor,
    }
    append(results, line, race.precision)
    print(found, flush=True)


def main() -> None:
    """Race once for each seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="mnist-speedrun")
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("words", nargs="*", metavar="FIELD=VALUE")
    options = parser.parse_args()
    dataset = open_data(options.data)
    evaluator = evaluator_of(options.data, dataset)
    for seed in range(options.first, options.first + options.seeds):
        recipe = dataclasses.replace(read_recipe(options.recipe, options.words), seed=seed)
        race = Race(recipe, dataset, evaluator)
        race.run(60 * options.minutes)
        note(race, options, reached={str(target): race.reached(target) for target in TARGETS})


if __name__ == "__main__":
    main()
