"""How samples are judged during a training: which metrics, on how many, by which extractor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from zerosum.core.registry import Part, register, slot
from zerosum.core.values import Count


@register("judge", "samples")
@dataclass(frozen=True)
class Judging(Part):
    """What is measured at each evaluation of a training, and which number decides what is best."""

    metrics: Any = slot("metric", (), "usual")  # none: those usual for the data, which metrics+=ct adds to
    extractor: str = "auto"  # what sees features, as in `zerosum ls extractor`; auto: by the data
    count: Count = 2_500  # generated samples in each evaluation
    split: Literal["auto", "held-out", "train", "all"] = "auto"  # real ones; auto: 100 held out, else half of all
    best: str = "auto"  # the number that `best` follows; auto: fd of a classifier, else sliced-wasserstein
