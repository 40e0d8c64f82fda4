"""Whatever is put together trains, or is refused with what, why and how to mend: a long walk over combinations.

    python -m benchmarks.product [--stage body] [--limit 2000] [--shard 0/2] [--out benchmarks/results/product.jsonl]

The whole product of all axes in `tests/axes.py` has some 10^22 combinations, so this walks four parts of it:
    singles    every choice of every part, all else as plain as can be
    pairs      rows that train, with every two choices together that can be
    refusals   every cell of the matrix of what is refused (`tests/matrix.py`), choice by choice
    body       objective x generator x how it is told the class x discriminator x how it is told or tells the class
               x regularizer x augmentation, each at its default, on labelled digits: the whole product, 1.2 million
               rows and some 15 hours of one core

A row plays two turns on two logits' worth of images. It is a fault if what happens is not what the matrix says, if a
refusal does not say how to mend it, if anything else is raised, or if weights stay where they were or are not finite.
The body goes in an order that makes its first N rows a fair sample. The file gets a line for each 500 rows, and a
walk that is started again goes on behind the last of them.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.lines import append, read_lines
from tests.axes import Row
from tests.product import Product, Refusal, play

TOLD = "generator", "generator.labels", "discriminator", "discriminator.labels"
BODY = "objective", *TOLD, "regularizer", "augmentation"
LINE = 500  # rows to a line of the file

Expected = tuple[Row, bool]  # a row, and whether it should be refused


def body() -> Iterator[Expected]:
    """The whole product of the axes of the body, in a strided order."""
    trains, any_row = Product(), Product(refused=True)
    listed = [tuple(itertools.product([axis], trains.axes[axis])) for axis in BODY]
    count = math.prod(len(values) for values in listed)
    stride = next(step for step in range(int(count * 0.618), count) if math.gcd(step, count) == 1)
    for index in range(count):
        given = _combination(listed, index * stride % count) | {"data": "digits", "game": "image"}
        row = trains.complete(given)
        refused = None if row else any_row.complete(given)
        if row or refused:  # else it cannot be written down: networks without these labels, another game's networks
            yield row or refused, row is None


def _combination(listed: list[tuple[Any, ...]], index: int) -> Row:
    row = {}
    for values in listed:
        index, place = divmod(index, len(values))
        axis, row[axis] = values[place][0], values[place][1]
    return row


STAGES = {
    "singles": lambda: ((row, False) for row in Product(wide=True).singles()),
    "pairs": lambda: ((row, False) for row in Product(wide=True).pairs()),
    "refusals": lambda: ((row, True) for _, row in Product(wide=True).refusals()),
    "body": body,
}


def outcome(row: Row, refused: bool) -> tuple[str, list[str]]:
    """What happened to a row, and why."""
    try:
        outcome = play(row)
    except Exception as error:
        return "fault", [f"{type(error).__name__}: {error}"]
    if isinstance(outcome, Refusal):
        return ("refused" if refused else "fault"), list(outcome.faults)
    return ("fault", ["the matrix says that it is refused, and it trains"]) if refused else ("trained", [])


def walk(rows: Iterable[tuple[int, Expected]], stage: str, out: Path) -> None:
    """Play rows and write what happened."""
    rows = iter(rows)
    while some := list(itertools.islice(rows, LINE)):
        began, counts, reasons, faults = time.monotonic(), Counter(), Counter(), []
        for index, (row, refused) in some:
            happened, why = outcome(row, refused)
            counts[happened] += 1
            if happened == "refused":
                reasons.update(fault.partition(": ")[0] for fault in why)
            if happened == "fault":
                faults.append({"index": index, "why": why, "row": row})
                print(f"fault {stage} {index}: {why}", file=sys.stderr)
        line = {"stage": stage, "last": some[-1][0], **counts, "reasons": reasons, "faults": faults}
        append(out, line | {"seconds": round(time.monotonic() - began, 1)})


def main() -> None:
    """Walk, then say what all walks of the file found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", choices=STAGES, action="append", help="which part to walk; all where none is named")
    parser.add_argument("--limit", type=int, help="rows of each part, the first ones; all where it is not given")
    parser.add_argument("--shard", default="0/1", help="i/n: rows i, i + n, i + 2n ...; give each shard its own --out")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/product.jsonl"))
    asked = parser.parse_args()
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    first, step = map(int, asked.shard.split("/"))
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    for stage in asked.stage or STAGES:
        done = max((line["last"] for line in read_lines(asked.out) if line["stage"] == stage), default=-1)
        rows = itertools.islice(enumerate(STAGES[stage]()), first, asked.limit, step)
        walk((numbered for numbered in rows if numbered[0] > done), stage, asked.out)
    summarise(read_lines(asked.out))


def summarise(found: list[dict[str, Any]]) -> None:
    """Print counts of each part and why rows were refused."""
    reasons: Counter[str] = Counter()
    for stage in STAGES:
        of = [line for line in found if line["stage"] == stage]
        trained, refused, faults = (sum(line.get(name, 0) for line in of) for name in ("trained", "refused", "fault"))
        if of:
            seconds = sum(line["seconds"] for line in of)
            print(f"{stage}: trained {trained}, refused {refused}, faults {faults} in {seconds:.0f} s")
            reasons.update(itertools.chain.from_iterable(Counter(line["reasons"]).elements() for line in of))
    print("\nrefused because")
    for reason, times in reasons.most_common():
        print(f"{times:7} {reason}")
    for line in found:
        for fault in line["faults"]:
            print(f"\nfault {line['stage']} {fault['index']}: {fault['why']}\n    {fault['row']}")


if __name__ == "__main__":
    main()
