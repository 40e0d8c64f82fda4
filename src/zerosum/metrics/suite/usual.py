"""The metrics that are usual for the data, by one name, so that others can be added to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from zerosum.core.registry import register
from zerosum.metrics.evidence import Evidence, Measure, Metric

__all__ = ["Usual"]


@register("metric", "usual")
@dataclass(frozen=True)
class Usual(Metric):
    """Those that are usual for the data: `evaluator.metrics+=ct` is `evaluator.metrics=usual+ct`.

    Of images fd, kid and prdc, where the extractor's features are not too many, and sliced-wasserstein; of translations
    between two sets also cycle-error, among classes also domain-accuracy; of pairs of images similarity in the place of
    prdc; of points sliced-wasserstein, and modes where the modes are known. The evaluator puts them in its place.
    """

    better: ClassVar[dict[str, bool | None]] = {}

    def lacks(self, evidence: Evidence) -> str | None:  # noqa: ARG002
        """It gives no number of its own."""
        return "to be replaced by the metrics that it stands for"

    def __call__(self, evidence: Evidence) -> dict[str, Measure]:  # noqa: ARG002
        """No number."""
        return {}
