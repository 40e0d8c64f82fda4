"""report.html: what a run did, in one file that opens offline."""

from __future__ import annotations

import dataclasses
import shlex
import warnings
from collections.abc import Callable
from pathlib import Path

from zerosum.core.writing import write_file
from zerosum.runs import health
from zerosum.runs.evaluation.verdict import is_number
from zerosum.runs.storage.containment import check_contained
from zerosum.runs.storage.directory import RunDirectory
from zerosum.runs.storage.record import DAMAGE
from zerosum.runs.storage.saved import in_run, verbs_in
from zerosum.runs.training.moments import clock
from zerosum.runs.view.charts import charts, value_of
from zerosum.runs.view.curves import learning_charts
from zerosum.runs.view.gallery import gallery
from zerosum.runs.view.origin import describe, origin_of, settings_of
from zerosum.runs.view.page import command, facts, folded, page, table, text
from zerosum.runs.view.run_content import RunContent, read
from zerosum.runs.view.scores import scores

STATES = {
    "finished": ("good", "finished"),
    "training": ("live", "training"),
    "interrupted": ("warn", "interrupted"),
    "failed": ("bad", "ended by an error"),
}


def write_report(run: RunDirectory) -> Path:
    """Write the report of a run from its files alone; return its path.

    Raises:
        RunError: a link, or something else than a file, is in its place.
    """
    check_contained(run.path, [run.report])
    content = read(run)
    parts: dict[str, Callable[[RunContent], str]] = {
        "Samples": _samples,
        "Metrics": lambda content: scores(content.evaluations),
        "Learning": _learning,
        "Go on": _commands,
        "Settings": settings_of,
        "Machine and data": origin_of,
    }
    opening = [_guarded(part, content) for part in (_summary, _health)]
    sections = {name: _guarded(part, content) for name, part in parts.items()}
    careful = [f'<p class="careful">{text(fault)}</p>' for fault in content.faults]  # after all have been found
    write_file(run.report, page(_name(content), [_head(content), *careful, *opening], sections).encode())
    return run.report


def _guarded(part: Callable[[RunContent], str], content: RunContent) -> str:
    """A part of the page; where files are damaged, what is wrong with them."""
    try:
        return part(content)
    except DAMAGE as error:
        return f'<p class="careful">This cannot be shown, for what the files hold: {text(repr(error))}</p>'


def _name(content: RunContent) -> str:
    return content.run.path.resolve().name


# ---------------------------------------------------------------------- opening


def _head(content: RunContent) -> str:
    tone, word = STATES.get(content.state, ("", "state unknown"))
    return f'<div class="top"><h1>{text(_name(content))}</h1><span class="state {tone}">{word}</span></div>'


def _summary(content: RunContent) -> str:
    events = [(line["images"], name, line[name]) for line in content.reports for name in EVENTS if name in line]
    said = [f"<p>{images:,} images: {text(EVENTS[name])}: {text(what)}</p>" for images, name, what in events[-5:]]
    return f'<p class="lead">{text(lead(content))}</p>{"".join(said)}{_tiles(content)}'


EVENTS = {
    "ended": "ended early",
    "not_finite": "not finite",
    "error": "ended by an error",
    "not_measured": "not measured",
}


def lead(content: RunContent) -> str:
    """What was trained on what, in words."""
    recipe, source = content.settings.get("recipe", "?"), content.data.get("source")
    return f"{recipe} on {Path(str(source)).name}: {describe(content.data)}" if source else str(recipe)


def _tiles(content: RunContent) -> str:
    images, seconds, environment = content.images, content.seconds, content.environment
    epochs = max((line["epoch"] for line in content.reports if is_number(line.get("epoch"))), default=0.0)
    place = environment.get("accelerator") or environment.get("device", "?")
    threads = environment.get("threads", "?")
    tiles = {
        "images seen": (f"{images:,}", f"of {content.settings.get('length', '?')}"),
        "epochs": (f"{epochs:,.4g}", f"seed {content.settings.get('seed', '?')}"),
        "of training": (clock(seconds), "wall clock"),
        "images per second": (f"{images / seconds:,.0f}" if seconds else "-", "on average"),
        "precision": (
            str(environment.get("precision", "?")),
            f"{place}, {threads} thread{'' if threads == 1 else 's'}",
        ),
    }
    cells = (
        f"<li><b>{text(big)}</b>{text(name)}<small>{text(small)}</small></li>" for name, (big, small) in tiles.items()
    )
    return f'<ul class="tiles">{"".join(cells)}</ul>'


# ---------------------------------------------------------------------- sections


def _health(content: RunContent) -> str:
    """What is wrong by the last report, what it means and what to try; then what the log says was wrong before."""
    said, lasting, early = _examined(content)
    cards = [_finding(one) for one in lasting]
    over: dict[str, tuple[int, str]] = {}
    for line in content.reports:
        over |= {name: (line["images"], seen) for name, seen in line.get("findings", {}).items()}
    rows = [
        (text(name), f"last at {over[name][0]:,} images", text(over[name][1]))
        for name in sorted(over.keys() - {one.name for one in lasting})
    ]
    earlier = folded(f"Earlier findings: {len(rows)}", table(("finding", "when", "seen"), rows)) if rows else ""
    fine = f"Nothing is wrong so far, and it is {early}." if early else "✓ The doctor finds nothing wrong."
    well = "" if said or cards or not content.reports else f'<p class="fine">{text(fine)}</p>'
    return "".join([*(f'<p class="careful">{text(one)}</p>' for one in said), *cards, well, earlier])


def _examined(content: RunContent) -> tuple[list[str], list[health.Finding], str | None]:
    """What keeps the doctor from seeing a whole run, what it finds, and whether it is too early to judge."""
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            history = health.read_history(content.run.path)
            whole = dataclasses.replace(history, reports=content.reports, evaluations=content.evaluations)
            found, early = health.examine(whole), health.early(whole)
        return [str(one.message) for one in warned], found, early
    except DAMAGE as error:
        return [f"The doctor cannot look at this run: {error}"] if content.settings else [], [], None


def _finding(one: health.Finding) -> str:
    tone = "bad" if one.severity == "error" else ""
    when = f"{one.severity} since {one.since:,} images"
    return (
        f'<div class="card alert {tone}"><h3>{text(one.name)}<small>{when}</small></h3>'
        f"<p>{text(one.seen)}; {text(one.meaning)}.</p><p><b>Try</b> {text(one.advice)}</p></div>"
    )


def _samples(content: RunContent) -> str:
    of_pairs = content.settings.get("data.pairs")
    shown, faults = gallery(content.run, "Input, output, target" if of_pairs else "Generated")
    content.faults.extend(faults[:3])
    return shown


def _learning(content: RunContent) -> str:
    """Curves of what was logged; the numbers of a first report, which are no curves yet."""
    shown = learning_charts(content.reports)
    once = {curve.name: value_of(curve.y[-1]) for chart in shown for curve in chart.curves}
    return charts(shown) or (f'<div class="card">{facts(once)}</div>' if once else "")


def _commands(content: RunContent) -> str:
    """How to go on, with the run's own place; what needs a model only where there is one."""
    path = shlex.quote(str(content.run.path.resolve()))
    lines = [_resume(content, path)]
    if in_run(content.run.path).is_file():
        verbs = verbs_in(in_run(content.run.path))
        ways = {
            "translate": f"zerosum translate {path} IMAGES --out translated",
            "reconstruct": f"zerosum reconstruct {path} IMAGES --out reconstructed",
        }
        lines += [(f"{verb} images of your own", way) for verb, way in ways.items() if verb in verbs]
        if "generate" in verbs:
            lines.append(("more samples", f"zerosum sample {path} --count 64 --seed 1 --out samples.png"))
        if "generate" in verbs and len(content.data.get("facts", {}).get("shape", ())) == 3:
            lines.append(("a walk from sample to sample", f"zerosum sample {path} --interpolate 12 --out walk.gif"))
        lines.append(("judge it by everything that applies", f"zerosum evaluate {path} --metrics all"))
    lines += [
        ("what goes wrong, and what to try", f"zerosum doctor {path}"),
        ("beside another run", f"zerosum compare {path} runs/OTHER --html comparison.html"),
    ]
    return "".join(command(line, purpose) for purpose, line in lines)


def _resume(content: RunContent, path: str) -> tuple[str, str]:
    """What `resume` would do, and the command."""
    if content.state == "finished":
        return "train it longer", f"zerosum resume {path} --images {_longer(content)}"
    if content.reports and "not_finite" in content.reports[-1]:
        return (
            "go back to the last good checkpoint, with other random numbers",
            f"zerosum resume {path} on_nan=rollback",
        )
    return "go on where it was saved", f"zerosum resume {path}"


def _longer(content: RunContent) -> str:
    from zerosum.core.values import Length

    length = Length.read(str(content.settings["length"]))
    return str(Length(length.amount * 2, length.unit))
