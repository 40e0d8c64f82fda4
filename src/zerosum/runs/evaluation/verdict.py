"""A line of evaluations.jsonl in words: which way is better, how it was measured, what the number is worth."""

from __future__ import annotations

import math
from typing import Any, Literal

Line = dict[str, Any]
Tone = Literal["good", "warn", "bad", ""]
BETTER = {True: "higher is better", False: "lower is better", None: "near its floor is better"}
REAL = {
    "held-out": "held-out samples",
    "train": "training samples",
    "all": "samples of all the data",
    "half of all": "real samples (half of all)",
}
AS_REAL = 0.1  # share of the way from the floor to the baseline; nearer to the floor is as good as real


def is_number(value: Any) -> bool:
    """True for a number that can be drawn or written."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def direction(line: Line) -> bool | None:
    """True where higher values are better, false where lower ones are, None where neither end is good."""
    if "higher_is_better" not in line and "part" in line["protocol"]:  # the evaluator leaves out what is not known
        return None
    return line.get("higher_is_better", False)


def better(line: Line) -> str:
    """Which values are the better ones, in words."""
    way = direction(line)
    return "neither end is better" if way is None and line.get("floor") is None else BETTER[way]


def verdict(line: Line) -> tuple[Tone, str]:
    """What a value is worth beside its floor and its baseline, and how good that is."""
    value, floor, baseline, way = comparable(line), line.get("floor"), line.get("baseline"), direction(line)
    if way is None:
        return "", "" if floor is None else f"{abs(value - floor):.3g} away from its floor"
    place = position(value, floor, baseline)
    if floor is not None and baseline is not None:
        if place is None or (floor > baseline) != way:
            return "warn", "The baseline is better than real samples here, so this number cannot tell."
        if place <= AS_REAL:
            return "good", "As good as real samples, by this number."
        if place >= 1:
            return "bad", "No better than the baseline."
        return "good" if place < 0.5 else "warn", f"{1 - place:.0%} of the way from the baseline to real samples."
    if floor is not None and (value >= floor if way else value <= floor):
        return "good", "As good as real samples, by this number."
    return "", ""


def comparable(line: Line) -> float:
    """The value at the counts of floor and baseline."""
    equal = line.get("equal")
    return float(line["value"] if equal is None else equal)


def position(value: float, floor: float | None, baseline: float | None) -> float | None:
    """Where a value lies: 0 at the floor, 1 at the baseline; None where there is no such scale."""
    if floor is None or baseline is None or floor == baseline:
        return None
    return (value - floor) / (baseline - floor)


def method(protocol: dict[str, Any]) -> str:
    """How a number was measured, in words: extractor, samples on both sides, seed, weights."""
    count, real, other = protocol.get("count"), protocol.get("real"), protocol.get("count_real")
    words = [f"through {protocol['extractor']}" if protocol.get("extractor") else ""]
    if count is not None:
        against = f" against {_counted(other)}{REAL.get(str(real), str(real or 'real samples'))}"
        words.append(f"{_counted(count)}generated samples{against}")
    words += [f"{name} {protocol[name]}" for name in ("size", "seed") if protocol.get(name) not in (None, "")]
    words += [f"{protocol['weights']} weights"] if protocol.get("weights") else []
    return ", ".join(word for word in words if word)


def _counted(count: Any) -> str:
    return "" if count is None else f"{count:,} " if isinstance(count, int) else f"{count} "
