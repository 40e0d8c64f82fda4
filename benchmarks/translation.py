"""Translation between two styles of the same emoji, without pairs or by pairs.

    ZEROSUM_DATA=... python -m benchmarks.translation [--recipe cyclegan-small] [--images 40k] [--out runs/translation]

$ZEROSUM_DATA/emoji/emoji_noto_twemoji_64.tar holds 1,026 emoji, each drawn by Noto (left) and by Twemoji (right). Of
those to train on, a recipe without pairs sees every second one as Noto draws it (set A) and the others as Twemoji does
(set B), so that no pair is among them; a recipe of pairs sees both drawings of all. Of the 103 others both drawings are
known: the mean error of the translation is compared with that of leaving the picture as it is. Prints a line for each
way, and writes docs/sheets/emoji/RECIPE.png: emoji, their translations, and what the other style has in their place.
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

from benchmarks.lines import RESULTS, append
from benchmarks.playing import play
from benchmarks.sheets import SHEETS
from zerosum.data import Dataset, open_data, to_images
from zerosum.recipes import read_recipe
from zerosum.runs.storage.run import Run
from zerosum.runs.view import pictures

SIDE, SHOWN = 32, 12
ARCHIVE = "emoji/emoji_noto_twemoji_64.tar"


def unpack(archive: Path, folder: Path, *, pairs: bool) -> None:
    """Write the sets as trainA/, trainB/, testA/, testB/; with pairs, both drawings of each emoji."""
    with tarfile.open(archive) as tar:
        for number, name in enumerate(sorted(one for one in tar.getnames() if one.endswith(".jpg"))):
            file = tar.extractfile(name)
            assert file is not None
            pair, part = Image.open(io.BytesIO(file.read())), name.split("/")[0]
            half = pair.width // 2
            for place, style in enumerate("AB"):
                if pairs or part == "test" or number % 2 == place:
                    (folder / f"{part}{style}").mkdir(parents=True, exist_ok=True)
                    box = (place * half, 0, (place + 1) * half, pair.height)
                    pair.crop(box).save(folder / f"{part}{style}" / f"{Path(name).stem}.png")


def held_out(dataset: Dataset) -> torch.Tensor:
    """Pictures that were not trained on, [N, C, H, W] in [-1, 1], in the order of their names."""
    values = np.ascontiguousarray(dataset.values[dataset.held_out])
    return torch.from_numpy(values).float().div(127.5).sub(1).permute(0, 3, 1, 2)


def error(made: torch.Tensor, answer: torch.Tensor) -> float:
    """Mean absolute difference of pixels, where black and white differ by 1."""
    return float((made - answer).abs().mean()) / 2


def main() -> None:
    """Train, or go on; compare; draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="cyclegan-small")
    parser.add_argument("--images", default="40k")
    parser.add_argument("--out", type=Path, default=Path("runs/translation"))
    options = parser.parse_args()
    pairs = bool(read_recipe(options.recipe).data.pairs)
    emoji, path = options.out / ("emoji-pairs" if pairs else "emoji"), options.out / options.recipe
    if not emoji.exists():
        unpack(Path(os.environ["ZEROSUM_DATA"]) / ARCHIVE, emoji, pairs=pairs)
    words = [f"data.size={SIDE}", "samples=10k", "evaluation=20k", "checkpoint=10k", "keep=1"]
    run = play(emoji, options.recipe, words, options.images, path)
    if run.finished:
        compare(run, emoji, options.recipe)


def compare(run: Run, emoji: Path, recipe: str) -> None:
    """Print what was reached, keep it, and draw."""
    dataset = open_data(emoji, run.recipe.data)
    trained, rows = run.model, []
    for way, task in trained.model.tasks.items():
        given, wanted = (next(iter(one)) for one in (task.inputs, task.outputs))
        start, answer = (held_out(dataset.of(name)) for name in (given, wanted))
        made = trained.model.compute({given: start}, way)[wanted]
        line = {"recipe": recipe, "way": way, "images": trained.images, "pictures": len(start)}
        line |= {"error": round(error(made, answer), 4), "unchanged": round(error(start, answer), 4)}
        line["seconds"] = round(run.metrics[-1]["seconds"])
        print(append(RESULTS / "translation.jsonl", line))
        rows += [start[:SHOWN], made[:SHOWN], answer[:SHOWN]]
    sheet = SHEETS / "emoji" / f"{recipe}.png"
    sheet.parent.mkdir(parents=True, exist_ok=True)
    pictures.save(sheet, pictures.sheet(to_images(torch.cat(rows)), SHOWN))


if __name__ == "__main__":
    main()
