"""Trainings on two ranks, from the command line: `python -m tests.crew FOLDER` leaves runs and what was said of them.

Every command is a fork of this process, and so is its second rank: all is imported once. No command computes here.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from tests.small import words
from zerosum.cli import main as command_line
from zerosum.core.engine import Engine
from zerosum.runs.training import drawing, failures, following, launching, race, rehearsal

SETTINGS = [
    *words("mlp"),
    *("report=48", "samples=never", "evaluation=96", "checkpoint=48", "evaluator.count=20", "precision=fp32"),
    *("evaluator.metrics=sliced-wasserstein", "augmentations=ada:interval=1,speed=500"),
]
LENGTH, EARLY = 192, 112
ENDINGS = {  # rank and signal that end a training too early
    "asked": (1, signal.SIGTERM),
    "interrupted": (0, signal.SIGINT),
    "lost": (1, signal.SIGKILL),
    "headless": (0, signal.SIGKILL),
}


class Fork:
    """A forked process, called as one of `subprocess` is."""

    def __init__(self, work):
        self.status, self.pid = None, os.fork()
        if not self.pid:
            try:
                work()
                status = 0
            except SystemExit as ended:
                status = ended.code or 0
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
                status = 99
            os._exit(status)

    def poll(self):
        if self.status is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if ended else None
        return self.status

    def wait(self, seconds=60.0):
        until = time.monotonic() + seconds
        while self.poll() is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired("rank", seconds)
            time.sleep(0.005)
        return self.status

    def kill(self):
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def start(environment):
    """In place of `launching.start`."""

    def work():
        signal.set_wakeup_fd(-1)
        os.closerange(3, 100)  # as a process of its own has them
        os.setsid()
        os.environ.update(environment)
        following.main()

    return Fork(work)


def at(images, rank, number):
    """Let a rank send itself a signal once so many images are drawn."""
    turn = Engine.turn

    def turned(engine, feed):
        if feed.position >= images and engine.team.rank == rank:
            os.kill(os.getpid(), number)
        turn(engine, feed)

    Engine.turn = turned


def broken(images):
    """Let one rank's numbers fail once, at a clock."""
    turn = Engine.turn

    def turned(engine, feed):
        if feed.position == images and engine.team.rank == 1 and not engine.attempt:
            next(iter(engine.learners.values())).parameters[0].data.fill_(float("nan"))
        turn(engine, feed)

    Engine.turn = turned


def command(folder, name, arguments, prepare=None):
    """Run a command; its status, seconds and what it said end up in FOLDER/NAME.json."""

    def work():
        streams = [os.open(folder / f"{name}.{kind}", os.O_CREAT | os.O_RDWR | os.O_TRUNC) for kind in ("out", "err")]
        for place, stream in enumerate(streams, 1):
            os.dup2(stream, place)
        if prepare is not None:
            prepare()
        sys.argv = ["zerosum", *map(str, arguments)]
        command_line.main()

    began, process = time.monotonic(), Fork(work)
    status = process.wait()
    seconds = time.monotonic() - began
    time.sleep(0.2 if status < 0 else 0)  # another rank has the last word
    said = {kind: (folder / f"{name}.{kind}").read_text() for kind in ("out", "err")}
    (folder / f"{name}.json").write_text(json.dumps({"status": status, "seconds": seconds, **said}))


def play(folder):
    """All trainings."""
    np.save(folder / "data.npy", np.random.default_rng(0).integers(0, 256, (60, 8, 8, 1), dtype=np.uint8))
    train = ["train", folder / "data.npy", "-r", "mlp", *SETTINGS, "--quiet", "--images", LENGTH]
    two = ["--ranks", "2", "--out"]
    command(folder, "whole", [*train, *two, folder / "whole", "--json"])
    for name, (rank, number) in ENDINGS.items():
        command(folder, name, [*train, *two, folder / name], lambda: at(EARLY, rank, number))  # noqa: B023
    for name in ("asked", "lost"):
        command(folder, f"{name}-resumed", ["resume", folder / name, "--quiet"])
    command(folder, "alone", ["resume", folder / "headless", "--ranks", "1"])
    command(folder, "nan", [*train, "on_nan=rollback", *two, folder / "nan"], lambda: broken(EARLY))
    start = ["train", "--from", folder / "whole", "--minutes", "0.003", "--quiet", "report=16"]
    command(folder, "from", [*start, *two, folder / "from"])
    command(folder, "odd", [*train, "batch=18", "pack=2", "--ranks", "4", "--out", folder / "odd"])


def set_up(cache):
    """Have what is the same in all trainings ready, and nothing that depends on the clock."""
    torch.set_num_threads(1)
    torch.optim.SGD([torch.zeros(1, requires_grad=True)])  # torch imports half of itself at its first optimizer
    launching.start = start
    rehearsal.BUDGET, race.STARVED, drawing.MARKS = 0.0, 0.0, ()
    failures.write_report = lambda run: run.report
    os.environ |= {"ZEROSUM_CACHE": str(cache), "OMP_NUM_THREADS": "1"}


if __name__ == "__main__":
    place = Path(sys.argv[1])
    set_up(place / "cache")
    play(place)
