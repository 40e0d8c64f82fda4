"""Curves as SVG text, for pages that open offline."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

COLUMNS, WIDTH, HEIGHT = 2, 10.0, 2.3  # charts in a row; of a row, of a chart in inches
LEFT, RIGHT, TOP, BOTTOM = 0.65, 0.1, 0.3, 0.3  # around a frame, in inches: numbers of the axes, and the title
DECADES = 30.0  # positive values that differ by more than this factor get a logarithmic axis
MOST = 1_000  # points of a curve; more are thinned out evenly, and cannot be told apart on a screen


@dataclass(frozen=True)
class Curve:
    """Values over images, with a band around them where there is one."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    colour: int | None = None  # its place in the cycle of colours; curves of equal place look alike
    faint: bool = False  # one of several of its name: thin, and named once


@dataclass(frozen=True)
class Chart:
    """Curves in one frame."""

    title: str
    curves: list[Curve] = field(default_factory=list)
    levels: dict[str, float] = field(default_factory=dict)  # dashed lines from side to side, by name


def svg(charts: Sequence[Chart]) -> str:
    """All charts in one picture, two in a row; the empty string where there are none."""
    charts = [chart for chart in charts if any(len(curve.x) for curve in chart.curves)]
    if not charts:
        return ""
    import matplotlib as mpl  # half a second, needed here only
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    rows, text = math.ceil(len(charts) / COLUMNS), io.StringIO()
    # text stays text, which is a third of the size; equal charts are equal files
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "zerosum", "font.size": 8}):
        figure = Figure(figsize=(WIDTH, HEIGHT * rows))
        frames = figure.subplots(rows, COLUMNS, squeeze=False, gridspec_kw=_places(rows)).flat
        for frame, chart in zip(frames, charts, strict=False):
            _draw(frame, chart)
        for frame in list(figure.axes)[len(charts) :]:
            frame.remove()
        FigureCanvasSVG(figure).print_svg(text, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return "<svg" + text.getvalue().partition("<svg")[2]


def _places(rows: int) -> dict[str, float]:
    """Margins and gaps as matplotlib counts them; to find them by the texts would take more time than all drawing."""
    height = HEIGHT * rows
    inner = (WIDTH - LEFT - RIGHT - (LEFT + RIGHT) * (COLUMNS - 1)) / COLUMNS, HEIGHT - TOP - BOTTOM
    return {
        "left": LEFT / WIDTH,
        "right": 1 - RIGHT / WIDTH,
        "top": 1 - TOP / height,
        "bottom": BOTTOM / height,
        "wspace": (LEFT + RIGHT) / inner[0],
        "hspace": (TOP + BOTTOM) / inner[1],
    }


def _draw(frame: Any, chart: Chart) -> None:
    from matplotlib.ticker import EngFormatter

    named: set[str] = set()
    for place, curve in enumerate(chart.curves):
        colour = f"C{(place if curve.colour is None else curve.colour) % 10}"
        x, y = thin(curve.x), [value if math.isfinite(value) else math.nan for value in thin(curve.y)]
        frame.plot(
            x,
            y,
            color=colour,
            linewidth=0.5 if curve.faint else 1.2,
            marker="." if len(x) < 12 else None,
            label=None if curve.name in named else curve.name,
        )
        named.add(curve.name)
        if curve.low is not None and curve.high is not None:
            frame.fill_between(x, thin(curve.low), thin(curve.high), color=colour, alpha=0.2, linewidth=0)
    for name, level in chart.levels.items():
        style = ":" if name == "floor" else "--"
        frame.axhline(level, color="black", linewidth=0.8, linestyle=style, label=f"{name} {level:.3g}")
    values = [*chart.levels.values(), *(value for curve in chart.curves for value in curve.y if math.isfinite(value))]
    if values and min(values) > 0 and max(values) > DECADES * min(values):
        frame.set_yscale("log")
    frame.set_title(chart.title, fontsize=9)
    frame.xaxis.set_major_formatter(EngFormatter(sep=""))  # 50k, 1.5M, as lengths are written
    frame.legend(fontsize="small", frameon=False)


def thin(values: Sequence[float]) -> list[float]:
    """At most 1,000 of the values, evenly spread, the first and the last among them."""
    if len(values) <= MOST:
        return list(values)
    return [values[round(place * (len(values) - 1) / (MOST - 1))] for place in range(MOST)]
