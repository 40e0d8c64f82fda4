"""Real samples for a task that is given some: what a translator translates to be judged, or to be seen."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from zerosum.core.model import Task
from zerosum.data import Dataset
from zerosum.runs.evaluation.evaluator import Evaluator, order
from zerosum.runs.storage.trained import TrainedModel
from zerosum.runs.view.media import medium_of


def compared(dataset: Dataset, task: Task) -> Dataset:
    """The real samples that a task's outputs should be like.

    Raises:
        DataError: the data have no samples of the output's name.
    """
    return dataset.of(next(iter(task.outputs)))


def source(dataset: Dataset, task: Task) -> Dataset:
    """The real samples that a task is given.

    Raises:
        DataError: the data have no samples of the input's name.
    """
    return dataset.of(next(iter(task.asked)))


def batch(samples: Dataset, task: Task, rows: np.ndarray) -> dict[str, Tensor]:
    """Inputs of a task from these rows of its samples, and their classes where it takes them."""
    given: dict[str, Tensor] = {}
    for name, signal in task.asked.items():
        if signal.kind != "label":
            given[name] = medium_of(signal).tensors(samples.values[rows])
        elif samples.labels is not None:
            given[name] = torch.from_numpy(samples.labels[rows])
    return given


def outputs(evaluator: Evaluator, trained: TrainedModel, count: int, dataset: Dataset) -> Tensor:
    """What a task makes of real samples that it is given, [N, ...]."""
    task = trained.task
    samples = source(dataset, task)
    rows = order(samples, evaluator.split, evaluator.seed)[:count]
    return trained.run(batch(samples, task, rows))[next(iter(task.outputs))]


def untouched(evaluator: Evaluator, task: Task, dataset: Dataset, count: int) -> list[str]:
    """What the metrics say of samples that a translator has not touched: it must be better than these."""
    if task.verb != "translate":
        return []
    samples = source(dataset, task)
    rows = order(samples, evaluator.split, evaluator.seed)[:count]
    values = like(samples.values[rows], evaluator.dataset.values.shape[1:])
    if values is None:
        return []
    results = evaluator.attempt(evaluator.see(torch.from_numpy(values)))
    numbers = ", ".join(f"{one.metric} {one.value:.4g}" for one in results)
    return [f"{next(iter(task.asked))} as it is, without translation: {numbers}"] if results else []


def like(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """Samples [N, ...] in a shape: grey images in each of several channels; None where they cannot have it."""
    if values.shape[1:] != shape and values.shape[1:] == (*shape[:-1], 1):
        values = np.broadcast_to(values, (len(values), *shape))
    return np.ascontiguousarray(values) if values.shape[1:] == shape else None
