"""What a metric looks at: real and generated samples, as they are and as an extractor sees them."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from zerosum.core.registry import Part

__all__ = ["Evidence", "Measure", "Metric", "Samples", "misnamed", "numbers"]


@dataclass(frozen=True, eq=False)
class Samples:
    """A set of samples in an order that means nothing: its first n are a random part of it."""

    values: Tensor  # uint8 [N, H, W, C], or points [N, D]
    labels: Tensor | None  # int64 [N]: their classes, or those that a generator was asked for
    features: Tensor  # [N, D]; [N, 0] where no metric needs them
    probabilities: Tensor | None  # [N, K], where the extractor knows classes

    def __len__(self) -> int:
        return len(self.values)

    def of(self, rows: slice | Tensor) -> Samples:
        """Some of them."""
        labels, probabilities = (None if one is None else one[rows] for one in (self.labels, self.probabilities))
        return Samples(self.values[rows], labels, self.features[rows], probabilities)

    def first(self, count: int) -> Samples:
        """At most so many of them."""
        return self if count >= len(self) else self.of(slice(count))

    def joined(self, other: Samples) -> Samples:
        """These, then those of another set that was seen alike."""
        optional = (self.labels, other.labels), (self.probabilities, other.probabilities)
        labels, probabilities = (None if one is None or two is None else torch.cat([one, two]) for one, two in optional)
        values, features = torch.cat([self.values, other.values]), torch.cat([self.features, other.features])
        return Samples(values, labels, features, probabilities)


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that may be looked at to judge a set of samples.

    Attributes:
        real: what the samples should be like.
        fake: what is judged.
        training: gives what a generator was trained on, to tell what it copied; None where that is not known.
        held_out: real samples that were not trained on, other than `fake`; None where there are none.
        decode: turns latents `[N, K]` into features; None where there are only samples.
        latent: draws latents `[N, K]`; `path` says how to go from one to another.
        centres: modes of a mixture `[M, D]`, with `spread`, the standard deviation of each.
        classes: how many the data have; 0 without labels.
        seed: of everything that a metric draws.
    """

    real: Samples
    fake: Samples
    training: Callable[[], Samples] | None = None
    held_out: Samples | None = None
    decode: Callable[[Tensor], Tensor] | None = None
    latent: Callable[[int], Tensor] | None = None
    path: Literal["slerp", "lerp"] = "slerp"
    centres: Tensor | None = None
    spread: float = 0.0
    classes: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Measure:
    """A number, and where the metric knows it the spread (one standard deviation) of what was averaged."""

    value: float
    spread: float | None = None


class Metric(Part):
    """Base of metrics: called with `Evidence`, it gives its numbers by name.

    Attributes:
        better: of each number that it may give, whether higher is better; None where neither end is good.
        looks_at: "samples"; "training" where it also needs what was trained on, and is small where that was copied.
        extracts: False where it looks at values alone; where no metric needs features, nothing is extracted.
        least: samples that it needs on each side; with fewer it is left out, as its numbers would mean nothing.
        unbiased: True where the mean over draws of equal distributions is 0, so that what is measured there is scatter.
        costly: True where it takes long, so that its floor is drawn once.
        version: raise it where the numbers change by something else than the metric's own file.
    """

    better: ClassVar[dict[str, bool | None]]
    looks_at: ClassVar[str] = "samples"
    extracts: ClassVar[bool] = True
    least: ClassVar[int] = 2
    unbiased: ClassVar[bool] = False
    costly: ClassVar[bool] = False
    version: ClassVar[int] = 1

    def needed(self) -> int:
        """Samples that it needs on each side with its settings."""
        return self.least

    def missing(self, evidence: Evidence) -> str | None:
        """Why it is left out, in words; None where it can be applied: enough samples, and nothing that it lacks."""
        real, fake = len(evidence.real), len(evidence.fake)
        if lacking := self.lacks(evidence):
            return f"needs {lacking}"
        if min(real, fake) < self.needed():
            return f"needs {self.needed():,} samples on each side; there are {fake:,} generated, {real:,} real"
        return None

    def lacks(self, evidence: Evidence) -> str | None:  # noqa: ARG002
        """What is missing to apply it beside samples, in words; None where nothing is."""
        return None

    def warns(self, evidence: Evidence, found: dict[str, Measure]) -> str | None:  # noqa: ARG002
        """Why the numbers it found are to be read with care, or what they give away; None where there is nothing."""
        return None

    @abstractmethod
    def __call__(self, evidence: Evidence) -> dict[str, Measure]:
        """Evaluator `evidence.fake`."""


def misnamed(metric: Metric, numbers: Any) -> str | None:
    """What is wrong with the answer of a metric; None where nothing is."""
    if not isinstance(numbers, dict) or not all(isinstance(one, Measure) for one in numbers.values()):
        values = numbers.values() if isinstance(numbers, dict) else ()
        kind = next((f" of {type(one).__name__}" for one in values if not isinstance(one, Measure)), "")
        return f"gave {type(numbers).__name__}{kind}; a dict from name to Measure is needed"
    unknown = sorted(set(numbers) - set(metric.better))
    return (
        f"gave {', '.join(unknown)}, and its `better` does not say in which direction that is good" if unknown else None
    )


def numbers(metric: Metric, evidence: Evidence) -> dict[str, Measure]:
    """What a metric gives.

    Raises:
        ValueError: it gives something else than finite numbers by the names that it promised.
    """
    found = metric(evidence)
    if fault := misnamed(metric, found):
        raise ValueError(f"it {fault}")
    if broken := [name for name, one in found.items() if not math.isfinite(one.value)]:
        raise ValueError(f"{' and '.join(broken)} came out as {found[broken[0]].value}")
    return found


def few(evidence: Evidence, least: int, what: str) -> str | None:
    """A warning that sets are smaller than a metric wants."""
    found = min(len(evidence.real), len(evidence.fake))
    return f"{found:,} samples, and {what} {least:,}" if found < least else None


def unlabelled(evidence: Evidence) -> str | None:
    """What classifier metrics lack without class probabilities."""
    return "class probabilities; name an extractor that knows classes" if evidence.fake.probabilities is None else None


def only(**numbers: Any) -> dict[str, Measure]:
    """Numbers without spread, underscores in their names as dashes."""
    return {name.replace("_", "-"): Measure(float(value)) for name, value in numbers.items()}
