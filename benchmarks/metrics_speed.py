"""Frechet distance, kernel distance and precision/recall/density/coverage, ours against torchmetrics and prdc.

    python -m benchmarks.metrics_speed [--samples 10000] [--dimensions 84] [--threads 2] [--rounds 3] [--out FILE]

All work on the same float32 features, each with its defaults (torchmetrics' kernel distance is that of 100 subsets of
1000 in float32, ours that of all pairs in float64). Both sides take turns, so a busy machine slows both; the best of
the rounds counts, in seconds on the clock and in seconds of the processor (on a busy machine look at the latter: prdc's
8 threads are given more of it). Peers that are not installed are named and left out. A line for each dimension is
appended to FILE; it fails where the ratio by the clock is above one half.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks import lines
from benchmarks.lines import append
from zerosum.metrics import frechet_distance, kernel_distance, precision_recall_density_coverage

RESULTS = lines.RESULTS / "metrics_speed.jsonl"
LIMIT = 0.5  # of the time of the others
Work = Callable[[Tensor, Tensor], Any]


def features(samples: int, dimensions: int, seed: int) -> tuple[Tensor, Tensor]:
    """Two sets of non-negative features that overlap in part, as those of a classifier do."""
    generator = torch.Generator().manual_seed(seed)
    real, fake = torch.randn(2, samples, dimensions, generator=generator)
    return real.relu(), (1.1 * fake + 0.1).relu()


OURS: dict[str, Work] = {
    "frechet": frechet_distance,
    "kernel": kernel_distance,
    "neighbours": precision_recall_density_coverage,
}


def peers() -> dict[str, Work]:
    """The same from the others, by name; those that can be imported."""
    found: dict[str, Work] = {}
    for name, module, make in (
        ("frechet", "torchmetrics.image.fid", lambda module: streaming(module.FrechetInceptionDistance)),
        ("kernel", "torchmetrics.image.kid", lambda module: streaming(module.KernelInceptionDistance)),
        ("neighbours", "prdc", neighbours),
    ):
        try:
            found[name] = make(importlib.import_module(module))
        except ImportError as error:
            print(f"{name} is not compared: {module} cannot be imported ({error})", file=sys.stderr)
    return found


def streaming(metric: type[Any]) -> Work:
    """A metric of torchmetrics whose images are features already."""

    def work(real: Tensor, fake: Tensor) -> Any:
        extractor = torch.nn.Identity()
        extractor.num_features = real.shape[1]
        made = metric(feature=extractor)
        made.update(real, real=True)
        made.update(fake, real=False)
        return made.compute()

    return work


def neighbours(module: Any) -> Work:
    """prdc, without what it prints."""

    def work(real: Tensor, fake: Tensor) -> Any:
        with contextlib.redirect_stdout(io.StringIO()):
            return module.compute_prdc(real.numpy(), fake.numpy(), nearest_k=5)

    return work


def timed(work: Work, real: Tensor, fake: Tensor) -> tuple[float, float]:
    """Seconds on the clock and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    work(real, fake)
    return time.perf_counter() - clock, time.process_time() - processor


def compare(samples: int, dimensions: int, rounds: int, seed: int) -> dict[str, Any]:
    """Best times of each metric of ours and of theirs; sums over those metrics that both have, and their ratios."""
    real, fake = features(samples, dimensions, seed)
    theirs = peers()
    sides = {"ours": {name: OURS[name] for name in theirs or OURS}, "theirs": theirs}
    times: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for _ in range(rounds):
        for name in sides["ours"]:
            for side, works in sides.items():
                if name in works:
                    times.setdefault((side, name), []).append(timed(works[name], real, fake))
    line: dict[str, Any] = {"samples": samples, "dimensions": dimensions, "rounds": rounds, "seed": seed}
    for at, unit in enumerate(("seconds", "processor_seconds")):
        best = {key: min(some[at] for some in found) for key, found in times.items()}
        for side in sides:
            line[f"{side}_{unit}"] = {name: round(best[side, name], 3) for name in sides[side]}
        if theirs:
            ours, others = (sum(best[side, name] for name in theirs) for side in sides)
            line["ratio" if unit == "seconds" else "processor_ratio"] = round(ours / others, 3)
    return line


def table(line: dict[str, Any]) -> str:
    """A result in words."""
    rows = [f"{line['samples']:,} x {line['samples']:,}, D = {line['dimensions']}, {line['threads']} threads"]
    for name in line["ours_seconds"]:
        cells = [f"{line[f'{side}_seconds'].get(name, float('nan')):7.2f}" for side in ("ours", "theirs")]
        rows.append(f"  {name:<12} ours {cells[0]} s, theirs {cells[1]} s")
    if "ratio" in line:
        rows.append(f"  ratio {line['ratio']:.2f} by the clock, {line['processor_ratio']:.2f} by the processor")
    return "\n".join(rows)


def main() -> None:
    """Time, keep and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--dimensions", default="84", help="of features, such as 84,512")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")  # torchmetrics warns of its memory
    slow = False
    for dimensions in map(int, options.dimensions.split(",")):
        line = compare(options.samples, dimensions, options.rounds, options.seed)
        line = append(options.out, line | {"versions": versions()}, "fp64")
        print(table(line), flush=True)
        slow |= line.get("ratio", 0) > LIMIT
    if slow:
        raise SystemExit(f"above {LIMIT} of the time of the others")


def versions() -> dict[str, str]:
    """Of the peers that are there."""
    found = {}
    for name in ("torchmetrics", "prdc", "scikit-learn"):
        with contextlib.suppress(ImportError):
            found[name] = version(name)
    return found


if __name__ == "__main__":
    main()
