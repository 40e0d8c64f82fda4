"""What a report measures of translations that another one undoes: what comes back, how far they move, what they hide.

Everything is measured on copies of the networks and on the same images every time, so the training does not notice.
"""

from __future__ import annotations

import torch

from zerosum.core.model import Model
from zerosum.data import Dataset
from zerosum.data.feed import permutation
from zerosum.metrics.cycle import cycle_errors
from zerosum.runs.evaluation.given import batch, source, way_back

NUMBERS = ("cycle_error", "change", "constant_error", "hidden")  # what it measures of each translation
LOOKS = 16  # images of each set that are translated: what is computed at once


def cycles(model: Model, dataset: Dataset, seed: int) -> dict[str, float]:
    """Numbers of each translation of images that another task undoes, each followed by a dash and the task's name.

    `cycle_error`, `change`: as the metric `cycle-error`, but of translations that are not rounded; `constant_error`:
    the error of the mean image; `hidden`: share of what the way back knows of images that noise takes away.
    """
    found: dict[str, float] = {}
    for name, task in model.of("translate").items():
        if model.back(name) is None:
            continue
        samples = source(dataset, task)
        split = samples.held_out if len(samples.held_out) else samples.train
        rows = split[permutation(seed, 0, len(split))[:LOOKS].numpy()]
        back = way_back(model, name, samples, rows)
        if back is not None:
            made = model.compute(batch(samples, task, rows), name)[next(iter(task.outputs))]
            levels = made.add(1).mul(127.5).clamp(0, 255).permute(0, 2, 3, 1)
            errors = cycle_errors(torch.from_numpy(samples.values[rows]), levels, back, seed=seed)
            numbers = {"cycle_error": errors.error, "change": errors.change, "constant_error": errors.constant}
            found |= {f"{key}-{name}": float(one.mean()) for key, one in numbers.items() if one is not None}
            found[f"hidden-{name}"] = errors.hidden
    return found
