"""A crash loses nothing: a training killed with SIGKILL again and again ends bit for bit like one left in peace.

    python -m benchmarks.crash [--recipes mlp dcgan wgan-gp r3gan-small vae cyclegan-small] [--kills 20]
                               [--images 80000] [--seed 0]

For each recipe one training runs undisturbed. Another is killed at random instants, every third time while it
writes a checkpoint, and resumed each time. Then weights, averages, optimizer states, memory and metrics (without
times) of the two are compared byte by byte.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TIMES = ("seconds", "images_per_second")
DRAWN = 4000  # images from one picture to the next
PAIRS = {"cyclegan-small": "digits-inverted"}  # recipes that train on two sets
SETTINGS = ["report=1000", f"samples={DRAWN}", "evaluation=4000", "checkpoint=1500"]
SETTINGS += ["precision=fp32"]  # a busy machine might choose another for the second training than for the first


def start(arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start the zerosum command in a process group of its own."""
    command = [sys.executable, "-m", "zerosum.cli.main", *arguments, "--quiet"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log.open("ab"), start_new_session=True)


def finish(process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for success."""
    if process.wait() != 0:
        sys.exit(f"a training failed:\n{log.read_text()}")


def writing(run: Path) -> bool:
    """True while a checkpoint is being written."""
    return any((run / "checkpoints").glob(".writing-*"))


def newest(run: Path) -> int:
    """Clock of the newest checkpoint."""
    return max((int(path.name) for path in (run / "checkpoints").glob("[0-9]*")), default=-1)


def wait_for(process: subprocess.Popen[bytes], run: Path, inside: bool, chance: random.Random) -> bool:
    """Wait for the instant of a kill; False if the training ended before."""
    before = newest(run)
    while process.poll() is None and newest(run) == before:  # let it make progress, or it never ends
        time.sleep(0.01)
    deadline = time.monotonic() + (60 if inside else chance.uniform(0.0, 0.5))
    while process.poll() is None and time.monotonic() < deadline:
        if inside and writing(run):
            time.sleep(chance.uniform(0.0, 0.004))
            break
        time.sleep(0.0002 if inside else 0.01)
    return process.poll() is None


def contents(run: Path) -> dict[str, object]:
    """Everything of a finished run that must be equal."""
    last = run / "checkpoints" / (run / "latest").read_text().strip()
    found: dict[str, object] = {path.name: path.read_bytes() for path in last.glob("*.safetensors")}
    found["generator"] = (run / "model.safetensors").read_bytes()
    found["loss.txt"] = (run / "loss.txt").read_text()
    for name in ("metrics.jsonl", "evaluations.jsonl"):
        lines = [json.loads(line) for line in (run / name).read_text().splitlines()]
        found[name] = [{key: value for key, value in line.items() if key not in TIMES} for line in lines]
    pictures = (path for path in (run / "samples").glob("*.png") if path.stem == "real" or int(path.stem) % DRAWN == 0)
    found |= {path.name: path.read_bytes() for path in pictures}  # others come by the clock, which differs
    return found


def torture(recipe: str, kills: int, images: int, folder: Path, chance: random.Random) -> tuple[int, int, list[str]]:
    """Kill one training `kills` times; return how many kills landed, how many while writing, and what differs."""
    log = folder / f"{recipe}.log"
    peace, war = folder / f"{recipe}-peace", folder / f"{recipe}-war"
    data = PAIRS.get(recipe, "digits")
    begin = ["train", data, "--recipe", recipe, "--images", str(images), *SETTINGS]
    finish(start([*begin, "--out", str(peace)], log), log)
    process = start([*begin, "--out", str(war)], log)
    landed = inside = 0
    for kill in range(kills):
        if not wait_for(process, war, kill % 3 == 0, chance):
            break
        inside += writing(war)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        landed += 1
        process = start(["resume", str(war)], log)
    finish(process, log)
    expected, found = contents(peace), contents(war)
    return landed, inside, [name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)]


def main() -> None:
    """Run the benchmark and print its verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--recipes", nargs="+", default=["mlp", "dcgan", "wgan-gp", "r3gan-small", "vae", "cyclegan-small"]
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--images", type=int, default=80_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    failed = False
    for recipe in options.recipes:
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            landed, inside, different = torture(
                recipe, options.kills, options.images, Path(folder), random.Random(options.seed)
            )
        verdict = f"{landed}/{options.kills} equal" if not different else f"DIFFERENT after {landed} kills: {different}"
        print(
            f"{recipe:<10} {verdict} ({inside} kills inside a checkpoint write, {time.monotonic() - began:.0f} s)",
            flush=True,
        )
        failed |= bool(different) or landed < options.kills
    sys.exit(failed)


if __name__ == "__main__":
    main()
