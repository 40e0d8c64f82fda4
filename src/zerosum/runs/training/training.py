"""A training under way: turns of the engine, and what is due after each of them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from zerosum.core.errors import DamagedError, LostRankError, TrainingError
from zerosum.core.interrupt import Interrupt
from zerosum.core.memory import ALONE
from zerosum.core.model import Model
from zerosum.core.team import Team
from zerosum.core.values import Length
from zerosum.data import Dataset
from zerosum.recipes import Recipe
from zerosum.runs.storage import checkpoint
from zerosum.runs.storage.directory import RunDirectory
from zerosum.runs.storage.logs import Logs
from zerosum.runs.storage.manifest import check_manifest
from zerosum.runs.storage.trained import TrainedModel
from zerosum.runs.training import lockstep, starting, stopping
from zerosum.runs.training.drawing import Drawing
from zerosum.runs.training.evaluations import Evaluations
from zerosum.runs.training.lockstep import Order
from zerosum.runs.training.moments import Moment, Pace, clock
from zerosum.runs.training.progress import Display, brief
from zerosum.runs.training.reporting import Reporter
from zerosum.runs.training.saving import Keeper
from zerosum.runs.training.setup import set_up
from zerosum.runs.training.starting import Start

QUICK = 5.0  # seconds; shorter epochs are not worth a line each
GLANCE = 0.2  # seconds from one change of the progress line to the next
ROLLBACKS = 3  # of a run; more are no accident


@dataclass
class Training:
    """One process's work on a run; of several ranks, that of rank 0."""

    run: RunDirectory
    recipe: Recipe
    dataset: Dataset
    environment: dict[str, Any]
    display: Display
    team: Team = ALONE
    spent: float = 0.0  # seconds of training before this process
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        recipe = self.recipe
        self.logs = Logs(self.run)
        self.reporter = Reporter(recipe, self.dataset, self.environment["data"], self.logs, self.display)
        self.drawing = Drawing(self.run, recipe, self.dataset)
        self.evaluator = Evaluations(recipe, self.dataset, self.environment["device"], self.logs, self.display)
        self.keeper = Keeper(self.run, recipe, self.dataset.fingerprint, self.logs, lambda: self.evaluator.followed)
        self.begin()

    def begin(self) -> None:
        """Seat the players as they are before the first image."""
        self.feed, self.engine = set_up(self.recipe, self.dataset, self.environment, self.team)
        self.per_epoch, self.total = self.feed.per_epoch, self.engine.total
        self.ended: str | None = None  # why the training is over before its length
        self.saved: int | None = None  # clock of the newest checkpoint
        self._model: tuple[int, Model] | None = None
        self._last = self._epoch_began = self._kept = Moment(0, 0.0)  # last report, epoch's end, checkpoint
        self._losses = ""  # as the progress line shows them

    # ------------------------------------------------------------------ clock

    @property
    def now(self) -> Moment:
        """Where the training stands."""
        return Moment(self.feed.position, self.spent + time.monotonic() - self.began)

    @property
    def share(self) -> float:
        """How much of the whole is done, 0 to 1."""
        whole, done = (self.total, self.now.images) if self.total else (self.recipe.length.amount, self.now.seconds)
        return min(1.0, done / whole) if whole else 1.0

    @property
    def done(self) -> str:
        """How much is done, in words: in the unit of the whole."""
        return f"{self.now.images:,} images done" if self.total else f"{clock(self.now.seconds)} of training done"

    @property
    def over(self) -> bool:
        """True where no turn is left to play."""
        return self.share >= 1.0 or self.ended is not None

    # ------------------------------------------------------------------ loop

    def play(self, interrupt: Interrupt) -> bool:
        """Train to the end of the recipe; False if interrupted before (everything is saved either way).

        Raises:
            TrainingError: a value is not finite, and the recipe says stop, or it was so too often; what was saved
                before stays.
        """
        while True:
            try:
                finished = self._play(interrupt)
            except LostRankError:
                raise
            except TrainingError as error:
                self._roll_back(error)
            else:
                lockstep.tell(self.team, Order.END, finished)
                return finished

    def _play(self, interrupt: Interrupt) -> bool:
        if not self.over:
            self.drawing.begin(self.now, lambda: self.model)
            self.spent = self._kept.seconds if self.feed.position else 0.0
            self.began = time.monotonic()  # what came before was no training
        self._last = self._epoch_began = before = shown = self.now
        self.pace = Pace(self.recipe.length, before, self.share)
        self.display.start(lambda: self.pace.standing(self.now, self.share))
        try:
            while self._goes_on(interrupt):
                self.engine.turn(self.feed)
                now = self.now
                self.after(before, now)
                if now.seconds - shown.seconds >= GLANCE or not shown.after(self.pace.start).images:
                    self.show(now)
                    shown = now
                before = now
        finally:
            self.display.stop()
        over, unsaved = self.over, self.saved != self.feed.position
        if over and (unsaved or before.images > self.pace.start.images):  # its last save may have taken its time
            self._conclude(before)
            self.save()
        elif not over:
            if unsaved:
                self.save()
            self.drawing.stop(self.model)
        return over

    def _goes_on(self, interrupt: Interrupt) -> bool:
        """True where another turn is due, on every rank; any of them may have been asked to stop."""
        due, self.engine.share = not self.over and not interrupt.asked, self.share
        order = Order.TURN if due else Order.WAIT
        asked = lockstep.tell(self.team, order, self.engine.attempt, share=self.engine.share, asked=interrupt.asked)
        interrupt.asked = asked
        return due and not asked

    def _roll_back(self, error: TrainingError) -> None:
        """Go back to the newest good checkpoint, to play on with other random numbers.

        Raises:
            TrainingError: the recipe says stop, or this was done ROLLBACKS times.
        """
        attempt = self.engine.attempt + 1
        event = {"not_finite": str(error), **self.engine.meter.finite()}
        if self.recipe.on_nan == "stop" or attempt > ROLLBACKS:
            self.note(**event)
            if self.recipe.on_nan == "stop":
                raise error
            raise TrainingError(f"{error}. It came back after {ROLLBACKS} rollbacks, so this is no accident") from error
        saved = starting.newest(self.run, lambda text: self.display.say(text, "yellow"))
        lockstep.tell(self.team, Order.BEGIN)
        self.begin()
        if saved is None:
            self.spent, self.began = 0.0, time.monotonic()
            self.logs.cut({})
        else:
            self.restore(saved)
        self.engine.attempt = attempt
        self.note(**event, rollback=attempt)
        where = f"back to {self.feed.position:,} images, rollback {attempt} of {ROLLBACKS}"
        self.display.say(f"{error}\n{where}", "yellow")

    def after(self, before: Moment, now: Moment) -> None:
        """Do what became due between two moments."""

        def due(every: Length) -> bool:
            return now.count(every, self.per_epoch) > before.count(every, self.per_epoch)

        recipe = self.recipe
        lines = len(self.logs.reports) + len(self.logs.evaluations)
        if due(recipe.report):
            self.report(now)
        if due(Length(1, "epochs")):
            self._epoch(now)
        if due(recipe.samples):
            self.drawing.draw(self.model)
        else:
            self.drawing.by_the_clock(now, lambda: self.model)
        if due(recipe.evaluation):
            self.evaluate(now.images)
        if lines != len(self.logs.reports) + len(self.logs.evaluations):
            self.decide()
        lasting = now.after(self._kept).count(recipe.autosave, self.per_epoch)
        if (due(recipe.checkpoint) or lasting) and not self.over:
            self.save()

    def decide(self) -> None:
        """End the training where a rule of the recipe says so."""
        reports, evaluations = self.logs.reports, self.logs.evaluations
        self.ended = stopping.reason(self.recipe, reports, evaluations, self.per_epoch, self.evaluator.followed)
        if self.ended is not None and not any(line.get("ended") == self.ended for line in self.logs.reports):
            self.note(ended=self.ended)
            self.display.say(f"ends here: {self.ended}")

    def note(self, **event: Any) -> None:
        """Write an event between the reports."""
        now = self.now
        self.logs.metrics({**self._place(now), **event, "seconds": round(now.seconds, 3)})

    def _place(self, now: Moment) -> dict[str, float]:
        return {"images": now.images, "epoch": round(now.images / self.per_epoch, 4)}

    def note_error(self, error: Exception) -> None:
        """Write what ends the training, where the last line does not say it; the log is cut there once it goes on."""
        if not self.logs.reports or "not_finite" not in self.logs.reports[-1]:
            self.note(error=" ".join(str(error).split()) or type(error).__name__)

    def _conclude(self, now: Moment) -> None:
        if self.engine.meter.has("report"):
            self.report(now)
        if not self.run.picture(now.images).exists():
            self.drawing.draw(self.model)
        within, before = self.evaluator.seconds, self.pace.start
        told = f", {clock(within)} of it evaluating" if within >= 1 else ""
        told += f", {clock(now.seconds)} in all" if before.images else ""
        self.display.say(f"trained for {clock(now.after(before).seconds)}{told}; evaluating the end")
        if not self.evaluator.has(now.images):
            self.evaluate(now.images)
        self.display.say(f"evaluating took {clock(self.evaluator.seconds - within)} longer")

    def report(self, now: Moment) -> None:
        """Write the mean losses since the last report, and show them."""
        losses = self.reporter.report(self.engine, now, self._place(now), now.after(self._last).rate)
        self._last, self._losses = now, brief(losses)

    def show(self, now: Moment) -> None:
        """Show where the training stands."""
        shown = [f"{now.images:,} images", self.pace.rate(now), self._losses]
        self.display.update(", ".join(part for part in shown if part))

    def _epoch(self, now: Moment) -> None:
        epochs = -(-self.total // self.per_epoch) if self.total else 0
        number = now.images // self.per_epoch
        means = self.engine.meter.take("epoch")
        losses = {player: means[player] for player in self.engine.learners if player in means}  # in the game's order
        line = self.logs.epoch(number, max(epochs, number), losses)
        taken = now.after(self._epoch_began).seconds
        self._epoch_began = now
        if taken >= QUICK or number % 15 == 0 or number == epochs:
            self.display.say(f"{line}, time taken for epoch {number} is {taken:.1f} sec")

    def evaluate(self, images: int) -> None:
        """Evaluate the model as it stands."""
        self.evaluator.evaluate(images, lambda: self.model, self.note)

    @property
    def model(self) -> TrainedModel:
        """The model as it stands; made once per clock."""
        if self._model is None or self._model[0] != self.feed.position:
            self._model = (self.feed.position, self.engine.model())
        data, rules, (images, model) = self.dataset, self.environment["data"].get("rules", 1), self._model
        return TrainedModel(
            model, self.recipe, data.signals, data.condition_names, images, data.shares, rules, data.units
        )

    def save(self) -> None:
        """Write the model file and a checkpoint; killed in between, the run still fits together."""
        self._kept = self.now
        self.keeper.save(self.engine, self.model, self._kept.seconds)
        self.saved = self.feed.position

    def start_with(self, start: Start) -> None:
        """Begin with weights from elsewhere, and save them, so that nothing depends on their place any more."""
        start.take(self.engine)
        self.save()
        lockstep.tell(self.team, Order.LOAD, self.feed.position)

    def restore(self, saved: checkpoint.Checkpoint) -> None:
        """Continue where a checkpoint was written.

        Raises:
            RunError: recipe or data are not those of the checkpoint, or it is not what a training writes; or the recipe
                was made shorter than what is done.
        """
        check_manifest(saved)
        self.keeper.admit(saved, self.total)
        try:
            self.engine.load(saved.tensors, saved.manifest)
        except (LookupError, RuntimeError, TypeError, ValueError) as error:
            raise DamagedError(f"checkpoint {saved.name} does not fit its recipe: {str(error)[:200]}") from error
        self.feed.position = self.saved = saved.manifest["clock"]
        lockstep.tell(self.team, Order.LOAD, self.feed.position)
        self.logs.cut(saved.manifest["logs"])
        checkpoint.drop_newer(self.run.checkpoints, saved.name)
        self.drawing.forget(saved.manifest["clock"])
        self.spent, self.began = saved.manifest["seconds"], time.monotonic()
        self._kept = self.now
        self.keeper.settle(saved.name, lambda: self.model)
        self.decide()
