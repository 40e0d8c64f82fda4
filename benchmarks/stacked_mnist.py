"""Stacked MNIST by PacGAN's protocol: how many of its 1,000 combinations a recipe reaches, and how evenly.

    ZEROSUM_DATA=... python -m benchmarks.stacked_mnist [--recipe mnist-speedrun] [--seeds 1] [--minutes 60]
                                                        [FIELD=VALUE ...]

    the record: generator.labels=none discriminator.labels=none generator.channels=64 discriminator.channels=64
                length=2M

Three digits are the channels of an image; 26,000 samples of the averaged generator are classified channel by channel by
the shipped MNIST classifier (Lin et al. 2018). `modes` counts classes seen at all, `modes-half` those with at least
half of their share, `reverse-kl` is of the samples' classes against 1,000 equal ones; a perfect sampler of that size
has 1000, 1000 and about 0.019. Training is without labels. Each run writes a line with its curve over training seconds
to benchmarks/results/stacked_mnist.jsonl.
"""

from __future__ import annotations

import argparse
import dataclasses

from benchmarks import lines
from benchmarks.speedrun import Race, note
from zerosum.data import open_data
from zerosum.metrics.suite import StackedModes
from zerosum.recipes import EvaluatorPart, read_recipe
from zerosum.runs.evaluation.evaluator import Evaluator

RESULTS = lines.RESULTS / "stacked_mnist.jsonl"
MARKS = tuple(60 * minute for minute in (2, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55))
COUNT = 26_000


def main() -> None:
    """Train once for each seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="mnist-speedrun")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("words", nargs="*", metavar="FIELD=VALUE")
    options = parser.parse_args()
    options.data = "stacked-mnist"
    for seed in range(options.seeds):
        recipe = dataclasses.replace(read_recipe(options.recipe, options.words), seed=seed)
        dataset = open_data(options.data, recipe.data)
        evaluator = Evaluator(dataset, EvaluatorPart(metrics=(StackedModes(),), extractor="stacked", count=COUNT))
        race = Race(recipe, dataset, evaluator, MARKS)
        race.run(60 * options.minutes)
        note(race, options, RESULTS, last=race.curve[-1])


if __name__ == "__main__":
    main()
