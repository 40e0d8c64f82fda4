"""One command for a machine with a GPU: checks of its own code paths, then speed and memory of six recipes.

    python -m benchmarks.gpu [--device cuda] [--minutes 8] [--out FILE.json] [--quick]
    python -m benchmarks.gpu --table FILE.json

Checked: batches are born on the device, an update that is not finite is skipped there, resume is exact with
deterministic kernels, penalties stay float32 under bf16, evaluation runs there, no turn waits for the device. Timed:
images per second and peak memory in fp32 and bf16, eager and compiled, with the share of the matrix product rate that
this device reaches, and how often the host waits. No data and no network are needed; PyTorch, NumPy and Pillow are
enough (what else zerosum imports is stood in for where it is missing). `--quick` is a few seconds on anything.
"""

from __future__ import annotations

import argparse
import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS needs to be deterministic
NEEDED_ELSEWHERE = ("safetensors", "filelock", "rich", "typer")  # packages that only write, show or lock


class StandIn(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules of missing packages, with whatever is asked of them inside."""

    def __init__(self, missing: list[str]) -> None:
        self.missing = missing

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        """A package for each name below a missing one."""
        known = fullname.partition(".")[0] in self.missing
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True) if known else None

    def create_module(self, spec: Any) -> Any:
        """Something that has every name."""
        return MagicMock(name=spec.name, __path__=[], __spec__=spec)

    def exec_module(self, module: Any) -> None:
        """Nothing is left to do."""


def stand_in() -> list[str]:
    """Put something in the place of missing packages that nothing here needs; their names."""
    missing = [name for name in NEEDED_ELSEWHERE if importlib.util.find_spec(name) is None]
    sys.meta_path.append(StandIn(missing))
    version = importlib.metadata.version

    def told(name: str) -> str:
        try:
            return version(name)
        except importlib.metadata.PackageNotFoundError:
            if name != "zerosum":
                raise
            return "from source"  # not installed, but on the path

    importlib.metadata.version = told
    return missing


MISSING = stand_in()

import torch  # noqa: E402  (after what it may not find)
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from benchmarks.gpu_checks import CHECKS, arrays, seat, syncs  # noqa: E402
from zerosum.core.engine import Engine  # noqa: E402
from zerosum.core.errors import ZerosumError  # noqa: E402
from zerosum.data import Feed  # noqa: E402
from zerosum.recipes import Recipe, read_recipe  # noqa: E402
from zerosum.runs.storage import machine  # noqa: E402

RECIPES = {  # side, channels and classes of the data of each
    "mlp": (28, 1, 0),
    "dcgan": (64, 3, 0),
    "wgan-gp": (32, 3, 0),
    "biggan-small": (32, 3, 10),
    "r3gan-small": (32, 3, 0),
    "stylegan2-ada-small": (64, 3, 0),
}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def first_line(error: BaseException) -> str:
    """What an error says, shortly."""
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"[:200]


def check(device: torch.device) -> dict[str, dict[str, Any]]:
    """Run all checks; an error of one is its result."""
    results = {}
    for one in CHECKS:
        name = one.__name__.replace("_", " ")
        try:
            results[name] = {"ok": True, "seen": one(device)}
        except Exception as error:  # the others shall be run all the same
            results[name] = {"ok": False, "seen": first_line(error)}
        print(f"{'ok  ' if results[name]['ok'] else 'FAIL'} {name}: {results[name]['seen']}", flush=True)
    return results


def matmul_peak(device: torch.device, dtype: torch.dtype, size: int) -> float:
    """Best measured matrix product in GFLOP/s."""
    a = torch.randn(size, size, device=device).to(dtype)
    best = float("inf")
    for _ in range(12):
        machine.wait(device)
        began = time.perf_counter()
        a @ a
        machine.wait(device)
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best / 1e9


def compiled(engine: Engine) -> Engine:
    """The same engine with compiled networks."""
    for module in engine.modules.values():
        module.compile(dynamic=False)
        for name in ("features", "logits"):  # what a discriminator is asked for instead
            if hasattr(module, name):
                setattr(module, name, torch.compile(getattr(module, name), dynamic=False))
    return engine


def rate(engine: Engine, feed: Feed, seconds: float) -> tuple[float, int | None]:
    """Images per second, and the most bytes in use."""
    for _ in range(3):
        engine.turn(feed)
    machine.reset_peak(engine.device)
    machine.wait(engine.device)
    began, start = time.perf_counter(), feed.position
    while time.perf_counter() - began < seconds:
        for _ in range(4):
            engine.turn(feed)
        machine.wait(engine.device)
    return (feed.position - start) / (time.perf_counter() - began), machine.peak(engine.device)


def work(engine: Engine, feed: Feed) -> float:
    """GFLOP that an image costs, counted over one turn."""
    start = feed.position
    with FlopCounterMode(display=False) as counter:
        engine.turn(feed)
    return counter.get_total_flops() / (feed.position - start) / 1e9


def measure(
    name: str, recipe: Recipe, device: torch.device, precision: str, compile_it: bool, seconds: float
) -> dict[str, Any]:
    """A line of results: how fast a recipe trains one way, or why it cannot."""
    side, channels, classes = RECIPES[name]
    line: dict[str, Any] = {"recipe": name, "size": side, "batch": recipe.batch, "precision": precision}
    line["compiled"] = compile_it
    began = time.perf_counter()
    try:
        engine, feed = seat(recipe, arrays(side, channels, classes=classes), device, precision)
        line["syncs"] = None if compile_it else syncs(engine, feed)
        line["gflop_per_image"] = None if compile_it else round(work(engine, feed), 4)
        speed, peak = rate(compiled(engine) if compile_it else engine, feed, seconds)
        line |= {"images_per_second": round(speed, 1), "peak_bytes": peak}
    except ZerosumError:
        raise
    except Exception as error:  # compilers fail in their own ways; the line says how
        line["failed"] = first_line(error)
    return {**line, "took": round(time.perf_counter() - began, 1)}


def race(device: torch.device, recipes: dict[str, Recipe], until: float, seconds: float) -> list[dict[str, Any]]:
    """All recipes eagerly, then compiled ones in their better precision, while there is time."""
    lines = []
    for name, recipe in recipes.items():
        for precision in DTYPES:
            lines.append(measure(name, recipe, device, precision, False, seconds))
            print(shown(lines[-1]), flush=True)
    for name, recipe in recipes.items():
        eager = [line for line in lines if line["recipe"] == name and "images_per_second" in line]
        if not eager or time.monotonic() > until:
            lines.append({"recipe": name, "compiled": True, "failed": "no time left"})
            continue
        better = max(eager, key=lambda line: line["images_per_second"])["precision"]
        lines.append(measure(name, recipe, device, better, True, seconds))
        print(shown(lines[-1]), flush=True)
    return lines


def shown(line: dict[str, Any]) -> str:
    """A line for people."""
    way = f"{line['recipe']:<20} {line.get('precision', ''):<5}{'compiled' if line['compiled'] else 'eager':<9}"
    if "failed" in line:
        return f"{way} {line['failed']}"
    memory = "" if line["peak_bytes"] is None else f", {line['peak_bytes'] / 2**20:,.0f} MiB"
    waits = "" if line["syncs"] is None else f", {line['syncs']:g} waits a turn"
    return f"{way} {line['images_per_second']:>10,.0f} images/s{memory}{waits}"


def table(results: dict[str, Any]) -> str:
    """Markdown for docs/performance.md."""
    work_of = {line["recipe"]: line["gflop_per_image"] for line in results["recipes"] if line.get("gflop_per_image")}
    rows = [
        "| recipe | pixels | batch | precision | images/s | peak memory | of the matmul peak | waits a turn |",
        "|---" * 8 + "|",
    ]
    for line in results["recipes"]:
        way = f"{line.get('precision', '')}{', compiled' if line['compiled'] else ''}"
        cells = [f"`{line['recipe']}`", str(line.get("size", "")), str(line.get("batch", "")), way]
        if "failed" in line:
            cells += [line["failed"].replace("|", "/"), "", "", ""]
        else:
            peak = results["matmul_gflops"][line["precision"]]
            share = work_of.get(line["recipe"], 0) * line["images_per_second"] / peak
            memory = "" if line["peak_bytes"] is None else f"{line['peak_bytes'] / 2**30:.2f} GiB"
            waits = "" if line["syncs"] is None else f"{line['syncs']:g}"
            cells += [f"{line['images_per_second']:,.0f}", memory, f"{share:.0%}", waits]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def main(arguments: list[str] | None = None) -> int:
    """Check, measure, write; the number of checks that failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    parser.add_argument("--quick", action="store_true", help="one recipe, a moment each, nothing compiled")
    parser.add_argument(
        "--table", type=Path, metavar="FILE.json", help="print results as Markdown, and do nothing else"
    )
    options = parser.parse_args(arguments)
    if options.table:
        print(table(json.loads(options.table.read_text())))
        return 0
    began, device = time.monotonic(), torch.device(options.device)
    on_gpu = device.type == "cuda"
    results: dict[str, Any] = {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": torch.cuda.get_device_name(device) if on_gpu else platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "stood_in": MISSING,
        "checks": check(device),
    }
    size = 256 if options.quick else 8192 if on_gpu else 2048
    results["matmul_gflops"] = {name: round(matmul_peak(device, kind, size)) for name, kind in DTYPES.items()}
    print(f"matrix products: {results['matmul_gflops']} GFLOP/s", flush=True)
    names, words, seconds = (["mlp"], ["batch=8"], 0.02) if options.quick else (list(RECIPES), [], 3.0)
    until = 0.0 if options.quick else began + 45 * options.minutes  # a compilation that begins then still ends in time
    results["recipes"] = race(device, {name: read_recipe(name, words) for name in names}, until, seconds)
    results["seconds"] = round(time.monotonic() - began, 1)
    options.out.write_text(json.dumps(results, indent=1) + "\n")
    print(f"{table(results)}\n{results['seconds']:.0f} s; written to {options.out}")
    return sum(not one["ok"] for one in results["checks"].values())


if __name__ == "__main__":
    sys.exit(main())
