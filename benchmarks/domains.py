"""Translation among four looks of Fashion-MNIST: is the result of the look asked for, and the same garment?

    ZEROSUM_DATA=... python -m benchmarks.domains [SETTINGS...] [--recipe stargan-small] [--images 300k]
                                                  [--out runs/domains] [--attributes]

Each image has one of four colours, so the answer to every translation is known: the same image in the other colour.
With --attributes it is red or blue, and framed or not: two attributes in place of four classes. The judge is a small
network that was trained on the looks of images that nobody else sees. Prints the share of translations of held-out
images that it names right, the mean error of a pixel (black and white differ by 1) of translations, of the way there
and back, and of leaving images as they are; writes docs/sheets/domains/RECIPE.png (or RECIPE-attributes.png): an image,
and what becomes of it for each look. With further settings it is a trial: the line is not kept, and the sheet lies
beside the run.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.lines import RESULTS, append
from benchmarks.playing import play
from benchmarks.sheets import SHEETS
from zerosum.data import open_data, to_images
from zerosum.runs.storage.run import Run
from zerosum.runs.view import pictures

COLOURS = {"red": (1.0, 0.25, 0.2), "green": (0.2, 0.9, 0.3), "blue": (0.25, 0.45, 1.0), "yellow": (1.0, 0.85, 0.15)}
LOOKS, FRAME = 4, 2  # the frame is so many pixels wide
SIDE, JUDGED, SHOWN = 32, 10_000, 10  # of the 60,000 images that train, so many teach the judge
Looking = Callable[[Tensor, Tensor], Tensor]  # images [N, 1, H, W] from 0 to 1 in looks [N], as [N, 3, H, W]


def coloured(grey: Tensor, colour: Tensor) -> Tensor:
    """Images [N, 1, H, W] from 0 to 1 in a colour each, [N], as [N, 3, H, W] from 0 to 1."""
    return grey * torch.tensor(list(COLOURS.values()))[colour][:, :, None, None]


def dressed(grey: Tensor, look: Tensor) -> Tensor:
    """The same red or blue, and framed or not."""
    image, inner = coloured(grey, 2 - look % 2 * 2), (slice(FRAME, -FRAME),) * 2
    framed = torch.ones_like(image)
    framed[..., inner[0], inner[1]] = image[..., inner[0], inner[1]]
    return torch.where(look[:, None, None, None] >= 2, framed, image)


def labels_of(look: Tensor, attributes: bool) -> Tensor:
    """What a translator is told of looks [N]: their numbers, or `red` and `framed` [N, 2]."""
    return torch.stack([look % 2, look // 2], 1).float() if attributes else look


def garments() -> tuple[Tensor, Tensor, Tensor]:
    """Images that train, teach the judge, and are held out, [N, 1, SIDE, SIDE] from 0 to 1."""
    data = open_data("fashion-mnist", data_root=os.environ["ZEROSUM_DATA"])
    values = torch.from_numpy(np.ascontiguousarray(data.values)).permute(0, 3, 1, 2).float() / 255
    images = F.pad(values, ((SIDE - values.shape[-1]) // 2,) * 4)
    return images[data.train[:-JUDGED]], images[data.train[-JUDGED:]], images[data.held_out]


def judge(images: Tensor, looking: Looking) -> nn.Module:
    """A network that names the look of images [N, 3, H, W] from 0 to 1, after one pass over these."""
    network = nn.Sequential(
        *(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(32 * (SIDE // 4) ** 2, LOOKS)),
    )
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for batch in images.split(50):
        look = torch.randint(LOOKS, (len(batch),))
        optimizer.zero_grad()
        F.cross_entropy(network(looking(batch, look)), look).backward()
        optimizer.step()
    return network.eval()


def main() -> None:
    """Train, or go on; judge; draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="stargan-small")
    parser.add_argument("--images", default="300k")
    parser.add_argument("--out", type=Path, default=Path("runs/domains"))
    parser.add_argument("--attributes", action="store_true")
    parser.add_argument("settings", nargs="*")
    options = parser.parse_args()
    torch.manual_seed(0)
    train, taught, held_out = garments()
    looking, name = (dressed, "attributes") if options.attributes else (coloured, "colours")
    called = f"{options.recipe}-attributes" if options.attributes else options.recipe
    file, path = options.out / f"{name}.npz", options.out / "-".join([called, *options.settings])
    if not file.exists():
        options.out.mkdir(parents=True, exist_ok=True)
        look = torch.arange(len(train)) % LOOKS
        pixels = looking(train, look).mul(255).round().to(torch.uint8).permute(0, 2, 3, 1)
        labels, names = labels_of(look, options.attributes).long(), ["red", "framed"]
        names = names if options.attributes else list(COLOURS)
        np.savez(file, images=pixels.numpy(), labels=labels.numpy(), classes=np.array(names))
    rare = ["evaluator.metrics=sliced-wasserstein", "evaluation=never", "samples=20k", "checkpoint=20k", "keep=1"]
    rare += ["data.attributes=all"] if options.attributes else []
    run = play(file, options.recipe, [*rare, *options.settings], options.images, path)
    if run.finished:
        line, sheet = compare(run, judge(taught, looking), held_out[:2_000], looking)
        line = {"recipe": options.recipe, "labels": name, **line}
        print(line if options.settings else append(RESULTS / "domains.jsonl", line))
        place = path / "domains.png" if options.settings else SHEETS / "domains" / f"{called}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        pictures.save(place, sheet)


@torch.no_grad()
def compare(run: Run, network: nn.Module, grey: Tensor, looking: Looking) -> tuple[dict[str, Any], np.ndarray]:
    """What was reached on grey images [N, 1, SIDE, SIDE], and a picture of the first ones."""
    trained, attributes = run.model, looking is dressed
    own = torch.arange(len(grey)) % LOOKS
    wanted = (own + 1 + torch.arange(len(grey)) // LOOKS % (LOOKS - 1)) % LOOKS  # never the own
    x, answer = looking(grey, own) * 2 - 1, looking(grey, wanted) * 2 - 1
    made = trained.translate(x, label=labels_of(wanted, attributes))
    back = trained.translate(made, label=labels_of(own, attributes))
    error = {"error": made - answer, "unchanged": x - answer, "back": back - x}
    line: dict[str, Any] = {"images": trained.images, "pictures": len(grey)}
    line |= {name: round(float(part.abs().mean()) / 2, 4) for name, part in error.items()}
    line["right"] = round(float((network((made + 1) / 2).argmax(1) == wanted).float().mean()), 4)
    line["right_real"] = round(float((network((x + 1) / 2).argmax(1) == own).float().mean()), 4)
    line["seconds"] = round(run.metrics[-1]["seconds"])
    shown = x[:SHOWN]
    looks = [labels_of(torch.full((SHOWN,), look), attributes) for look in range(LOOKS)]
    rows = [shown, *(trained.translate(shown, label=look) for look in looks)]
    return line, pictures.sheet(to_images(torch.cat(rows)), SHOWN)


if __name__ == "__main__":
    main()
