"""CycleGAN between flowers and sketches of other flowers: does it learn both ways, and what does it hide on them?

    ZEROSUM_DATA=... python -m benchmarks.sketches [--recipe cyclegan-small] [--images 24k] [--out runs/sketches] [WORD]

The 800 dandelions and sunflowers of $ZEROSUM_DATA/flowers-128 at 64x64. Every eighth is held out; of the others some
are the photographs of set A, and of the rest the pairing `edges` makes the sketches of set B, so that no pair is among
them. Of those held out photograph and sketch are known. Prints a line for each way, with numbers of held-out images;
writes docs/sheets/flowers/RECIPE.png: images, their translations, the way back, and the answers. WORDs are settings.
"""

from __future__ import annotations

import argparse
import io
import os
import tarfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.lines import RESULTS, append
from benchmarks.playing import play
from benchmarks.sheets import SHEETS
from benchmarks.translation import error, held_out
from zerosum.core import settings
from zerosum.core.clock import seeded
from zerosum.data import open_data, to_images
from zerosum.data.pairings import Edges
from zerosum.recipes import EvaluatorPart
from zerosum.runs.evaluation.evaluator import Evaluator
from zerosum.runs.storage.run import Run
from zerosum.runs.view import pictures

SIDE, SHOWN, EIGHTH = 64, 10, 8
ARCHIVE, KINDS = "flowers-128/flowers_128.tar", ("dandelion/", "sunflowers/")
HIDDEN = (1.0, 2.0, 4.0)  # deviations of noise, in grey levels of 255: none of it is seen


def unpack(archive: Path, folder: Path) -> None:
    """Write the sets as trainA/, trainB/, testA/, testB/."""
    for part in ("trainA", "trainB", "testA", "testB"):
        (folder / part).mkdir(parents=True)
    with tarfile.open(archive) as tar:
        names = [name for name in sorted(tar.getnames()) if name.startswith(KINDS)]
        for number, name in enumerate(names):
            file = tar.extractfile(name)
            assert file is not None
            photograph = (
                Image.open(io.BytesIO(file.read())).convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            )
            parts = ("testA", "testB") if number % EIGHTH == 0 else ("trainA",) if number % 2 else ("trainB",)
            for part in parts:
                picture = photograph if part.endswith("A") else sketch(photograph)
                picture.save(folder / part / f"{number:03d}.png")


def sketch(photograph: Image.Image) -> Image.Image:
    """The lines of a photograph, black on white."""
    pixels = torch.from_numpy(np.array(photograph)).permute(2, 0, 1)[None]
    return Image.fromarray(Edges()(pixels)[0, 0].numpy()).convert("RGB")


def main() -> None:
    """Train, or go on; compare; draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--recipe", default="cyclegan-small")
    parser.add_argument("--images", default="24k")
    parser.add_argument("--out", type=Path, default=Path("runs/sketches"))
    options = parser.parse_args()
    flowers, path = options.out / "flowers", options.out / "-".join([options.recipe, *options.words])
    if not flowers.exists():
        unpack(Path(os.environ["ZEROSUM_DATA"]) / ARCHIVE, flowers)
    rare = ["evaluation=never", "evaluator.metrics=sliced-wasserstein", "samples=2k", "checkpoint=5k"]
    words = ["augmentations=flip", *rare, *options.words]
    run = play(flowers, options.recipe, words, options.images, path)
    if run.finished:
        compare(run, flowers, [options.recipe, *options.words])


def compare(run: Run, flowers: Path, name: list[str]) -> None:
    """Print what was reached, keep it, and draw."""
    dataset, trained, rows = open_data(flowers, run.recipe.data), run.model, []
    for way, back in (("a_to_b", "b_to_a"), ("b_to_a", "a_to_b")):
        start, answer = (held_out(dataset.of(one)) for one in (way[0], way[-1]))
        made = trained.translate(start, way)
        returned = trained.translate(made, back)
        line = {"recipe": name[0], "words": name[1:], "way": way, "images": trained.images, "pictures": len(start)}
        numbers = {"error": error(made, answer), "unchanged": error(start, answer), "moved": error(made, start)}
        numbers |= {"cycle": error(returned, start)}
        for deviation in HIDDEN:
            again = trained.translate(noisy(made, deviation), back)
            numbers[f"cycle_noise_{deviation:g}"] = error(again, start)
        line |= {key: round(value, 4) for key, value in numbers.items()}
        judge = Evaluator(
            dataset.of(way[-1]),
            settings.assign(EvaluatorPart(), ["metrics=fd+kid", "split=held-out"]),
            verb="translate",
        )
        line |= distances(judge, made, start) | {"seconds": round(run.metrics[-1]["seconds"])}
        print(append(RESULTS / "sketches.jsonl", line))
        rows += [start[:SHOWN], made[:SHOWN], returned[:SHOWN], answer[:SHOWN]]
    sheet = SHEETS / "flowers" / f"{'-'.join(name)}.png"
    sheet.parent.mkdir(parents=True, exist_ok=True)
    pictures.save(sheet, pictures.sheet(to_images(torch.cat(rows)), SHOWN))


def noisy(images: Tensor, deviation: float) -> Tensor:
    """Images in [-1, 1] with noise of a deviation in grey levels of 255."""
    with seeded(0, "noise"):
        return (images + torch.randn_like(images) * deviation / 127.5).clamp(-1, 1)


def distances(judge: Evaluator, made: Tensor, start: Tensor) -> dict[str, float]:
    """Distances of translations from the real images of their set, of real ones, and of images that were left alone."""
    translated, unchanged = (judge.evaluate(judge.see(torch.from_numpy(to_images(images)))) for images in (made, start))
    numbers = {one.metric: one.value for one in translated}
    numbers |= {f"{one.metric}_real": one.floor for one in translated if one.floor is not None}
    numbers |= {f"{one.metric}_unchanged": one.value for one in unchanged}
    return {key: round(value, 4) for key, value in numbers.items()}


if __name__ == "__main__":
    main()
