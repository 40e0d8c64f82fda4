"""Metrics that detect copies of training samples. Small sets suffice: they use at most 3,000 samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from zerosum.core.registry import register
from zerosum.core.values import Count
from zerosum.metrics.evidence import Evidence, Measure, Metric, Samples, only
from zerosum.metrics.memorisation import authenticity, ct_score, mifid_distance

__all__ = ["CT", "CT_OF_COPIES", "Authenticity", "MiFID"]

HELD_OUT = 20  # least number of held-out samples for ct
CT_OF_COPIES = -5.0  # below it, on features and on pixels, samples count as copies


def trained(evidence: Evidence) -> Samples:
    """Training samples, which exist, as `lacks` has checked."""
    assert evidence.training is not None
    return evidence.training()


def pixels(samples: Samples) -> Tensor:
    """Values as one row per sample; a difference of one grey level counts 1."""
    return samples.values.flatten(1).float()


class _Copies(Metric):
    looks_at: ClassVar[str] = "training"
    least: ClassVar[int] = 20

    def lacks(self, evidence: Evidence) -> str | None:
        """Training samples, as many as of the others."""
        if evidence.training is None:
            return "samples that were trained on; take held-out or train (evaluator.split, of evaluate --split)"
        count = len(evidence.training())
        return None if count >= self.least else f"{self.least} samples that were trained on; there are {count:,}"


@register("metric", "ct")
@dataclass(frozen=True)
class CT(_Copies):
    """Are samples nearer to the training set than held-out ones are? Far below 0: copies; far above 0: poor samples.

    Meehan, Chaudhuri & Dasgupta 2020; values within about +-3 show nothing. Once on features, once on pixels.
    """

    better: ClassVar[dict[str, bool | None]] = {"ct": None, "ct-pixels": None}
    least: ClassVar[int] = 63  # more than 20 in one of three cells
    most: Count = 3_000  # generated and held-out samples at most

    def lacks(self, evidence: Evidence) -> str | None:
        """Training and held-out samples."""
        if evidence.held_out is None:
            return "held-out samples; train with held_out=0.1"
        count = len(evidence.held_out)
        few_held_out = f"{HELD_OUT} held-out samples; there are {count:,}" if count < HELD_OUT else None
        return few_held_out or super().lacks(evidence)

    def warns(self, evidence: Evidence, measures: dict[str, Measure]) -> str | None:  # noqa: ARG002
        """Copies of training samples."""
        flagged = max(measure.value for measure in measures.values()) < CT_OF_COPIES
        return "samples are nearer to training samples than held-out ones are: there are copies" if flagged else None

    def __call__(self, evidence: Evidence) -> dict[str, Measure]:
        """At most `most` generated and held-out samples, all training samples."""
        assert evidence.held_out is not None
        train, test, fake = trained(evidence), evidence.held_out.first(self.most), evidence.fake.first(self.most)
        return only(
            ct=ct_score(train.features, test.features, fake.features, seed=evidence.seed),
            ct_pixels=ct_score(pixels(train), pixels(test), pixels(fake), seed=evidence.seed),
        )


@register("metric", "authenticity")
@dataclass(frozen=True)
class Authenticity(_Copies):
    """Percent of samples that are farther from their nearest training sample than that is from its own neighbour.

    Alaa et al. 2022. Not 100 but the held-out value, the floor, is the goal (about 63): below it samples are copies.
    """

    better: ClassVar[dict[str, bool | None]] = {"authenticity": None}
    most: Count = 3_000  # generated samples at most

    def __call__(self, evidence: Evidence) -> dict[str, Measure]:
        """At most `most` generated samples, all training samples."""
        return only(authenticity=authenticity(trained(evidence).features, evidence.fake.first(self.most).features))


@register("metric", "mifid-distance")
@dataclass(frozen=True)
class MiFID(_Copies):
    """Mean over samples of the smallest cosine distance to a training sample: 0 for copies.

    Bai et al. 2021; the distance alone: the threshold that turns it into a factor of FID depends on the extractor.
    """

    better: ClassVar[dict[str, bool | None]] = {"mifid-distance": None}
    most: Count = 3_000  # generated samples at most

    def __call__(self, evidence: Evidence) -> dict[str, Measure]:
        """At most `most` generated samples, all training samples."""
        return only(mifid_distance=mifid_distance(trained(evidence).features, evidence.fake.first(self.most).features))
