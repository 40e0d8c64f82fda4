"""Metrics from class probabilities, for extractors that predict classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from zerosum.core.registry import register
from zerosum.core.values import Count
from zerosum.metrics.evidence import Evidence, Measure, Metric, only, too_few, unlabelled
from zerosum.metrics.scores import class_accuracy, class_coverage, inception_score, label_divergence

__all__ = ["Classes", "InceptionScore"]


def probabilities(samples: Any) -> Tensor:
    """Class probabilities `[N, K]` of samples that have them, as `lacks` has checked."""
    assert samples.probabilities is not None
    return samples.probabilities


@register("metric", "inception-score")
@dataclass(frozen=True)
class InceptionScore(Metric):
    """How confident a classifier is in each sample and how evenly classes occur; uses no real samples.

    Salimans et al. 2016. With another extractor than Inception it is a classifier score; the floor is that of real
    samples.
    """

    better: ClassVar[dict[str, bool | None]] = {"inception-score": True}
    least: ClassVar[int] = 20
    splits: Count = 10  # parts whose scores are averaged

    def needed(self) -> int:
        """Two samples per split."""
        return max(self.least, 2 * self.splits)

    def lacks(self, evidence: Evidence) -> str | None:
        """Class probabilities."""
        return unlabelled(evidence)

    def warns(self, evidence: Evidence, measures: dict[str, Measure]) -> str | None:  # noqa: ARG002
        """Few samples."""
        return too_few(evidence, 5_000, "the score grows with their number up to about")

    def __call__(self, evidence: Evidence) -> dict[str, Measure]:
        """All generated samples."""
        return {"inception-score": Measure(*inception_score(probabilities(evidence.fake).log(), self.splits))}


@register("metric", "classes")
@dataclass(frozen=True)
class Classes(Metric):
    """Predicted classes of the samples: how uneven, how many, and whether they are those requested.

    `label-kl` is KL(generated || real) of predicted shares in nats; `classes` counts classes that occur,
    `classes-half` those that occur at least half as often as among real samples. `accuracy` needs a generator that
    takes labels; the floor is the classifier's accuracy on real samples.
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
        """All samples; the predicted class is the most probable."""
        real, fake = probabilities(evidence.real), probabilities(evidence.fake)
        predicted, shares = fake.argmax(1), real.argmax(1).bincount(minlength=real.shape[1])
        occurring = shares > 0  # a class that is predicted for no real sample counts as one sample
        measures = only(
            label_kl=label_divergence(predicted, shares.where(occurring, 1)), **class_coverage(predicted, shares)
        )
        if evidence.fake.labels is not None and evidence.classes == fake.shape[1]:
            measures |= only(accuracy=class_accuracy(predicted, evidence.fake.labels))
        return measures
