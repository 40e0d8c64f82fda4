"""A comparison as one HTML file that opens offline: the table, curves with bands, and paired samples."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from zerosum.core.errors import ZerosumError
from zerosum.runs import outputs, pictures
from zerosum.runs.charts import Chart, Curve, charts
from zerosum.runs.compare import ARROWS, Comparison, Estimate, Group, machine
from zerosum.runs.entry import At, Column, Entry
from zerosum.runs.generator import find_generator, load_generator
from zerosum.runs.page import figure, page, table, text

PICTURED = 12  # runs whose samples are shown
COUNT, SEED = 36, 0  # samples of each, and the seed of their latents


def write_page(
    comparison: Comparison, out: str | Path, at: Sequence[At] = ("last", "best"), *, overwrite: bool = False
) -> Path:
    """Write the page; return where. `overwrite` replaces also a file that zerosum did not write.

    Raises:
        RunError: it cannot be written.
    """
    path = Path(out)
    outputs.check(path, overwrite=overwrite, option="--html")
    sections = {
        "Numbers": _numbers(comparison, at),
        "Curves": charts([_chart(comparison, column) for column in comparison.columns]),
        "Samples from the same latents": _samples(comparison),
        "Settings that differ": _settings(comparison),
        "Runs": _runs(comparison),
    }
    opening = [f'<h1>Comparison</h1><p class="lead">{text("; ".join(comparison.common.values()))}</p>']
    opening += [f'<p class="careful">{text(note)}</p>' for note in comparison.notes]
    outputs.write(path, page("Comparison", opening, sections).encode(), overwrite=overwrite, option="--html")
    return path


def _numbers(comparison: Comparison, at: Sequence[At]) -> str:
    facts = [name for name in comparison.facts if name != "settings"]
    head = [*facts, "seconds", "images/s"]
    for column in comparison.columns:
        title = f"{comparison.title(column)} {ARROWS[comparison.better(column)]}"
        head += [f"{text(title)}<br><small>{one}</small>" for one in at]
    rows = []
    for group in comparison.groups:
        row = [*(comparison.fact(group, name) for name in facts), *comparison.clocks(group)]
        row[0] = label(comparison, group)
        row += [comparison.quantity(group, column, one) for column in comparison.columns for one in at]
        rows.append([text(cell) for cell in row])
    explained = "± is half of a 95 % interval of Student's t over seeds; without it there is one seed."
    return f"{table(head, rows)}<p><small>{explained}</small></p>"


def label(comparison: Comparison, group: Group) -> str:
    """Name of a group: its recipe, with the settings that tell it from others of that recipe."""
    others = [one for one in comparison.groups if one.name == group.name and one is not group]
    own = comparison.differences(group)
    telling = [key for key in own if any(comparison.differences(one).get(key) != own[key] for one in others)]
    words = [group.name, *(f"{key}={own[key]}" for key in telling[:3])]
    return " ".join(words) + ("" if group.first.state == "finished" else f" ({group.first.state})")


def _chart(comparison: Comparison, column: Column) -> Chart:
    curves = [
        curve for place, group in enumerate(comparison.groups) for curve in _curves(comparison, group, column, place)
    ]
    return Chart(f"{comparison.title(column)} {ARROWS[comparison.better(column)]}", curves)


def _curves(comparison: Comparison, group: Group, column: Column, colour: int) -> Iterator[Curve]:
    """Mean and interval where all runs of a group were measured at the same images; else a thin line for each run."""
    name = label(comparison, group)
    series = [(entry.seed, entry.series[column]) for entry in group.entries if column in entry.series]
    shared = sorted(set.intersection(*(set(lines) for _, lines in series))) if series else []
    if series and (len(series) == 1 or len(shared) >= max(2, max(len(lines) for _, lines in series) // 2)):
        found = [Estimate.of((seed, lines[images]["value"]) for seed, lines in series) for images in shared]
        known = [one for one in found if one is not None]
        low, high = [one.low for one in known], [one.high for one in known]
        yield Curve(name, shared, [one.mean for one in known], low, high, colour)
    else:
        for _, lines in series:
            images = sorted(lines)
            yield Curve(name, images, [lines[one]["value"] for one in images], colour=colour, faint=True)


def _samples(comparison: Comparison) -> str:
    """A grid for each run, from latents of one seed; a run that cannot sample says why."""
    entries = [(group, entry) for group in comparison.groups for entry in group.entries]
    left = len(entries) - PICTURED
    more = f"<p>{left} more runs are not shown.</p>" if left > 0 else ""
    said = f"Latents of seed {SEED}: equal for generators with latents alike. Weights are those of the end."
    shown = "".join(_grid(comparison, group, entry) for group, entry in entries[:PICTURED])
    return f"<p><small>{said}</small></p>{shown}{more}"


def _grid(comparison: Comparison, group: Group, entry: Entry) -> str:
    name = f"{label(comparison, group)}, seed {entry.seed}"
    try:
        generator = load_generator(find_generator(entry.path))
    except ZerosumError as error:
        return f"<p>{text(name)}: {text(str(error))}</p>"
    many = COUNT if generator.space.is_image else 2_500
    shown = pictures.picture(generator.sample(many, seed=SEED))
    return figure(pictures.encode(shown), f"{name}, {generator.images:,} images")


def _settings(comparison: Comparison) -> str:
    if not comparison.differing:
        return ""
    rows = []
    for key in comparison.differing:
        values = [group.first.settings.get(key) for group in comparison.groups]
        rows.append([text("" if value is None else str(value)) for value in (key, *values)])
    return table(["", *(text(label(comparison, group)) for group in comparison.groups)], rows)


def _runs(comparison: Comparison) -> str:
    rows = []
    for group in comparison.groups:
        for one in group.entries:
            speed = "" if math.isnan(one.speed) else f"{one.speed:,.0f}"
            row = [str(one.path), str(one.seed), one.state, f"{one.images:,}", f"{one.seconds:,.1f}", speed]
            rows.append([text(cell) for cell in (*row, machine(one.hardware))])
    return table(["run", "seed", "state", "images", "seconds", "images/s", "machine"], rows)
