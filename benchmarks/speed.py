"""Images per second of zerosum: in what it chooses beside the best it could choose, and beside three other loops.

    python -m benchmarks.speed [--rounds 8] [--seconds 2] [--recipes NAME,NAME] [--only auto|loops]

auto:         what `precision=auto` chooses for each recipe, by its own measurement in an empty cache, and how long that
              took; then whole trainings in fp32 and bf16, and the share of the better one that the choice reaches
(a) tutorial: the MLP GAN of a well-known tutorial as it stands: DataLoader, per-image transforms, BCE, plain Adam
(b) plain:    a DCGAN at 32 px in the manner of PyTorch's example: NCHW, fp32, `.item()` per loss
(c) by hand:  our own arithmetic in a straight line, without recipe, engine or run, for MLP and DCGAN-32

Contenders take turns, so that a change of the machine's speed meets all of them; a ratio is the median over the
rounds. The machine should be idle. MNIST is taken from $ZEROSUM_DATA where it is; random images of the same size are as
good for timing. With the defaults it takes less than ten minutes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.speed_loops import by_hand, plain_dcgan, tutorial
from zerosum.core.errors import DataError
from zerosum.core.values import Length
from zerosum.data import Dataset, Feed, open_data
from zerosum.networks import DCGANDiscriminator, DCGANGenerator, MLPDiscriminator, MLPGenerator, Normal
from zerosum.networks.space import Space
from zerosum.recipes import read_recipe
from zerosum.runs.storage.directory import RunDirectory
from zerosum.runs.storage.environment import describe
from zerosum.runs.training.plan import candidates, rehearse
from zerosum.runs.training.progress import Display
from zerosum.runs.training.rehearsal import Measured
from zerosum.runs.training.training import Training

CPU = torch.device("cpu")
RECIPES = ("mlp", "dcgan", "wgan-gp-small", "mnist-speedrun", "sngan-small", "r3gan-small", "stylegan2-ada-small")
Rates = dict[str, list[float]]  # images per second of contenders, by round


def mnist() -> Dataset:
    """MNIST, or random images of its size."""
    try:
        return open_data("mnist")
    except DataError:
        return arrays((60_000, 28, 28, 1), classes=10)


def arrays(shape: tuple[int, ...], classes: int = 0) -> Dataset:
    """Random images in memory."""
    values = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    everything, labels = np.arange(len(values)), np.arange(len(values)) % classes if classes else None
    return Dataset("random", values, labels, tuple(map(str, range(classes))), everything, everything[:0], "0" * 64)


# ---------------------------------------------------------------------- zerosum itself


def ours(name: str, dataset: Dataset, folder: Path, precision: str, words: Sequence[str] = ()) -> Iterator[int]:
    """A whole training of ours, turn by turn, with everything that is due after each."""
    seldom = ["samples=never", "evaluation=never", "checkpoint=never", "autosave=never", "report=5000"]
    recipe = read_recipe(name, [*seldom, *words])
    recipe = recipe.replace(length=Length(10**12), precision=precision)
    environment = describe(torch.device("cpu"), precision) | {"data": {}}
    run = RunDirectory.create(folder / f"{name}-{precision}", recipe, environment, [])
    training = Training(run, recipe, dataset, environment, Display(quiet=True))
    before = training.now
    while True:
        training.engine.turn(training.feed)
        now = training.now
        training.after(before, now)
        yield now.images - before.images
        before = now


# ---------------------------------------------------------------------- timing


def race(contenders: dict[str, Iterator[int]], rounds: int, seconds: float) -> Rates:
    """Images per second of each contender in each round; the first round only warms up."""
    rates: Rates = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, steps in contenders.items():
            images, began = 0, time.perf_counter()
            while time.perf_counter() - began < (seconds if number else min(seconds, 1.0)):
                images += next(steps)
            if number:
                rates[name].append(images / (time.perf_counter() - began))
    return rates


def ratio(rates: Rates, fast: str, slow: str) -> float:
    """Median over the rounds of the ratio of two contenders."""
    return statistics.median(a / b for a, b in zip(rates[fast], rates[slow], strict=True))


def matmul_peak(dtype: torch.dtype, size: int = 2048) -> float:
    """Best measured matrix product in GFLOP/s."""
    a, b = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    best = float("inf")
    for _ in range(8):
        began = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best / 1e9


def flops(step: Iterator[int]) -> float:
    """GFLOP that one image costs, counted by PyTorch over one step."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        images = next(step)
    return counter.get_total_flops() / images / 1e9


# ---------------------------------------------------------------------- what is printed


def choose(name: str, dataset: Dataset, words: Sequence[str] = ()) -> tuple[Measured, float]:
    """What auto chooses where nothing is remembered, and the seconds that it took."""
    recipe = read_recipe(name, [*words])
    feed = Feed(dataset, recipe.batch)
    with tempfile.TemporaryDirectory() as cache:
        before = os.environ.get("ZEROSUM_CACHE")
        os.environ["ZEROSUM_CACHE"] = cache
        try:
            began = time.perf_counter()
            measured = rehearse(recipe, dataset.signals, feed, 10**9, print)
            return measured, time.perf_counter() - began
        finally:
            os.environ.pop("ZEROSUM_CACHE") if before is None else os.environ.update(ZEROSUM_CACHE=before)


def show_auto(names: list[str], digits: Dataset, photos: Dataset, folder: Path, rounds: int, seconds: float) -> None:
    """Print for each recipe what auto takes, and its share of the better of fp32 and bf16."""
    shares = []
    for name in names:
        dataset = digits if name in ("mlp", "mnist-speedrun") else photos
        measured, took = choose(name, dataset)
        recipe = read_recipe(name)
        among = candidates(recipe, dataset.signals, CPU)
        rates = race({one: ours(name, dataset, folder / "auto", one) for one in among}, rounds, seconds)
        best = max(rates, key=lambda one: statistics.median(rates[one]))
        shares.append(ratio(rates, measured.precision, best))
        speeds = ", ".join(f"{one} {statistics.median(seen):,.0f}" for one, seen in rates.items())
        print(
            f"auto {name:<22}{measured}; took {took:.1f} s; images/s {speeds} "
            f"(expected {1 / measured.seconds_per_image:,.0f}): {shares[-1]:.3f} of the best",
            flush=True,
        )
    print(f"auto is within {1 - min(shares):.1%} of the best of fp32 and bf16 for all {len(names)} recipes")


def show_loops(digits: Dataset, photos: Dataset, folder: Path, rounds: int, seconds: float) -> None:
    """Print our speed beside three other loops, and its share of the best matrix product."""
    space, flat = Space((3, 32, 32), 100), Space((1, 28, 28), 100)
    dcgan = DCGANGenerator().build(*space.ports), DCGANDiscriminator().build(*space.ports)
    for network in dcgan:
        Normal(0.02).apply(network)
    mlp = MLPGenerator().build(*flat.ports), MLPDiscriminator().build(*flat.ports)
    chosen = {name: choose(name, data)[0].precision for name, data in (("mlp", digits), ("dcgan", photos))}
    in_bf16 = {name: one == "bf16" for name, one in chosen.items()}
    shared = read_recipe("mlp").game.fresh_fakes is False
    rates = race(
        {
            "mlp": ours("mlp", digits, folder, chosen["mlp"]),
            "mlp tutorial (a)": tutorial(np.asarray(digits.values[..., 0])[digits.train]),
            "mlp by hand (c)": by_hand(digits, mlp, 128, 0.9, shared, in_bf16["mlp"]),
        },
        rounds,
        seconds,
    )
    rates |= race(
        {
            "dcgan-32": ours("dcgan", photos, folder, chosen["dcgan"]),
            "dcgan-32 plain (b)": plain_dcgan(photos.values),
            "dcgan-32 by hand (c)": by_hand(photos, dcgan, 64, 0.5, True, in_bf16["dcgan"]),
        },
        rounds,
        seconds,
    )
    for name, values in rates.items():
        print(f"{name:<22}{statistics.median(values):9,.0f} images/s  (from {min(values):,.0f} to {max(values):,.0f})")
    print(f"(a) mlp in {chosen['mlp']} against the tutorial's loop    {ratio(rates, 'mlp', 'mlp tutorial (a)'):.2f} x")
    times = ratio(rates, "dcgan-32", "dcgan-32 plain (b)")
    print(f"(b) dcgan-32 in {chosen['dcgan']} against a plain loop      {times:.2f} x")
    for name in ("mlp", "dcgan-32"):
        overhead = 100 * (ratio(rates, f"{name} by hand (c)", name) - 1)
        print(f"(c) overhead against by hand, {name:<10} {overhead:+.1f} %")
    show_shares({"mlp": (rates["mlp"], "mlp", digits), "dcgan-32": (rates["dcgan-32"], "lsgan", photos)}, folder)


def show_shares(trainings: dict[str, tuple[list[float], str, Dataset]], folder: Path) -> None:
    """Print GFLOP/s of trainings as shares of the better matrix product; the recipe is one of the same networks."""
    peaks = {name: matmul_peak(dtype) for name, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32))}
    better = max(peaks, key=lambda one: peaks[one])
    shown = ", ".join(f"{name} {peak:,.0f}" for name, peak in peaks.items())
    print(f"measured matmul peaks: {shown} GFLOP/s; the better one is {better}")
    for name, (rates, recipe, dataset) in trainings.items():
        work = flops(ours(recipe, dataset, folder / "flops", "fp32")) * statistics.median(rates)
        print(f"{name} does {work:,.0f} GFLOP/s: {work / peaks[better]:.0%} of the better peak")


def main(arguments: list[str] | None = None) -> None:
    """Race and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--recipes", default=",".join(RECIPES))
    parser.add_argument("--only", choices=("auto", "loops"))
    options = parser.parse_args(arguments)
    torch.manual_seed(0)
    digits, photos = mnist(), arrays((8192, 32, 32, 3))
    facts = describe(CPU, "")
    print(f"{facts['processor']}, {facts['threads']} threads, torch {facts['torch']}, data {digits.name}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        if options.only != "loops":
            names = options.recipes.split(",")
            show_auto(names, digits, photos, Path(folder), options.rounds, options.seconds)
        if options.only != "auto":
            show_loops(digits, photos, Path(folder), options.rounds, options.seconds)


if __name__ == "__main__":
    main()
