"""A comparison as one HTML file that opens offline: the table, curves with bands, and paired samples."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from zerosum.core.errors import ZerosumError
from zerosum.runs.evaluation.compare import ARROWS, Comparison
from zerosum.runs.evaluation.estimate import Estimate
from zerosum.runs.evaluation.group import Group, machine
from zerosum.runs.storage import outputs
from zerosum.runs.storage.record import At, Column, RunRecord
from zerosum.runs.storage.saved import find_model, load_model
from zerosum.runs.view import pictures
from zerosum.runs.view.charts import Chart, Curve, charts, look
from zerosum.runs.view.gallery import compact
from zerosum.runs.view.media import medium_of
from zerosum.runs.view.page import figure, page, table, text

MOST = 8  # differences of a group that are told beside its name
MOST_SETTINGS = 200
PICTURED = 12  # runs whose samples are shown
EXPLAINED = (
    "± is half of a 95 % interval of Student's t over seeds; without it there is one seed. The best mean is bold."
)
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
    groups = comparison.groups
    about = f"{len(groups)} {'runs' if all(len(group.entries) == 1 for group in groups) else 'groups of runs'}"
    lead = "; ".join([about, *comparison.common.values()])
    opening = [f'<h1>Comparison</h1><p class="lead">{text(lead)}</p>']
    opening += [f'<p class="careful">{text(note)}</p>' for note in comparison.notes]
    sections = {
        "What differs": _groups(comparison),
        "Samples from the same latents": _samples(comparison),
        "Numbers": "".join(_protocol(comparison, heading, columns, at) for heading, columns in comparison.tables),
        "Settings that differ": _settings(comparison),
        "Every run": _runs(comparison),
    }
    outputs.write(path, page("Comparison", opening, sections).encode(), overwrite=overwrite, option="--html")
    return path


def label(comparison: Comparison, group: Group) -> str:
    """Name of a group, and its state where it is not finished."""
    state = group.first.state
    return comparison.names[group] + ("" if state == "finished" else f" ({state})")


def _named(comparison: Comparison, group: Group) -> str:
    """Name of a group as HTML, in the colour of its curves."""
    colour = look(comparison.groups.index(group))
    return f'<span class="named {colour}"><i></i>{text(label(comparison, group))}</span>'


def _groups(comparison: Comparison) -> str:
    """A card for each group: its seeds and clocks, and what tells it from the others."""
    cards = []
    for group in comparison.groups:
        words = comparison.apart(group)
        chips = "".join(f"<code>{text(word)}</code> " for word in words[:MOST])
        more = f"<small>and {len(words) - MOST} more, below</small>" if len(words) > MOST else ""
        seconds, speed = comparison.clocks(group)
        facts = f"seeds {group.fact('seeds')}, {seconds} s, {speed} images/s"
        cards.append(
            f'<div class="card"><h3>{_named(comparison, group)}</h3><small>{text(facts)}</small>'
            f'<div class="chips">{chips}{more}</div></div>'
        )
    return f'<div class="columns">{"".join(cards)}</div>'


def _protocol(comparison: Comparison, heading: str, columns: Sequence[Column], at: Sequence[At]) -> str:
    """Numbers of one protocol with their curves; the best of each column stands out."""
    titles = (f"{comparison.title(column)} {ARROWS[comparison.better(column)]}" for column in columns)
    head = ["run", *(f"{text(title)}<br><small>{', '.join(at)}</small>" for title in titles)]
    best = {(column, one): _best(comparison, column, one) for column in columns for one in at}
    rows = []
    for group in comparison.groups:
        if group.columns & set(columns):
            cells = (
                [_marked(comparison.quantity(group, column, one), group is best[column, one]) for one in at]
                for column in columns
            )
            rows.append([_named(comparison, group), *("<br>".join(cell) for cell in cells)])
    figures = charts([_chart(comparison, column) for column in columns])
    return f'<p class="how">Measured {text(heading)}.</p>{table(head, rows)}<p><small>{EXPLAINED}</small></p>{figures}'


def _marked(quantity: str, best: bool) -> str:
    return f"<b>{text(quantity)}</b>" if best else text(quantity)


def _best(comparison: Comparison, column: Column, at: At) -> Group | None:
    """The group with the best mean of several; None where no end is good."""
    way = comparison.better(column)
    means = {
        group: estimate.mean for group in comparison.groups if (estimate := group.estimate(column, at)) is not None
    }
    finite = {group: mean for group, mean in means.items() if math.isfinite(mean)}
    return None if way is None or len(finite) < 2 else (max if way else min)(finite, key=lambda group: finite[group])


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
        estimates = [Estimate.of((seed, lines[images]["value"]) for seed, lines in series) for images in shared]
        present = [one for one in estimates if one is not None]
        low, high = [one.low for one in present], [one.high for one in present]
        yield Curve(name, shared, [one.mean for one in present], low, high, colour)
    else:
        for _, lines in series:
            images = sorted(lines)
            yield Curve(name, images, [lines[one]["value"] for one in images], colour=colour, faint=True)


def _samples(comparison: Comparison) -> str:
    """A grid for each run, from latents of one seed; a run that cannot sample says why."""
    entries = [(group, entry) for group in comparison.groups for entry in group.entries]
    left = len(entries) - PICTURED
    more = f"<p>{left} more runs are not shown.</p>" if left > 0 else ""
    caption = f"Latents of seed {SEED}, equal for models with latents alike; weights of the end."
    shown = "".join(_grid(comparison, group, entry) for group, entry in entries[:PICTURED])
    return f'<p><small>{caption}</small></p><div class="sheets">{shown}</div>{more}'


def _grid(comparison: Comparison, group: Group, entry: RunRecord) -> str:
    name = f"{label(comparison, group)}, seed {entry.seed}"
    try:
        trained = load_model(find_model(entry.path))
        count = COUNT if trained.signal.kind == "image" else medium_of(trained.signal).card
        samples = trained.sample(count, seed=SEED)
    except ZerosumError as error:
        return f"<figure><p><small>{text(error)}</small></p><figcaption>{text(name)}</figcaption></figure>"
    shown = pictures.picture(samples, units=trained.units)
    return figure(compact(pictures.encode(shown)), f"{name}, {trained.images:,} images")


def _settings(comparison: Comparison) -> str:
    if not comparison.differing:
        return ""
    rows = []
    for key in comparison.differing[:MOST_SETTINGS]:
        values = [group.first.settings.get(key) for group in comparison.groups]
        rows.append([text("" if value is None else str(value)) for value in (key, *values)])
    return table(["setting", *(_named(comparison, group) for group in comparison.groups)], rows)


def _runs(comparison: Comparison) -> str:
    rows = []
    for group in comparison.groups:
        for one in group.entries:
            speed = "" if math.isnan(one.speed) else f"{one.speed:,.0f}"
            row = [str(one.path), str(one.seed), one.state, f"{one.images:,}", f"{one.seconds:,.1f}", speed]
            rows.append([text(cell) for cell in (*row, machine(one.hardware))])
    return table(["run", "seed", "state", "images", "seconds", "images/s", "machine"], rows)
