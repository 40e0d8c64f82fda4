"""A training under way: turns of the engine, and what is due after each of them."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from zerosum.core import settings
from zerosum.core.clock import seeded
from zerosum.core.engine import Engine
from zerosum.core.errors import RunError
from zerosum.core.space import Space
from zerosum.core.values import Length
from zerosum.data import Dataset, Feed
from zerosum.metrics import mode_coverage, sliced_wasserstein
from zerosum.recipes import Recipe
from zerosum.runs import checkpoint, pictures
from zerosum.runs.directory import RunDirectory
from zerosum.runs.generator import Generator, save_generator
from zerosum.runs.interrupt import Interrupt
from zerosum.runs.logs import Logs, read_lines
from zerosum.runs.progress import Display

FORMAT = "zerosum-checkpoint-1"
QUICK = 5.0  # seconds; shorter epochs are not worth a line each
PRIMARY = "sliced-wasserstein"  # the metric that `best` follows; lower is better


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
        self.logs = Logs(self.run)
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

    # ------------------------------------------------------------------ loop

    def play(self, interrupt: Interrupt) -> bool:
        """Train to the end of the recipe; False if interrupted before (everything is saved either way).

        Raises:
            TrainingError: a loss is not finite; what was saved before stays.
        """
        self.display.start(self.share)
        self._last = self._epoch_began = before = self.now
        try:
            while self.share < 1.0 and not interrupt.asked:
                self.engine.turn(self.feed)
                now = self.now
                self.after(before, now)
                before = now
        finally:
            self.display.stop()
        finished = self.share >= 1.0
        if self.saved != self.feed.position:
            if finished:
                self._conclude(before)
            self.save()
        return finished

    def after(self, before: Moment, now: Moment) -> None:
        """Do what became due between two moments."""

        def due(every: Length) -> bool:
            return now.count(every, self.per_epoch) > before.count(every, self.per_epoch)

        recipe = self.recipe
        if due(recipe.report):
            self.report(now)
        if due(Length(1, "epochs")):
            self._epoch(now)
        if due(recipe.samples):
            self.draw(now.images)
        if due(recipe.evaluation):
            self.evaluate(now.images)
        if due(recipe.checkpoint) and self.share < 1.0:
            self.save()

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
        self.logs.metrics({**line, "seconds": round(now.seconds, 3), "images_per_second": round(rate, 1)})
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
        pictures.save(self.run.samples / f"{images:09d}.png", pictures.picture(samples, columns))

    @cached_property
    def reference(self) -> Tensor:
        """Up to 2,500 held-out samples; training samples where nothing is held out."""
        indices = self.dataset.held_out if len(self.dataset.held_out) else self.dataset.train
        held_out = dataclasses.replace(self.dataset, train=indices)
        return Feed(held_out, min(len(indices), 2_500), seed=self.recipe.seed).next()[0]

    def evaluate(self, images: int) -> None:
        """Compare the reference with as many samples; mixtures also count the modes that were found."""
        count, seed, dataset = len(self.reference), self.recipe.seed, self.dataset
        fake = self.generator.sample(count, seed=seed)
        found = {PRIMARY: sliced_wasserstein(self.reference, fake)}
        if dataset.centres is not None and dataset.spread:  # modes without spread have no width to hit
            coverage = mode_coverage(fake, torch.from_numpy(dataset.centres), dataset.spread)
            found |= {name.replace("_", "-"): float(value) for name, value in coverage.items()}
        split = "held-out" if len(dataset.held_out) else "train"
        protocol = {"real": split, "count": count, "seed": seed, "space": "data", "weights": self._weights}
        for metric, value in found.items():
            self.logs.evaluation({"images": images, "metric": metric, "value": value, "protocol": protocol})
        self.display.metric = ", ".join(f"{metric} {value:.3g}" for metric, value in found.items())

    @property
    def _weights(self) -> str:
        return "last" if self.engine.seats[self.recipe.game.product].average is None else "averaged"

    @property
    def generator(self) -> Generator:
        """The product as it stands; made once per clock."""
        if self._product is None or self._product[0] != self.feed.position:
            self._product = (self.feed.position, self.engine.product())
        return Generator(self._product[1], self.recipe, self.engine.space, self.dataset.classes, self.feed.position)

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

    def _settle(self, name: str) -> None:
        """Make a checkpoint the latest, and remove those that are neither recent nor best."""
        self.run.point("latest", name)
        checkpoint.prune(self.run.checkpoints, self.recipe.keep, self._best(name))
        self.saved = int(name)

    def _best(self, name: str) -> str:
        """The checkpoint with the lowest metric so far; evaluations and checkpoints meet by the clock."""
        lines = (line for line in read_lines(self.run.evaluations) if line["metric"] == PRIMARY)
        values = {f"{line['images']:09d}": line["value"] for line in lines}
        known = self.run.pointed("best")
        if known is None or known not in values or values.get(name, float("inf")) < values[known]:
            known = name
            self.run.point("best", name)
        return known

    def restore(self, saved: checkpoint.Checkpoint) -> None:
        """Continue where a checkpoint was written.

        Raises:
            RunError: recipe or data are not those of the checkpoint.
        """
        before = settings.from_toml(Recipe, saved.manifest["recipe"])
        changed = settings.differences(before.replace(length=self.recipe.length), self.recipe)
        if changed:
            raise RunError(
                "the recipe changed since the checkpoint was written:\n  " + "\n  ".join(changed) + "\n"
                "restore recipe.toml, or start a new run with these settings"
            )
        if saved.manifest["data"] != self.dataset.fingerprint:
            raise RunError("the data changed since this run began; restore them, or start a new run")
        self.engine.load(saved.tensors, saved.manifest)
        self.feed.position = saved.manifest["images"]
        self.logs.cut(saved.manifest["logs"])
        checkpoint.drop_newer(self.run.checkpoints, saved.name)
        for picture in self.run.samples.glob("*.png"):
            if int(picture.stem) > self.feed.position:
                picture.unlink()
        self.spent, self.began = saved.manifest["seconds"], time.monotonic()
        self._settle(saved.name)


def _short(name: str) -> str:
    return name.partition(".")[0].replace("discriminator", "D").replace("generator", "G")
