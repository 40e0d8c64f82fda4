"""Which numbers of a run share a chart: by what they measure, as players and parts name them in the log."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from zerosum.core.game import role
from zerosum.runs.evaluation.verdict import better, is_number
from zerosum.runs.view.charts import Chart, Curve

Line = dict[str, Any]
CLOCK = ("images", "epoch", "seconds")
PLAYER = "_gradient"  # every player logs the norm of its gradient, which is how its name is known


@dataclass(frozen=True)
class Group:
    """Numbers of one kind."""

    title: str
    names: str  # a regular expression
    note: str  # how to read them


BEFORE = (
    Group(
        "Verdicts",
        r"pairwise_accuracy(-\w+)?",
        "real samples that rank above a fake; 1/2 is chance, 1 never errs",
    ),
    Group("Logits", r"(real|fake)_logit(-\w+)?", "what the discriminator says on average; higher looks more real"),
)
AFTER = (
    Group("Gradient norms", rf".+{PLAYER}", "of each player, over all its weights"),
    Group("Steps", r".+_step", "how far one update moves the weights, as a share of their size"),
    Group("Spread of logits", r"(real|fake)_spread(-\w+)?", "standard deviation within a batch"),
    Group(
        "Variety", r"(real|fake)_distance", "between two samples of a batch; fakes should be as far apart as real ones"
    ),
    Group("Repetition", r"duplicates", "share of fakes that have an almost equal one in their batch"),
    Group(
        "Closeness", r"nearness|copying", "to the nearest fake, to the nearest training sample; 1 is as real ones lie"
    ),
    Group("Overfitting", r"overfitting(-\w+)?", "how surely training samples rank above held-out ones; 0 is chance"),
    Group("Pairs", r"paired", "share of samples for which a partner was found"),
    Group(
        "Inputs heeded",
        r"condition(-\d+)?",
        "change of a verdict with the input beside a target, as a share of the deviation of verdicts",
    ),
    Group(
        "There and back",
        r"(cycle_error|constant_error|change)-\w+",
        "grey levels by which images differ from what comes back, from the mean image, and from their translation",
    ),
    Group("Hidden", r"hidden-\w+", "share of what comes back that faint noise in translations takes away"),
    Group("Contrast", r"contrast", "difference of neighbouring pixels of outputs, as a share of that of their targets"),
)
PARTS = Group("What parts remember", r"[^.]+\..+", "the state of parts that adapt while they train")
OTHERS = Group("Other numbers", r".+", "")
SPEED = Group("Speed", r"images_per_second", "images per second, between two reports")


def groups(names: list[str]) -> list[Group]:
    """The kinds of numbers that a log with these names may hold, in order; the first that fits takes a name."""
    roles = dict.fromkeys(role(name.removesuffix(PLAYER)) for name in names if name.endswith(PLAYER))
    paid = "the adversarial loss, and each regularizer"
    losses = [Group(f"Losses of the {one}", rf"{re.escape(one)}(-\d+)?\..+", paid) for one in sorted(roles)]
    return [*BEFORE, *losses, *AFTER, PARTS, SPEED, OTHERS]


def kinds(names: list[str]) -> Iterator[tuple[Group, list[str]]]:
    """Each kind that has numbers, with their names."""
    left = sorted(names)
    for group in groups(names):
        members = [name for name in left if re.fullmatch(group.names, name, re.DOTALL)]
        left = [name for name in left if name not in members]
        if members:
            yield group, members


def learning_charts(reports: list[Line]) -> list[Chart]:
    """What the players logged, by kind."""
    columns: dict[str, list[tuple[float, float]]] = {}
    for line in reports:
        for name, value in line.items():
            if name not in CLOCK and is_number(value):
                columns.setdefault(name, []).append((line["images"], value))
    charts = []
    for group, names in kinds(list(columns)):
        curves = [Curve(name, [x for x, _ in columns[name]], [y for _, y in columns[name]]) for name in names]
        charts.append(Chart(group.title, curves, note=group.note))
    return charts


def metric_charts(evaluations: list[Line]) -> list[Chart]:
    """A chart for each metric: a curve for each protocol, floor and baseline dashed."""
    charts = []
    for metric in dict.fromkeys(line["metric"] for line in evaluations):
        lines = [line for line in evaluations if line["metric"] == metric]
        protocols = [json.dumps(line["protocol"], sort_keys=True) for line in lines]
        curves = []
        different = list(dict.fromkeys(protocols))
        for number, protocol in enumerate(different, 1):
            points = [line for line, its in zip(lines, protocols, strict=True) if its == protocol]
            name = str(metric) if len(different) == 1 else f"{metric}, protocol {number}"
            curves.append(Curve(name, [line["images"] for line in points], [line["value"] for line in points]))
        references = (
            () if "equal" in lines[-1] else ("floor", "baseline")
        )  # else they are of other counts than the curve
        levels = {name: lines[-1][name] for name in references if is_number(lines[-1].get(name))}
        charts.append(Chart(str(metric), curves, levels, better(lines[-1])))
    return charts
