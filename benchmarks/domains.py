"""Translation among four colours of Fashion-MNIST: is the result of the colour asked for, and the same garment?

    ZEROSUM_DATA=... python -m benchmarks.domains [SETTINGS...] [--recipe stargan-small] [--images 300k]
                                                  [--out runs/domains]

Each image has one of four colours, so the answer to every translation is known: the same image in the other colour.
The judge is a small network that was trained on the colours of images that nobody else sees. Prints the share of
translations of held-out images that it names right, the mean error of a pixel (black and white differ by 1) of
translations, of the way there and back, and of leaving images as they are; writes docs/sheets/domains/RECIPE.png: an
image, and what becomes of it for each colour. With further settings it is a trial: the line is not kept, and the sheet
lies beside the run.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import zerosum
from benchmarks.lines import RESULTS, append
from benchmarks.sheets import SHEETS
from zerosum.data import open_data, to_images
from zerosum.runs.storage.run import Run
from zerosum.runs.view import pictures

COLOURS = {"red": (1.0, 0.25, 0.2), "green": (0.2, 0.9, 0.3), "blue": (0.25, 0.45, 1.0), "yellow": (1.0, 0.85, 0.15)}
SIDE, JUDGED, SHOWN = 32, 10_000, 10  # of the 60,000 images that train, so many teach the judge


def coloured(grey: Tensor, colour: Tensor) -> Tensor:
    """Images [N, 1, H, W] from 0 to 1 in a colour each, [N], as [N, 3, H, W] from 0 to 1."""
    return grey * torch.tensor(list(COLOURS.values()))[colour][:, :, None, None]


def garments() -> tuple[Tensor, Tensor, Tensor]:
    """Images that train, teach the judge, and are held out, [N, 1, SIDE, SIDE] from 0 to 1."""
    data = open_data("fashion-mnist", data_root=os.environ["ZEROSUM_DATA"])
    values = torch.from_numpy(np.ascontiguousarray(data.values)).permute(0, 3, 1, 2).float() / 255
    images = F.pad(values, ((SIDE - values.shape[-1]) // 2,) * 4)
    return images[data.train[:-JUDGED]], images[data.train[-JUDGED:]], images[data.held_out]


def judge(images: Tensor) -> nn.Module:
    """A network that names the colour of images [N, 3, H, W] from 0 to 1, after one pass over these."""
    network = nn.Sequential(
        *(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(32 * (SIDE // 4) ** 2, len(COLOURS))),
    )
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for batch in images.split(50):
        colour = torch.randint(len(COLOURS), (len(batch),))
        optimizer.zero_grad()
        F.cross_entropy(network(coloured(batch, colour)), colour).backward()
        optimizer.step()
    return network.eval()


def main() -> None:
    """Train, or go on; judge; draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="stargan-small")
    parser.add_argument("--images", default="300k")
    parser.add_argument("--out", type=Path, default=Path("runs/domains"))
    parser.add_argument("settings", nargs="*")
    options = parser.parse_args()
    torch.manual_seed(0)
    train, taught, held_out = garments()
    file, path = options.out / "colours.npz", options.out / "-".join([options.recipe, *options.settings])
    if not file.exists():
        options.out.mkdir(parents=True, exist_ok=True)
        colour = torch.arange(len(train)) % len(COLOURS)
        pixels = coloured(train, colour).mul(255).round().to(torch.uint8).permute(0, 2, 3, 1)
        np.savez(file, images=pixels.numpy(), labels=colour.numpy(), classes=np.array(list(COLOURS)))
    if path.exists():
        run = zerosum.resume(path, images=options.images)
    else:
        rare = ["evaluator.metrics=sliced-wasserstein", "evaluation=never", "samples=20k", "checkpoint=20k", "keep=1"]
        run = zerosum.train(file, options.recipe, [*rare, *options.settings], images=options.images, out=path)
    if run.finished:
        line, sheet = compare(run, judge(taught), held_out[:2_000])
        line = {"recipe": options.recipe, **line}
        print(line if options.settings else append(RESULTS / "domains.jsonl", line))
        place = path / "domains.png" if options.settings else SHEETS / "domains" / f"{options.recipe}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        pictures.save(place, sheet)


@torch.no_grad()
def compare(run: Run, network: nn.Module, grey: Tensor) -> tuple[dict[str, Any], np.ndarray]:
    """What was reached on grey images [N, 1, SIDE, SIDE], and a picture of the first ones."""
    trained = run.model
    own = torch.arange(len(grey)) % len(COLOURS)
    wanted = (own + 1 + torch.arange(len(grey)) // len(COLOURS) % (len(COLOURS) - 1)) % len(COLOURS)  # never the own
    x, answer = coloured(grey, own) * 2 - 1, coloured(grey, wanted) * 2 - 1
    made = trained.translate(x, label=wanted)
    back = trained.translate(made, label=own)
    error = {"error": made - answer, "unchanged": x - answer, "back": back - x}
    line: dict[str, Any] = {"images": trained.images, "pictures": len(grey)}
    line |= {name: round(float(part.abs().mean()) / 2, 4) for name, part in error.items()}
    line["right"] = round(float((network((made + 1) / 2).argmax(1) == wanted).float().mean()), 4)
    line["right_real"] = round(float((network((x + 1) / 2).argmax(1) == own).float().mean()), 4)
    line["seconds"] = round(run.metrics[-1]["seconds"])
    shown = x[:SHOWN]
    rows = [shown] + [trained.translate(shown, label=torch.full((SHOWN,), one)) for one in range(len(COLOURS))]
    return line, pictures.sheet(to_images(torch.cat(rows)), SHOWN)


if __name__ == "__main__":
    main()
