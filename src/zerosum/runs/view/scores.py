"""The metrics of a run as cards: value, floor and baseline on one scale, what it is worth, and how it was measured."""

from __future__ import annotations

import json
from typing import Any

from zerosum.runs.evaluation.verdict import better, comparable, direction, is_number, method, position, verdict
from zerosum.runs.view.charts import charts, value_of
from zerosum.runs.view.curves import metric_charts
from zerosum.runs.view.page import folded, table, text

Line = dict[str, Any]
REACH = 2.5  # the scale ends so far beyond the floor, in distances of the baseline
TOLD = ("no better than the baseline", "the baseline is better than real")  # warnings that the verdict says too
MOST = 400  # numbers in the table of all


def scores(evaluations: list[Line]) -> str:
    """Every metric where it stands, those that were measured alike together, and curves below."""
    last = {line["metric"]: line for line in evaluations}
    alike: dict[str, list[Line]] = {}
    for line in last.values():
        alike.setdefault(method(line["protocol"]), []).append(line)
    groups = (
        f"<p><small>Measured {text(how)}.</small></p>{_cards(lines, evaluations)}" for how, lines in alike.items()
    )
    explained = (
        "<p><small>Floor: real samples instead of generated ones. Baseline: a Gaussian of each class in the space "
        "of principal components, which draws blurred fog. Numbers of different protocols do not compare.</small></p>"
    )
    shown = charts(metric_charts(evaluations))
    return f"{''.join(groups)}{explained}{shown}{_all(evaluations)}" if last else ""


def _cards(lines: list[Line], evaluations: list[Line]) -> str:
    return f'<div class="metrics">{"".join(_card(line, best(line, evaluations)) for line in lines)}</div>'


def best(last: Line, evaluations: list[Line]) -> Line | None:
    """The best line of a metric under the protocol of its last one; None where no end is good."""
    way = direction(last)
    same = [
        line
        for line in evaluations
        if line["metric"] == last["metric"] and line["protocol"] == last["protocol"] and is_number(line["value"])
    ]
    return None if way is None or not same else (max if way else min)(same, key=lambda line: line["value"])


def _card(line: Line, top: Line | None) -> str:
    tone, worth = verdict(line) if is_number(line["value"]) else ("bad", "This is not a finite number.")
    spread = f" <small>± {line['spread']:.2g}</small>" if "spread" in line else ""
    at = f"at {line['images']:,} images"
    if top is not None and top["value"] != line["value"]:
        at += f"; best {value_of(top['value'])} at {top['images']:,}"
    references = ", ".join(f"{name} {value_of(line[name])}" for name in ("floor", "baseline") if name in line)
    warned = [one for one in str(line.get("warning") or "").split("; ") if one and not one.startswith(TOLD)]
    notes = {"verdict": worth, "aside": "; ".join(warned) or ("" if gauge(line) else references)}
    return (
        f'<div class="card metric {tone}"><h3>{text(line["metric"])}<small>{better(line)}</small></h3>'
        f'<div class="value">{value_of(line["value"])}{spread}</div><small>{at}</small>{gauge(line)}'
        + "".join(f'<p class="{look}">{text(one)}</p>' for look, one in notes.items() if one)
        + "</div>"
    )


def gauge(line: Line) -> str:
    """A scale from the floor at its left over the baseline; empty where there is none."""
    place = position(comparable(line), line.get("floor"), line.get("baseline")) if is_number(line["value"]) else None
    if place is None or direction(line) is None or (line["floor"] > line["baseline"]) != direction(line):
        return ""
    reach = min(REACH, max(1.25, place * 1.05))
    at, middle = (100 * min(max(one, 0.0), reach) / reach for one in (place, 1.0))
    right = ' class="right"' if middle > 60 else ""
    return (
        f'<div class="gauge"><i style="left:{at:.1f}%"></i><span style="left:0">floor {value_of(line["floor"])}</span>'
        f'<span{right} style="left:{middle:.1f}%">baseline {value_of(line["baseline"])}</span></div>'
    )


def _all(evaluations: list[Line]) -> str:
    """The last numbers as a table, folded, with their protocols below."""
    shown = [(line, json.dumps(line["protocol"], sort_keys=True)) for line in evaluations[-MOST:]]
    numbers = {protocol: number for number, protocol in enumerate(dict.fromkeys(its for _, its in shown), 1)}
    rows = [
        (f"{line['images']:,}", text(line["metric"]), f"{line['value']:.5g}", str(numbers[its])) for line, its in shown
    ]
    listed = "".join(f"<p><small>{number}: {text(protocol)}</small></p>" for protocol, number in numbers.items())
    left = f" (the last {MOST} are shown)" if len(evaluations) > MOST else ""
    content = table(("images", "metric", "value", "protocol"), rows) + listed
    return folded(f"{len(evaluations):,} numbers with their protocols{left}", content)
