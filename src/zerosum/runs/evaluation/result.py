"""What an evaluation gives: numbers with all that they need to be repeated and read, and what was left out and why."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

TIE = 1e-6  # relative difference that is none


@dataclass(frozen=True)
class Result:
    """A number, with all that it needs to be repeated and read."""

    metric: str
    value: float
    spread: float | None  # standard deviation of what was averaged
    higher_is_better: bool | None  # None where neither end is good
    floor: float | None  # real samples in the place of generated ones
    baseline: float | None  # class-wise Gaussian of principal components
    warning: str | None
    protocol: dict[str, Any]
    floor_spread: float | None = None  # standard deviation over draws of real samples
    equal: float | None = None  # the value at the counts of floor and baseline, where it was measured at others

    def warned(self, warnings: list[str]) -> Result:
        """The same with these warnings."""
        return dataclasses.replace(self, warning="; ".join(warnings) or None)

    def line(self) -> dict[str, Any]:
        """As evaluations.jsonl holds it; what is not known is left out."""
        fields = dataclasses.asdict(self)
        return {name: value for name, value in fields.items() if value is not None or name == "higher_is_better"}


class Results(list[Result]):
    """Results of one evaluation, in the order of the metrics.

    Attributes:
        omitted: metrics that gave no number, each with the reason in words.
        notes: what else a reader must know, one sentence each.
    """

    def __init__(
        self, results: Iterable[Result] = (), omitted: Mapping[str, str] | None = None, notes: Iterable[str] = ()
    ) -> None:
        super().__init__(results)
        self.omitted, self.notes = dict(omitted or {}), list(notes)

    def left_out(self) -> list[str]:
        """Why metrics gave no number, a line for each reason."""
        return by_reason(self.omitted.items())

    def cautions(self) -> list[str]:
        """What numbers are to be read with, a line for each reason."""
        return by_reason((one.metric, reason) for one in self for reason in (one.warning or "").split("; ") if reason)


def by_reason(omitted: Iterable[tuple[str, str]]) -> list[str]:
    """Lines that tell each reason once, with its metrics; those that come from the same counts of samples share one."""
    metrics: dict[str, list[str]] = {}
    for metric, reason in omitted:
        metrics.setdefault(reason, []).append(metric)
    alike: dict[str, list[str]] = {}
    for reason in metrics:
        alike.setdefault(_parts(reason)[0], []).append(reason)
    return [_line(counts, [(", ".join(metrics[one]), one) for one in reasons]) for counts, reasons in alike.items()]


def _line(counts: str, reasons: list[tuple[str, str]]) -> str:
    """A line for what metrics say that comes from the same counts."""
    if len(reasons) == 1:
        return ": ".join(reasons[0])
    return f"{counts}: {', '.join(f'{names} ({_parts(reason)[1]})' for names, reason in reasons)}"


def _parts(reason: str) -> tuple[str, str]:
    """The counts of samples that a reason comes from, and the rest of it; all of it where it names none."""
    need, separator, counts = reason.rpartition("; there are ")
    if separator:
        return f"there are {counts}", need
    counts, separator, need = reason.partition(" samples, and ")
    return (f"there are {counts} samples", need) if separator else (reason, reason)


def doubt(result: Result, *, surpassing: bool = False) -> list[str]:
    """What is wrong with the order of floor, value and baseline, of which each should be worse than the last.

    `surpassing`: a value may well be better than that of real samples.
    """
    if result.floor is None or result.higher_is_better is None:
        return []
    sign = 1 if result.higher_is_better else -1
    floor, scatter = sign * result.floor, result.floor_spread or 0.0
    value = sign * (result.value if result.equal is None else result.equal)
    cautions = []
    if result.baseline is not None and floor < sign * result.baseline:
        cautions += [
            "the baseline is better than real samples here, so this number tells nothing apart: see docs/evaluation.md"
        ]
    better = value > floor + 2 * scatter and value - floor > TIE * abs(floor)
    if better and not surpassing:
        cautions += ["the value is better than that of real samples: read it as equal, or look for copies"]
    elif result.baseline is not None and value < sign * result.baseline:
        cautions += ["no better than the baseline"]
    return cautions


def failure(error: Exception) -> str:
    """An unexpected error in one line: its kind, unless it is one of values, and its message."""
    kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
    return f"failed ({kind}{' '.join(str(error).split()) or 'without a message'})"
