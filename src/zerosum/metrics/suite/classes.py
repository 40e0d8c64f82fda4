"""Metrics from class probabilities, for extractors that predict classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from zerosum.core.registry import register
from zerosum.core.values import Count
from zerosum.metrics.evidence import Evidence, Measure, Metric, only, too_few, unlabelled
from zerosum.metrics.linear import LinearClassifier
from zerosum.metrics.scores import class_accuracy, class_coverage, inception_score, label_divergence

__all__ = ["Classes", "DomainAccuracy", "InceptionScore"]


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


@register("metric", "domain-accuracy")
@dataclass(frozen=True)
class DomainAccuracy(Metric):
    """Share of samples that a classifier takes for the class that was asked for, 0 to 1.

    The classifier is a logistic regression on features of training samples and their classes; nothing of the training
    enters. The floor is its share on held-out samples and their own classes: near 1, or the number says little. The
    baseline of a translator is its input as it is. Of attributes it is the mean of their shares.
    """

    better: ClassVar[dict[str, bool | None]] = {"domain-accuracy": True}
    looks_at: ClassVar[str] = "training"
    least: ClassVar[int] = 20
    untrained: ClassVar[bool] = True
    surpassing: ClassVar[bool] = True
    samples: Count = 5_000  # training samples that the classifier is fitted to, at most

    def lacks(self, evidence: Evidence) -> str | None:
        """Classes that were asked for, and those of training samples."""
        if evidence.fake.labels is None:
            return "samples that were asked to be of a class"
        if evidence.training is None or evidence.real.labels is None:
            return "training samples with their classes"
        return None

    def __call__(self, evidence: Evidence) -> dict[str, Measure]:
        """All samples."""
        return {"domain-accuracy": Measure(float(self._right(evidence).double().mean()))}

    def by_label(self, evidence: Evidence) -> dict[int, float]:
        """The same for each class that is asked for, or for each attribute, by number."""
        right, labels = self._right(evidence).double(), evidence.fake.labels
        assert labels is not None
        if labels.ndim == 2:
            return dict(enumerate(right.mean(0).tolist()))
        return {int(one): float(right[labels == one].mean()) for one in labels.unique()}

    def _right(self, evidence: Evidence) -> Tensor:
        """Which labels the classifier gives, bool [N], or [N, K] of attributes."""
        assert evidence.training is not None
        training = evidence.training().first(self.samples)
        assert training.labels is not None
        assert evidence.fake.labels is not None
        classifier = LinearClassifier.fit(training.features, training.labels)
        return classifier.right(evidence.fake.features, evidence.fake.labels)
