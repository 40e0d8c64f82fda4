"""How samples are evaluated during a training: which metrics, on how many, by which extractor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from zerosum.core.registry import Part, register, slot
from zerosum.core.values import Count
from zerosum.metrics.evidence import Metric


@register("evaluator", "samples")
@dataclass(frozen=True)
class EvaluatorPart(Part):
    """What is measured at each evaluation of a training, and which number decides what is best."""

    metrics: tuple[Metric, ...] = slot("metric", (), "usual")  # none: the usual ones for the data; metrics+=ct adds one
    extractor: str = "auto"  # how features are found, see `zerosum ls extractor`; auto: by the data
    count: Count = 2_500  # generated samples in each evaluation
    split: Literal["auto", "held-out", "train", "all"] = "auto"  # auto: held out if enough, else half of all
    best: str = "auto"  # the number that `best` follows; auto: fd of a classifier, else sliced-wasserstein
