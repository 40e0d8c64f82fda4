"""Metrics are proven before the first image, as parts are: by what the data and the extractor are known to give.

Nothing is extracted for that. A metric of the user's own is also called once, on a few real samples in every role.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from zerosum.core.errors import RecipeError
from zerosum.core.usercode import origin_of
from zerosum.metrics.evidence import Evidence, Metric, Samples, numbers
from zerosum.runs.evaluation.result import failure

if TYPE_CHECKING:
    from zerosum.runs.evaluation.evaluator import Evaluator

TRIED_ON = 64  # real samples, or as many as a metric needs


def prove(evaluator: Evaluator, count: int, conditional: bool) -> None:
    """Check that the metrics that are asked for can be applied to so many samples of a generator.

    Raises:
        RecipeError: every metric that cannot, and what it lacks.
    """
    if not evaluator.asked:  # of the usual ones those that apply are taken
        return
    evidence = expected(evaluator, count, conditional)
    faults = [(metric.name, _fault(evaluator, metric, evidence)) for metric in evaluator.asked]
    messages = [f"evaluator.metrics: metric {name!r} {fault}" for name, fault in faults if fault]
    if messages:
        raise RecipeError(messages)


def _fault(evaluator: Evaluator, metric: Metric, evidence: Evidence) -> str | None:
    try:
        lacking = metric.missing(evidence)
        if not lacking and not type(metric).__module__.startswith("zerosum."):
            _trial(evaluator, metric)
    except Exception as error:  # whatever a user's metric raises is the user's to mend
        return f"{failure(error)}{origin_of(type(metric), error)}"
    return lacking


def expected(evaluator: Evaluator, count: int, conditional: bool) -> Evidence:
    """Evidence of the right shapes and numbers that was never looked at."""
    dataset = evaluator.dataset

    def stand_in(size: int, labelled: bool = dataset.conditions is not None) -> Samples:
        extractor, labels = evaluator.extractor, torch.zeros((), dtype=torch.int64).expand(size)
        value = torch.zeros((), dtype=torch.uint8 if dataset.is_image else torch.float32)
        probabilities = torch.full((), 1 / max(1, extractor.classes), dtype=torch.float64)
        return Samples(
            value.expand(size, *dataset.values.shape[1:]),
            labels if labelled else None,
            torch.zeros(()).expand(size, extractor.size),
            probabilities.expand(size, extractor.classes) if extractor.classes else None,
        )

    sizes = {split: len(evaluator.order(split)) for split in ("train", "held-out", evaluator.split)}
    held_out = stand_in(sizes["held-out"]) if sizes["held-out"] else None
    fake = stand_in(evaluator.count(count), conditional)
    return evaluator.evidence_of(
        stand_in(sizes[evaluator.split]),
        fake,
        wanted=_wanted(evaluator, fake),
        **_returning(evaluator, fake),
        training=None if evaluator.split == "all" else lambda: stand_in(sizes["train"]),
        held_out=held_out,
        **_generator(evaluator, torch.zeros(1, evaluator.extractor.size)),
    )


def _wanted(evaluator: Evaluator, fake: Samples) -> Tensor | None:
    """Targets of samples, where they have some."""
    return fake.values if evaluator.verb == "pairs" else None


def _returning(evaluator: Evaluator, fake: Samples) -> dict[str, Any]:
    """What samples were made of and the way back to it, where a task may have one."""
    return {"given": fake.values, "back": lambda samples: samples} if evaluator.verb == "translate" else {}


def _generator(evaluator: Evaluator, features: Tensor) -> dict[str, Any]:
    """What is known of a generator, by one that gives these features in turn."""
    return {
        "decode": lambda latents: features[torch.arange(len(latents)) % len(features)],
        "latent": lambda count: torch.zeros(count, max(1, evaluator.extractor.size)),
        "bound": lambda samples: {name: torch.zeros(len(samples)) for name in ("distortion", "rate", "bits")},
    }


def _trial(evaluator: Evaluator, metric: Metric) -> None:
    """Call a metric on a few real samples in every role; what it raises says what is wrong."""
    rows = evaluator.order(evaluator.split)[: max(TRIED_ON, metric.needed())]
    conditions = evaluator.dataset.conditions
    labels = None if conditions is None else torch.from_numpy(conditions[rows])
    real = evaluator.see(evaluator.values(rows), labels)
    evidence = evaluator.evidence_of(
        real,
        real,
        training=lambda: real,
        held_out=real,
        wanted=_wanted(evaluator, real),
        **_returning(evaluator, real),
        **_generator(evaluator, real.features.float()),
    )
    if not metric.missing(evidence):  # else so few samples were not promised to it
        numbers(metric, evidence)
