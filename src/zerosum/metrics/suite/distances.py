"""Distances between sets of samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from zerosum.core.registry import register
from zerosum.core.values import Count
from zerosum.metrics.evidence import Evidence, Measure, Metric, only, too_few
from zerosum.metrics.frechet import frechet_distance, frechet_distance_infinity
from zerosum.metrics.kernel import kernel_distance, kernel_distance_subsets
from zerosum.metrics.neighbours import duplicate_share, precision_recall_density_coverage
from zerosum.metrics.sliced import sliced_wasserstein

__all__ = ["FD", "KID", "PRDC", "Duplicates", "FDInfinity", "SlicedWasserstein"]

ENOUGH = 10_000  # samples that the authors of the distances recommend
FEWEST = 20  # least number of samples on each side; below it a covariance or a mean over pairs is noise


def as_networks_see(values: Tensor) -> Tensor:
    """Samples as networks see them: images in [-1, 1], points as they are."""
    return values.double() / 127.5 - 1 if values.ndim == 4 else values


def standard(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Features centred on the real mean and divided by the real deviation, one number for all features."""
    real, fake = real.double(), fake.double()
    mean, deviation = real.mean(0), real.var(0).mean().sqrt()
    unit = deviation if deviation > 0 else 1.0
    return (real - mean) / unit, (fake - mean) / unit


@register("metric", "fd")
@dataclass(frozen=True)
class FD(Metric):
    """Frechet distance of two Gaussians fitted to features; FID where the extractor is FID's Inception.

    Heusel et al. 2017. Biased: with finite sets it is above 0 for equal distributions; the floor says by how much.
    """

    better: ClassVar[dict[str, bool | None]] = {"fd": False}
    least: ClassVar[int] = FEWEST

    def warns(self, evidence: Evidence, measures: dict[str, Measure]) -> str | None:  # noqa: ARG002
        """Few samples, or no more samples than numbers in a feature."""
        size = evidence.fake.features.shape[1]
        if min(len(evidence.real), len(evidence.fake)) <= size:
            return f"no more samples than numbers in a feature ({size:,}): covariances are rank-deficient"
        return too_few(evidence, ENOUGH, "the distance is biased upwards below about")

    def __call__(self, evidence: Evidence) -> dict[str, Measure]:
        """All samples of both sides."""
        return only(fd=frechet_distance(evidence.real.features, evidence.fake.features))


@register("metric", "fd-infinity")
@dataclass(frozen=True)
class FDInfinity(Metric):
    """Frechet distance extrapolated to infinitely many generated samples, with its scatter over subsets.

    Chong & Forsyth 2020: a line in 1 / N through distances of subsets.
    """

    better: ClassVar[dict[str, bool | None]] = {"fd-infinity": False}
    least: ClassVar[int] = 100  # for subsets of several sizes
    costly: ClassVar[bool] = True

    def warns(self, evidence: Evidence, measures: dict[str, Measure]) -> str | None:  # noqa: ARG002
        """Few samples."""
        return too_few(evidence, 5_000, "the line through subsets wants at least")

    def __call__(self, evidence: Evidence) -> dict[str, Measure]:
        """All samples of both sides."""
        estimate = frechet_distance_infinity(evidence.real.features, evidence.fake.features, seed=evidence.seed)
        return {"fd-infinity": Measure(*estimate)}


@register("metric", "kid")
@dataclass(frozen=True)
class KID(Metric):
    """Squared maximum mean discrepancy under a cubic kernel, unbiased: 0 on average for equal distributions.

    Binkowski et al. 2018. `full` takes all pairs and draws nothing; `subsets` is the mean over 100 draws of 1,000, as
    in torch-fidelity. Features of extractors without classes have no natural scale, and the cube of pixels is not
    readable: they are first centred and divided by the deviation of the real ones.
    """

    better: ClassVar[dict[str, bool | None]] = {"kid": False}
    least: ClassVar[int] = FEWEST
    unbiased: ClassVar[bool] = True
    form: Literal["full", "subsets"] = "full"  # all pairs, or the mean over random subsets
    most: Count = 10_000  # samples of each side at most

    def needed(self) -> int:
        """Subsets are of 1,000; `form=full` needs no more than `least`."""
        return 1_000 if self.form == "subsets" else self.least

    def __call__(self, evidence: Evidence) -> dict[str, Measure]:
        """At most `most` samples of each side."""
        real, fake = (side.first(self.most).features for side in (evidence.real, evidence.fake))
        if evidence.real.probabilities is None:
            real, fake = standard(real, fake)
        if self.form == "full":
            return only(kid=kernel_distance(real, fake))
        return {"kid": Measure(*kernel_distance_subsets(real, fake))}


@register("metric", "prdc")
@dataclass(frozen=True)
class PRDC(Metric):
    """Precision and recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020)."""

    better: ClassVar[dict[str, bool | None]] = {"precision": True, "recall": True, "density": True, "coverage": True}
    least: ClassVar[int] = FEWEST
    k: Count = 5  # neighbours that span a sample's ball
    inclusive: bool = False  # a sample on the edge of a ball lies in it
    most: Count = 10_000  # samples of each side at most

    def needed(self) -> int:
        """More samples than neighbours."""
        return max(self.least, self.k + 1)

    def __call__(self, evidence: Evidence) -> dict[str, Measure]:
        """At most `most` samples of each side, equally many."""
        most = min(self.most, len(evidence.real), len(evidence.fake))
        real, fake = (side.first(most).features for side in (evidence.real, evidence.fake))
        return only(**precision_recall_density_coverage(real, fake, k=self.k, inclusive=self.inclusive))


@register("metric", "sliced-wasserstein")
@dataclass(frozen=True)
class SlicedWasserstein(Metric):
    """Earth mover's distance of pixels or coordinates, averaged over directions; needs no extractor.

    Bonneel et al. 2015. Images count in [-1, 1].
    """

    better: ClassVar[dict[str, bool | None]] = {"sliced-wasserstein": False}
    extracts: ClassVar[bool] = False
    projections: Count = 256  # random directions
    most: Count = 2_500  # samples of each side at most

    def __call__(self, evidence: Evidence) -> dict[str, Measure]:
        """At most `most` samples of each side."""
        real, fake = (as_networks_see(side.first(self.most).values) for side in (evidence.real, evidence.fake))
        return only(sliced_wasserstein=sliced_wasserstein(real, fake, self.projections, evidence.seed))


@register("metric", "duplicates")
@dataclass(frozen=True)
class Duplicates(Metric):
    """Share of generated samples with a near-duplicate among the others: a collapse that other metrics can miss."""

    better: ClassVar[dict[str, bool | None]] = {"duplicates": False}
    most: Count = 10_000  # samples at most

    def __call__(self, evidence: Evidence) -> dict[str, Measure]:
        """At most `most` samples."""
        return only(duplicates=duplicate_share(evidence.fake.first(self.most).features))
