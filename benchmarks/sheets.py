"""Contact sheets: every image recipe at a size for a CPU, trained on MNIST and Fashion-MNIST.

    ZEROSUM_DATA=... python -m benchmarks.sheets [--recipes dcgan,sngan-small] [--data mnist,fashion-mnist]
                                                 [--images 300k] [--out runs/sheets] [--pictures]

A training that was interrupted continues, one that is finished is not repeated. Each writes a line to
benchmarks/results/sheets.jsonl, with its command, and docs/sheets/DATA/RECIPE.png: samples of the averaged
generator from fixed latents; where the recipe knows classes, a column is a class. One that stops with an error writes
the error in the same place, and the next one begins.
`--pictures` only draws those of finished trainings again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import zerosum
from benchmarks import lines
from benchmarks.lines import append, fingerprint, read_lines
from zerosum.core import registry
from zerosum.core.clock import seeded
from zerosum.core.errors import TrainingError
from zerosum.recipes import read_recipe
from zerosum.runs.storage.run import Run
from zerosum.runs.view import pictures

ROOT = Path(__file__).resolve().parents[1]
SHEETS, RESULTS = ROOT / "docs" / "sheets", lines.RESULTS / "sheets.jsonl"
POINTS = {"mixture", "dirac", "pacgan", "unrolled", "veegan"}  # recipes for points: benchmarks/toys.py
TRANSLATORS = {
    "cyclegan",
    "cyclegan-small",
    "pix2pix",
    "pix2pix-small",
    "stargan",
    "stargan-small",
}  # have sheets of their own
ROWS, COLUMNS = 5, 10


def candidates() -> list[str]:
    """Image recipes; the small one where there is one."""
    names = list(registry.registered("recipe"))
    return [name for name in names if f"{name}-small" not in names and name not in POINTS | TRANSLATORS]


def words(name: str) -> list[str]:
    """Settings of a recipe's CPU size: DCGAN's networks with half their channels, everything else as it is."""
    game = read_recipe(name).game
    if name.endswith("-small"):
        return []
    fields = ("generator", "discriminator")
    networks = {field: getattr(getattr(game, field, None), "network", None) for field in fields}
    wide = [field for field, network in networks.items() if getattr(network, "channels", 0) == 64]
    return [f"{field}.channels=32" for field in wide]


def run_of(name: str, data: str, out: Path, images: str, seed: int = 0, others: Sequence[str] = ()) -> Run:
    """Train, continue or find a run of a recipe at its CPU size; `others` are further settings.

    Raises:
        SystemExit: its folder holds a training with settings that the recipe no longer has.
    """
    path = out / "-".join([data, name, *([str(seed)] if seed else []), *others])
    if (path / "recipe.toml").exists():
        if fingerprint(Run(path).recipe) != settings_of(name, images, others):
            raise SystemExit(f"{path} was trained with other settings than {name} has now; move it away")
        return zerosum.resume(path, quiet=True)
    every = ["evaluation=100k", "samples=100k", "checkpoint=50k", "keep=1"]
    return zerosum.train(data, name, [*words(name), *others, *every], images=images, seed=seed, out=path, quiet=True)


def settings_of(name: str, images: str, others: Sequence[str] = ()) -> str:
    """Digest of the settings of such a training: a result counts as long as its recipe is what it was."""
    return fingerprint(read_recipe(name, [*words(name), *others, f"length={images}"]))


def current(line: dict[str, Any]) -> bool:
    """True where the recipe still has the settings that a line of results was measured with."""
    return bool(line["settings"] == settings_of(line["recipe"], line["images"], line.get("words", ())))


def command(name: str, data: str, images: str, seed: int = 0, others: Sequence[str] = ()) -> str:
    """What a person types for the same training."""
    beginning = ["--seed", str(seed)] if seed else []
    return " ".join(["zerosum train", data, "--recipe", name, "--images", images, *beginning, *words(name), *others])


def block(run: Run) -> np.ndarray:
    """Samples of a run as one picture: ROWS x COLUMNS, a class in each column where there are classes."""
    generator = run.model
    with seeded(0, "sheet"):
        latent = run.recipe.game.latent(ROWS * COLUMNS, "cpu")
    label = torch.arange(ROWS * COLUMNS) % COLUMNS if generator.conditional else None
    return pictures.picture(generator.decode(latent, label), COLUMNS)


def draw(name: str, data: str, out: Path) -> None:
    """The sheet of a recipe on a data set, from its run, if that is finished."""
    path = out / f"{data}-{name}"
    if (path / "model.safetensors").exists():
        picture = SHEETS / data / f"{name}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        pictures.save(picture, block(Run(path)))


def measured(run: Run) -> dict[str, Any]:
    """What a finished run says of itself."""
    last = run.evaluations[-1]
    return {
        last["metric"]: round(last["value"], 4),
        "images_per_second": round(float(np.median([one["images_per_second"] for one in run.metrics])), 1),
        "seconds": round(run.metrics[-1]["seconds"]),
        "seed": run.recipe.seed,
    }


def note(name: str, data: str, images: str, found: dict[str, Any]) -> None:
    """Write a line of results."""
    line = {
        "recipe": name,
        "data": data,
        "images": images,
        "settings": settings_of(name, images),
        "command": command(name, data, images),
        **found,
    }
    print(append(RESULTS, line), flush=True)


def main() -> None:
    """Train what is missing, draw what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", default=",".join(candidates()))
    parser.add_argument("--data", default="mnist,fashion-mnist")
    parser.add_argument("--images", default="300k")
    parser.add_argument("--out", type=Path, default=Path("runs/sheets"))
    parser.add_argument("--pictures", action="store_true")
    options = parser.parse_args()
    data = options.data.split(",")
    done = {(line["recipe"], line["data"], line["settings"]) for line in read_lines(RESULTS)}
    for one in data:
        for name in options.recipes.split(","):
            if not options.pictures and (name, one, settings_of(name, options.images)) not in done:
                try:
                    run = run_of(name, one, options.out, options.images)
                except TrainingError as error:
                    note(name, one, options.images, {"error": str(error)})
                    continue
                if not run.finished:
                    return  # Ctrl-C: the next call goes on here
                note(name, one, options.images, measured(run))
            draw(name, one, options.out)


if __name__ == "__main__":
    main()
