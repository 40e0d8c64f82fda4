"""Real samples for a task that is given some: what a translator translates to be judged, or to be seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zerosum.core.model import Model, Task
from zerosum.data import Dataset
from zerosum.data.attributes import CONDITIONS
from zerosum.metrics.evidence import Samples
from zerosum.metrics.neighbours import nearest
from zerosum.metrics.suite import DomainAccuracy
from zerosum.runs.evaluation.evaluator import Evaluator, order
from zerosum.runs.evaluation.result import Results
from zerosum.runs.storage.trained import TrainedModel
from zerosum.runs.view.media import medium_of

LISTED = 10  # classes or attributes
LEARNT = 3_000  # training pairs that baselines are made of


def compared(dataset: Dataset, task: Task) -> Dataset:
    """The real samples that a task's outputs should be like.

    Raises:
        DataError: the data have no samples of the output's name.
    """
    return dataset.of(next(iter(task.outputs)))


def occasion(dataset: Dataset, task: Task) -> str:
    """What decides which metrics are usual: the verb of a task, or `pairs` of one that translates pairs."""
    return "pairs" if task.verb == "translate" and dataset.inputs is not None else task.verb


def source(dataset: Dataset, task: Task) -> Dataset:
    """The real samples that a task is given.

    Raises:
        DataError: the data have no samples of the input's name.
    """
    return dataset.of(next(iter(task.asked)))


def batch(samples: Dataset, task: Task, rows: np.ndarray) -> dict[str, Tensor]:
    """Inputs of a task from these rows of its samples: their classes, or others where it is told one to give."""
    given: dict[str, Tensor] = {}
    goals = asked_classes(samples, task, rows)
    for name, signal in task.inputs.items():
        if signal.kind not in CONDITIONS:
            given[name] = medium_of(signal).tensors(samples.values[rows])
        elif goals is not None:
            given[name] = goals
        elif samples.conditions is not None:
            given[name] = torch.from_numpy(samples.conditions[rows])
    return given


def asked_classes(samples: Dataset, task: Task, rows: np.ndarray) -> Tensor | None:
    """The classes [N] that a task is asked to turn these rows into; None where it takes none.

    Others than a sample has, in turn; all in turn where nobody knows its own. Attributes [N, K] are those of the row
    before.
    """
    if "label" not in task.inputs or "label" not in task.priors:
        return None
    if samples.attributes is not None:
        return torch.from_numpy(samples.attributes[np.roll(rows, 1)]).float()
    classes, turn = task.inputs["label"].classes, torch.arange(len(rows))
    if samples.labels is None or classes < 2:
        return turn % classes
    return (torch.from_numpy(samples.labels[rows]) + 1 + turn % (classes - 1)) % classes


def outputs(evaluator: Evaluator, trained: TrainedModel, count: int, dataset: Dataset) -> tuple[Tensor, Tensor | None]:
    """What a task makes of real samples that it is given, [N, ...], and the classes that it is told to give, if any."""
    task = trained.task
    samples = source(dataset, task)
    rows = order(samples, evaluator.split, evaluator.seed)[:count]
    made = trained.run(batch(samples, task, rows))[next(iter(task.outputs))]
    return made, asked_classes(samples, task, rows)


def paired(evaluator: Evaluator, task: Task, dataset: Dataset, count: int) -> dict[str, Any]:
    """What is known of a task that is given samples: outputs that take no training, and of pairs the targets.

    The first only where metrics hold them against something: targets, or classes that are asked for.
    """
    others: dict[str, Any] = {"trivial": lambda: trivial(evaluator, task, dataset, count)}
    if occasion(dataset, task) == "pairs":
        rows = order(evaluator.dataset, evaluator.split, evaluator.seed)[:count]
        return {"wanted": evaluator.values(rows), **others}
    return others if "label" in task.priors else {}


def returning(evaluator: Evaluator, model: Model, dataset: Dataset, count: int) -> dict[str, Any]:
    """What a translation was given, and the way back to it by a task of the model; nothing where it has none."""
    task = model.task()
    if task.verb != "translate" or model.back() is None:
        return {}
    samples = source(dataset, task)
    rows = order(samples, evaluator.split, evaluator.seed)[:count]
    back = way_back(model, None, samples, rows)
    return {} if back is None else {"given": torch.from_numpy(np.ascontiguousarray(samples.values[rows])), "back": back}


def way_back(model: Model, name: str | None, samples: Dataset, rows: np.ndarray) -> Callable[[Tensor], Tensor] | None:
    """What turns outputs of a task for these rows of its samples, in their order, into such samples.

    It takes and gives images [N, H, W, C] in grey levels from 0 to 255, which need not be whole. None where no task of
    the model leads back, or not to images.
    """
    name, labels = model.back(name), samples.conditions
    if name is None or not samples.is_image:
        return None
    task = model.task(name)
    port, goal = next(iter(task.asked)), next(iter(task.outputs))
    told = [key for key, signal in task.inputs.items() if signal.kind in CONDITIONS]

    def back(levels: Tensor) -> Tensor:
        own = {} if labels is None else {key: torch.from_numpy(labels[rows[: len(levels)]]) for key in told}
        x = levels.float().div(127.5).sub(1).permute(0, 3, 1, 2)
        return model.compute({port: x, **own}, name)[goal].add(1).mul(127.5).clamp(0, 255).permute(0, 2, 3, 1)

    return back


def trivial(evaluator: Evaluator, task: Task, dataset: Dataset, count: int) -> dict[str, Tensor]:
    """Outputs that take no training, by name, in the order of those of `outputs`.

    Of a translator the input as it is; of pairs also the mean target and the target of the nearest training input.
    """
    samples, targets = source(dataset, task), evaluator.dataset
    rows = order(samples, evaluator.split, evaluator.seed)[:count]
    given, found = like(samples.values[rows], targets.values.shape[1:]), {}
    if given is not None:
        found[f"{next(iter(task.asked))} as it is, without translation"] = torch.from_numpy(given)
    if dataset.inputs is not None:
        train = order(targets, "train", evaluator.seed)[:LEARNT]
        mean = np.round(targets.values[train].mean(0, dtype=np.float64)).astype(np.uint8)
        found["the mean target"] = torch.from_numpy(np.repeat(mean[None], len(rows), 0))
        flat = [torch.from_numpy(np.ascontiguousarray(samples.values[one])).flatten(1).float() for one in (rows, train)]
        place = nearest(flat[0], flat[1], 1)[1][:, 0].numpy()
        found["the target of the nearest training input"] = evaluator.values(train[place])
    return found


def untrained(evaluator: Evaluator, model: Model, dataset: Dataset, count: int) -> list[str]:
    """What the metrics say of outputs that take no training: a translator must be better than these."""
    task = model.task()
    if task.verb != "translate":
        return []
    others = {name: one for name, one in paired(evaluator, task, dataset, count).items() if name == "wanted"}
    samples = source(dataset, task)
    rows = order(samples, evaluator.split, evaluator.seed)[:count]
    goals = asked_classes(samples, task, rows)
    notes = []
    for name, values in trivial(evaluator, task, dataset, count).items():
        if model.back():  # what was left as it is goes back as it is
            others |= {"given": values, "back": lambda x: x}
        numbers = ", ".join(
            f"{one.metric} {one.value:.4g}" for one in evaluator.attempt(evaluator.see(values, goals), **others)
        )
        notes += [f"{name}: {numbers}"] if numbers else []
    return notes


def by_label(evaluator: Evaluator, found: Results, fake: Samples, others: dict[str, Any]) -> list[str]:
    """How often each class that was asked for was met, or each attribute; the most often missed ones of many."""
    metric = next((one for one in evaluator.metrics if isinstance(one, DomainAccuracy)), None)
    names = evaluator.dataset.condition_names
    if metric is None or not names or metric.name not in {one.metric for one in found}:
        return []
    shares = metric.by_label(evaluator.evidence(fake, **others))
    least = sorted(shares, key=lambda one: shares[one])[:LISTED]
    more = f"the {len(least)} least of {len(shares)}: " if len(least) < len(shares) else ""
    return [f"{metric.name}, {more}{', '.join(f'{names[one]} {shares[one]:.4g}' for one in least)}"]


def like(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """Samples [N, ...] in a shape: grey images in each of several channels; None where they cannot have it."""
    if values.shape[1:] != shape and values.shape[1:] == (*shape[:-1], 1):
        values = np.broadcast_to(values, (len(values), *shape))
    return np.ascontiguousarray(values) if values.shape[1:] == shape else None
