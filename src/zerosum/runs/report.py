"""report.html: what a run did, in one file that opens offline."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from zerosum.core import registry, settings
from zerosum.core.errors import RecipeError
from zerosum.runs import health
from zerosum.runs.charts import Chart, Curve, svg
from zerosum.runs.checkpoint import write_file
from zerosum.runs.directory import RunDirectory
from zerosum.runs.logs import read_lines
from zerosum.runs.outputs import MARK

Line = dict[str, Any]
STYLE = """
:root { color-scheme: light dark; font-family: system-ui, sans-serif; }
body { max-width: 64rem; margin: 2rem auto; padding: 0 1rem; line-height: 1.5; }
img, svg { max-width: 100%; height: auto; } figure { display: inline-block; margin: 0 1rem 1rem 0; }
figure img { width: 18rem; border: 1px solid #8888; image-rendering: pixelated; }
svg { background: white; } pre { overflow: auto; padding: 1rem; background: #8881; }
td, th { padding: .1rem .8rem .1rem 0; text-align: left; vertical-align: top; font-variant-numeric: tabular-nums; }
small { opacity: .7; } .scroll { overflow-x: auto; }
"""
MOST_SAMPLES = 12
BETTER = {True: "higher is better", False: "lower is better", None: "near its floor is better"}
CLOCK = ("images", "epoch", "seconds")
LEARNING = (  # title and names of the numbers that a report logs; the first that fits takes a number
    ("speed", r"images_per_second"),
    ("logits", r".*_logit(-\d+)?"),
    ("gradients and steps", r".*(gradient|grad_norm|_moved).*"),
    ("losses of the discriminator", r"discriminator(-\d+)?\..*"),
    ("losses of the generator", r"generator\..*"),
    ("losses of other players", r"(reconstructor|encoder)(-\d+)?\..*"),
    ("distances within a batch", r"(real|fake)_distance"),
    ("signs of collapse, copying, overfitting", r"duplicates|nearness|copying|overfitting(-\d+)?"),
    ("what parts remember", r".*\..*"),
    ("other numbers", r".*"),
)


def write_report(run: RunDirectory) -> Path:
    """Write the report of a run from its files alone; return its path."""
    metrics, evaluations = read_lines(run.metrics), read_lines(run.evaluations)
    recipe = (run.path / "recipe.toml").read_text(encoding="utf-8")
    clock = next((line for line in reversed(metrics) if "seconds" in line), dict.fromkeys(CLOCK, 0))
    sections = {
        "Health": _health(run),
        "Samples": _samples(run),
        "Metrics": _table(evaluations) + svg(metric_charts(evaluations)),
        "Learning": svg(learning_charts(metrics)),
        "Settings": _settings(run),
        "Recipe": f"<pre>{html.escape(recipe)}</pre>",
        "Machine and data": f"<pre>{html.escape(json.dumps(run.environment(), indent=1))}</pre>",
        "Every evaluation": _evaluations(evaluations),
    }
    said = "<p>{images:,} images, {epoch:g} epochs, {seconds:,.0f} seconds.</p>".format(**clock)
    write_file(run.report, page(run.path.resolve().name, [said, *_events(metrics)], sections).encode())
    return run.report


def page(title: str, opening: Iterable[str], sections: dict[str, str]) -> str:
    """One HTML page; sections without content are left out."""
    name = html.escape(title)
    body = [f"<h2>{html.escape(head)}</h2>{content}" for head, content in sections.items() if content]
    maker = f"<meta name=generator content='{MARK.decode()}'>"
    top = f"<!doctype html><meta charset=utf-8>{maker}<title>{name}</title><style>{STYLE}</style><h1>{name}</h1>"
    return "\n".join([top, *opening, *body])


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """An HTML table of texts; cells may hold markup, so what users wrote must be escaped before."""
    lines = [f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows]
    top = "".join(f"<th>{cell}</th>" for cell in head)
    return f'<div class="scroll"><table><tr>{top}</tr>{"".join(lines)}</table></div>'


def figure(png: bytes, caption: str) -> str:
    """A picture within the page, with a caption."""
    data = base64.b64encode(png).decode()
    return (
        f'<figure><img alt="samples" src="data:image/png;base64,{data}"><figcaption>{html.escape(caption)}'
        "</figcaption></figure>"
    )


def _events(metrics: list[Line]) -> list[str]:
    words = {"ended": "ended early", "not_finite": "not finite"}
    told = [
        f"{line['images']:,} images: {words[name]}: {line[name]}" for line in metrics for name in words if name in line
    ]
    return [f"<p>{html.escape(text)}</p>" for text in told]


# ---------------------------------------------------------------------- curves


def metric_charts(evaluations: list[Line]) -> list[Chart]:
    """A chart for each metric: a curve for each protocol, floor and baseline as dashed lines."""
    charts = []
    for metric in dict.fromkeys(line["metric"] for line in evaluations):
        lines = [line for line in evaluations if line["metric"] == metric]
        protocols = list(dict.fromkeys(json.dumps(line["protocol"], sort_keys=True) for line in lines))
        curves = []
        for number, protocol in enumerate(protocols, 1):
            own = [line for line in lines if json.dumps(line["protocol"], sort_keys=True) == protocol]
            name = metric if len(protocols) == 1 else f"{metric}, protocol {number}"
            curves.append(Curve(name, [line["images"] for line in own], [line["value"] for line in own]))
        levels = {name: lines[-1][name] for name in ("floor", "baseline") if lines[-1].get(name) is not None}
        charts.append(Chart(f"{metric} ({BETTER[direction(lines[-1])]})", curves, levels))
    return charts


def direction(line: Line) -> bool | None:
    """True where higher values are better, false where lower ones are, None where neither end is good."""
    if "higher_is_better" not in line and "part" in line["protocol"]:  # a judge leaves out what is not known
        return None
    return line.get("higher_is_better", False)


def learning_charts(metrics: list[Line]) -> list[Chart]:
    """What the players logged, by kind."""
    names = dict.fromkeys(
        name for line in metrics for name, value in line.items() if _is_number(value) and name not in CLOCK
    )
    kinds: dict[str, list[str]] = {title: [] for title, _ in LEARNING}
    for name in sorted(names):
        kinds[next(title for title, form in LEARNING if re.fullmatch(form, name))].append(name)
    charts = []
    for title, chosen in kinds.items():
        curves = []
        for name in chosen:
            lines = [line for line in metrics if _is_number(line.get(name))]
            curves.append(Curve(name, [line["images"] for line in lines], [line[name] for line in lines]))
        charts.append(Chart(title, curves))
    return [*charts[1:], charts[0]]  # speed comes last


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


# ---------------------------------------------------------------------- sections


def _health(run: RunDirectory) -> str:
    """What is wrong by the last report, what it means and what to try; then what the log says was wrong before."""
    try:
        course = health.read_course(run.path)
    except RecipeError:  # edited since, or of the user's own
        return ""
    lasting = health.examine(course)
    rows = [
        [one.name, one.severity, f"since {one.since:,} images", one.seen, one.meaning, one.advice] for one in lasting
    ]
    over: dict[str, tuple[int, str]] = {}
    for line in course.reports:
        over |= {name: (line["images"], seen) for name, seen in line.get("findings", {}).items()}
    for name in sorted(over.keys() - {one.name for one in lasting}):
        images, seen = over[name]
        rows.append([name, "over", f"last at {images:,} images", seen, "", ""])
    head = ("finding", "", "when", "seen", "what it means", "what to try")
    texts = [[html.escape(text) for text in row] for row in rows]
    return table(head, texts) if texts else "<p>Nothing was found.</p>"


def _samples(run: RunDirectory) -> str:
    paths = sorted(run.samples.glob("*.png"))
    if len(paths) > MOST_SAMPLES:  # the first, the last, and some between
        paths = [paths[round(place * (len(paths) - 1) / (MOST_SAMPLES - 1))] for place in range(MOST_SAMPLES)]
    return "".join(figure(path.read_bytes(), f"{int(path.stem):,} images") for path in paths)


def _table(evaluations: list[Line]) -> str:
    """Every metric where it stands, beside its best value, floor and baseline."""
    rows = []
    for metric in dict.fromkeys(line["metric"] for line in evaluations):
        last = [line for line in evaluations if line["metric"] == metric][-1]
        same = [line for line in evaluations if line["metric"] == metric and line["protocol"] == last["protocol"]]
        way = direction(last)
        best = (max if way else min)(same, key=lambda line: line["value"])
        told = "" if way is None else f"{best['value']:.4g} <small>at {best['images']:,}</small>"
        spread = "" if last.get("spread") is None else f" ± {last['spread']:.2g}"
        beside = ["" if last.get(name) is None else f"{last[name]:.4g}" for name in ("floor", "baseline")]
        careful = html.escape(last.get("warning") or "")
        value = f"{last['value']:.4g}{spread} <small>at {last['images']:,}</small>"
        rows.append([html.escape(metric), value, told, *beside, BETTER[way], f"<small>{careful}</small>"])
    return table(("metric", "last", "best", "floor", "baseline", "", ""), rows) if rows else ""


def _settings(run: RunDirectory) -> str:
    """What the recipe sets otherwise than the one on the shelf that it started from."""
    try:
        recipe = run.recipe()
        shelved = registry.lookup("recipe", recipe.recipe)()
    except RecipeError:  # edited since, or of the user's own
        return ""
    changed = [line.partition(": ") for line in settings.differences(shelved, recipe)]
    rows = []
    for name, _, values in changed:
        before, _, after = values.partition(" -> ")
        rows.append([html.escape(text) for text in (name, before, after)])
    head = ("setting", html.escape(f"recipe {recipe.recipe}"), "this run")
    return table(head, rows) if rows else f"<p>As in the recipe {html.escape(recipe.recipe)}.</p>"


def _evaluations(evaluations: list[Line]) -> str:
    rows = []
    for line in evaluations:
        protocol = html.escape(json.dumps(line["protocol"]))
        rows.append([f"{line['images']:,}", html.escape(line["metric"]), f"{line['value']:.5g}", protocol])
    whole = table(("images", "metric", "value", "protocol"), rows)
    return f"<details><summary>{len(rows)} numbers</summary>{whole}</details>"
