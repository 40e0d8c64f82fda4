"""Real samples for a task that is given some: what a translator translates to be judged, or to be seen."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from zerosum.core.model import Task
from zerosum.data import Dataset
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
