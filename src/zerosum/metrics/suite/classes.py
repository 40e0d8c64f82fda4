"""Metrics of an extractor that knows classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from zerosum.core.registry import register
from zerosum.core.values import Count
from zerosum.metrics.evidence import Evidence, Measure, Metric, few, only, unlabelled
from zerosum.metrics.scores import class_accuracy, class_coverage, inception_score, label_divergence

__all__ = ["Classes", "InceptionScore"]


def probabilities(samples: Any) -> Tensor:
    """Class probabilities `[N, K]` of samples for which `lacks` found nothing missing."""
    assert samples.probabilities is not None
    return samples.probabilities


@register("metric", "inception-score")
@dataclass(frozen=True)
class InceptionScore(Metric):
    """How sure of single samples and how even over all a classifier is; looks at no real sample.

    Salimans et al. 2016. A classifier score where the extractor is not Inception; the floor is that of real samples.
    """

    better: ClassVar[dict[str, bool | None]] = {"inception-score": True}
    least: ClassVar[int] = 20
    splits: Count = 10  # parts whose scores are averaged

    def needed(self) -> int:
        """Two samples a split."""
        return max(self.least, 2 * self.splits)

    def lacks(self, evidence: Evidence) -> str | None:
        """Class probabilities."""
        return unlabelled(evidence)

    def warns(self, evidence: Evidence, found: dict[str, Measure]) -> str | None:  # noqa: ARG002
        """Few samples."""
        return few(evidence, 5_000, "the score grows with their number up to about")

    def __call__(self, evidence: Evidence) -> dict[str, Measure]:
        """All generated samples."""
        return {"inception-score": Measure(*inception_score(probabilities(evidence.fake).log(), self.splits))}


@register("metric", "classes")
@dataclass(frozen=True)
class Classes(Metric):
    """Classes that a classifier sees in the samples: how unevenly, how many, and whether they are those asked for.

    `label-kl` is KL(generated || real) of predicted shares in nats; `classes` counts those seen at all, `classes-half`
    those seen at least half as often as among real samples. `accuracy` needs a generator that takes labels; the floor
    is the classifier's accuracy on real samples.
    """

    better: ClassVar[dict[str, bool | None]] = {
        "label-kl": False,
        "classes": True,
        "classes-half": True,
        "accuracy": True,
    }
    least: ClassVar[int] = 20

    def lacks(self, evidence: Evidence) -> str | None:
        """Class probabilities."""
        return unlabelled(evidence)

    def __call__(self, evidence: Evidence) -> dict[str, Measure]:
        """All samples; classes are those most probable."""
        real, fake = probabilities(evidence.real), probabilities(evidence.fake)
        seen, shares = fake.argmax(1), real.argmax(1).bincount(minlength=real.shape[1])
        known = shares > 0  # a class that the classifier finds in no real sample counts as one sample
        found = only(label_kl=label_divergence(seen, shares.where(known, 1)), **class_coverage(seen, shares))
        if evidence.fake.labels is not None and evidence.classes == fake.shape[1]:
            found |= only(accuracy=class_accuracy(seen, evidence.fake.labels))
        return found
