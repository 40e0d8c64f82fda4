"""Metrics of translations that another one undoes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from zerosum.core.registry import register
from zerosum.core.values import NonNegative
from zerosum.metrics.cycle import NOISE, cycle_errors
from zerosum.metrics.evidence import Evidence, Measure, Metric

__all__ = ["HIDDEN", "STILL", "CycleError"]

HIDDEN = 0.1  # share of what the way back knows of images; more than that, erased by noise, was hidden
STILL = 0.05  # change of images, of their difference from the mean image; below it they are as they were


@register("metric", "cycle-error")
@dataclass(frozen=True)
class CycleError(Metric):
    """What images lose on their way there and back, in grey levels (0 to 255), and how far the way there moves them.

    `cycle-error` is the mean of |F(G(x)) - x| (Zhu et al. 2017), where G(x) has 256 levels, as in a file; the baseline
    is a way back to the mean image. `cycle-error-noise` is the same where G(x) got faint noise: higher by far more than
    that noise if x lies hidden there (Chu et al. 2017). A translation that changes nothing has an error of 0; so
    `change`, the mean of |G(x) - x|, stands beside it, and `fd` must fall below that of untranslated images.
    """

    better: ClassVar[dict[str, bool | None]] = {"cycle-error": False, "cycle-error-noise": False, "change": None}
    extracts: ClassVar[bool] = False
    least: ClassVar[int] = 1
    noise: NonNegative = NOISE  # grey levels, of 255: standard deviation of the noise

    def lacks(self, evidence: Evidence) -> str | None:
        """A way back, and images."""
        if evidence.back is None or evidence.given is None:
            return "a task that leads back; evaluate a translation between two sets, each into the other"
        return None if evidence.given.ndim == 4 else "images"

    def warns(self, evidence: Evidence, measures: dict[str, Measure]) -> str | None:
        """Images that come back because nothing happened to them, or because they were hidden."""
        error = measures["cycle-error"].value
        lost = (
            measures["cycle-error-noise"].value - error - self.noise * (2 / math.pi) ** 0.5
        )  # beyond the noise itself
        constant = self.trivial(evidence)["cycle-error"]
        if "change" in measures and measures["change"].value < STILL * constant:
            return "the translation leaves images as they are, so that they come back means nothing"
        if lost > HIDDEN * max(0.0, constant - error):
            return f"noise of {self.noise:g} grey levels keeps images from coming back: their translations hide them"
        return None

    def trivial(self, evidence: Evidence) -> dict[str, float]:
        """The mean image, whatever was translated."""
        assert evidence.given is not None
        given = evidence.given[: len(evidence.fake)].float()
        return {"cycle-error": float((given - given.mean(0)).abs().mean())}

    def __call__(self, evidence: Evidence) -> dict[str, Measure]:
        """All translations, each beside what it was made of."""
        assert evidence.given is not None
        assert evidence.back is not None
        fake = evidence.fake.values
        found = cycle_errors(evidence.given[: len(fake)], fake, evidence.back, self.noise, evidence.seed)
        numbers = {"cycle-error": found.error, "cycle-error-noise": found.noisy, "change": found.change}
        return {name: Measure(float(values.mean())) for name, values in numbers.items() if values is not None}
