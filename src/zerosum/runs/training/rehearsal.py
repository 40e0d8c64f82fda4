"""The rehearsal: a few real turns with networks that are thrown away, before anything is written.

One pass proves that the recipe runs, chooses its precision by measurement, and finds the memory and time that its own
batch will need. No weight moves (the rates are zero), and every turn of a training is seeded again, so that nothing of
the training depends on it.
"""

from __future__ import annotations

import functools
import time
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from zerosum.core.clock import seeded
from zerosum.core.compatibility import blaming
from zerosum.core.engine import Engine
from zerosum.core.errors import ZerosumError
from zerosum.data import Feed
from zerosum.runs.storage import machine
from zerosum.runs.training.race import one_thread, product, race, starved, stopwatch, typical

BUDGET = 1.5  # seconds that measuring takes at most, beside the turns that prove the recipe
TIE = 0.02  # of time; closer than that, fp32 is taken
SHORT = 0.01  # seconds; shorter turns are timed several at a time
GROWTH = 4  # of the batch, from turn to turn, until it is the recipe's own
FAR = 8  # times the batch that could be raced: where the recipe's own is larger, the race says nothing about it
SCRATCH = 16 << 20  # bytes that the smallest turn may take


@dataclass(frozen=True)
class Measured:
    """What a rehearsal found about a recipe on a machine."""

    precision: str
    seconds_per_image: float  # of training, without evaluations and samples
    fixed: int | None  # bytes that training takes, whatever its batch; None where the system does not say
    per_image: int  # bytes that each image of a batch takes
    ratio: float | None = None  # how many times as fast as fp32 bf16 is; None where they were not compared
    compared: str = "measurement"  # of what
    busy: bool = False  # other processes were at work, so this is not remembered
    refused: str = ""  # why bf16 was out of the question, where it failed

    def __str__(self) -> str:
        if self.refused:
            return f"{self.precision} (bf16 fails here: {self.refused})"
        if self.ratio is None:
            return self.precision
        how = f"{self.compared} on a busy machine" if self.busy else self.compared
        if self.precision == "bf16":
            return f"bf16: {self.ratio:.2f} x fp32 by {how}"
        return f"fp32: bf16 would be {self.ratio:.2f} x by {how}"

    def bytes(self, batch: int) -> int | None:
        """Memory that training takes at a batch, beside what was in use before."""
        return None if self.fixed is None else self.fixed + batch * self.per_image


@dataclass
class Rehearsal:
    """Turns of one engine that nobody needs again."""

    engine: Engine
    feed: Feed  # its batch is changed as needed
    batch: int  # the recipe's own
    before: int | None = None  # bytes in use before the first turn
    peak: int | None = None  # bytes in use at the highest
    rises: dict[int, int] = field(default_factory=dict)  # bytes that a turn took beside what was in use, by batch
    turns: int = 0  # played
    times: dict[str, dict[int, float]] = field(default_factory=dict)  # seconds of a turn with all that is ever due
    usual: dict[str, dict[int, float]] = field(
        default_factory=dict
    )  # the same without what is seldom due, at the least

    def __post_init__(self) -> None:
        for learner in self.engine.learners.values():
            learner.rates = [0.0] * len(learner.rates)
        self.engine.share = 0.0  # of a training that is measured in time
        self.small = min(2 * self.engine.game.pack, self.batch)
        self.clock = stopwatch(self.engine.device)

    def run(self, candidates: tuple[str, ...]) -> Measured:
        """Prove that turns succeed, then race the candidates.

        Raises:
            RecipeError: a turn fails; the message carries the reason.
        """
        busy = functools.partial(starved, self.engine.device, time.perf_counter(), time.thread_time())
        with seeded(0, "rehearsal"):
            self.before = machine.used(self.engine.device)
            self.prove(candidates[0])
            until = self.clock() + BUDGET
            if self.times[candidates[0]][self.small] < BUDGET:
                self.play(candidates[0], self.small)  # the first turn of a process is much slower than others
            with one_thread() if busy() else nullcontext():
                measured = self._compare(candidates, until)
        self.feed.batch = self.small
        return replace(measured, busy=busy())

    def _compare(self, candidates: tuple[str, ...], until: float) -> Measured:
        slow = self.times[candidates[0]][self.small] > BUDGET / 3
        if len(candidates) > 1 and slow:
            return self._compared_by_products(candidates, until)
        able, refused = self._able(candidates)
        self._grow(able, until)
        size = self._largest(able, until)
        if len(able) > 1 and FAR * size < self.batch:
            return self._compared_by_products(able, until)
        times = race({name: functools.partial(self.timed, name, size) for name in able}, until, self.clock)
        return self._conclude(times, size, refused)

    def _compared_by_products(self, candidates: tuple[str, ...], until: float) -> Measured:
        """Where turns at batches of some size take too long: matrix products, in which they spend their time."""
        steps = {name: functools.partial(product, name, self.engine.device, self.clock) for name in candidates}
        times = race(steps, self.clock() + (until - self.clock()) / 2, self.clock)
        ratio = typical(times["fp32"]) / typical(times["bf16"])
        able, refused = self._able(candidates) if ratio > 1 + TIE else (candidates[:1], "")
        self._grow(able[-1:], until)
        measured = self._conclude({able[-1]: [self._predicted(able[-1], self.batch)]}, self.small, refused)
        return replace(measured, ratio=None if refused else ratio, compared="matrix products")

    def _largest(self, names: tuple[str, ...], until: float) -> int:
        """The largest batch that all have played and have time to play again."""
        sizes = [size for size in self.times[names[0]] if all(size in self.times[name] for name in names)]
        left = until - self.clock()
        return max([self.small, *(size for size in sizes if sum(self.times[name][size] for name in names) < left)])

    def prove(self, precision: str) -> None:
        """A turn on a few images.

        Raises:
            RecipeError: it fails; the message carries the reason.
        """
        with blaming(self.engine.game):
            self.play(precision, self.small)

    def _able(self, candidates: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
        """Candidates that a turn succeeds in, and why one fails."""
        for name in candidates[1:]:
            try:
                if name not in self.times:
                    self.play(name, self.small)
            except ZerosumError:
                raise
            except Exception as error:  # whatever it is, fp32 works: it is said, and nothing lost
                self.times.pop(name, None)
                return candidates[:1], str(error).splitlines()[0]
        return candidates, ""

    def _grow(self, names: tuple[str, ...], until: float) -> None:
        """Play larger batches, up to the recipe's own, while there are time and memory."""
        size = max(self.times[names[0]])
        while size < self.batch:
            size = min((GROWTH if size > self.small else 2) * size, self.batch)
            turns = sum(self._predicted(name, size) for name in names)
            if self.clock() + turns > until - 0.2 * BUDGET or not self._has_room(size):
                return
            for name in names:
                self.play(name, size)

    def _predicted(self, precision: str, size: int) -> float:
        """Seconds of a turn at a larger batch, on a line through those that were played; at first a guess."""
        times = self.times[precision]
        (small, low), (large, high) = min(times.items()), max(times.items())
        if large == small:
            return low * (1 + size / small) / 2
        return high + max(0.0, high - low) / (large - small) * (size - large)

    def _has_room(self, size: int) -> bool:
        fixed, per_image = self._footprint()
        free = machine.free(self.engine.device)
        return fixed is None or free is None or size * per_image < free / 2

    def play(self, precision: str, size: int, *, due: bool = True) -> float:
        """Seconds of a turn; `due`: with every regularizer, also those that come seldom, and with an eye on memory."""
        self.engine.precision, self.feed.batch = precision, size
        for learner in self.engine.learners.values():
            learner.updates = 0 if due else 1
        if due:
            machine.reset_peak(self.engine.device)
        in_use = machine.used(self.engine.device) if due else None
        machine.wait(self.engine.device)
        began = self.clock()
        self.engine.turn(self.feed)
        machine.wait(self.engine.device)
        seconds = self.clock() - began
        self.turns += 1
        if due:
            self.times.setdefault(precision, {})[size] = seconds
            self._note_memory(size, in_use)
        return seconds

    def _note_memory(self, size: int, in_use: int | None) -> None:
        """What a turn took. The first one also brings libraries and optimizer state; of several the least counts."""
        peak = machine.peak(self.engine.device)
        if peak is not None and in_use is not None:
            rise = max(0, peak - in_use)
            self.rises[size] = min(rise, self.rises.get(size, rise))
            self.peak = max(peak, self.peak or 0)

    def timed(self, precision: str, size: int) -> float:
        """Seconds of a turn at the recipe's own batch, without what is seldom due.

        Where that takes too long, it lies on a line through the turns at `size` and at the smallest batch: casts of
        weights cost the same at every batch, and would decide a race of small ones.
        """
        large = self._mean(precision, size)
        if size in (self.small, self.batch):
            return large * self.batch / size
        slope = max(0.0, large - self._mean(precision, self.small)) / (size - self.small)
        return large + slope * (self.batch - size)

    def _mean(self, precision: str, size: int) -> float:
        """Mean seconds of a turn, over several of short ones."""
        seconds = [self.play(precision, size, due=False)]
        seconds += [self.play(precision, size, due=False) for _ in range(int(SHORT / max(seconds[0], 1e-3)))]
        usual = self.usual.setdefault(precision, {})
        usual[size] = min(*seconds, usual.get(size, seconds[0]))
        return sum(seconds) / len(seconds)

    def _footprint(self) -> tuple[int | None, int]:
        """Bytes that stay, and bytes for each image of a batch."""
        if self.before is None or self.peak is None or not self.rises:
            return None, 0
        (small, low), (large, high) = min(self.rises.items()), max(self.rises.items())
        state = state_bytes(self.engine)
        if large > small:
            per_image = max(0, high - low) // (large - small)
        else:
            per_image = max(0, low - SCRATCH - (state if self.turns == 1 else 0)) // small
        return max(state, self.peak - large * per_image - self.before), per_image

    def _conclude(self, times: dict[str, list[float]], size: int, refused: str) -> Measured:
        """`times`: of turns at the recipe's own batch, by precision, measured at `size` and below."""
        turn = {name: typical(seconds) for name, seconds in times.items()}
        ratio = turn["fp32"] / turn["bf16"] if len(turn) > 1 else None
        chosen = next(iter(turn)) if ratio is None else "bf16" if ratio > 1 + TIE else "fp32"
        due = self.times[chosen][size]
        seldom = max(0.0, due - self.usual.get(chosen, {}).get(size, due)) * self.batch / size
        seconds = turn[chosen] + seldom * seldom_share(self.engine.game)
        images = self.batch * getattr(self.engine.game, "discriminator_updates", 1)
        fixed, per_image = self._footprint()
        return Measured(chosen, seconds / images, fixed, per_image, ratio, refused=refused)


def seldom_share(game: Any) -> float:
    """In how many of its updates a player pays the regularizers that do not come with each."""
    seldom = [1 / part.every for part in game.regularizers if part.every > 1]
    return sum(seldom) / len(seldom) if seldom else 0.0


def state_bytes(engine: Engine) -> int:
    """Bytes that live players take beside their activations: weights, their average, gradients, optimizer state."""
    tensors = [
        one for module in (*engine.modules.values(), *engine.averages.values()) for one in module.state_dict().values()
    ]
    for learner in engine.learners.values():
        tensors += learner.parameters  # for their gradients
        tensors += [one for state in learner.optimizer.state.values() for one in state.values() if torch.is_tensor(one)]
    return sum(one.numel() * one.element_size() for one in tensors)
