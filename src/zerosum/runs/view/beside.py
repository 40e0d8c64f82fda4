"""Pictures of what a model makes of samples: each beside what became of it, and beside its target if it has one."""

from __future__ import annotations

import numpy as np

from zerosum.data import Dataset
from zerosum.runs.evaluation.given import batch, compared, occasion, source
from zerosum.runs.storage.trained import TrainedModel
from zerosum.runs.view import pictures
from zerosum.runs.view.media import medium_of

SHOWN = 32  # samples of a task


def beside(trained: TrainedModel, dataset: Dataset, seed: int = 0) -> np.ndarray:
    """Held-out samples (else training samples) beside what the model makes of them, a block for each task of its verb.

    Those of pairs stand before their targets, too. Points are drawn without those that they came from.
    """
    sheets = []
    for name, task in trained.model.of(trained.task.verb).items():
        samples = source(dataset, task)
        split = samples.held_out if len(samples.held_out) else samples.train
        rows = np.random.default_rng(seed).permutation(split)[:SHOWN]
        outputs = trained.run(batch(samples, task, rows), name)[next(iter(task.outputs))]
        values = medium_of(trained.signal).values(outputs, trained.units)
        targets = [compared(dataset, task).values[rows]] if occasion(dataset, task) == "pairs" else []
        images = values.ndim == 4
        sheets.append(pictures.pairs(samples.values[rows], values, *targets) if images else pictures.sheet(values))
    return pictures.stack(sheets)
