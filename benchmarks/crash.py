"""A crash loses nothing: a training killed with SIGKILL again and again ends bit for bit like one left in peace.

    python -m benchmarks.crash [--recipes mlp dcgan wgan-gp r3gan-small vae vae-gan-small aae-small cyclegan-small
                               pix2pix-small stargan-small] [--kills 20] [--images 80000] [--seed 0]

For each recipe one training runs undisturbed. Another is killed at random instants, every third time while it
writes a checkpoint, and resumed each time. Then weights, averages, optimizer states, memory and metrics (without
times) of the two are compared byte by byte. A training is as long as a minute allows, by a measurement of its speed,
and 80,000 images at most; its checkpoints are so close that all kills find room.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

TIMES = ("seconds", "images_per_second")
RECIPES = ("mlp", "dcgan", "wgan-gp", "r3gan-small", "vae", "vae-gan-small", "aae-small")
RECIPES += ("cyclegan-small", "pix2pix-small", "stargan-small")
PAIRS = {"cyclegan-small": "digits-inverted"}  # recipes that train on two sets
MADE = {"pix2pix-small": ["data.pairs=edges"]}  # settings that make pairs
SETTINGS = ["precision=fp32"]  # a busy machine might choose another for the second training than for the first
SETTINGS += ["evaluator.count=500"]
TRIAL, WHOLE = 12, 60  # seconds of training: to measure the speed, and of the undisturbed training at most
LONGEST = 80_000  # images
ROOM = 8 / 3  # checkpoints for each kill


@dataclass(frozen=True)
class Course:
    """How long a training is and how often it saves, in images; both are multiples of the batch."""

    recipe: str
    checkpoint: int
    images: int

    @property
    def samples(self) -> int:
        """Images from one picture to the next, and from one evaluation to the next."""
        return 3 * self.checkpoint

    def command(self, run: Path) -> list[str]:
        """What starts it."""
        saves = [f"report={self.checkpoint}", f"checkpoint={self.checkpoint}"]
        saves += [f"samples={self.samples}", f"evaluation={self.samples}"]
        return [*train(self.recipe, run), *saves, "--images", str(self.images)]


def train(recipe: str, run: Path) -> list[str]:
    """The command of a training, without its length."""
    words = [*SETTINGS, *MADE.get(recipe, [])]
    return ["train", PAIRS.get(recipe, "digits"), "--recipe", recipe, *words, "--out", str(run)]


def plan(recipe: str, kills: int, longest: int, folder: Path) -> Course:
    """Measure the speed of a recipe; a training of a minute at that speed, with room for so many kills."""
    run, log = folder / f"{recipe}-trial", folder / f"{recipe}.log"
    never = [f"{name}=never" for name in ("evaluation", "samples", "checkpoint")]
    finish(start([*train(recipe, run), *never, "--minutes", str(TRIAL / 60)], log), log)
    measured = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    batch = tomllib.loads((run / "recipe.toml").read_text())["batch"]
    checkpoints = math.ceil(ROOM * kills)
    images = min(longest, WHOLE * measured["images"] / measured["seconds"])
    checkpoint = batch * max(1, round(images / checkpoints / batch))
    return Course(recipe, checkpoint, checkpoint * checkpoints)


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


def contents(run: Path, samples: int) -> dict[str, object]:
    """Everything of a finished run that must be equal."""
    last = run / "checkpoints" / (run / "latest").read_text().strip()
    found: dict[str, object] = {path.name: path.read_bytes() for path in last.glob("*.safetensors")}
    found["generator"] = (run / "model.safetensors").read_bytes()
    found["loss.txt"] = (run / "loss.txt").read_text()
    for name in ("metrics.jsonl", "evaluations.jsonl"):
        lines = [json.loads(line) for line in (run / name).read_text().splitlines()]
        found[name] = [{key: value for key, value in line.items() if key not in TIMES} for line in lines]
    for path in (run / "samples").glob("*.png"):
        if path.stem == "real" or int(path.stem) % samples == 0:  # others come by the clock, which differs
            found[path.name] = path.read_bytes()
    return found


def torture(course: Course, kills: int, folder: Path, chance: random.Random) -> tuple[int, int, list[str]]:
    """Kill one training `kills` times; return how many kills landed, how many while writing, and what differs."""
    log = folder / f"{course.recipe}.log"
    peace, war = folder / f"{course.recipe}-peace", folder / f"{course.recipe}-war"
    finish(start(course.command(peace), log), log)
    process = start(course.command(war), log)
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
    expected, found = contents(peace, course.samples), contents(war, course.samples)
    return landed, inside, [name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)]


def main() -> None:
    """Run the benchmark and print its verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", default=[*RECIPES])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--images", type=int, default=LONGEST, help="longest training; default 80,000")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    failed = False
    for recipe in options.recipes:
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            course = plan(recipe, options.kills, options.images, Path(folder))
            print(f"{recipe}: {course.images:,} images, a checkpoint every {course.checkpoint:,}", flush=True)
            landed, inside, different = torture(course, options.kills, Path(folder), random.Random(options.seed))
        verdict = f"{landed}/{options.kills} equal" if not different else f"DIFFERENT after {landed} kills: {different}"
        print(
            f"{recipe:<10} {verdict} ({inside} kills inside a checkpoint write, {time.monotonic() - began:.0f} s)",
            flush=True,
        )
        failed |= bool(different) or landed < options.kills
    sys.exit(failed)


if __name__ == "__main__":
    main()
