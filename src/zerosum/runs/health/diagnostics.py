"""What a report measures beside the losses: how varied fakes are, what they copy, and what D knows by heart.

Every number comes from the last batch of the interval or from the networks under a seed of their own, with
their buffers put back, so the training does not notice. Images are compared as pixels, at most SIDE on a side.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from zerosum.core import arithmetic
from zerosum.core.clock import mix, seeded
from zerosum.core.engine import Engine
from zerosum.core.game import role
from zerosum.core.model import outline
from zerosum.core.signals import Batch
from zerosum.core.spacing import spaced
from zerosum.data import Dataset, Feed
from zerosum.data.feed import permutation
from zerosum.runs.health import diagnostics_of_pairs as pairs
from zerosum.runs.health.diagnostics_of_translations import cycles
from zerosum.runs.health.facts import AT_ONCE

SIDE = 32  # pixels; larger images are averaged down to this before they are compared
PIXELS = 4_000_000  # of training samples that are kept for comparison: 3,906 images of 32 x 32 grey
REFERENCES = 256  # training samples whose nearest neighbour among the others is the measure for fakes
LOOKS = 64  # training and held-out samples that the discriminator is shown at a report, and fakes sought among the kept
LEAST = 16  # held-out samples; fewer say nothing of overfitting
NEAR = 0.1  # two fakes are duplicates below this share of the distance between neighbours among as many real samples

NUMBERS = ("real_distance", "fake_distance", "duplicates", "nearness", "copying", "overfitting")  # what it measures


class Diagnostics:
    """Measures a training from outside.

    Args:
        dataset: what it trains on, and what it does not see.
        batch: samples in a batch; a multiple of the game's pack.
        seed: of the samples that are looked at.
    """

    def __init__(self, dataset: Dataset, batch: int, pack: int = 1, seed: int = 0) -> None:
        arithmetic.settle()  # in a run that goes on these distances come before the engine
        self.dataset, self.seed = dataset, seed
        self._there_and_back: bool | None = None  # not known before the first report
        self.count = max(1, min(batch, LOOKS) // pack) * pack
        self.reference, self.usual = self._neighbourhood()

    def _neighbourhood(self) -> tuple[Tensor, float]:
        """Some training samples, and the median distance of one to its nearest neighbour among the others."""
        dataset = self.dataset
        size = min(int(np.prod(dataset.shape)), SIDE * SIDE * dataset.shape[0])
        chosen = dataset.train[spaced(len(dataset.train), max(2, PIXELS // size))]
        parts = (chosen[start : start + AT_ONCE] for start in range(0, len(chosen), AT_ONCE))
        samples = torch.cat([flat(_samples(dataset, part)) for part in parts])
        rows = spaced(len(samples), REFERENCES)
        distances = torch.cdist(samples[rows], samples)
        distances[torch.arange(len(rows)), torch.from_numpy(rows)] = float("inf")
        return samples, float(distances.amin(1).median()) if len(samples) > 1 else 0.0

    def look(self, engine: Engine) -> dict[str, float]:
        """All that can be measured after a turn."""
        values = self.compare(*(flat(engine.shown[name]) for name in ("real", "fake"))) if engine.shown else {}
        if min(len(one.held_out) for one in self.dataset.sets.values()) >= LEAST and hasattr(engine.game, "scores"):
            values |= self.overfitting(engine)
        if self.dataset.inputs is not None:
            values |= self.of_pairs(engine)
        if self._returns(engine):
            values |= cycles(engine.model(), self.dataset, self.seed)
        return values

    def _returns(self, engine: Engine) -> bool:
        """True where what is trained translates there and back."""
        if self._there_and_back is None:
            model = outline(engine.game, engine.signals)
            self._there_and_back = any(model.back(name) for name in model.of("translate"))
        return self._there_and_back

    def compare(self, real: Tensor, fake: Tensor) -> dict[str, float]:
        """Distances within a real batch [N, D] and one of fakes [M, D], and from fakes to training samples."""
        if len(fake) < 2 or len(real) < 2 or not fake.isfinite().all():
            return {}
        values = {"real_distance": spread(real), "fake_distance": spread(fake)}
        different = real.unique(dim=0)  # a small set comes round within a batch
        if len(different) > 1:
            near, usual = nearest(fake), float(nearest(different).median())
            values |= {
                "duplicates": float((near < NEAR * usual).float().mean()),
                "nearness": float(near.median()) / usual,
            }
        if self.usual > 0:
            values["copying"] = float(torch.cdist(fake[:LOOKS], self.reference).amin(1).median()) / self.usual
        return values

    @torch.no_grad()
    def overfitting(self, engine: Engine) -> dict[str, float]:
        """How surely the discriminators rank training samples above held-out ones: 0 chance, 1 always."""
        with seeded(self.seed, "overfitting", engine.clock), preserved(engine.modules.values()):
            train, held_out = (self._logits(engine, part) for part in ("train", "held_out"))
        return {f"overfitting{name.removeprefix(role(name))}": surely(train[name], held_out[name]) for name in train}

    @torch.no_grad()
    def of_pairs(self, engine: Engine) -> dict[str, float]:
        """Whether the discriminators heed inputs, and how sharp the last outputs are beside their targets."""
        values = pairs.contrast(engine.shown["fake"], engine.shown["real"]) if engine.shown else {}
        if len(self.dataset.train) < 2 or not hasattr(engine.game, "scores"):
            return values
        game: Any = engine.game
        with seeded(self.seed, "pairs", engine.clock), preserved(engine.modules.values()):
            batch = self._batch(engine, "train", max(2, self.count))
            return values | pairs.conditions(lambda batch: game.scores(engine.modules, batch), batch)

    def _logits(self, engine: Engine, part: str) -> dict[str, Tensor]:
        game: Any = engine.game  # one that has `scores`
        scores: dict[str, Tensor] = game.scores(engine.modules, self._batch(engine, part, self.count))
        return scores

    def _batch(self, engine: Engine, part: str, count: int) -> Batch:
        """Samples of a part of the data, others at each report."""
        seed = mix(self.seed, engine.clock)
        sets = [self.dataset] if self.dataset.inputs is not None else self.dataset.sets.values()
        indices = [getattr(one, part) for one in sets]
        # a feed copies all that it draws from
        rows = np.concatenate([index[permutation(seed, 0, len(index))[:count].numpy()] for index in indices])
        return Feed(dataclasses.replace(self.dataset, train=rows), count, seed=seed, device=engine.device).next()


@contextmanager
def preserved(modules: Iterable[torch.nn.Module]) -> Iterator[None]:
    """Run a block that may move buffers, such as running statistics, and put them back."""
    buffers = [buffer for module in modules for buffer in module.buffers()]
    before = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        for buffer, value in zip(buffers, before, strict=True):
            buffer.copy_(value)


def _samples(dataset: Dataset, index: np.ndarray) -> Tensor:
    raw = torch.from_numpy(np.ascontiguousarray(dataset.values[index])).float()
    return raw.div(127.5).sub(1).permute(0, 3, 1, 2) if dataset.is_image else raw


def flat(batch: Tensor) -> Tensor:
    """Samples [N, ...] as rows of numbers on the CPU; large images are averaged down first."""
    batch = batch.detach().float().cpu()
    if batch.dim() == 4:
        batch = batch.clamp(-1, 1)
        if max(batch.shape[2:]) > SIDE:
            batch = adaptive_avg_pool2d(batch, SIDE)
    return batch.flatten(1)


def spread(rows: Tensor) -> float:
    """Root of the mean squared distance between two of the rows [N, D], per number."""
    return float(rows.double().var(0).mean().mul(2).sqrt())


def nearest(rows: Tensor) -> Tensor:
    """Distance of each row [N, D] to the nearest of the others, [N]."""
    rows = rows.double()  # exact enough for products of matrices, which are ten times as fast as differences
    return torch.cdist(rows, rows, compute_mode="use_mm_for_euclid_dist").fill_diagonal_(float("inf")).amin(1)


def surely(high: Tensor, low: Tensor) -> float:
    """How surely one of `high` exceeds one of `low`: 1 always, 0 as often as not, -1 never (Somers' D)."""
    return float((high.float().flatten()[:, None] - low.float().flatten()).sign().mean())
