"""Pictures that a training leaves in samples/: real samples once, and the same latents again and again."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from zerosum.core.clock import seeded
from zerosum.core.model import outline
from zerosum.core.spacing import spaced
from zerosum.data import Dataset
from zerosum.recipes import Recipe
from zerosum.runs.storage.directory import RunDirectory
from zerosum.runs.storage.outputs import is_ours
from zerosum.runs.storage.trained import TrainedModel
from zerosum.runs.training.moments import Moment
from zerosum.runs.view import pictures
from zerosum.runs.view.beside import beside

MARKS = (10, 30, 60, 120, 300)  # seconds of training at which there is a picture, whatever the recipe's interval
QUICK = 2.0  # seconds that a picture may take where a person has stopped the training, and waits
BUDGET = 0.03  # of the time of training that these may take; the rest waits until it is within
COLUMNS, TILES, POINTS = 8, 64, 10_000  # without classes
EACH, ROWS, FEWEST = 10, 40, 10  # samples of a class; classes at most, and with large pictures
PIXELS = 1 << 22  # of a sheet with more than the fewest classes


def classes_shown(dataset: Dataset) -> np.ndarray:
    """Classes that have a row in a sheet: all, or so many of them, evenly spread, that the sheet stays small."""
    pixels = dataset.shape[1] * dataset.shape[2] if dataset.is_image else 1
    return spaced(len(dataset.classes), min(ROWS, max(FEWEST, PIXELS // (EACH * pixels))))


class Drawing:
    """Draws the pictures of one run; nothing that is drawn changes the training.

    Args:
        run: where they go.
        recipe: its seed gives the latents.
        dataset: what is real; each class has a row where the generator takes labels.
    """

    def __init__(self, run: RunDirectory, recipe: Recipe, dataset: Dataset) -> None:
        self.run, self.recipe, self.dataset = run, recipe, dataset
        conditional = bool(dataset.classes) and "label" in outline(recipe.game, dataset.signals).task().inputs
        self.columns = EACH if conditional else COLUMNS
        self.labels = classes_shown(dataset).repeat(EACH) if conditional else None
        self._last = 0.0  # seconds of training at the last picture
        self._cost = self._spent = 0.0  # seconds that the last picture took, and all those by the clock

    def begin(self, now: Moment, model: Callable[[], TrainedModel]) -> None:
        """Draw what there is before the first image; a run that goes on has it."""
        self._last = now.seconds
        if not self.recipe.samples.amount:
            return
        if not self.run.real.exists():
            pictures.save(self.run.real, self._real())
        if not now.images and not self.run.picture(0).exists():
            self._timed(model)

    def draw(self, trained: TrainedModel) -> None:
        """Draw what a model makes, named by the clock."""
        began = time.monotonic()
        pictures.save(self.run.picture(trained.images), self._sheet(trained))
        self._cost = time.monotonic() - began

    def _sheet(self, trained: TrainedModel) -> np.ndarray:
        """What the model makes of fixed latents; of a task that is given samples, these beside what became of them."""
        if trained.task.asked:
            return beside(trained, self.dataset, self.recipe.seed)
        count = TILES if self.dataset.is_image else POINTS
        label = None if self.labels is None else torch.from_numpy(self.labels)
        with seeded(self.recipe.seed, "samples"):
            latent = trained.latent(count if label is None else len(label), "cpu")
        samples = trained.decode(latent, label)
        return pictures.picture(trained.outward(samples), self.columns, self.dataset.units)

    def stop(self, trained: TrainedModel) -> None:
        """Draw where a training was stopped, unless the last picture took long, or none was drawn so far."""
        if 0 < self._cost <= QUICK and self.recipe.samples.amount and not self.run.picture(trained.images).exists():
            self.draw(trained)

    def by_the_clock(self, now: Moment, model: Callable[[], TrainedModel]) -> None:
        """Draw once more where a mark was passed, unless that would cost too much yet."""
        due = any(self._last < mark <= now.seconds for mark in MARKS)
        if due and self.recipe.samples.amount and self._spent + self._cost <= BUDGET * now.seconds:
            self._timed(model)
            self._last, self._spent = now.seconds, self._spent + self._cost

    def forget(self, images: int) -> None:
        """Remove what was drawn after a clock; a picture that zerosum did not write stays."""
        for at, picture in self.run.pictures().items():
            if at > images and is_ours(picture):
                picture.unlink()

    def _timed(self, model: Callable[[], TrainedModel]) -> None:
        began = time.monotonic()
        self.draw(model())
        self._cost = time.monotonic() - began

    def _real(self) -> np.ndarray:
        """A picture of training samples, as many as are drawn: of each class those of its row."""
        train, rng, units = self.dataset.train, np.random.default_rng(self.recipe.seed), self.dataset.units
        if self.labels is None or self.dataset.labels is None:
            chosen = rng.permutation(train)[: TILES if self.dataset.is_image else POINTS]
        else:
            labels = self.dataset.labels[train]
            chosen = np.concatenate([rng.choice(train[labels == one], EACH) for one in self.labels[::EACH]])
        real = np.ascontiguousarray(self.dataset.values[chosen])
        if units is None:
            return pictures.sheet(real, self.columns)
        return pictures.sheet(units.outward(real), self.columns, pictures.around(units))
