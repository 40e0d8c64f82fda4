"""CycleGAN between grass and gravel: two textures of which nobody knows what belongs to what.

    ZEROSUM_DATA=... python -m benchmarks.textures [--recipe cyclegan-small] [--images 8k] [--out runs/textures] [WORD]

Grey crops of 64x64 from one photograph of each, $ZEROSUM_DATA/skimage-cc0: 400 of the left three quarters to train on,
500 of the rest to judge. Prints for each way what `zerosum evaluate` measures of these: distances of translations from
real crops, beside those of crops that were left alone, and the cycle error; writes docs/sheets/textures/RECIPE.png:
crops, their translations, the way back, and real crops of the goal. WORDs are settings.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.lines import RESULTS, append
from benchmarks.playing import play
from benchmarks.sheets import SHEETS
from benchmarks.translation import held_out
from zerosum.data import open_data, to_images
from zerosum.runs.evaluation.evaluate import evaluate
from zerosum.runs.storage.run import Run
from zerosum.runs.view import pictures

SIDE, SHOWN, TRAIN, TEST = 64, 10, 400, 500
KINDS = {"A": "grass", "B": "gravel"}


def unpack(source: Path, folder: Path) -> None:
    """Write the crops as trainA/, trainB/, testA/, testB/; those to judge overlap none to train on."""
    random = np.random.default_rng(0)
    for letter, kind in KINDS.items():
        picture = Image.open(source / f"{kind}.png").convert("L")
        border = picture.width * 3 // 4
        for part, count, left, right in (("train", TRAIN, 0, border), ("test", TEST, border, picture.width)):
            (folder / f"{part}{letter}").mkdir(parents=True)
            for number in range(count):
                x, y = random.integers(left, right - SIDE + 1), random.integers(0, picture.height - SIDE + 1)
                crop = picture.crop((x, y, x + SIDE, y + SIDE))
                crop.save(folder / f"{part}{letter}" / f"{number:03d}.png")


def main() -> None:
    """Train, or go on; compare; draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--recipe", default="cyclegan-small")
    parser.add_argument("--images", default="8k")
    parser.add_argument("--out", type=Path, default=Path("runs/textures"))
    options = parser.parse_args()
    crops, name = options.out / "crops", "-".join([options.recipe, *options.words])
    if not crops.exists():
        unpack(Path(os.environ["ZEROSUM_DATA"]) / "skimage-cc0", crops)
    rare = ["evaluation=never", "evaluator.metrics=sliced-wasserstein", "samples=2k", "checkpoint=2k"]
    run = play(crops, options.recipe, [*rare, *options.words], options.images, options.out / name)
    if run.finished:
        compare(run, crops, name)


def compare(run: Run, crops: Path, name: str) -> None:
    """Print what was reached, keep it, and draw."""
    dataset, trained, rows = open_data(crops, run.recipe.data), run.model, []
    for way, back in (("a_to_b", "b_to_a"), ("b_to_a", "a_to_b")):
        found = evaluate(run.path, metrics="fd+kid+cycle-error", split="held-out", task=way)
        line = {"recipe": name, "way": way, "images": trained.images, "notes": found.notes}
        line |= {one.metric: round(one.value, 3) for one in found}
        line |= {f"{one.metric}_real": round(one.floor, 3) for one in found if one.floor is not None}
        line["seconds"] = round(run.metrics[-1]["seconds"])
        print(append(RESULTS / "textures.jsonl", line))
        start, goal = (held_out(dataset.of(one))[:SHOWN] for one in (way[0], way[-1]))
        made = trained.translate(start, way)
        rows += [start, made, trained.translate(made, back), goal]
    sheet = SHEETS / "textures" / f"{name}.png"
    sheet.parent.mkdir(parents=True, exist_ok=True)
    pictures.save(sheet, pictures.sheet(to_images(torch.cat(rows)), SHOWN))


if __name__ == "__main__":
    main()
