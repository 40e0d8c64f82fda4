"""Fuzz: damaged and hostile input by the thousand. Each must be taken, or refused in words, in bounded time and memory.

    python -m benchmarks.fuzz --cases 10000
    python -m benchmarks.fuzz --cases 500 --surface words --seed 3
    python -m benchmarks.fuzz --surface words --case 1234         # that one again, with its traceback

A surface is a class in `benchmarks/surfaces`: it makes case number i of a seed. Each is played in a process of its own,
so that a case that never returns can be ended, and memory is counted by surface. Exit status 1 where any fell short.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

from benchmarks.surfaces.surface import Surface
from zerosum.core.errors import ZerosumError

SURFACES = {  # name: module and class; imported where they are played
    "words": "words.Words",
    "recipe": "recipes.Recipes",
    "model": "models.Models",
    "run": "runs.Runs",
    "npy": "data.Npy",
    "npz": "data.Npz",
    "idx": "data.Idx",
    "cifar": "data.Cifar",
    "pictures": "data.Pictures",
    "zip": "data.Zips",
    "tar": "data.Tars",
    "csv": "data.Tables",
}
LIMIT = 10.0  # seconds of computing of one case
PATIENCE = 10
MEMORY = 512  # MiB by which one case may raise the peak
LONGEST = 4_000  # characters that a refusal may have
FAULTS = ("traceback", "garbled", "hang", "memory")  # garbled: a message that nobody can read
KINDS = ("accepted", "in words", *FAULTS)
SHOWN = 12  # faults of a surface that are printed


class HangError(BaseException):
    """A case took too long; no `except Exception` may stop it."""


@dataclass(frozen=True)
class Outcome:
    """What became of a case: accepted, refused in words, or one of FAULTS."""

    number: int
    what: str
    kind: str
    text: str = ""


def surface(name: str, folder: Path) -> Surface:
    """A surface by its name, prepared in a folder."""
    module, _, cls = SURFACES[name].partition(".")
    folder.mkdir(parents=True, exist_ok=True)
    return getattr(importlib.import_module(f"benchmarks.surfaces.{module}"), cls)(folder)


def play(subject: Surface, numbers: Iterable[int], seed: int = 0, limit: float = LIMIT) -> Iterator[Outcome]:
    """Play cases; nothing that one of them raises comes out, and none takes more than `limit` seconds of computing.

    What only waits, or shares its machine with others, is given PATIENCE times as long by the wall clock.
    """
    before = {one: signal.signal(one, _alarm) for one in (signal.SIGPROF, signal.SIGALRM)}
    try:
        for number in numbers:
            yield _one(subject, number, seed, limit)
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _alarm(*_: object) -> None:
    raise HangError


def _time(limit: float) -> None:
    signal.setitimer(signal.ITIMER_PROF, limit)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE * limit)


def _one(subject: Surface, number: int, seed: int, limit: float) -> Outcome:
    case, peak = subject.case(Random(f"{subject.name}-{seed}-{number}")), _peak()
    try:
        _time(limit)
        try:
            with warnings.catch_warnings(action="ignore"):
                case.call()
        finally:
            _time(0)
        found = Outcome(number, case.what, "accepted")
    except ZerosumError as error:
        fault = _garbled(str(error))
        found = Outcome(
            number,
            case.what,
            "garbled" if fault else "in words",
            f"{fault}: {str(error)[:200]!r}" if fault else str(error),
        )
    except HangError:
        found = Outcome(number, case.what, "hang", f"more than {limit:g} s\n{_end(traceback.format_exc())}")
    except BaseException:
        found = Outcome(number, case.what, "traceback", traceback.format_exc())
    more = _peak() - peak
    return Outcome(number, case.what, "memory", f"{more:,.0f} MiB more than before") if more > MEMORY else found


def _garbled(text: str) -> str:
    """What makes a message unfit for a terminal; nothing where it is fit."""
    if not text.strip():
        return "no words"
    if len(text) > LONGEST:
        return f"{len(text):,} characters"
    return "" if text.replace("\n", "").isprintable() else "not printable"


def _peak() -> float:
    """The most memory that this process ever held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _end(text: str) -> str:
    return "\n".join(text.splitlines()[-12:])


# ---------------------------------------------------------------------- processes


def _worker(name: str, folder: str, numbers: range, seed: int, limit: float, pipe: Connection) -> None:
    """Play cases of a surface and send what became of them; first the memory that is held before."""
    os.environ["ZEROSUM_CACHE"] = f"{folder}/cache"
    with (
        Path(os.devnull).open("w") as nothing,
        contextlib.redirect_stdout(nothing),
        contextlib.redirect_stderr(nothing),
    ):
        subject = surface(name, Path(folder) / str(numbers.start))
        pipe.send(_peak())
        for outcome in play(subject, numbers, seed, limit):
            pipe.send((outcome, _peak()))
            if outcome.number % 500 == 0:
                gc.collect()
    pipe.close()


def watch(name: str, numbers: range, seed: int, limit: float) -> tuple[list[Outcome], float]:
    """Outcomes of all cases, and the MiB that they took; a process that says nothing is ended, and the next goes on."""
    outcomes: list[Outcome] = []
    most = 0.0
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="zerosum-fuzz-") as folder:
        while numbers:
            here, there = context.Pipe(duplex=False)
            process = context.Process(target=_worker, args=(name, folder, numbers, seed, limit, there))
            process.start()
            there.close()
            base = None
            while numbers and here.poll(2 * PATIENCE * limit + (0 if base else 300)):
                try:
                    message = here.recv()
                except EOFError:
                    break
                if base is None:
                    base = message
                    continue
                outcome, peak = message
                outcomes.append(outcome)
                most, numbers = max(most, peak - base), numbers[1:]
            if numbers:
                if base is None:
                    raise SystemExit(f"surface {name}: it could not be prepared")
                outcomes.append(
                    Outcome(
                        numbers.start,
                        "see --case",
                        "hang",
                        "it neither returned nor could be interrupted, or its process died",
                    )
                )
                numbers = numbers[1:]
            process.kill()
            process.join()
    return outcomes, most


def main() -> int:
    """Play surfaces and print a line for each."""
    parser = argparse.ArgumentParser(description="Damaged and hostile input by the thousand.")
    parser.add_argument("--cases", type=int, default=1000, help="of each surface")
    parser.add_argument("--surface", action="append", choices=list(SURFACES), help="only this; may be repeated")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds of one case")
    parser.add_argument("--case", type=int, help="one number alone, in this process, with its traceback")
    chosen = parser.parse_args()
    names = chosen.surface or list(SURFACES)
    if chosen.case is not None:
        return _again(names[0], chosen.case, chosen.seed, chosen.limit)
    print(f"{'surface':<16}{'cases':>8}" + "".join(f"{kind:>11}" for kind in KINDS) + f"{'peak MiB':>10}{'seconds':>9}")
    faulty = 0
    for name in names:
        began = time.monotonic()
        outcomes, most = watch(name, range(chosen.cases), chosen.seed, chosen.limit)
        counts = Counter(outcome.kind for outcome in outcomes)
        told = "".join(f"{counts[kind]:>11,}" for kind in KINDS)
        print(f"{name:<16}{len(outcomes):>8,}{told}{most:>10,.0f}{time.monotonic() - began:>9,.0f}", flush=True)
        bad = [outcome for outcome in outcomes if outcome.kind in FAULTS]
        faulty += len(bad)
        _print_faults(bad)
    return 1 if faulty else 0


def _print_faults(bad: list[Outcome]) -> None:
    """Faults, each kind once: by what ends their text."""
    kinds: dict[str, list[Outcome]] = {}
    for outcome in bad:
        kinds.setdefault(_where(outcome), []).append(outcome)
    for where, several in sorted(kinds.items(), key=lambda item: -len(item[1]))[:SHOWN]:
        first = several[0]
        print(f"  {len(several)} x {first.kind}: {where}\n      case {first.number}: {first.what[:160]}")
    if len(kinds) > SHOWN:
        print(f"  and {len(kinds) - SHOWN} more kinds")


def _where(outcome: Outcome) -> str:
    """The last line of ours in a traceback, and what was raised."""
    lines = outcome.text.splitlines() or [""]
    ours = [line.strip() for line in lines if 'File "' in line and "zerosum/" in line]
    place = ours[-1].partition("zerosum/")[2] if ours else ""
    last = lines[-1].partition(": '")[0] if outcome.kind == "garbled" else lines[-1]
    return f"{place.replace(chr(34), '')}: {last[:120]}"


def _again(name: str, number: int, seed: int, limit: float) -> int:
    with tempfile.TemporaryDirectory(prefix="zerosum-fuzz-") as folder:
        os.environ["ZEROSUM_CACHE"] = f"{folder}/cache"
        outcome = next(play(surface(name, Path(folder) / "one"), [number], seed, limit))
    print(f"{outcome.what}\n{outcome.kind}: {outcome.text}")
    return 1 if outcome.kind in FAULTS else 0


if __name__ == "__main__":
    sys.exit(main())
