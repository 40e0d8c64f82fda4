"""`zerosum compare`: runs side by side, as a table, as one object, or as a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from zerosum.cli.command import Json, Overwrite, answer, command, say

if TYPE_CHECKING:
    from rich.table import Table

    from zerosum.runs.compare import Comparison, Group

LEFT, WIDE = 64, 22  # characters that settings and clocks take, and a metric: how many fit into a terminal
MOST = 6  # settings of a row; the object and the page have all


class At(StrEnum):
    """Where a number is taken."""

    best = "best"
    last = "last"


@command
def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Run directories.")],
    metric: Annotated[
        list[str] | None, typer.Option("--metric", "-m", metavar="NAME", help="Only this number; may be repeated.")
    ] = None,
    at: Annotated[At | None, typer.Option("--at", help="Each number where it was best, or where it ended.")] = None,
    html: Annotated[
        str | None, typer.Option("--html", metavar="FILE", help="Write a page with table, curves and paired samples.")
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Compare runs; those that differ by their seed alone are one row, with means and 95 % intervals over seeds."""
    from zerosum.runs.compare import Comparison

    comparison = Comparison.of(runs, metric or ())
    if html is not None:
        from zerosum.runs.compare_page import write_page

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
    """Print to stdout: what is common to all, then a row for each group; metrics that do not fit stand below."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 10_000  # a file has no edge
    common = comparison.common
    console.print("; ".join(common.values()), soft_wrap=True)
    fit = max(1, (console.width - LEFT) // WIDE)
    for start in range(0, max(1, len(comparison.columns)), fit):
        console.print()
        console.print(_table(comparison, slice(start, start + fit), at))


def _table(comparison: Comparison, part: slice, at: Sequence[Literal["last", "best"]]) -> Table:
    from rich.table import Table

    from zerosum.runs.compare import ARROWS

    columns = comparison.columns[part]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in (*comparison.facts, "seconds", "images/s"):
        table.add_column(title, overflow="fold", vertical="top")
    for column in columns:
        arrow = ARROWS[comparison.better(column)]
        table.add_column(f"{comparison.title(column)} {arrow}\n{', '.join(at)}", justify="right")
    for group in comparison.groups:
        cells = ["\n".join(comparison.quantity(group, column, one) for one in at) for column in columns]
        table.add_row(*_facts(comparison, group), *comparison.clocks(group), *cells)
    return table


def _facts(comparison: Comparison, group: Group) -> Iterator[str]:
    for name in comparison.facts:
        if name == "settings":
            words = [f"{key}={value}" for key, value in comparison.differences(group).items()]
            left = [f"and {len(words) - MOST} more"] if len(words) > MOST else []
            yield "\n".join([*words[:MOST], *left])
        else:
            yield comparison.fact(group, name)
