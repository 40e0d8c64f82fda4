"""A training under way: turns of the engine, and what is due after each of them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import nn

from zerosum.core import settings
from zerosum.core.clock import seeded
from zerosum.core.engine import Engine
from zerosum.core.errors import RecipeError, RunError, TrainingError
from zerosum.core.interrupt import Interrupt
from zerosum.core.space import Space
from zerosum.core.values import Length
from zerosum.data import Dataset, Feed
from zerosum.recipes import Recipe
from zerosum.runs import checkpoint, health, pictures, stopping
from zerosum.runs.directory import RunDirectory
from zerosum.runs.evaluate import drawn, known, weights_of
from zerosum.runs.generator import Generator, save_generator
from zerosum.runs.judge import Judge
from zerosum.runs.logs import Logs, read_lines
from zerosum.runs.progress import Display
from zerosum.runs.starting import Start, offer

FORMAT = "zerosum-checkpoint-1"
QUICK = 5.0  # seconds; shorter epochs are not worth a line each
SHOWN = 3  # numbers on the progress line
ROLLBACKS = 3  # of a run; more are no accident


@dataclass(frozen=True)
class Moment:
    """A point of a training, on both clocks."""

    images: int
    seconds: float

    def count(self, every: Length, per_epoch: int) -> int:
        """How many times an interval has passed since the start."""
        if not every.amount:
            return 0
        images = every.images(per_epoch)
        return self.images // images if images else int(self.seconds // every.amount)


def make_space(recipe: Recipe, dataset: Dataset) -> Space:
    """Sizes that the networks take from recipe and data."""
    return Space(dataset.shape, recipe.game.latent.size, len(dataset.classes))


@dataclass
class Training:
    """One process's work on a run."""

    run: RunDirectory
    recipe: Recipe
    dataset: Dataset
    environment: dict[str, Any]
    display: Display
    spent: float = 0.0  # seconds of training before this process
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        recipe, game = self.recipe, self.recipe.game
        self.logs = Logs(self.run)
        self.probe = health.Probe(self.dataset, recipe.batch, game.pack, recipe.seed)
        self.begin()

    def begin(self) -> None:
        """Seat the players as they are before the first image."""
        recipe, device = self.recipe, torch.device(self.environment["device"])
        self.feed = Feed(
            self.dataset,
            recipe.batch,
            seed=recipe.seed,
            flip=recipe.data.flip,
            balanced=recipe.data.balanced,
            device=device,
        )
        self.per_epoch = self.feed.per_epoch
        self.total = recipe.length.images(self.per_epoch)
        self.engine = Engine(
            recipe.game,
            make_space(recipe, self.dataset),
            seed=recipe.seed,
            device=device,
            precision=self.environment["precision"],
            total=self.total,
        )
        self.ended: str | None = None  # why the training is over before its length
        self.saved: int | None = None  # clock of the newest checkpoint
        self._product: tuple[int, nn.Module] | None = None
        self._last = self._epoch_began = Moment(0, 0.0)  # at the last report, and at the last epoch's end

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
                return self._play(interrupt)
            except TrainingError as error:
                self._roll_back(error)

    def _play(self, interrupt: Interrupt) -> bool:
        self.display.start(self.share)
        self._last = self._epoch_began = before = self.now
        try:
            while not self.over and not interrupt.asked:
                self.engine.turn(self.feed)
                now = self.now
                self.after(before, now)
                before = now
        finally:
            self.display.stop()
        if self.saved != self.feed.position:
            if self.over:
                self._conclude(before)
            self.save()
        return self.over

    def _roll_back(self, error: TrainingError) -> None:
        """Go back to the newest good checkpoint, to play on with other random numbers.

        Raises:
            TrainingError: the recipe says stop, or this was done ROLLBACKS times.
        """
        attempt = self.engine.attempt + 1
        event = {"not_finite": str(error), **self.engine.ledger.finite()}
        if self.recipe.on_nan == "stop" or attempt > ROLLBACKS:
            self.note(**event)
            if self.recipe.on_nan == "stop":
                raise error
            raise TrainingError(f"{error}. It came back after {ROLLBACKS} rollbacks, so this is no accident") from error
        saved = checkpoint.load_latest(self.run.checkpoints, lambda text: self.display.say(text, "yellow"))
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
            self.draw(now.images)
        if due(recipe.evaluation):
            self.evaluate(now.images)
        if lines != len(self.logs.reports) + len(self.logs.evaluations):
            self.decide()
        if due(recipe.checkpoint) and not self.over:
            self.save()

    def decide(self) -> None:
        """End the training where a rule of the recipe says so.

        Raises:
            RecipeError: `stop_when` names no number of this run; everything is saved.
        """
        try:
            self.ended = stopping.reason(
                self.recipe, self.logs.reports, self.logs.evaluations, self.per_epoch, self.judge.best
            )
        except RecipeError:
            if self.saved != self.feed.position:
                self.save()
            raise
        if self.ended is not None and not any(line.get("ended") == self.ended for line in self.logs.reports):
            self.note(ended=self.ended)
            self.display.say(f"ends here: {self.ended}")

    def note(self, **event: Any) -> None:
        """Write an event between the reports."""
        now = self.now
        line = {"images": now.images, "epoch": round(now.images / self.per_epoch, 4), **event}
        self.logs.metrics({**line, "seconds": round(now.seconds, 3)})

    def _conclude(self, now: Moment) -> None:
        if self.engine.ledger.has("report"):
            self.report(now)
        if not (self.run.samples / f"{now.images:09d}.png").exists():
            self.draw(now.images)
        if not any(line["images"] == now.images for line in read_lines(self.run.evaluations)):
            self.evaluate(now.images)

    # ------------------------------------------------------------------ what is due

    def report(self, now: Moment) -> None:
        """Write the mean losses since the last report, and show them."""
        losses = self.engine.ledger.take("report")
        rate = (now.images - self._last.images) / max(now.seconds - self._last.seconds, 1e-9)
        line = {"images": now.images, "epoch": round(now.images / self.per_epoch, 4), **losses}
        line |= {**self.probe.look(self.engine), "seconds": round(now.seconds, 3), "images_per_second": round(rate, 1)}
        course = health.Course(self.recipe, self.environment["data"], [*self.logs.reports, line], self.logs.evaluations)
        for finding in health.note(course):
            if finding.since == now.images:
                self.display.say(str(finding), "yellow")
        self.logs.metrics(line)
        self._last = now
        shown = " ".join(
            f"{_short(name)} {value:.3f}" for name, value in losses.items() if name.endswith(".adversarial")
        )
        remaining = now.seconds * (1 - self.share) / max(self.share, 1e-9)
        self.display.update(self.share, f"{now.images:,} images, {rate:,.0f}/s, {shown}", remaining)

    def _epoch(self, now: Moment) -> None:
        epochs = -(-self.total // self.per_epoch) if self.total else 0
        number = now.images // self.per_epoch
        line = self.logs.epoch(number, max(epochs, number), self.engine.ledger.take("epoch"))
        taken = now.seconds - self._epoch_began.seconds
        self._epoch_began = now
        if taken >= QUICK or number % 15 == 0 or number == epochs:
            self.display.say(f"{line}, time taken for epoch {number} is {taken:.1f} sec")

    def draw(self, images: int) -> None:
        """Draw the fixed latents into samples/, named by the clock: a row for each class where there are labels."""
        generator, classes = self.generator, len(self.dataset.classes)
        columns = 10 if generator.conditional else 8
        count = classes * columns if generator.conditional else 64 if self.engine.space.is_image else 10_000
        with seeded(self.recipe.seed, "samples"):
            latent = self.recipe.game.latent(count, "cpu")
        label = torch.arange(count) // columns if generator.conditional else None
        samples = generator.decode(latent, label)
        shown = pictures.picture(generator.outward(samples), columns, self.dataset.units)
        pictures.save(self.run.samples / f"{images:09d}.png", shown)

    @cached_property
    def judge(self) -> Judge:
        """What compares samples with real ones."""
        return Judge(self.dataset, self.recipe.judge, seed=self.recipe.seed, device=self.environment["device"])

    def evaluate(self, images: int) -> None:
        """Judge samples of the product as it stands."""
        generator, count = self.generator, self.recipe.judge.count
        fake = drawn(self.judge, generator, count, self.recipe.seed)
        records = self.judge.judge(fake, weights_of(generator), **known(self.judge, generator))
        for record in records:
            self.logs.evaluation({"images": images, **record.line()})
        self.display.metric = ", ".join(f"{one.metric} {one.value:.3g}" for one in records[:SHOWN])

    @property
    def generator(self) -> Generator:
        """The product as it stands; made once per clock."""
        if self._product is None or self._product[0] != self.feed.position:
            self._product = (self.feed.position, self.engine.product())
        classes, shares, rules = self.dataset.classes, self.dataset.shares, self.environment["data"].get("rules", 1)
        network, images = self._product[1], self.feed.position
        return Generator(network, self.recipe, self.engine.space, classes, images, shares, rules, self.dataset.units)

    # ------------------------------------------------------------------ saving

    def save(self) -> None:
        """Write the generator file and a checkpoint; killed in between, the run still fits together."""
        save_generator(self.run.generator, self.generator)
        tensors, numbers = self.engine.state()
        manifest = {
            "format": FORMAT,
            "recipe": settings.to_toml(self.recipe),
            "data": self.dataset.fingerprint,
            "seconds": self.now.seconds,
            "logs": self.logs.flush(),
            **numbers,
        }
        self._settle(checkpoint.save(self.run.checkpoints, self.feed.position, tensors, manifest))

    def start_with(self, start: Start) -> None:
        """Begin with weights from elsewhere, and save them, so that nothing depends on their place any more."""
        start.take(self.engine)
        self.save()

    def _settle(self, name: str) -> None:
        """Make a checkpoint the latest, and remove those that are neither recent nor best."""
        self.run.point("latest", name)
        checkpoint.prune(self.run.checkpoints, self.recipe.keep, self._best(name))
        self.saved = int(name)

    def _best(self, name: str) -> str:
        """The checkpoint with the best number so far; evaluations and checkpoints meet by the clock."""
        lines = [line for line in self.logs.evaluations if line["metric"] == self.judge.best]
        values = {
            f"{line['images']:09d}": line["value"] * (-1 if line.get("higher_is_better") else 1) for line in lines
        }
        best = self.run.pointed("best")
        if best is None or best not in values or values.get(name, float("inf")) < values[best]:
            best = name
            save_generator(self.run.best_generator, self.generator)
            self.run.point("best", name)
        return best

    def restore(self, saved: checkpoint.Checkpoint) -> None:
        """Continue where a checkpoint was written.

        Raises:
            RunError: recipe or data are not those of the checkpoint.
        """
        before = settings.from_toml(Recipe, saved.manifest["recipe"])
        changed = settings.differences(stopping.as_free(before, self.recipe), self.recipe)
        if changed:
            raise RunError(
                "the recipe changed since the checkpoint was written:\n  " + "\n  ".join(changed) + "\n"
                f"restore recipe.toml, or {offer(self.run.path)}"
            )
        if saved.manifest["data"] != self.dataset.fingerprint:
            raise RunError(f"the data changed since this run began; restore them, or {offer(self.run.path)}")
        self.engine.load(saved.tensors, saved.manifest)
        self.feed.position = saved.manifest["images"]
        self.logs.cut(saved.manifest["logs"])
        checkpoint.drop_newer(self.run.checkpoints, saved.name)
        for picture in self.run.samples.glob("*.png"):
            if int(picture.stem) > self.feed.position:
                picture.unlink()
        self.spent, self.began = saved.manifest["seconds"], time.monotonic()
        self._settle(saved.name)
        self.decide()


def _short(name: str) -> str:
    return name.partition(".")[0].replace("discriminator", "D").replace("generator", "G")
