"""What ranks other than 0 do: play the turns that rank 0 orders, on their part of every batch. They write nothing."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import warnings
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch.distributed.distributed_c10d import Store

from zerosum.core import settings
from zerosum.core.console import Lasting, visible
from zerosum.core.errors import LostRankError, RunError, ZerosumError, ZerosumWarning
from zerosum.core.interrupt import Interrupt
from zerosum.core.meter import NotFiniteError
from zerosum.core.reading import parse_json
from zerosum.core.team import Team
from zerosum.recipes import Recipe
from zerosum.runs.storage import checkpoint, code
from zerosum.runs.storage.directory import RunDirectory
from zerosum.runs.storage.environment import be_deterministic, choose_device
from zerosum.runs.storage.place import resume_command
from zerosum.runs.storage.run import Run
from zerosum.runs.training import launching, lockstep
from zerosum.runs.training.launching import GRACE, Place
from zerosum.runs.training.lockstep import Order
from zerosum.runs.training.opening import open_for
from zerosum.runs.training.progress import Display
from zerosum.runs.training.setup import set_up


class Charter(TypedDict):
    """What rank 0 tells the others before the first turn."""

    run: str  # its directory
    recipe: str
    data: dict[str, Any]  # their origin, as environment.json has it
    device: str
    threads: int
    precision: str
    deterministic: bool


def charter(run: RunDirectory, recipe: Recipe, environment: dict[str, Any], fingerprint: str) -> str:
    """What rank 0 tells the others, as text."""
    told = Charter(
        run=str(run.path.absolute()),
        recipe=settings.to_toml(recipe),
        data={**environment["data"], "fingerprint": fingerprint},
        device=torch.device(environment["device"]).type,
        threads=environment["threads"],
        precision=environment["precision"],
        deterministic=environment["deterministic"],
    )
    return json.dumps(told)


class Follower:
    """The work of one rank on a run.

    Args:
        place: which rank it is.
        team: all ranks.
        told: by rank 0.

    Raises:
        RunError: data or device of this rank are not those of rank 0.
    """

    def __init__(self, place: Place, team: Team, told: Charter) -> None:
        self.team, self.told = team, told
        self.run = RunDirectory.open(told["run"])
        code.load(self.run.path, trust=True)  # rank 0 has run the same
        self.recipe = settings.from_toml(Recipe, told["recipe"])
        torch.set_num_threads(told["threads"])
        if told["deterministic"]:
            be_deterministic()
        device = place.device(choose_device(told["device"]))
        self.environment = {"device": str(device), "precision": told["precision"]}
        self.dataset = open_for(self.recipe, told["data"], Display(quiet=True))
        if self.dataset.fingerprint != told["data"]["fingerprint"]:
            raise RunError(f"{told['data']['source']} holds other data for rank {team.rank} than for rank 0")
        self.begin()

    def begin(self) -> None:
        """Have players as they are before the first turn."""
        self.feed, self.engine = set_up(self.recipe, self.dataset, self.environment, self.team)

    def load(self, clock: int) -> None:
        """Go on from a checkpoint."""
        saved = checkpoint.load(self.run.checkpoints / f"{clock:09d}")
        self.engine.load(saved.tensors, saved.manifest)
        self.feed.position = self.engine.clock

    def follow(self, interrupt: Interrupt) -> bool:
        """Play until rank 0 ends the training; true where that is finished."""
        while (heard := lockstep.hear(self.team, asked=interrupt.asked)).order != Order.END:
            if heard.order == Order.BEGIN:
                self.begin()
            elif heard.order == Order.LOAD:
                self.load(heard.number)
            elif heard.order == Order.TURN and not heard.stop:
                self.engine.attempt, self.engine.share = heard.number, heard.share
                with suppress(NotFiniteError):  # rank 0 has it too, and decides what follows
                    self.engine.turn(self.feed)
        return bool(heard.number)


def follow(place: Place, store: Store | None = None) -> Run:
    """Train as a rank other than 0, until rank 0 ends the training; without a store as torchrun says.

    Raises:
        LostRankError: a rank was lost; it is said here only where no other rank does.
        ZerosumError: this rank cannot go on, whereupon all end.
    """
    store = store or launching.launched_store()
    team, told = launching.join(place, store), None
    try:
        with warnings.catch_warnings(), Interrupt(lambda _text: None) as interrupt:
            warnings.simplefilter("ignore", ZerosumWarning)  # rank 0 says them
            told = parse_json(lockstep.announce(team), Charter)
            finished = Follower(place, team, told).follow(interrupt)
        return Run(Path(told["run"]), finished)
    except LostRankError as error:
        error.told = not _speaks(error, place, store)
        if told is not None:
            error.add_note(f"go on with: {resume_command(Path(told['run']))}")
        raise
    except ZerosumError as error:
        error.add_note(f"on rank {place.rank} of {place.world}")
        raise
    finally:
        team.close()


def _speaks(error: LostRankError, place: Place, store: Store) -> bool:
    """True for the first rank that is left where rank 0 was lost, and has not said why."""
    left = [rank for rank in range(place.world) if rank not in error.ranks]
    return 0 in error.ranks and place.rank == left[0] and not (place.launched and store.check(["told"]))


# ---------------------------------------------------------------------- as a process that rank 0 started


def main() -> None:
    """Follow rank 0, which started this process."""
    threading.Thread(target=_leave_with, args=(os.getppid(),), daemon=True).start()
    where = replace(launching.place(), launched=False)
    try:
        store = launching.tcp_store(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), where.world)
        store.set(f"here/{where.rank}", "")
        follow(where, store)
    except ZerosumError as error:
        if not error.told:
            text = "\n".join([f"error: {error}", *getattr(error, "__notes__", ())])
            print(visible(text), file=Lasting(sys.stderr))
        sys.exit(error.exit_status)


def _leave_with(parent: int) -> None:
    """End this process where the one that started it has ended, and it does not end by itself."""
    while os.getppid() == parent:
        time.sleep(0.5)
    time.sleep(GRACE)
    os._exit(1)
