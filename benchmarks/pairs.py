"""Translation by pairs, on pairs that were held out: facades from maps of their parts, flowers from their grey levels.

    ZEROSUM_DATA=... python -m benchmarks.pairs facades|flowers [--images 20k] [--out runs/pairs] [name=value ...]

Trains `pix2pix-small`, or goes on, and prints how near outputs are to their targets (`l1`, `psnr`, `ssim`) and how far
all of them are from all targets (`fd`), with the same numbers of outputs that take no training: the mean target, the
input as it is, and the target of the nearest training input. Writes docs/sheets/DATA/pix2pix-small.png: input, output,
target. Settings at the end of the command are added to those of the case, and their sheet goes to the run.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

from benchmarks.lines import RESULTS, append
from benchmarks.playing import play
from benchmarks.sheets import SHEETS
from zerosum.data import Dataset, open_data
from zerosum.metrics.evidence import Samples, numbers
from zerosum.metrics.suite import FD, Similarity
from zerosum.recipes import EvaluatorPart
from zerosum.runs.evaluation.evaluate import drawn
from zerosum.runs.evaluation.evaluator import Evaluator
from zerosum.runs.evaluation.given import compared, like, occasion, paired, trivial
from zerosum.runs.storage.run import Run
from zerosum.runs.view import pictures

RECIPE, SHOWN = "pix2pix-small", 8
CASES = {
    "facades": ("facades/facades_pairs_128.tar", ("data.direction=BtoA", "augmentations=crop")),  # A is the photograph
    "flowers": ("flowers-128/flowers_128.tar", ("data.pairs=grey", "data.size=64")),
}
WORDS = (
    *("data.flip=true", "generator.average=ema:half_life=2k"),
    *("generator.schedule=late-linear", "discriminator.schedule=late-linear"),
    *("evaluator.metrics=similarity", "report=1k", "samples=5k", "evaluation=5k", "checkpoint=5k", "keep=1"),
)


def main() -> None:
    """Train, or go on; measure; draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=CASES)
    parser.add_argument("words", nargs="*", metavar="name=value")
    parser.add_argument("--images", default="20k")
    parser.add_argument("--out", type=Path, default=Path("runs/pairs"))
    options = parser.parse_args()
    archive, words = CASES[options.data]
    source, path = Path(os.environ["ZEROSUM_DATA"]) / archive, options.out / "-".join([options.data, *options.words])
    run = play(source, RECIPE, [*words, *WORDS, *options.words], options.images, path)
    if run.finished:
        sheet = path / "pairs.png" if options.words else SHEETS / options.data / f"{RECIPE}.png"
        compare(run, open_data(source, run.recipe.data), options.data, options.words, sheet)


def compare(run: Run, dataset: Dataset, data: str, words: list[str], sheet: Path) -> None:
    """Print what was reached beside what takes no training, keep it, and draw."""
    trained, task = run.model, run.model.task
    settings = EvaluatorPart(metrics=(Similarity(), FD()), split="held-out")
    evaluator = Evaluator(compared(dataset, task), settings, verb=occasion(dataset, task))
    translated = drawn(evaluator, trained, len(dataset.held_out), 0, dataset)
    wanted = paired(evaluator, task, dataset, len(translated))["wanted"]
    others = trivial(evaluator, task, dataset, len(translated))
    outputs = {"translated": translated, **{name: evaluator.see(values) for name, values in others.items()}}
    for name, samples in outputs.items():
        measured = evaluator.evidence(samples, wanted=wanted)
        found = {key: one.value for metric in evaluator.metrics for key, one in numbers(metric, measured).items()}
        line = {"data": data, "recipe": RECIPE, "words": words, "images": trained.images, "pairs": len(samples)}
        line |= {"output": name, **{key: round(value, 4) for key, value in found.items()}}
        line |= {"seconds": round(run.metrics[-1]["seconds"])}
        print(append(RESULTS / "pairs.jsonl", line), flush=True)
    sheet.parent.mkdir(parents=True, exist_ok=True)
    pictures.save(sheet, side_by_side(dataset, evaluator, translated))


def side_by_side(dataset: Dataset, evaluator: Evaluator, translated: Samples) -> np.ndarray:
    """Some inputs, what became of them below, and their targets below that."""
    rows = evaluator.order("held-out")[:SHOWN]
    assert dataset.inputs is not None
    given = like(dataset.inputs[rows], dataset.values.shape[1:])
    assert given is not None
    made = translated.values[:SHOWN].numpy()
    return pictures.sheet(np.concatenate([given, made, dataset.values[rows]]), SHOWN)


if __name__ == "__main__":
    main()
