"""Ranks of a training: which of them this process is, what it has for itself, and how rank 0 starts the others."""

from __future__ import annotations

import functools
import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import distributed
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from zerosum.core import interrupt, memory
from zerosum.core.errors import LostRankError, RecipeError, RunError
from zerosum.core.ranks import Ranks, lost_ranks
from zerosum.core.team import Team
from zerosum.runs.training.lockstep import announce

WAIT = 86_400.0  # seconds that ranks wait for each other: rank 0 may evaluate for hours
GRACE = 5.0  # seconds that a process has to end by itself where a rank was lost
FOLLOWER = "from zerosum.runs.training.following import main; main()"  # a module by -m would be imported twice
VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # as torchrun sets them
_trainings = itertools.count()  # of this process, on several ranks


@dataclass(frozen=True)
class Place:
    """Which of the processes that train together this one is."""

    rank: int = 0
    world: int = 1  # how many there are
    local_rank: int = 0  # on its machine
    local_world: int = 1
    launched: bool = False  # by torchrun or the like, which started all of them

    def device(self, device: torch.device, *, named: bool = False) -> torch.device:
        """The device of this rank; `named`: the user asked for it.

        Raises:
            RunError: there are fewer than ranks, or it is of a kind that ranks cannot train on.
        """
        if self.world == 1 or device.type == "cpu":
            return device
        if device.type != "cuda":
            raise RunError(f"{self.world} ranks train on cpu or cuda, not on {device}; use --device cpu, or --ranks 1")
        if named and device.index is not None:
            raise RunError(
                f"each of {self.world} ranks has a device of its own, so {device} cannot be theirs; use cuda"
            )
        if self.local_world > (available := torch.cuda.device_count()):
            raise RunError(
                f"{self.local_world} ranks on this machine need a CUDA device each, and there are {available}; use "
                f"--ranks {available}, or --device cpu"
            )
        torch.cuda.set_device(self.local_rank)
        return torch.device("cuda", self.local_rank)

    def beside(self, device: torch.device) -> int:
        """Ranks that take their memory from what this one takes it from."""
        return self.local_world if device.type == "cpu" else 1

    @property
    def sharing(self) -> int:
        """Processes among which the threads that this one may have are to be divided; torchrun has done so."""
        return 1 if self.launched else self.local_world

    def check_batch(self, batch: int, pack: int, *, fixed: bool = False) -> None:
        """Refuse a batch that ranks cannot share; `fixed`: it may not change.

        Raises:
            RecipeError: with the nearest that they can, and numbers of ranks that can share this one.
        """
        least = self.world * pack
        if self.world == 1 or batch % least == 0:
            return
        fitting = [ranks for ranks in range(1, batch // pack + 1) if batch % (ranks * pack) == 0]
        near = sorted(fitting, key=lambda ranks: abs(ranks - self.world))[:2]
        other = "" if fixed else f"batch={max(1, round(batch / least)) * least}, or "
        packs = f" in packs of {pack}" if pack > 1 else ""
        ranks = " or ".join(map(str, sorted(near)))
        raise RecipeError(f"{self.world} ranks cannot share a batch of {batch}{packs}; use {other}--ranks {ranks}")


ALONE = Place()


def place(ranks: int | None = None, usual: int = 1) -> Place:
    """Place of this process: as torchrun says, else rank 0 of so many; of `usual` ones where nothing is said.

    Raises:
        RunError: there is no such number, or torchrun started another.
    """
    if ranks is not None and ranks < 1:
        raise RunError(f"--ranks {ranks}: the least is 1")
    if not all(name in os.environ for name in VARIABLES):
        world = usual if ranks is None else ranks
        return Place(0, world, 0, world)
    rank, world = _number("RANK"), _number("WORLD_SIZE")
    if ranks is not None and ranks != world:
        raise RunError(f"--ranks {ranks}, but torchrun started {world}; leave --ranks out, as torchrun decides")
    if world == 1:
        return ALONE
    return Place(rank, world, _number("LOCAL_RANK", rank), _number("LOCAL_WORLD_SIZE", world), launched=True)


def _number(name: str, default: int = 0) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise RunError(f"the environment says {name}={text!r}, which is not a number; torchrun sets it")
    return int(text)


# ---------------------------------------------------------------------- meeting


@functools.cache
def _launched_store() -> Store:
    """The store of torchrun, or of rank 0 where something else started all ranks."""
    store, _, _ = next(rendezvous("env://", timeout=timedelta(seconds=WAIT)))
    return store


def launched_store() -> Store:
    """Where ranks that torchrun started meet for their next training."""
    return PrefixStore(f"zerosum/{next(_trainings)}", _launched_store())


def tcp_store(host: str, port: int, world: int, *, master: bool = False) -> Any:
    """A store that its master holds, on a port that is free where that is 0, and others reach."""
    kind: Any = distributed.TCPStore  # type: ignore[attr-defined]
    return kind(host, port, world, is_master=master, timeout=timedelta(seconds=WAIT), wait_for_workers=False)


def join(where: Place, store: Store) -> Ranks:
    """Meet the other ranks."""
    return Ranks(where.rank, where.world, store, timeout=WAIT)


@contextmanager
def leading(where: Place, charter: str, resume: str) -> Iterator[Team]:
    """The team of rank 0, which starts the others unless torchrun did; they end with it.

    Args:
        where: of this process.
        charter: what all have to know.
        resume: command that goes on with the run, for who is told that a rank was lost.
    """
    if where.world == 1:
        yield memory.ALONE
        return
    followers = None if where.launched else Followers(where.world, resume)
    store = followers.store if followers else launched_store()
    try:
        if followers:
            followers.wait()
        team = join(where, store)
        try:
            announce(team, charter)
            yield team
        except BaseException as error:
            if not isinstance(error, LostRankError):
                store.set("told", "1")  # others need not say that this rank is lost
            raise
        finally:
            team.close()
    except BaseException:
        if followers:
            followers.end()
        raise
    if followers:
        followers.end(GRACE)


class Followers:
    """The other ranks, as processes that rank 0 starts on its machine, each in a session of its own.

    Ctrl-C in a terminal so reaches rank 0 alone. Where one of them ends too early, rank 0 is told by its next exchange;
    a command that computes on without one, or waits in a call that nothing ends, is ended after GRACE.

    Args:
        world: ranks, with rank 0.
        resume: command that goes on with the run.
    """

    def __init__(self, world: int, resume: str) -> None:
        self.world, self.resume = world, resume
        self.store = tcp_store("127.0.0.1", 0, world, master=True)
        self._over = threading.Event()
        self.processes = {rank: start(self._environment(rank)) for rank in range(1, world)}
        interrupt.last_acts.append(self._kill)
        threading.Thread(target=self._watch, daemon=True).start()

    def _environment(self, rank: int) -> dict[str, str]:
        variables: dict[str, object] = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": self.world}
        variables |= {"LOCAL_WORLD_SIZE": self.world, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": self.store.port}
        paths = os.pathsep.join(path for path in sys.path if path)  # it imports what this process does
        return {**os.environ, **{name: str(value) for name, value in variables.items()}, "PYTHONPATH": paths}

    def wait(self) -> None:
        """Wait until all are there.

        Raises:
            LostRankError: one ended before.
        """
        while not self.store.check([f"here/{rank}" for rank in self.processes]):
            if ended := self._ended():
                raise LostRankError(lost_ranks(ended, self.world), ended)
            time.sleep(0.02)

    def _ended(self) -> list[int]:
        return [rank for rank, process in self.processes.items() if process.poll() is not None]

    def _watch(self) -> None:
        while not self._over.wait(0.2):
            if (ended := self._ended()) and not self._over.wait(GRACE) and interrupt.Watch.current is not None:
                words = f"error: {lost_ranks(ended, self.world)}; go on with: {self.resume}"
                interrupt.end(1, words)

    def _kill(self) -> None:
        for process in self.processes.values():
            process.kill()

    def end(self, seconds: float = 0.0) -> None:
        """See them end within so many seconds, else end them."""
        self._over.set()
        until = time.monotonic() + seconds
        for process in self.processes.values():
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        interrupt.last_acts.remove(self._kill)


def start(environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a rank; what it prints is lost, what it has to complain of is not."""
    command = [sys.executable, "-c", FOLLOWER]
    nothing = subprocess.DEVNULL
    return subprocess.Popen(command, env=environment, stdin=nothing, stdout=nothing, start_new_session=True)
