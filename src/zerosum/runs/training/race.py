"""Contenders against the clock: they take turns until one is clearly ahead, whatever else the machine does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from statistics import quantiles

import torch

from zerosum.runs.storage import machine

MOST = 40  # rounds of a race
CLEAR = {3: 0.2, 8: 0.05}  # after so many rounds a race is over where the faster one leads by so much
STARVED = 0.8  # of a core: where turns on a CPU get less, other processes are at work and times say little
Clock = Callable[[], float]


def stopwatch(device: torch.device) -> Clock:
    """Seconds of work: on a CPU those of this thread, so that other processes do not count; it takes part in all."""
    return time.thread_time if device.type == "cpu" else time.perf_counter


def race(steps: Mapping[str, Callable[[], float]], until: float, clock: Clock) -> dict[str, list[float]]:
    """Seconds of contenders that take turns, until one is clearly ahead or time is over; each has at least one."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(1, MOST + 1):
        began = clock()
        for name, step in steps.items():
            times[name].append(step())
        now = clock()
        if now + (now - began) > until or is_clear(times, number):
            break
    return times


def is_clear(times: dict[str, list[float]], rounds: int) -> bool:
    """True where more rounds would not change who is ahead; one alone needs few."""
    if len(times) < 2:
        return rounds >= min(CLEAR)
    fast, slow = sorted(typical(seconds) for seconds in times.values())[:2]
    return any(rounds >= least and slow > fast * (1 + lead) for least, lead in CLEAR.items())


def typical(times: list[float]) -> float:
    """The lower quartile: what else the machine does only makes turns longer."""
    return min(times) if len(times) < 4 else quantiles(times, n=4)[0]


def product(precision: str, device: torch.device, clock: Clock, size: int = 1024) -> float:
    """Seconds of a matrix product."""
    a = torch.full((size, size), 0.5, device=device, dtype=torch.bfloat16 if precision == "bf16" else torch.float32)
    machine.wait(device)
    began = clock()
    a @ a
    machine.wait(device)
    return clock() - began


def starved(device: torch.device, wall: float, own: float) -> bool:
    """True where this thread got less than its share of a core since these readings of both clocks."""
    if device.type != "cpu":
        return False
    return time.thread_time() - own < STARVED * (time.perf_counter() - wall)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute in one thread: several that other processes hold up wait for each other, and waiting looks like work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
