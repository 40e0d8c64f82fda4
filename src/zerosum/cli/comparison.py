"""`zerosum compare`: runs side by side, as a table, as one object, or as a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from zerosum.cli.command import Json, Overwrite, Trust, Use, answer, command, say, sheet

if TYPE_CHECKING:
    from rich.table import Table

    from zerosum.runs.evaluation.compare import Comparison
    from zerosum.runs.storage.record import Column

WIDTH = 100  # characters of a line
NAME, SEEDS, CLOCK, METRIC = 28, 14, 15, 24  # characters of a column, at most; what is longer is folded
MOST = 6  # differences of a row; the object and the page have all


class At(StrEnum):
    """Where a number is taken."""

    best = "best"
    last = "last"


@command
def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Run directories.")],
    metric: Annotated[
        list[str] | None, typer.Option("--metric", "-m", metavar="NAME", help="Only this metric; may be repeated.")
    ] = None,
    at: Annotated[At | None, typer.Option("--at", help="Each number at its best, or at the end; default both.")] = None,
    html: Annotated[
        str | None,
        typer.Option("--html", metavar="FILE", help="Write a page with tables, curves and samples side by side."),
    ] = None,
    overwrite: Overwrite = False,
    use: Use = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Compare runs. Those that differ only in their seed are one row, with means and 95 % intervals over seeds."""
    from zerosum.core import usercode
    from zerosum.runs.evaluation.compare import Comparison
    from zerosum.runs.storage import code

    usercode.use(*use or ())
    for run in runs if trust else []:
        code.try_load(run, trust=True)
    comparison = Comparison.of(runs, metric or ())
    if html is not None:
        from zerosum.runs.view.compare_page import write_page

        say(f"page: {write_page(comparison, html, points(at), overwrite=overwrite)}")
    if as_json:
        answer(comparison.table(points(at)))
        return
    print_tables(comparison, points(at))
    for note in comparison.notes:
        say(f"careful: {note}")


def points(at: At | None) -> tuple[Literal["last", "best"], ...]:
    """Where numbers are taken."""
    return ("last", "best") if at is None else ("best",) if at is At.best else ("last",)


def print_tables(comparison: Comparison, at: Sequence[Literal["last", "best"]]) -> None:
    """Print to stdout what is common to all runs, what tells them apart, and a table for each protocol."""
    from zerosum.core.console import visible

    console = sheet()
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    console.print(visible("; ".join(comparison.common.values())))
    console.print()
    console.print(_runs(comparison))
    for heading, columns in comparison.tables:
        console.print()
        console.print(visible(heading), style="dim")
        for number, part in enumerate(_fitting(comparison, columns, at, console.width)):
            if number:
                console.print()
            console.print(part)


def _runs(comparison: Comparison) -> Table:
    """A row for each group: its name, seeds and clocks, and what tells it from the others."""
    from rich.table import Table

    from zerosum.core.console import visible

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("run", overflow="fold", max_width=NAME)
    table.add_column("seeds", overflow="fold", max_width=SEEDS)
    for title in ("seconds", "images/s"):
        table.add_column(title, justify="right", max_width=CLOCK)
    if len(comparison.groups) > 1:
        table.add_column("differs in", overflow="fold")
    for group in comparison.groups:
        words = comparison.apart(group)
        more = [f"and {len(words) - MOST} more"] if len(words) > MOST else []
        options = ["\n".join(map(visible, [*words[:MOST], *more]))] if len(comparison.groups) > 1 else []
        table.add_row(visible(comparison.names[group]), group.fact("seeds"), *comparison.clocks(group), *options)
    return table


def _fitting(
    comparison: Comparison, columns: Sequence[Column], at: Sequence[Literal["last", "best"]], width: int
) -> Iterator[Table]:
    """Tables of the columns of one protocol, each as many as fit into a width."""
    room = width - min(NAME, max(map(len, comparison.names.values()))) - 2
    part: list[Column] = []
    for column in columns:
        if part and sum(_width(comparison, one, at) for one in (*part, column)) > room:
            yield _table(comparison, part, at)
            part = []
        part.append(column)
    yield _table(comparison, part, at)


def _width(comparison: Comparison, column: Column, at: Sequence[Literal["last", "best"]]) -> int:
    cells = [comparison.quantity(group, column, one) for group in comparison.groups for one in at]
    return min(METRIC, max(map(len, (_title(comparison, column), ", ".join(at), *cells)))) + 2


def _title(comparison: Comparison, column: Column) -> str:
    from zerosum.core.console import visible
    from zerosum.runs.evaluation.compare import ARROWS

    return f"{visible(comparison.title(column))} {ARROWS[comparison.better(column)]}"


def _table(comparison: Comparison, columns: Sequence[Column], at: Sequence[Literal["last", "best"]]) -> Table:
    from rich.table import Table

    from zerosum.core.console import visible

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("run", overflow="fold", max_width=NAME)
    for column in columns:
        head = f"{_title(comparison, column)}\n{', '.join(at)}"
        table.add_column(head, justify="right", overflow="fold", max_width=METRIC)
    for group in comparison.groups:
        if group.columns & set(columns):
            cells = ["\n".join(comparison.quantity(group, column, one) for one in at) for column in columns]
            table.add_row(visible(comparison.names[group]), *cells)
    return table
