"""Metrics of samples that have a target each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from zerosum.core.registry import register
from zerosum.metrics.evidence import Evidence, Measure, Metric
from zerosum.metrics.similarity import WINDOW, absolute_difference, peak_signal_to_noise, structural_similarity

__all__ = ["Similarity"]


@register("metric", "similarity")
@dataclass(frozen=True)
class Similarity(Metric):
    """How near outputs are to their targets: l1 in grey levels (0 to 255), psnr in decibels, ssim (Wang et al. 2004).

    Means over images. The baseline is the best that takes no training: the mean target, the input itself, or the
    target of the nearest training input.
    """

    better: ClassVar[dict[str, bool | None]] = {"l1": False, "psnr": True, "ssim": True}
    extracts: ClassVar[bool] = False
    untrained: ClassVar[bool] = True
    least: ClassVar[int] = 1

    def lacks(self, evidence: Evidence) -> str | None:
        """Targets, and images."""
        if evidence.wanted is None:
            return "a target for each sample; evaluate a model that was trained on pairs"
        return None if evidence.wanted.ndim == 4 else "images"

    def __call__(self, evidence: Evidence) -> dict[str, Measure]:
        """All outputs, each beside its target; ssim only of images that have one of its windows."""
        assert evidence.wanted is not None
        pairs = evidence.fake.values, evidence.wanted[: len(evidence.fake)]
        found = {"l1": absolute_difference(*pairs), "psnr": peak_signal_to_noise(*pairs)}
        if min(pairs[0].shape[1:3]) >= WINDOW:
            found["ssim"] = structural_similarity(*pairs)
        return {name: Measure(float(values.mean())) for name, values in found.items()}
