"""report.html: curves, sample history, metrics and recipe of a run in one file that opens offline."""

from __future__ import annotations

import base64
import html
import io
import json
from pathlib import Path
from typing import Any

from zerosum.runs.checkpoint import write_file
from zerosum.runs.directory import RunDirectory
from zerosum.runs.logs import read_lines

STYLE = """
:root { color-scheme: light dark; font-family: system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; line-height: 1.5; }
img, svg { max-width: 100%; height: auto; } figure { display: inline-block; margin: 0 1rem 1rem 0; }
figure img { width: 18rem; border: 1px solid #8888; }
svg { background: white; } pre { overflow: auto; padding: 1rem; background: #8881; }
td, th { padding: .1rem .8rem .1rem 0; text-align: left; font-variant-numeric: tabular-nums; }
"""
MOST_SAMPLES = 12


def write_report(run: RunDirectory) -> Path:
    """Write the report of a run from its files alone; return its path."""
    metrics, evaluations = read_lines(run.metrics), read_lines(run.evaluations)
    recipe = (run.path / "recipe.toml").read_text(encoding="utf-8")
    environment = json.dumps(run.environment(), indent=1)
    last = metrics[-1] if metrics else {"images": 0, "epoch": 0, "seconds": 0}
    body = [
        f"<h1>{html.escape(run.path.name)}</h1>",
        "<p>{images:,} images, {epoch:g} epochs, {seconds:,.0f} seconds.</p>".format(**last),
        "<h2>Samples</h2>" + _samples(run),
        "<h2>Curves</h2>" + _curves(metrics, evaluations),
        "<h2>Metrics</h2>" + _table(evaluations),
        f"<h2>Recipe</h2><pre>{html.escape(recipe)}</pre>",
        f"<h2>Machine and data</h2><pre>{html.escape(environment)}</pre>",
    ]
    page = f"<!doctype html><meta charset=utf-8><title>{html.escape(run.path.name)}</title><style>{STYLE}</style>"
    write_file(run.report, (page + "\n".join(body)).encode())
    return run.report


def _samples(run: RunDirectory) -> str:
    paths = sorted(run.samples.glob("*.png"))
    if len(paths) > MOST_SAMPLES:  # the first, the last, and some between
        paths = [paths[round(place * (len(paths) - 1) / (MOST_SAMPLES - 1))] for place in range(MOST_SAMPLES)]
    figures = []
    for path in paths:
        data = base64.b64encode(path.read_bytes()).decode()
        figures.append(
            f'<figure><img alt="samples" src="data:image/png;base64,{data}">'
            f"<figcaption>{int(path.stem):,} images</figcaption></figure>"
        )
    return "".join(figures)


def _curves(metrics: list[dict[str, Any]], evaluations: list[dict[str, Any]]) -> str:
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # half a second to import, needed here only
    from matplotlib.figure import Figure

    names = sorted({name for line in metrics for name in line} - {"images", "epoch", "seconds"})
    charts = {"losses": [n for n in names if "." in n], "logits": [n for n in names if n.endswith("_logit")]}
    charts["images per second"] = [n for n in names if n == "images_per_second"]
    drawn = [
        (title, {n: [(m["images"], m[n]) for m in metrics if n in m] for n in chosen})
        for title, chosen in charts.items()
    ]
    kinds = sorted({line["metric"] for line in evaluations})
    drawn += [(kind, {kind: [(e["images"], e["value"]) for e in evaluations if e["metric"] == kind]}) for kind in kinds]
    figure = Figure(figsize=(9, 2.4 * len(drawn)), layout="constrained")
    for axes, (title, lines) in zip(figure.subplots(len(drawn), squeeze=False)[:, 0], drawn, strict=True):
        for name, points in lines.items():
            axes.plot(*zip(*points, strict=True), label=name, linewidth=1, marker="." if len(points) < 3 else None)
        axes.set(title=title, xlabel="images")
        if lines:
            axes.legend(fontsize="small", frameon=False)
    text = io.StringIO()
    FigureCanvasSVG(figure).print_svg(text)
    return text.getvalue().partition("<!DOCTYPE")[2].partition(">")[2]


def _table(evaluations: list[dict[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td>{line['images']:,}</td><td>{html.escape(line['metric'])}</td><td>{line['value']:.5g}</td>"
        f"<td>{html.escape(json.dumps(line['protocol']))}</td></tr>"
        for line in evaluations
    )
    return f"<table><tr><th>images</th><th>metric</th><th>value</th><th>protocol</th></tr>{rows}</table>"
