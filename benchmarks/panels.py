"""Pictures of methods that no contact sheet of images shows: points they find, changes they make, paths they take.

    python -m benchmarks.panels [--only pacgan-4,dirac]

augmentation  a picture, and under each augmentation's name ten ways in which it comes back
dirac         the two numbers of the Dirac-GAN in their plane, from where they begin
NAME          a method of toys.py on each mixture where it plays: 2,500 samples at the end, seed 0

Each is written to docs/panels at once. All of them take a CPU about twenty minutes, the look-ahead half of it.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from benchmarks import toys
from zerosum.core import registry, settings
from zerosum.core.clock import seeded
from zerosum.core.engine import Engine
from zerosum.data import Feed, open_data
from zerosum.data.mixtures import MIXTURES
from zerosum.recipes import read_recipe
from zerosum.runs.view import pictures

PANELS = Path(__file__).resolve().parents[1] / "docs" / "panels"
SIDE, EDGE = 256, 160  # pixels of a panel, grey of its frame
METHODS = ("hinge", "smoothing", "top-k", "pacgan-4", "veegan", "non-saturating-r1", "relativistic-r1-r2", "unrolled-5")
AUGMENTATIONS = (
    "flip", "shift:pixels=12", "shift:pixels=12,border=reflect", "crop:least=0.5", "rotation", "scale", "diffaugment",
    "ada:control=fixed,p=0.2", "ada:control=fixed,p=0.8",
)  # fmt: skip
PATHS = {
    "none": "regularizers=none",
    "none, non-saturating": "regularizers=none objective=non-saturating",
    "r1, gamma 0.3": "regularizers=r1:gamma=0.3",
    "r1, gamma 1": "regularizers=r1:gamma=1",
    "wasserstein, clipped": "regularizers=none objective=wasserstein discriminator.rules=clip:limit=1",
    "wasserstein, gradient penalty": "objective=wasserstein regularizers=gradient-penalty:weight=0.5",
}
TURNS, REACH = 400, 2.0  # of a path; half the side of its plane


def framed(panel: np.ndarray) -> np.ndarray:
    """A panel [H, W, C] with a grey line around it."""
    return np.pad(panel, ((1, 1), (1, 1), (0, 0)), constant_values=EDGE)


def row(panels: list[np.ndarray], columns: int) -> np.ndarray:
    """Panels [H, W, C] side by side."""
    return pictures.grid(np.stack([framed(panel) for panel in panels]), columns, pad=4, tile=1)


# ---------------------------------------------------------------------- points


def points(method: str) -> np.ndarray:
    """What a method finds on each of its toys, after the mixture itself: two rows."""
    torch.set_num_threads(1)
    names = toys.METHODS[method].toys
    wanted = [torch.from_numpy(MIXTURES[toys.TOYS[name].data].sample(0, toys.COUNT)) for name in names]
    ends = [list(toys.moments(toys.TOYS[name], toys.recipe(name, method), seed=0))[-1][0] for name in names]
    samples = [*wanted, *(toys.points(engine) for engine in ends)]
    return row([pictures.scatter(one.numpy(), SIDE) for one in samples], len(names))


# ---------------------------------------------------------------------- changes


def image() -> Tensor:
    """A handwritten four in two colours that no change leaves as it is, [1, 3, 64, 64]."""
    digit = Image.fromarray(open_data("digits").values[100, ..., 0]).resize((64, 64), Image.Resampling.BICUBIC)
    ink = np.asarray(digit, dtype=np.float32)[..., None] / 255
    rise = np.linspace(0, 1, 64, dtype=np.float32)[:, None, None]
    ground = np.array([0.1, 0.3, 0.5], np.float32) + rise * np.array([0.1, 0.3, 0.2], np.float32)
    mixed = ink * np.array([1.0, 0.7, 0.2], np.float32) + (1 - ink) * ground
    return torch.from_numpy(2 * mixed - 1).permute(2, 0, 1)[None]


def augmentation() -> np.ndarray:
    """The picture itself and what augmentations make of it, a row for each."""
    rows = [image().expand(10, -1, -1, -1)]
    for words in AUGMENTATIONS:
        part = registry.parse("augmentation", words)
        with seeded(0, words):
            rows.append(part(rows[0], *([part.memory()] if hasattr(part, "memory") else [])))
    return pictures.picture(torch.cat(rows), columns=10)


# ---------------------------------------------------------------------- paths


def path(words: str) -> Iterator[tuple[float, float]]:
    """(theta, psi) of the Dirac-GAN at the start and after every turn."""
    made, data = settings.assign(read_recipe("dirac"), words.split()), open_data("dirac")
    engine = Engine(made.game, data.signals, seed=0, total=TURNS)
    feed = Feed(data, made.batch, seed=0)
    for turn in range(TURNS + 1):
        if turn:
            engine.turn(feed)
        yield engine.network("generator").theta.item(), engine.network("discriminator").psi.item()


def plane(found: list[tuple[float, float]]) -> np.ndarray:
    """A path in the plane of theta (right) and psi (up), darker where it is later; a ring around its end."""
    sheet = Image.new("L", (SIDE, SIDE), 255)
    pen = ImageDraw.Draw(sheet)
    pen.line([(0, SIDE / 2), (SIDE, SIDE / 2)], EDGE)
    pen.line([(SIDE / 2, 0), (SIDE / 2, SIDE)], EDGE)
    places = [(SIDE / 2 * (1 + x / REACH), SIDE / 2 * (1 - y / REACH)) for x, y in found]
    for turn, (start, end) in enumerate(itertools.pairwise(places)):
        pen.line([start, end], round(180 * (1 - turn / len(places))), 2)
    x, y = places[-1]
    pen.ellipse([x - 4, y - 4, x + 4, y + 4], outline=0, width=2)
    return np.asarray(sheet)[..., None]


def dirac() -> np.ndarray:
    """Paths of the Dirac-GAN, three in a row."""
    return row([plane(list(path(words))) for words in PATHS.values()], 3)


# ---------------------------------------------------------------------- all of them


def draw(name: str) -> np.ndarray:
    """The picture of a name."""
    return {"augmentation": augmentation, "dirac": dirac}.get(name, lambda: points(name))()


def main() -> None:
    """Draw what is asked for."""
    everything = ("augmentation", "dirac", *METHODS)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(everything), help=f"of {', '.join(everything)}")
    for name in parser.parse_args().only.split(","):
        if name not in everything:
            raise SystemExit(f"there is no picture {name!r}; there are {', '.join(everything)}")
        pictures.save(PANELS / f"{name}.png", draw(name))
        print(name, flush=True)


if __name__ == "__main__":
    main()
