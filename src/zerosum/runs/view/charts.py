"""Curves as SVG text, for pages that open offline: they follow the page's colours, and its script reads values off."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from zerosum.core.spacing import spaced
from zerosum.runs.view.page import text

WIDTH, HEIGHT = 340, 190  # of a chart in its own units; the page scales it
LEFT, RIGHT, TOP, BOTTOM = 46, 6, 8, 34  # around the frame
COLOURS = 8  # of the page's style; further curves are dashed
DECADES = 30.0  # positive values that differ by more than this factor get a logarithmic axis
FEW = 12  # points of a curve that are marked
MOST = 400  # points of a curve; more are thinned out evenly, and cannot be told apart on a screen


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
    note: str = ""  # how to read it
    unit: str = "images"  # of the horizontal axis


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high` over a stretch of the picture, linear or logarithmic."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Place of a value in the picture."""
        low, high = self._scaled(self.low), self._scaled(self.high)
        return self.start + (self._scaled(value) - low) / (high - low) * (self.end - self.start)

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.log else value

    @property
    def ticks(self) -> list[float]:
        """Round values on the axis: about five, or the powers of ten with what fits between them."""
        if not self.log:
            step = nice((self.high - self.low) / 5)
            first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
            return [number * step for number in range(first, last + 1)]
        lowest, highest = math.log10(self.low), math.log10(self.high)
        apart = max(1, round((highest - lowest) / 6))
        powers = range(math.floor(lowest / apart) * apart, math.ceil(highest) + 1, apart)
        factors = (1, 2, 5) if highest - lowest <= 2 else (1,)
        marks = [factor * 10.0**power for power in powers for factor in factors]
        return [mark for mark in marks if self.low <= mark * (1 + 1e-9) and mark <= self.high * (1 + 1e-9)]


def nice(step: float) -> float:
    """The nearest of 1, 2, 5, 10, ... to a positive number, by its logarithm."""
    power = 10.0 ** math.floor(math.log10(step))
    return min((factor * power for factor in (1, 2, 5, 10)), key=lambda one: abs(math.log(one / step)))


def axis(values: Sequence[float], start: float, end: float, *, logarithmic: bool = True) -> Axis:
    """An axis that holds all values with a little room; logarithmic where they are positive and far apart."""
    low, high = min(values), max(values)
    if logarithmic and low > 0 and high > DECADES * low:
        return Axis(low / 1.15, high * 1.15, start, end, log=True)
    room = (high - low) * 0.05 or abs(high) * 0.1 or 1.0
    return Axis(low - room, high + room, start, end)


def brief(value: float) -> str:
    """A number as an axis shows it: 50k, 1.5M, 0.002, 3e-09."""
    if value and not 1e-4 <= abs(value) < 1e12:
        return f"{value:.3g}"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{round(value, 10):.4g}"


def value_of(number: float) -> str:
    """A measured number to four digits: 2,301, 0.2528."""
    return f"{number:,.0f}" if 1000 <= abs(number) < 1e9 else f"{number:.4g}"


def charts(panels: Sequence[Chart]) -> str:
    """Charts side by side as HTML, each with title and legend; those without a curve of two points are left out."""
    curved = (chart for chart in panels if any(len(curve.x) > 1 for curve in chart.curves))
    figures = [_figure(chart) for chart in curved if _finite(chart)]
    return f'<div class="charts">{"".join(figures)}</div>' if figures else ""


def _finite(chart: Chart) -> list[float]:
    """All values that the vertical axis must hold; none where no curve has any."""
    values = [value for curve in chart.curves for line in (curve.y, curve.low, curve.high) for value in line or ()]
    finite = [value for value in values if math.isfinite(value)]
    return finite and [*finite, *(value for value in chart.levels.values() if math.isfinite(value))]


def _figure(chart: Chart) -> str:
    across = axis([value for curve in chart.curves for value in curve.x], LEFT, WIDTH - RIGHT, logarithmic=False)
    up = axis(_finite(chart), HEIGHT - BOTTOM, TOP)
    body = "".join([*_grid(across, up, chart.unit), *_levels(chart, up), *_curves(chart, across, up)])
    note = f"<small>{text(chart.note)}</small>" if chart.note else ""
    scale = (
        f'data-x="{across.start} {across.end} {across.low:.9g} {across.high:.9g}" data-top="{TOP}" '
        f'data-bottom="{HEIGHT - BOTTOM}" data-unit="{chart.unit}"'
    )
    return (
        f'<figure class="chart"><figcaption><b>{text(chart.title)}</b>{note}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{text(chart.title)}" {scale}>{body}</svg>'
        f'<ul class="legend">{"".join(_legend(chart))}</ul></figure>'
    )


def _grid(across: Axis, up: Axis, unit: str) -> Iterator[str]:
    for value in up.ticks:
        place = f"{up(value):.1f}"
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{place}" y2="{place}"/>'
        yield f'<text x="{LEFT - 6}" y="{place}" dy=".32em" text-anchor="end">{brief(value)}</text>'
    for value in across.ticks:
        middle = across(value)
        anchor = "end" if middle > WIDTH - RIGHT - 12 else "middle"
        yield f'<text x="{middle:.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="{anchor}">{brief(value)}</text>'
    yield f'<text class="unit" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 5}" text-anchor="middle">{unit}</text>'


def _levels(chart: Chart, up: Axis) -> Iterator[str]:
    for number, level in enumerate(chart.levels.values()):
        if math.isfinite(level):
            place = f"{up(level):.1f}"
            yield f'<line class="level l{number}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{place}" y2="{place}"/>'


def _curves(chart: Chart, across: Axis, up: Axis) -> Iterator[str]:
    for place, curve in enumerate(chart.curves):
        its = _look(place, curve)
        x, y = thin(curve.x), thin(curve.y)
        if curve.low is not None and curve.high is not None:
            upper, lower = zip(x, thin(curve.high), strict=True), list(zip(x, thin(curve.low), strict=True))[::-1]
            corners = [f"{across(at):.1f},{up(value):.1f}" for at, value in (*upper, *lower) if math.isfinite(value)]
            yield f'<polygon class="band {its}" points="{" ".join(corners)}"/>'
        points = [(at, value) for at, value in zip(x, y, strict=True) if math.isfinite(value)]
        values = ",".join(f"[{at:.9g},{value:.4g}]" for at, value in points)
        thinner = " faint" if curve.faint else ""
        yield f'<path class="curve {its}{thinner}" d="{_path(x, y, across, up)}" data-v="[{values}]"/>'
        if len(points) < FEW:
            for at, value in points:
                yield f'<circle class="{its}" cx="{across(at):.1f}" cy="{up(value):.1f}" r="2.5"/>'


def _path(x: Sequence[float], y: Sequence[float], across: Axis, up: Axis) -> str:
    """A line through all points, with a gap where a value is not finite."""
    words, pen = [], "M"
    for at, value in zip(x, y, strict=True):
        if not math.isfinite(value):
            pen = "M"
            continue
        words.append(f"{pen}{across(at):.1f} {up(value):.1f}")
        pen = "L"
    return "".join(words)


def _look(place: int, curve: Curve) -> str:
    return look(place if curve.colour is None else curve.colour)


def look(number: int) -> str:
    """Classes of the curve of a number: its colour, and dashes where colours came round."""
    return f"c{number % COLOURS}" + (f" d{number // COLOURS % 3}" if number >= COLOURS else "")


def _legend(chart: Chart) -> Iterator[str]:
    """Each name with the value at the end; the page's script puts others in their place."""
    named: set[str] = set()
    for place, curve in enumerate(chart.curves):
        last = next((value for value in reversed(curve.y) if math.isfinite(value)), math.nan)
        if curve.name not in named:
            value = "" if curve.faint else f"<output>{value_of(last)}</output>"
            yield f'<li class="{_look(place, curve)}"><i></i>{text(curve.name)} {value}</li>'
        named.add(curve.name)
    for number, (name, level) in enumerate(chart.levels.items()):
        yield f'<li class="level l{number}"><i></i>{text(name)} <span>{value_of(level)}</span></li>'


def thin(values: Sequence[float]) -> list[float]:
    """At most MOST of the values, evenly spread, the first and the last among them."""
    return [values[place] for place in spaced(len(values), MOST)]
