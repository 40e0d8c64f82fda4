"""Images per second of pix2pix and CycleGAN at 128 pixels, beside the same steps as another repository plays them.

    python -m benchmarks.translation_speed [--games pix2pix,cyclegan] [--rounds 6] [--seconds 6] [--channels 64]

auto, fp32: whole trainings of ours, in what `precision=auto` chooses and in fp32
plain:      the step of pytorch-CycleGAN-and-pix2pix in fp32 (`translation_steps.py`), with networks of the same recipe

Networks have their published widths unless other channels are asked for, and CycleGAN's translators six blocks, as
published for 128 pixels. Contenders take turns; a ratio is the median over the rounds. Images are random. The machine
should be idle. With the defaults it takes about five minutes; each result is a line of
benchmarks/results/translation_speed.jsonl, but for other sizes and shorter races, which are tries.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.lines import RESULTS, append
from benchmarks.speed import arrays, choose, ours, race, ratio
from benchmarks.translation_steps import cyclegan, pix2pix
from zerosum.core.signals import build
from zerosum.data import Dataset
from zerosum.recipes import Recipe, read_recipe

COUNT, SIDE, CHANNELS, ROUNDS, SECONDS = 64, 128, 64, 6, 6.0
PLAIN: dict[str, tuple[Any, str]] = {"pix2pix": (pix2pix, "distance"), "cyclegan": (cyclegan, "cycle")}
PLAYERS = {"pix2pix": ("generator", "discriminator"), "cyclegan": ("generators", "discriminators")}


def main(arguments: list[str] | None = None) -> None:
    """Race and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", default=",".join(PLAIN))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--channels", type=int, default=CHANNELS)
    parser.add_argument("--side", type=int, default=SIDE)
    options = parser.parse_args(arguments)
    torch.manual_seed(0)
    for game in options.games.split(","):
        line = measured(game, options.side, options.channels, options.rounds, options.seconds)
        whole = (options.side, options.channels) == (SIDE, CHANNELS) and options.rounds >= ROUNDS
        print(append(RESULTS / "translation_speed.jsonl", line) if whole else line, flush=True)


def measured(game: str, side: int, channels: int, rounds: int, seconds: float) -> dict[str, Any]:
    """Race our training against the plain loop; images per second of each, and ratios."""
    words = [f"{player}.channels={channels}" for player in PLAYERS[game]]
    words += ["generators.blocks=6"] if game == "cyclegan" else []
    recipe, dataset = read_recipe(game, words), dataset_of(game, side)
    loop, weight = PLAIN[game]
    with tempfile.TemporaryDirectory() as folder:
        chosen = choose(game, dataset, words)[0].precision
        contenders = {one: ours(game, dataset, Path(folder), one, words) for one in dict.fromkeys((chosen, "fp32"))} | {
            "plain": loop(networks_of(recipe, dataset), sides_of(dataset), getattr(recipe.game, weight))
        }
        rates = race(contenders, rounds, seconds)
    spread = [a / b for a, b in zip(rates[chosen], rates["plain"], strict=True)]
    return {
        "game": game,
        "words": words,
        "side": side,
        "auto": chosen,
        "images_per_second": {name: round(statistics.median(seen), 3) for name, seen in rates.items()},
        "ratio": round(ratio(rates, chosen, "plain"), 3),
        "ratio_from": round(min(spread), 3),
        "ratio_to": round(max(spread), 3),
        "ratio_in_fp32": round(ratio(rates, "fp32", "plain"), 3),
    }


def dataset_of(game: str, side: int) -> Dataset:
    """Random images as pairs, or as two sets."""
    dataset = arrays((COUNT, side, side, 3))
    if game == "pix2pix":
        return replace(dataset, inputs=np.ascontiguousarray(dataset.values[::-1]))
    return replace(dataset, domains=("a", "b"), domain=np.arange(COUNT) % 2)


def sides_of(dataset: Dataset) -> tuple[Tensor, Tensor]:
    """Both sides of a data set as tensors [N, C, H, W] in [-1, 1]."""
    first, second = (
        torch.from_numpy(np.ascontiguousarray(one.values[one.train])).permute(0, 3, 1, 2).contiguous()
        for one in dataset.sets.values()
    )
    return first.float().div(127.5).sub(1), second.float().div(127.5).sub(1)


def networks_of(recipe: Recipe, dataset: Dataset) -> dict[str, nn.Module]:
    """The networks of a recipe, as an engine builds them, in the usual layout."""
    players, networks = recipe.game.players(), {}
    for name, wiring in recipe.game.networks(dataset.signals).items():
        player = players[wiring.players[0]]
        networks[name] = build(player.network, wiring)
        player.initialization.apply(networks[name])
    return networks


if __name__ == "__main__":
    main()
