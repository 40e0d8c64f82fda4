"""A photograph of 1,500 x 1,000 pixels through translators, in tiles: what shows where tiles meet, and peak memory.

    ZEROSUM_DATA=... python -m benchmarks.seams [--images 4k] [--out runs/seams]

Two small translators, a U-Net and a ResNet, are trained by pix2pix-small to sharpen crops of photographs, 64x64. Two of
published size have random weights, as only their memory is asked for. Each translates a photograph that it has not
seen, in tiles and as a whole, in a process of its own. Printed in grey levels, for the worst of the lines between
pixels at which a tile begins or ends:

    seam       mean |change across the line of (in tiles - whole)|
    elsewhere  the same, a mean over the other lines: statistics and dropout of a tile are its own
    change     mean |change across a line of the whole image, translated|, over all lines
    rank       share of lines across which the whole image changes less than the seam

and the memory in MiB, by Linux, that the process had at most beyond what it had when it began to translate.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import zerosum
from benchmarks.lines import RESULTS, append
from zerosum.core.signals import Signal
from zerosum.networks import ResNetTranslator, UNetTranslator
from zerosum.runs.storage.saved import load_model
from zerosum.runs.view.tiles import OVERLAP, TILE, spread

PHOTO, WIDTH, HEIGHT = "rocket.jpg", 1_500, 1_000
TAUGHT = ("astronaut.png", "chelsea.png", "coffee.png")
SMALL = {"unet-small": [], "resnet-small": ["generator.network=resnet-translator:channels=16,blocks=3"]}
PUBLISHED = {"unet": UNetTranslator(), "resnet": ResNetTranslator()}
WORDS = ["data.pairs=blur", "evaluation=never", "samples=never", "evaluator.metrics=similarity"]
SIDE, CROPS = 64, 1_000  # of each photograph
WHOLE = 1 << 20  # pixels of a tile that holds any image
Translator = Callable[[Tensor], Tensor]


def opened(name: str) -> Image.Image:
    """A photograph."""
    with Image.open(Path(os.environ["ZEROSUM_DATA"]) / "skimage-cc0" / name) as image:
        return image.convert("RGB")


def photograph() -> Tensor:
    """The one that is translated, cut to proportions of 3:2 and resized, [1, 3, H, W] in [-1, 1]."""
    image = opened(PHOTO)
    top = (image.height - image.width * HEIGHT / WIDTH) / 2
    pixels = np.array(image.resize((WIDTH, HEIGHT), box=(0, top, image.width, image.height - top)))
    return torch.from_numpy(pixels).permute(2, 0, 1)[None] / 127.5 - 1


def crops() -> np.ndarray:
    """Crops of the others at half their size, uint8 [N, H, W, 3]."""
    random, taken = np.random.default_rng(0), []
    for image in (opened(name).reduce(2) for name in TAUGHT):
        for _ in range(CROPS):
            left, top = (int(random.integers(0, size - SIDE + 1)) for size in image.size)
            taken.append(np.asarray(image.crop((left, top, left + SIDE, top + SIDE))))
    return np.stack(taken)


def train(name: str, images: str, out: Path) -> None:
    """Train, or go on."""
    if (out / name).exists():
        zerosum.resume(out / name, images=images, quiet=True)
    else:
        words = [*WORDS, *SMALL[name]]
        zerosum.train(crops(), "pix2pix-small", words, images=images, out=out / name, quiet=True)


def translator(name: str, out: Path) -> tuple[Translator, int]:
    """A trained translator, or one of random weights; and what sides of images must be multiples of."""
    if name in PUBLISHED:
        image = {"input": Signal("image", (3, 256, 256))}
        network: Any = PUBLISHED[name].build(image, image).eval()
        return network, network.step
    model = load_model(out / name / "model.safetensors")
    return lambda x: model.run({"input": x})["target"], model.task.step


@torch.no_grad()
def translate(name: str, tile: int, out: Path) -> None:
    """Translate, and write the result; print seconds, and MiB beyond those at the beginning."""
    torch.manual_seed(0)
    network, step = translator(name, out)
    x = photograph()
    before, began = memory("VmRSS"), time.monotonic()
    made = spread(network, x, step, tile, OVERLAP)
    seconds, peak = round(time.monotonic() - began, 1), memory("VmHWM") - before
    np.save(out / f"{name}-{tile}.npy", made[0].numpy())
    print(json.dumps([seconds, peak, step]))


def memory(field: str) -> int:
    """Memory of this process in MiB, now (VmRSS) or at most so far (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith(field))


def borders(step: int) -> tuple[list[int], list[int]]:
    """Rows and columns of pixels at which a tile begins, or one has ended."""
    places = torch.stack(torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij"))[None].float()
    seen: list[set[int]] = [set(), set()]

    def note(x: Tensor) -> Tensor:
        for axis, sides in enumerate(seen):
            start = int(x[0, axis, 0, 0])
            sides |= {start, start + x.shape[2 + axis]}
        return x

    spread(note, places, step, TILE, OVERLAP)
    rows, columns = seen
    return sorted(rows & {*range(1, HEIGHT)}), sorted(columns & {*range(1, WIDTH)})


def compare(tiled: np.ndarray, whole: np.ndarray, step: int) -> dict[str, float]:
    """What shows of tiles in an image [3, H, W] in [-1, 1]."""
    seams, others, changes = [], [], []
    for axis, places in zip((1, 2), borders(step), strict=True):
        extra, change = (lines(image, axis) for image in (tiled - whole, whole))
        at = np.array(places, dtype=np.int64) - 1
        seams.append(extra[at])
        others.append(np.delete(extra, at))
        changes.append(change)
    seam, change = np.concatenate(seams).max(), np.concatenate(changes)
    numbers = {"seam": seam, "elsewhere": np.concatenate(others).mean(), "change": change.mean()}
    return {name: float(value) for name, value in numbers.items()} | {"rank": float((change < seam).mean())}


def lines(image: np.ndarray, axis: int) -> np.ndarray:
    """Mean |change| in grey levels across each line between two rows or columns of an image [3, H, W]."""
    return 127.5 * np.abs(np.diff(image, axis=axis)).mean(tuple({0, 1, 2} - {axis}))


def measured(name: str, out: Path) -> dict[str, Any]:
    """Seconds and memory of both ways, and how their results differ."""
    line: dict[str, Any] = {"network": name}
    step = 0
    for way, tile in {"tiles": TILE, "whole": WHOLE}.items():
        words = [sys.executable, "-m", "benchmarks.seams", "--out", str(out), "--only", name, str(tile)]
        seconds, peak, step = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)
        line |= {f"seconds_{way}": seconds, f"memory_{way}": peak}
    made = [np.load(out / f"{name}-{tile}.npy") for tile in (TILE, WHOLE)]
    return line | {key: round(value, 3) for key, value in compare(*made, step).items()}


def main() -> None:
    """Train what is missing, translate, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", default="4k")
    parser.add_argument("--out", type=Path, default=Path("runs/seams"))
    parser.add_argument("--only", nargs=2, metavar=("NETWORK", "TILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        translate(options.only[0], int(options.only[1]), options.out)
        return
    options.out.mkdir(parents=True, exist_ok=True)
    for name in (*SMALL, *PUBLISHED):
        if name in SMALL:
            train(name, options.images, options.out)
        line = {"images": options.images if name in SMALL else "0", **measured(name, options.out)}
        print(append(RESULTS / "seams.jsonl", line), flush=True)


if __name__ == "__main__":
    main()
