"""What the health monitor finds in trainings that must fail, and in healthy ones, where it may find nothing.

    python -m benchmarks.health [--cases dcgan/lr,healthy] [--out runs/health] [--table]

Every case is trained on the digits that ship with scikit-learn, one after the other in one thread; `doctor` then reads
the files of the run. Each writes a line to benchmarks/results/health.jsonl: what had to be found, what was found, and
the extremes of every number that a limit is about, so that limits can be held against both groups. A case that has
such a line for the settings it has here is not trained again; `--table` trains nothing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import zerosum
from benchmarks import lines
from benchmarks.lines import append, fingerprint, read_lines
from zerosum.core import settings
from zerosum.core.engine import Engine
from zerosum.core.errors import TrainingError
from zerosum.data import open_data
from zerosum.recipes import read_recipe
from zerosum.runs import health

RESULTS = lines.RESULTS / "health.jsonl"
WATCHED = (
    "pairwise_accuracy", "duplicates", "copying", "overfitting", "generator_step", "discriminator_step",
    "generator_gradient",
)  # fmt: skip
STRONG = "generator.lr=2e-2", "discriminator.lr=2e-2"
BALANCED = "report=5k", "regularizers=none", "discriminator.power=1", "discriminator.hidden=16", "gamma=0.7", "batch=16"
FAILING = (
    "dcgan", "mlp", "wgan-gp", "rpgan", "lsgan", "wgan-small", "wgan-gp-small", "cgan", "acgan", "infogan", "ebgan",
    "began-small", "sngan-small", "mnist-speedrun",
)  # fmt: skip
SHORT = ("lsgan", "wgan-gp-small", "rpgan", "acgan", "mnist-speedrun", "wgan-small")  # what learns in so few images


@dataclass(frozen=True)
class Case:
    """A training, and the finding that it must lead to; "" for none at all."""

    name: str
    recipe: str
    must: str
    images: str = "40k"
    words: tuple[str, ...] = ()
    seed: int = 0
    data: str = "digits"  # or "one", "fifty"
    nan_at: int = 0  # images at which a weight becomes NaN


def failures(recipe: str, seed: int) -> list[Case]:
    """The six deliberate failures of a recipe; the seed decides when the NaN comes."""
    game: Any = read_recipe(recipe).game
    lr = tuple(f"{name}.lr={100 * getattr(game, name).optimizer.lr:g}" for name in ("generator", "discriminator"))
    moment = int(np.random.default_rng(seed).integers(5_000, 20_000))
    return [
        Case(f"{recipe}/lr", recipe, "learning-rate-too-high", "20k", lr),
        Case(f"{recipe}/off", recipe, "discriminator-loses", "20k", ("discriminator.lr=1e-12",)),
        Case(f"{recipe}/frozen", recipe, "generator-frozen", "20k", ("generator.lr=1e-12",)),
        Case(f"{recipe}/one", recipe, "one-image-repeated", "20k", data="one"),
        Case(f"{recipe}/fifty", recipe, "few-images", "20k", data="fifty"),
        Case(f"{recipe}/nan", recipe, "not-finite", "20k", nan_at=moment),
    ]


CASES = [
    *(case for seed, recipe in enumerate(FAILING) for case in failures(recipe, seed)),
    Case("mlp/collapse", "mlp", "mode-collapse", "120k"),  # two images, as its samples show
    Case("began/collapse", "began-small", "mode-collapse", "40k", BALANCED),  # k and both errors look well
    Case("infogan/narrow", "infogan", "mode-collapse", "60k"),  # a few images for each of the ten codes
    Case("dragan/strong", "dragan", "discriminator-loses", "60k"),  # its penalty of 10 outweighs digits of 8x8
    Case("dcgan/weak", "dcgan", "discriminator-loses", "30k", ("discriminator.lr=1e-6",)),
    Case("mlp/strong", "mlp", "discriminator-wins", "30k", STRONG),
    Case("mlp/saturated", "mlp", "vanishing-gradients", "30k", (*STRONG, "objective=minimax")),
    *(Case(f"healthy/dcgan-{seed}", "dcgan", "", "60k", seed=seed) for seed in range(3)),
    *(Case(f"healthy/{name}", name, "", "60k") for name in SHORT),
    *(Case(f"healthy/{name}-1", name, "", "40k", seed=1) for name in SHORT),
    Case("healthy/sngan-small", "sngan-small", "", "40k", ("report=5k",)),
    Case("healthy/r3gan-small", "r3gan-small", "", "15k", ("report=2500",)),
    Case("healthy/hinge", "rpgan", "", "40k", ("objective=hinge",)),
    Case("early/mlp", "mlp", "", "20k"),  # what may still become something: before 100k images nothing is said
    Case("early/mlp-1", "mlp", "", "60k", seed=1),
]


# ---------------------------------------------------------------------- training


def source(case: Case, out: Path) -> str:
    """The digits, or an array file of few of them with their labels."""
    if case.data == "digits":
        return case.data
    digits, path = open_data("digits"), out / f"{case.data}.npz"
    chosen = digits.train[:50] if case.data == "fifty" else digits.train[[3]].repeat(1_000)
    out.mkdir(parents=True, exist_ok=True)
    np.savez(path, images=digits.values[chosen], labels=digits.labels[chosen])
    return str(path)


@contextmanager
def injected(images: int) -> Iterator[None]:
    """Make one weight of the discriminator NaN, once, when so many images have been drawn."""
    turn, done = Engine.turn, []

    def turned(engine: Engine, feed: Any) -> None:
        if images and feed.position >= images and not done:
            done.append(feed.position)
            with torch.no_grad():
                engine.learners["discriminator"].parameters[0].view(-1)[7] = float("nan")
        turn(engine, feed)

    Engine.turn = turned  # type: ignore[method-assign]
    try:
        yield
    finally:
        Engine.turn = turn  # type: ignore[method-assign]


def play(case: Case, out: Path) -> dict[str, Any]:
    """Train a case, and let the doctor look at it."""
    path, began, error = out / case.name.replace("/", "-"), time.monotonic(), ""
    shutil.rmtree(path, ignore_errors=True)
    every = ["evaluation=20k", "checkpoint=20k", "samples=20k"]
    with injected(case.nan_at):
        try:
            zerosum.train(
                source(case, out), case.recipe, [*case.words, *every], images=case.images, seed=case.seed, out=path,
                quiet=True, threads=1,
            )  # fmt: skip
        except TrainingError as failure:
            error = str(failure)
    found = {one.name: [one.seen, one.since, one.until] for one in health.diagnose(path)}
    seconds = round(time.monotonic() - began)
    return {**key(case), "found": found, "error": error, **extremes(path), "seconds": seconds}


def key(case: Case) -> dict[str, Any]:
    """What decides the result of a case."""
    made = settings.assign(read_recipe(case.recipe), [*case.words, f"length={case.images}"])
    words = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(case).items()}
    return {**words, "settings": fingerprint(made)}


def extremes(path: Path) -> dict[str, Any]:
    """Least and largest of each watched number over the reports."""
    lines = read_lines(path / "metrics.jsonl")
    values = {name: [line[name] for line in lines if name in line] for name in WATCHED}
    return {"extremes": {name: [min(seen), max(seen)] for name, seen in values.items() if seen}}


# ---------------------------------------------------------------------- the table


def good(line: dict[str, Any]) -> bool:
    """True where what had to be found was found, or nothing where nothing may be."""
    return line["must"] in line["found"] if line["must"] else not line["found"]


def table(lines: list[dict[str, Any]]) -> str:
    """All results as Markdown."""
    rows = ["| training | images | seed | must find | found | |", "|---|---|---|---|---|---|"]
    for line in lines:
        verdict = "ok" if good(line) else "WRONG"
        found = ", ".join(line["found"]) or "-"
        rows.append(
            f"| {line['name']} | {line['images']} | {line['seed']} | {line['must'] or '-'} | {found} | {verdict} |"
        )
    return "\n".join([*rows, "", f"{sum(map(good, lines))} of {len(lines)} as they must be", "", limits(lines)])


def limits(lines: list[dict[str, Any]]) -> str:
    """Range of each watched number over the healthy trainings."""
    rows = ["| number | least | largest | (healthy trainings, all reports)", "|---|---|---|"]
    for name in WATCHED:
        seen = [line["extremes"][name] for line in lines if not line["must"] and name in line["extremes"]]
        if seen:
            rows.append(f"| {name} | {min(low for low, _ in seen):.3g} | {max(high for _, high in seen):.3g} |")
    return "\n".join(rows)


def main() -> None:
    """Train what is missing and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default="", help="beginnings of names, separated by commas; all by default")
    parser.add_argument("--out", type=Path, default=Path("runs/health"))
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    kept = {json.dumps({name: line.get(name) for name in key(CASES[0])}): line for line in read_lines(RESULTS)}
    lines = []
    for case in CASES:
        line = kept.get(json.dumps(key(case)))
        if line is None and not options.table and case.name.startswith(tuple(options.cases.split(","))):
            line = play(case, options.out)
            append(RESULTS, line)
            print(f"{case.name}: {', '.join(line['found']) or '-'}, {line['seconds']} s", file=sys.stderr, flush=True)
        lines += [line] if line is not None else []
    print(table(lines))


if __name__ == "__main__":
    main()
