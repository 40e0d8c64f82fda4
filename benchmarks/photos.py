"""Few photographs: three hundred crops of 64 pixels, the networks of StyleGAN2, two ways to augment.

    ZEROSUM_DATA=... python -m benchmarks.photos [--images 20k] [--recipes NAME,NAME] [--out runs/photos]

The crops are drawn once, with seed 0, from the CC0 photographs in $ZEROSUM_DATA/skimage-cc0: a square of 64 to 256
pixels anywhere in a photograph, reduced to 64. Each recipe is stopped in its middle with SIGINT and resumed. Printed:
the history of ADA's p beside the logits' signs that drive it, sliced Wasserstein distance, speed; samples are written
beside the runs.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

import zerosum
from zerosum.runs.storage.run import Run
from zerosum.runs.view import pictures

COUNT, SIDE = 300, 64


def crop(source: Path, folder: Path) -> None:
    """Write the crops as PNG files."""
    rng = np.random.default_rng(0)
    photographs = [
        Image.open(path).convert("RGB") for path in sorted(source.glob("*")) if path.suffix in (".png", ".jpg")
    ]
    folder.mkdir(parents=True)
    for number in range(COUNT):
        photograph = photographs[number % len(photographs)]
        side = int(rng.integers(SIDE, min(256, *photograph.size) + 1))
        left, top = (int(rng.integers(0, length - side + 1)) for length in photograph.size)
        box = (left, top, left + side, top + side)
        photograph.resize((SIDE, SIDE), Image.Resampling.LANCZOS, box).save(folder / f"{number:03d}.png")


def train(recipe: str, photos: Path, run: Path, images: str) -> None:
    """Begin, interrupt at about half of it, resume."""
    every = [f"{name}=2k" for name in ("report", "checkpoint")]
    command = ["train", str(photos), "--recipe", recipe, *every, "samples=10k", "evaluation=10k"]
    process = start([*command, "--images", images, "--out", str(run)])
    while process.poll() is None and len(Run(run).metrics if run.exists() else []) < 3:
        time.sleep(1)
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    process.wait()
    stopped = Run(run).metrics[-1]["images"]
    if stopped >= Run(run).recipe.length.amount:
        sys.exit(f"{recipe} ended before it could be interrupted; give more --images")
    resumed = start(["resume", str(run)])
    if resumed.wait() != 0:
        sys.exit(f"{recipe} could not be resumed")
    print(f"{recipe}: interrupted after {stopped:,} images and resumed", flush=True)


def start(arguments: list[str]) -> subprocess.Popen[bytes]:
    """Start the zerosum command."""
    return subprocess.Popen([sys.executable, "-m", "zerosum.cli.main", *arguments, "--quiet"], env={**os.environ})


def main() -> None:
    """Crop, train, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", default="20k")
    parser.add_argument("--recipes", default="stylegan2-ada-small,diffaugment-small")
    parser.add_argument("--out", type=Path, default=Path("runs/photos"))
    options = parser.parse_args()
    photos = options.out / "crops"
    if not photos.exists():
        crop(Path(os.environ["ZEROSUM_DATA"]) / "skimage-cc0", photos)
    for recipe in options.recipes.split(","):
        run = options.out / recipe
        if not run.exists():
            train(recipe, photos, run, options.images)
        for line in Run(run).metrics:
            shown = {key: round(line[key], 3) for key in ("ada.p", "real_logit", "fake_logit") if key in line}
            print(f"{line['images']:>9,} images  {shown}  {line['images_per_second']:.0f} images/s")
        for line in Run(run).evaluations:
            print(f"{line['images']:>9,} images  {line['metric']} {line['value']:.4f}")
        pictures.save(
            options.out / f"{recipe}.png",
            pictures.picture(zerosum.load_model(run / "model.safetensors").sample(40), 10),
        )


if __name__ == "__main__":
    main()
