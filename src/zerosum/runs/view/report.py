"""report.html: what a run did, in one file that opens offline."""

from __future__ import annotations

import dataclasses
import shlex
import tomllib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zerosum.core import registry, settings
from zerosum.core.reading import read_text
from zerosum.core.writing import write_file
from zerosum.runs import health
from zerosum.runs.evaluation.verdict import is_number
from zerosum.runs.storage.containment import check_contained
from zerosum.runs.storage.directory import RunDirectory
from zerosum.runs.storage.logs import read_reports
from zerosum.runs.storage.record import DAMAGE, flat, recipe_settings, sound, state_of
from zerosum.runs.storage.saved import in_run, verbs_in
from zerosum.runs.training.moments import clock
from zerosum.runs.view.charts import charts, value_of
from zerosum.runs.view.curves import learning_charts
from zerosum.runs.view.gallery import gallery
from zerosum.runs.view.page import command, facts, folded, page, table, text
from zerosum.runs.view.scores import scores

Line = dict[str, Any]
STATES = {
    "finished": ("good", "finished"),
    "training": ("live", "training"),
    "interrupted": ("warn", "interrupted"),
    "failed": ("bad", "ended by an error"),
}
MOST_SETTINGS = 200  # rows of a table of settings


@dataclass(frozen=True)
class Told:
    """What the files of a run tell; what cannot be read is empty, and named in `faults`."""

    run: RunDirectory
    recipe: str
    settings: Line  # by dotted name
    environment: Line
    reports: list[Line]
    evaluations: list[Line]
    state: str  # as `state_of` says; empty where that cannot be told
    faults: list[str]

    @property
    def data(self) -> Line:
        """Origin and facts of the data."""
        found = self.environment.get("data")
        return found if isinstance(found, dict) else {}

    @property
    def images(self) -> int:
        """How far it came."""
        return max((line["images"] for line in (*self.reports, *self.evaluations)), default=0)

    @property
    def seconds(self) -> float:
        """Seconds of training."""
        return max((line["seconds"] for line in self.reports if is_number(line.get("seconds"))), default=0.0)


def read(run: RunDirectory) -> Told:
    """Read a run without trusting any of its files."""
    faults: list[str] = []

    def attempt(what: str, make: Callable[[], Any], otherwise: Any) -> Any:
        try:
            return make()
        except DAMAGE as error:
            faults.append(f"{what} cannot be read: {error}")
            return otherwise

    recipe = attempt("recipe.toml", lambda: read_text(run.path / "recipe.toml"), "")
    chosen = attempt("recipe.toml", lambda: recipe_settings(run), {}) if recipe else {}
    environment = attempt("environment.json", lambda: dict(run.environment()), {})
    reports, evaluations = read_reports(run.metrics, faults.append), sound(run, faults)
    state = (
        attempt("its state", lambda: state_of(run, chosen, environment, reports), "") if chosen and environment else ""
    )
    return Told(run, recipe, chosen, environment, reports, evaluations, state, faults)


def write_report(run: RunDirectory) -> Path:
    """Write the report of a run from its files alone; return its path.

    Raises:
        RunError: a link, or something else than a file, is in its place.
    """
    check_contained(run.path, [run.report])
    told = read(run)
    parts: dict[str, Callable[[Told], str]] = {
        "Samples": _samples,
        "Metrics": lambda told: scores(told.evaluations),
        "Learning": _learning,
        "Go on": _commands,
        "Settings": _settings,
        "Machine and data": _origin,
    }
    opening = [_guarded(part, told) for part in (_summary, _health)]
    sections = {name: _guarded(part, told) for name, part in parts.items()}
    careful = [f'<p class="careful">{text(fault)}</p>' for fault in told.faults]  # after all have been found
    write_file(run.report, page(_name(told), [_head(told), *careful, *opening], sections).encode())
    return run.report


def _guarded(part: Callable[[Told], str], told: Told) -> str:
    """A part of the page; where files are damaged, what is wrong with them."""
    try:
        return part(told)
    except DAMAGE as error:
        return f'<p class="careful">This cannot be shown, for what the files hold: {text(repr(error))}</p>'


def _name(told: Told) -> str:
    return told.run.path.resolve().name


# ---------------------------------------------------------------------- opening


def _head(told: Told) -> str:
    tone, word = STATES.get(told.state, ("", "state unknown"))
    return f'<div class="top"><h1>{text(_name(told))}</h1><span class="state {tone}">{word}</span></div>'


def _summary(told: Told) -> str:
    events = [(line["images"], name, line[name]) for line in told.reports for name in EVENTS if name in line]
    said = [f"<p>{images:,} images: {text(EVENTS[name])}: {text(what)}</p>" for images, name, what in events[-5:]]
    return f'<p class="lead">{text(lead(told))}</p>{"".join(said)}{_tiles(told)}'


EVENTS = {
    "ended": "ended early",
    "not_finite": "not finite",
    "error": "ended by an error",
    "not_measured": "not measured",
}


def lead(told: Told) -> str:
    """What was trained on what, in words."""
    recipe, source = told.settings.get("recipe", "?"), told.data.get("source")
    return f"{recipe} on {Path(str(source)).name}: {describe(told.data)}" if source else str(recipe)


def describe(data: Line) -> str:
    """Training data in words: how many, of which size, in how many classes."""
    known, count = data.get("facts", {}), data.get("train")
    shape, classes = known.get("shape", []), known.get("classes", 0)
    words = f"{_number(count)} training {'points' if len(shape) == 1 else 'images'}"
    if len(shape) == 3:
        colours = {1: "grey", 3: "colour", 4: "colour with alpha"}.get(shape[0], f"{shape[0]} channels")
        words += f" of {shape[2]}{CROSS}{shape[1]}, {colours}"
    elif shape:
        words += f" of {shape[0]} numbers"
    return f"{words}, {_number(classes)} classes" if classes else words


def _number(value: Any) -> str:
    return f"{value:,}" if is_number(value) else "?"


def _tiles(told: Told) -> str:
    images, seconds, environment = told.images, told.seconds, told.environment
    epochs = max((line["epoch"] for line in told.reports if is_number(line.get("epoch"))), default=0.0)
    place = environment.get("accelerator") or environment.get("device", "?")
    threads = environment.get("threads", "?")
    tiles = {
        "images seen": (f"{images:,}", f"of {told.settings.get('length', '?')}"),
        "epochs": (f"{epochs:,.4g}", f"seed {told.settings.get('seed', '?')}"),
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


def _health(told: Told) -> str:
    """What is wrong by the last report, what it means and what to try; then what the log says was wrong before."""
    said, lasting, early = _examined(told)
    cards = [_finding(one) for one in lasting]
    over: dict[str, tuple[int, str]] = {}
    for line in told.reports:
        over |= {name: (line["images"], seen) for name, seen in line.get("findings", {}).items()}
    rows = [
        (text(name), f"last at {over[name][0]:,} images", text(over[name][1]))
        for name in sorted(over.keys() - {one.name for one in lasting})
    ]
    earlier = folded(f"Earlier findings: {len(rows)}", table(("finding", "when", "seen"), rows)) if rows else ""
    fine = f"Nothing is wrong so far, and it is {early}." if early else "✓ The doctor finds nothing wrong."
    well = "" if said or cards or not told.reports else f'<p class="fine">{text(fine)}</p>'
    return "".join([*(f'<p class="careful">{text(one)}</p>' for one in said), *cards, well, earlier])


def _examined(told: Told) -> tuple[list[str], list[health.Finding], str | None]:
    """What keeps the doctor from seeing a whole run, what it finds, and whether it is too early to judge."""
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            history = health.read_history(told.run.path)
            whole = dataclasses.replace(history, reports=told.reports, evaluations=told.evaluations)
            found, early = health.examine(whole), health.early(whole)
        return [str(one.message) for one in warned], found, early
    except DAMAGE as error:
        return [f"The doctor cannot look at this run: {error}"] if told.settings else [], [], None


def _finding(one: health.Finding) -> str:
    tone = "bad" if one.severity == "error" else ""
    when = f"{one.severity} since {one.since:,} images"
    return (
        f'<div class="card alert {tone}"><h3>{text(one.name)}<small>{when}</small></h3>'
        f"<p>{text(one.seen)}; {text(one.meaning)}.</p><p><b>Try</b> {text(one.advice)}</p></div>"
    )


def _samples(told: Told) -> str:
    shown, faults = gallery(told.run)
    told.faults.extend(faults[:3])
    return shown


def _learning(told: Told) -> str:
    """Curves of what was logged; the numbers of a first report, which are no curves yet."""
    shown = learning_charts(told.reports)
    once = {curve.name: value_of(curve.y[-1]) for chart in shown for curve in chart.curves}
    return charts(shown) or (f'<div class="card">{facts(once)}</div>' if once else "")


def _commands(told: Told) -> str:
    """How to go on, with the run's own place; what needs a model only where there is one."""
    path = shlex.quote(str(told.run.path.resolve()))
    lines = [_resume(told, path)]
    if in_run(told.run.path).is_file():
        verbs = verbs_in(in_run(told.run.path))
        ways = {
            "translate": f"zerosum translate {path} IMAGES --out translated",
            "reconstruct": f"zerosum reconstruct {path} IMAGES --out reconstructed",
        }
        lines += [(f"{verb} images of your own", way) for verb, way in ways.items() if verb in verbs]
        if "generate" in verbs:
            lines.append(("more samples", f"zerosum sample {path} --count 64 --seed 1 --out samples.png"))
        if "generate" in verbs and len(told.data.get("facts", {}).get("shape", ())) == 3:
            lines.append(("a walk from sample to sample", f"zerosum sample {path} --interpolate 12 --out walk.gif"))
        lines.append(("judge it by everything that applies", f"zerosum evaluate {path} --metrics all"))
    lines += [
        ("what goes wrong, and what to try", f"zerosum doctor {path}"),
        ("beside another run", f"zerosum compare {path} runs/OTHER --html comparison.html"),
    ]
    return "".join(command(line, purpose) for purpose, line in lines)


def _resume(told: Told, path: str) -> tuple[str, str]:
    """What `resume` would do, and the command."""
    if told.state == "finished":
        return "train it longer", f"zerosum resume {path} --images {_longer(told)}"
    if told.reports and "not_finite" in told.reports[-1]:
        return (
            "go back to the last good checkpoint, with other random numbers",
            f"zerosum resume {path} on_nan=rollback",
        )
    return "go on where it was saved", f"zerosum resume {path}"


def _longer(told: Told) -> str:
    from zerosum.core.values import Length

    length = Length.read(str(told.settings["length"]))
    return str(Length(length.amount * 2, length.unit))


def _settings(told: Told) -> str:
    """What the recipe sets otherwise than the one in the registry that it started from, and all of it folded."""
    name = told.settings.get("recipe")
    recipes = registry.registered("recipe")
    whole = folded("The whole recipe", f"<pre>{text(told.recipe)}</pre>") if told.recipe else ""
    if name not in recipes:
        return f"<p>The recipe {text(name)} is not in the registry.</p>{whole}" if name else whole
    usual = dict(flat(tomllib.loads(settings.to_toml(recipes[name]()))))
    keys = [key for key in {**usual, **told.settings} if key != "seed" and usual.get(key) != told.settings.get(key)]
    rows = [[text(key), *(text(side.get(key, "-")) for side in (usual, told.settings))] for key in keys[:MOST_SETTINGS]]
    head = ("setting", f"recipe {text(name)}", "this run")
    return (table(head, rows) if rows else f"<p>As in the recipe {text(name)}.</p>") + whole


def _origin(told: Told) -> str:
    """Machine and data as readable tables."""
    known = told.environment
    machine = {name: known[name] for name in known if name not in ASIDE and known[name] is not None}
    data = {name: value for name, value in told.data.items() if name != "facts" and value not in (None, False)}
    data |= told.data.get("facts", {})
    tables = [
        f'<div class="card"><h3>{name}</h3>{facts(rows)}</div>'
        for name, rows in (("Machine", _words(machine)), ("Data", _words(data)))
    ]
    decided = "".join(f"<li>{text(line)}</li>" for line in known.get("decisions", ()))
    tables += [f'<div class="card"><h3>Decided before training</h3><ul>{decided}</ul></div>'] if decided else []
    return f'<div class="columns">{"".join(tables)}</div>' if known else ""


ASIDE = ("data", "decisions")  # of the environment, shown by themselves
LABELS = {
    "train": "training samples", "looked_at": "samples looked at", "distinct": "different ones among them",
    "spread": "mean deviation of a pixel", "root": "data folder", "skip_bad": "bad images skipped",
    "fixed": "memory in bytes", "per_image": "memory in bytes per image", "compared": "chosen by",
    "ratio": "speed of bf16 against fp32", "rules": "version of the rules of splitting",
}  # fmt: skip


CROSS = " \N{MULTIPLICATION SIGN} "


def _words(found: Line, about: str = "") -> dict[str, str]:
    """Names and values for readers; tables within are told entry by entry."""
    told: dict[str, str] = {}
    for name, value in found.items():
        label = f"{about}{LABELS.get(name, name.replace('_', ' '))}"
        if isinstance(value, dict):
            told |= _words(value, f"{label}: ")
        elif value not in (None, "", [], False):
            told[label] = _worded(value)
    return told


def _worded(value: Any) -> str:
    if isinstance(value, list):
        return ("; " if any(isinstance(one, str) for one in value) else CROSS).join(map(str, value))
    return f"{value:,}" if type(value) is int else f"{value:.4g}" if isinstance(value, float) else str(value)
