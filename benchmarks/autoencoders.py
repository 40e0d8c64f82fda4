"""Auto-encoders with a discriminator beside a VAE of the same encoder, decoder and latents: distance of their samples.

    ZEROSUM_DATA=... python -m benchmarks.autoencoders [--images 60k] [--seeds 3] [--recipes aae-small vae-gan-small]
                                                       [--out runs/autoencoders] [field=value ...]

Each recipe trains on MNIST, and so does a VAE that has its encoder, decoder, size of latents and batch, by the settings
of the recipe `vae`. What counts is the Fréchet distance of 10,000 samples of the prior from as many held-out digits, by
the features of `mnist-cnn`. A training that was interrupted continues; one that is finished is not repeated. Each adds
a line to benchmarks/results/autoencoders.jsonl with its command. `field=value` changes the recipes, not the VAEs beyond
what they share.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import zerosum
from benchmarks.lines import RESULTS, append, fingerprint, read_lines
from zerosum.recipes import Recipe, read_recipe
from zerosum.runs.evaluation.evaluate import evaluate

RECIPES = ("aae-small", "vae-gan-small")
COUNT = 10_000  # samples, and held-out digits
LINES = RESULTS / "autoencoders.jsonl"


def beside(recipe: Recipe) -> list[str]:
    """Settings of the VAE that has a recipe's encoder, decoder, latents and batch."""
    players = recipe.game.players()
    encoder, decoder = players["encoder"].network, players.get("decoder", players["generator"]).network
    networks = [f"encoder.network={encoder}", f"decoder.network={decoder}"]
    return [f"batch={recipe.batch}", f"latent.size={recipe.game.latent.size}", *networks]


def trainings(recipes: Sequence[str], words: Sequence[str]) -> dict[str, tuple[str, list[str]]]:
    """Recipe and settings of each training, by what the table calls it."""
    found: dict[str, tuple[str, list[str]]] = {}
    for name in recipes:
        found[name] = name, list(words)
        found[f"VAE of {name}'s networks"] = "vae", beside(read_recipe(name, list(words)))
    return found


def measured(name: str, recipe: str, words: list[str], images: str, seed: int, out: Path) -> dict[str, Any] | None:
    """The line of a training, which goes on where it is not finished; None: it was stopped by Ctrl-C."""
    settings = fingerprint(read_recipe(recipe, [*words, f"length={images}"]))
    key = {"model": name, "images": images, "seed": seed, "settings": settings}
    for line in read_lines(LINES):
        if key.items() <= line.items():
            return line
    path = out / f"{settings}-{seed}"
    if path.exists():
        run = zerosum.resume(path, quiet=True)
    else:
        every = ["evaluation=never", "samples=never", "checkpoint=20k", "keep=1"]
        run = zerosum.train("mnist", recipe, [*words, *every], images=images, seed=seed, out=path, quiet=True)
    if not run.finished:
        return None
    [result] = evaluate(path / "model.safetensors", metrics="fd", count=COUNT, split="held-out")
    beginning = ["--images", images, *(["--seed", str(seed)] if seed else [])]
    command = shlex.join(["zerosum", "train", "mnist", "--recipe", recipe, *words, *beginning])
    line = {**key, "fd": round(result.value, 3), "floor": round(result.floor or 0, 3), "command": command}
    return append(LINES, {**line, "seconds": round(run.metrics[-1]["seconds"])})


def main() -> None:
    """Train what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="settings of the recipes")
    parser.add_argument("--recipes", nargs="+", default=[*RECIPES])
    parser.add_argument("--images", default="60k")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/autoencoders"))
    options = parser.parse_args()
    print(f"{'FD after ' + options.images + ' images':<36}{'mean':>8}   each seed", flush=True)
    for name, (recipe, words) in trainings(options.recipes, options.words).items():
        values = []
        for seed in range(options.seeds):
            line = measured(name, recipe, words, options.images, seed, options.out)
            if line is None:
                return  # Ctrl-C: the next call goes on here
            values.append(line["fd"])
        print(f"{name:<36}{mean(values):>8.2f}   {'  '.join(f'{value:.2f}' for value in values)}", flush=True)


if __name__ == "__main__":
    main()
