"""Batches for training: a pure function of (seed, position), and nothing random to remember."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

from zerosum.core.errors import DataError
from zerosum.core.signals import Batch
from zerosum.data.dataset import Dataset

HELD_BYTES = 2 << 30  # sets below this live in memory (or on the device) as one tensor; larger stay memory-mapped


def permutation(seed: int, epoch: int, count: int, of: str = "") -> Tensor:
    """Order of an epoch (of something): int64 [count], the same on every machine and device."""
    return torch.randperm(count, generator=_generator(f"zerosum feed {seed} {epoch}{of}"))


def balanced_order(labels: np.ndarray, seed: int, epoch: int) -> Tensor:
    """Order of an epoch in which every class comes equally often: int64 indices into `labels` [K * ceil(N / K)].

    Each K images in a row, from the first on, are one of each of the K classes in random order. Within a class the
    images come by permutations that go on from epoch to epoch: a rare class repeats, and no image is left out.
    """
    counts = np.bincount(labels)
    sorted_ = np.argsort(labels, kind="stable")  # one sort, whatever the number of classes
    members = [rows for rows in np.split(sorted_, np.cumsum(counts)[:-1]) if len(rows)]
    rounds = -(-len(labels) // len(members))
    draw = torch.rand(rounds, len(members), generator=_generator(f"zerosum feed {seed} {epoch} classes"))
    turns = torch.arange(epoch * rounds, (epoch + 1) * rounds)
    chosen = [torch.from_numpy(rows)[_stream(seed, turns, len(rows), f" class {k}")] for k, rows in enumerate(members)]
    return torch.stack(chosen, dim=1).gather(1, draw.argsort(dim=1, stable=True)).flatten()


def _stream(seed: int, places: Tensor, count: int, of: str) -> Tensor:
    """Places of an endless row of permutations; the places are consecutive."""
    first, last = int(places[0]) // count, int(places[-1]) // count
    row = torch.cat([permutation(seed, epoch, count, of) for epoch in range(first, last + 1)])
    return row[places - first * count]


def _generator(words: str) -> torch.Generator:
    mixed = hashlib.blake2b(words.encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(mixed, "little"))


class Rows:
    """Training rows of a set in an endless order: number t is `permutation(seed, t // N)[t % N]`.

    Where they are balanced, it is `balanced_order` in place of the permutation, and N is rounded up to a multiple of
    the classes.

    Args:
        dataset: whose rows these are.
        seed: of the order.
        balanced: every class comes equally often.
        device: where rows are given.
        of: tells sets apart that are drawn side by side.
    """

    def __init__(self, dataset: Dataset, seed: int, *, balanced: bool, device: torch.device, of: str = "") -> None:
        if not len(dataset.train):
            raise DataError(f"{dataset.name}: there is no image to train on")
        self.seed, self.device, self.of, self.count = seed, device, of, len(dataset.train)
        self._train, self._values = dataset.train, dataset.values
        self._classes = _balanceable(dataset) if balanced else None
        kinds = 1 if self._classes is None else len(np.unique(self._classes))
        self._length = self.count + -self.count % kinds  # of an order: whole rounds of the classes
        self._order: tuple[int, Tensor] | None = None  # epoch and its order
        row = dataset.values.itemsize * int(np.prod(dataset.values.shape[1:]))
        self._held = self._hold(dataset.values) if row * self.count < HELD_BYTES else None
        conditions = dataset.conditions
        self.labels = None if conditions is None else self._hold(conditions)

    def index(self, position: int, count: int) -> Tensor:
        """So many places among the training rows, int64 [count], from number `position` on."""
        parts = []
        while count:
            epoch, start = divmod(position, self._length)
            part = self._epoch(epoch)[start : start + count]
            position, count = position + len(part), count - len(part)
            parts.append(part)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def gather(self, index: Tensor) -> Tensor:
        """Rows as they are stored, [len(index), ...]."""
        if self._held is not None:
            return self._held.index_select(0, index)
        return torch.from_numpy(self._values[self._train[index.cpu().numpy()]]).to(self.device)

    def _hold(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array[self._train])).to(self.device)

    def _epoch(self, epoch: int) -> Tensor:
        if self._order is None or self._order[0] != epoch:
            self._order = epoch, self._draw_order(epoch).to(self.device)
        return self._order[1]

    def _draw_order(self, epoch: int) -> Tensor:
        if self._classes is None:
            return permutation(self.seed, epoch, self.count, self.of)
        return balanced_order(self._classes, self.seed, epoch)


class Feed:
    """Endless batches of `Rows`, which may straddle epochs.

    `position`, the images drawn so far, is the only state: set it to go on anywhere. Of two sets, signals `a` and `b`,
    each is drawn by itself, so many of each; the position counts those of one, and an epoch is that of the larger set.

    On several ranks `batch` and `position` count the images of all; each rank takes its part of the batch, in order.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch: int,
        *,
        seed: int = 0,
        flip: bool = False,
        balanced: bool = False,
        device: str | torch.device = "cpu",
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if batch < 1:
            raise DataError(f"{dataset.name}: a batch of {batch} images is impossible; the least is 1")
        if batch % world:
            near = max(1, round(batch / world)) * world
            raise DataError(
                f"{dataset.name}: {world} ranks cannot share a batch of {batch} images; the nearest is {near}"
            )
        if balanced and dataset.domains:
            raise DataError(f"{dataset.name}: both sets are drawn equally often anyway; leave balanced=false")
        if flip and not dataset.is_image:
            raise DataError(f"{dataset.name}: points cannot be flipped; leave flip=false")
        self.batch, self.seed, self.flip, self.device = batch, seed, flip, torch.device(device)
        self.rank, self.world = rank, world
        self.position = 0
        self.per_epoch = dataset.per_epoch
        self.is_image = dataset.is_image
        self._paired = dataset.inputs is not None
        self._rows = {
            name: Rows(one, seed, balanced=balanced, device=self.device, of=f" {name}" if dataset.domains else "")
            for name, one in dataset.sets.items()
        }

    def next(self) -> Batch:
        """Draw a batch, or this rank's part of it.

        `sample`: float32 [B, C, H, W] in [-1, 1], channels last, or points [B, D]; `label`: int64 [B], where there are
        classes, or float32 [B, K], where there are attributes. Of two sets: `a` and `b` in place of `sample`; of pairs
        `input` and `target`, mirrored alike.
        """
        size, batch = self.batch // self.world, {}
        mirrored = None
        for name, rows in self._rows.items():
            index = rows.index(self.position, self.batch)[self.rank * size : (self.rank + 1) * size]
            raw = rows.gather(index)
            if self.flip and (mirrored is None or not self._paired):
                mirrored = torch.rand(size, device=self.device) < 0.5
            batch[name] = as_images(raw, mirrored) if self.is_image else raw
            if rows.labels is not None:
                batch["label"] = rows.labels.index_select(0, index)
        self.position += self.batch
        return batch


def as_images(raw: Tensor, mirrored: Tensor | None) -> Tensor:
    """Images as networks see them, [N, C, H, W] in -1..1, of levels [N, H, W, C]; some of them mirrored."""
    raw = raw if mirrored is None else _flipped(raw, mirrored)
    return raw.to(torch.float32).div_(127.5).sub_(1).permute(0, 3, 1, 2)


def _flipped(raw: Tensor, mirrored: Tensor) -> Tensor:
    """Choose among rows of both versions: three times as fast as `torch.where`, and never waits for a device."""
    count = len(raw)
    rows = torch.arange(count, device=raw.device) + count * mirrored
    return torch.cat([raw, raw.flip(2)]).index_select(0, rows)


def _balanceable(dataset: Dataset) -> np.ndarray:
    """Labels of what trains, with at least one image of every class."""
    if dataset.labels is None:
        raise DataError(f"{dataset.name}: without labels there are no classes to balance; leave balanced=false")
    labels = dataset.labels[dataset.train]
    absent = np.setdiff1d(np.arange(dataset.num_classes), labels)
    if len(absent):
        name = dataset.classes[absent[0]]
        raise DataError(f"{dataset.name}: class {name!r} has no image to train on to balance; leave balanced=false")
    return labels
