"""Metrics that are usual for what a task does and for the medium that it gives."""

from __future__ import annotations

from zerosum.core.registry import parse, registered
from zerosum.data import Dataset
from zerosum.extractors import Extractor
from zerosum.metrics.evidence import Metric
from zerosum.metrics.suite import FD, KID, PRDC, DomainAccuracy, Modes, Usual
from zerosum.runs.view.media import medium_of

FEATURES = 4096  # of an extractor; distances of more take too long to be usual


def usual(dataset: Dataset, extractor: Extractor, verb: str = "generate") -> tuple[Metric, ...]:
    """What is measured of a verb where nothing is asked for: what is usual for the medium, and applies."""
    medium = medium_of(next(iter(dataset.signals.values())))
    listed: list[Metric] = [parse("metric", name) for name in medium.metrics.get(verb, ())]
    many = dataset.is_image and extractor.size > FEATURES
    unfit = (
        *((FD, KID, PRDC, DomainAccuracy) if many else ()),
        *(() if dataset.spread else (Modes,)),
        *((DomainAccuracy,) if dataset.conditions is None else ()),
    )
    return tuple(metric for metric in listed if not isinstance(metric, unfit))


def everything() -> tuple[Metric, ...]:
    """Every metric that there is, with its own settings."""
    return tuple(part() for part in registered("metric").values() if part is not Usual)
