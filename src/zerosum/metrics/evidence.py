"""The input of a metric: real and generated samples and their features; the base class of metrics."""

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
    """A set of samples in random order: its first n are a random subset."""

    values: Tensor  # uint8 [N, H, W, C], or points [N, D]
    labels: Tensor | None  # int64 [N]: their classes, or those that a generator was given
    features: Tensor  # [N, D]; [N, 0] where no metric needs them
    probabilities: Tensor | None  # [N, K], where the extractor predicts classes

    def __len__(self) -> int:
        return len(self.values)

    def of(self, rows: slice | Tensor) -> Samples:
        """The samples of these rows."""
        labels, probabilities = (
            None if values is None else values[rows] for values in (self.labels, self.probabilities)
        )
        return Samples(self.values[rows], labels, self.features[rows], probabilities)

    def first(self, count: int) -> Samples:
        """The first `count` samples, or all if there are fewer."""
        return self if count >= len(self) else self.of(slice(count))

    def joined(self, other: Samples) -> Samples:
        """These samples, then those of another set with the same extractor."""
        optional = (self.labels, other.labels), (self.probabilities, other.probabilities)
        labels, probabilities = (
            None if ours is None or theirs is None else torch.cat([ours, theirs]) for ours, theirs in optional
        )
        values, features = torch.cat([self.values, other.values]), torch.cat([self.features, other.features])
        return Samples(values, labels, features, probabilities)


@dataclass(frozen=True, eq=False)
class Evidence:
    """Everything that metrics may use to evaluate a set of samples.

    Attributes:
        real: reference samples.
        fake: the samples to evaluate.
        training: gives the generator's training samples, to detect copies; None where they are unknown.
        held_out: real samples that were not trained on, other than `fake`; None where there are none.
        decode: turns latents `[N, K]` into features; None where there are only samples.
        latent: draws latents `[N, K]`; `path` says how to interpolate between two.
        bound: gives terms of a bound on the likelihood of samples, [N] each: `distortion`, `rate`, `bits`; or None.
        centres: modes of a mixture `[M, D]`, with `spread`, the standard deviation of each.
        classes: number of classes of the data; 0 without labels.
        wanted: the target of each of `fake`, in this order, `[N, ...]`; None where samples have none.
        trivial: gives outputs that take no training, by name, as many as `fake`: what `fake` must be better than.
        given: what each of `fake` was made of, in this order, `[N, ...]`; None where that is no sample.
        back: turns samples such as the first of `fake`, in their order, into such as `given`; None where nothing does.
        seed: of everything that a metric draws.
    """

    real: Samples
    fake: Samples
    training: Callable[[], Samples] | None = None
    held_out: Samples | None = None
    decode: Callable[[Tensor], Tensor] | None = None
    latent: Callable[[int], Tensor] | None = None
    path: Literal["slerp", "lerp"] = "slerp"
    bound: Callable[[Samples], dict[str, Tensor]] | None = None
    centres: Tensor | None = None
    spread: float = 0.0
    classes: int = 0
    wanted: Tensor | None = None
    trivial: Callable[[], dict[str, Tensor]] | None = None
    given: Tensor | None = None
    back: Callable[[Tensor], Tensor] | None = None
    seed: int = 0


@dataclass(frozen=True)
class Measure:
    """A number and, where the metric computes it, one standard deviation of the averaged values."""

    value: float
    spread: float | None = None


class Metric(Part):
    """Base of metrics: called with `Evidence`, a metric returns its numbers by name.

    Attributes:
        better: for each number that it may return, whether higher is better; None where neither direction is good.
        looks_at: "samples"; "training" where it also needs training samples, and its floor is that of held-out ones.
        extracts: False where it uses only values; where no metric needs features, none are extracted.
        least: least number of samples on each side; with fewer the metric is left out, as its numbers mean nothing.
        unbiased: True where its mean is 0 for equal distributions, so that its floor is only scatter.
        costly: True where it takes long, so that its floor is computed once.
        untrained: True where its baseline is the best of outputs that take no training, in place of a Gaussian.
        surpassing: True where generated samples may well have a better number than real ones.
        version: raise it where the numbers change for a reason outside the metric's own file.
    """

    better: ClassVar[dict[str, bool | None]]
    looks_at: ClassVar[str] = "samples"
    extracts: ClassVar[bool] = True
    least: ClassVar[int] = 2
    unbiased: ClassVar[bool] = False
    costly: ClassVar[bool] = False
    untrained: ClassVar[bool] = False
    surpassing: ClassVar[bool] = False
    version: ClassVar[int] = 1

    def needed(self) -> int:
        """Least number of samples on each side with these settings."""
        return self.least

    def missing(self, evidence: Evidence) -> str | None:
        """Why the metric is left out, in words; None where it can be applied."""
        real, fake = len(evidence.real), len(evidence.fake)
        if lacking := self.lacks(evidence):
            return f"needs {lacking}"
        if min(real, fake) < self.needed():
            return f"needs {self.needed():,} samples on each side; there are {fake:,} generated, {real:,} real"
        return None

    def lacks(self, evidence: Evidence) -> str | None:  # noqa: ARG002
        """What the metric lacks besides samples, in words; None where nothing is missing."""
        return None

    def warns(self, evidence: Evidence, measures: dict[str, Measure]) -> str | None:  # noqa: ARG002
        """A warning about the metric's numbers, or what they reveal; None where there is none."""
        return None

    def trivial(self, evidence: Evidence) -> dict[str, float]:  # noqa: ARG002
        """Baselines of its own, in the place of the evaluator's: numbers of what takes no training."""
        return {}

    @abstractmethod
    def __call__(self, evidence: Evidence) -> dict[str, Measure]:
        """Measure `evidence.fake`; numbers by the names in `better`."""


def misnamed(metric: Metric, numbers: Any) -> str | None:
    """What is wrong with the result of a metric; None where it is valid."""
    if not isinstance(numbers, dict) or not all(isinstance(measure, Measure) for measure in numbers.values()):
        values = numbers.values() if isinstance(numbers, dict) else ()
        kind = next((f" of {type(measure).__name__}" for measure in values if not isinstance(measure, Measure)), "")
        return f"gave {type(numbers).__name__}{kind}; a dict from name to Measure is needed"
    unknown = sorted(set(numbers) - set(metric.better))
    return (
        f"gave {', '.join(unknown)}, and its `better` does not say in which direction that is good" if unknown else None
    )


def numbers(metric: Metric, evidence: Evidence) -> dict[str, Measure]:
    """Numbers of a metric, checked.

    Raises:
        ValueError: they are not finite numbers by the names in `better`.
    """
    measures = metric(evidence)
    if fault := misnamed(metric, measures):
        raise ValueError(f"it {fault}")
    if broken := [name for name, measure in measures.items() if not math.isfinite(measure.value)]:
        raise ValueError(f"{' and '.join(broken)} came out as {measures[broken[0]].value}")
    return measures


def too_few(evidence: Evidence, least: int, what: str) -> str | None:
    """A warning that a set is smaller than a metric needs; None where both are large enough."""
    count = min(len(evidence.real), len(evidence.fake))
    return f"{count:,} samples, and {what} {least:,}" if count < least else None


def unlabelled(evidence: Evidence) -> str | None:
    """What metrics of classes lack without class probabilities; None where there are some."""
    return "class probabilities; name an extractor that knows classes" if evidence.fake.probabilities is None else None


def only(**numbers: Any) -> dict[str, Measure]:
    """Measures without spread; underscores in their names become dashes."""
    return {name.replace("_", "-"): Measure(float(value)) for name, value in numbers.items()}
