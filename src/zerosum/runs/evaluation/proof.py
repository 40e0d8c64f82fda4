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
from zerosum.runs.evaluation.record import failure

if TYPE_CHECKING:
    from zerosum.runs.evaluation.judge import Judge

TRIED_ON = 64  # real samples, or as many as a metric needs


def prove(judge: Judge, count: int, conditional: bool) -> None:
    """Check that the metrics that are asked for can be applied to so many samples of a generator.

    Raises:
        RecipeError: every metric that cannot, and what it lacks.
    """
    if not judge.asked:  # of the usual ones those that apply are taken
        return
    evidence = expected(judge, count, conditional)
    faults = [(metric.name, _fault(judge, metric, evidence)) for metric in judge.asked]
    told = [f"judge.metrics: metric {name!r} {fault}" for name, fault in faults if fault]
    if told:
        raise RecipeError(told)


def _fault(judge: Judge, metric: Metric, evidence: Evidence) -> str | None:
    try:
        lacking = metric.missing(evidence)
        if not lacking and not type(metric).__module__.startswith("zerosum."):
            _trial(judge, metric)
    except Exception as error:  # whatever a user's metric raises is the user's to mend
        return f"{failure(error)}{origin_of(type(metric), error)}"
    return lacking


def expected(judge: Judge, count: int, conditional: bool) -> Evidence:
    """Evidence of the right shapes and numbers that was never looked at."""
    dataset = judge.dataset

    def stand_in(size: int, labelled: bool = dataset.labels is not None) -> Samples:
        extractor, labels = judge.extractor, torch.zeros((), dtype=torch.int64).expand(size)
        value = torch.zeros((), dtype=torch.uint8 if dataset.is_image else torch.float32)
        probabilities = torch.full((), 1 / max(1, extractor.classes), dtype=torch.float64)
        return Samples(
            value.expand(size, *dataset.values.shape[1:]),
            labels if labelled else None,
            torch.zeros(()).expand(size, extractor.size),
            probabilities.expand(size, extractor.classes) if extractor.classes else None,
        )

    sizes = {split: len(judge.order(split)) for split in ("train", "held-out", judge.split)}
    held_out = stand_in(sizes["held-out"]) if sizes["held-out"] else None
    return judge.evidence_of(
        stand_in(sizes[judge.split]),
        stand_in(judge.count(count), conditional),
        training=None if judge.split == "all" else lambda: stand_in(sizes["train"]),
        held_out=held_out,
        **_generator(judge, torch.zeros(1, judge.extractor.size)),
    )


def _generator(judge: Judge, features: Tensor) -> dict[str, Any]:
    """What is known of a generator, by one that gives these features in turn."""
    return {
        "decode": lambda latents: features[torch.arange(len(latents)) % len(features)],
        "latent": lambda count: torch.zeros(count, max(1, judge.extractor.size)),
    }


def _trial(judge: Judge, metric: Metric) -> None:
    """Call a metric on a few real samples in every role; what it raises says what is wrong."""
    rows = judge.order(judge.split)[: max(TRIED_ON, metric.needed())]
    labels = None if judge.dataset.labels is None else torch.from_numpy(judge.dataset.labels[rows])
    real = judge.see(judge.values(rows), labels)
    evidence = judge.evidence_of(
        real, real, training=lambda: real, held_out=real, **_generator(judge, real.features.float())
    )
    if not metric.missing(evidence):  # else so few samples were not promised to it
        numbers(metric, evidence)
