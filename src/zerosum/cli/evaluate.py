"""`zerosum evaluate`: numbers for a run, a model file or samples from anywhere, each with what it is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from zerosum.cli.command import (
    Device,
    Json,
    Quiet,
    Root,
    Seed,
    SkipBad,
    Task,
    Threads,
    Trust,
    Use,
    answer,
    command,
    say,
    sheet,
)
from zerosum.core.errors import RecipeError

if TYPE_CHECKING:
    from zerosum.runs.evaluation.result import Results


@command
def evaluate(
    place: Annotated[
        str,
        typer.Argument(metavar="RUN|FILE|DIR|NPZ", help="A run, a model file, or samples: folder, archive, npz."),
    ],
    data: Annotated[
        str | None,
        typer.Option("--data", "-d", metavar="PLACE", help="Real samples; a run knows its own, unless they moved."),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option("--metrics", "-m", help="Such as fd+prdc:k=3, or all (that apply); see `zerosum ls metric`."),
    ] = None,
    extractor: Annotated[
        str,
        typer.Option("--extractor", "-e", help="What finds features, see `zerosum ls extractor`; auto: by the data."),
    ] = "auto",
    count: Annotated[int, typer.Option("--count", "-n", min=2, help="Generated samples.")] = 10_000,
    split: Annotated[str, typer.Option("--split", help="Real samples: held-out, train, all.")] = "auto",
    seed: Seed = None,
    use: Use = None,
    trust: Trust = False,
    task: Task = None,
    data_root: Root = None,
    skip_bad: SkipBad = False,
    device: Device = None,
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Evaluate samples against real ones. Each value is shown with its floor and a trivial baseline."""
    from zerosum import recipes  # noqa: F401  (registers every part)
    from zerosum.core import usercode
    from zerosum.runs.evaluation import evaluate as evaluation
    from zerosum.runs.training.progress import Display

    if metrics is not None and not metrics.strip():
        raise RecipeError("--metrics is empty; name some, or leave it out for the usual ones")
    usercode.use(*use or ())
    display = Display(quiet)
    results = evaluation.evaluate(
        place,
        data,
        metrics=metrics or "",
        extractor=extractor,
        count=count,
        split=split,
        seed=seed or 0,
        data_root=data_root,
        skip_bad=skip_bad,
        device="auto" if device is None else device,
        threads=threads,
        trust=trust,
        task=task,
        report=display.work,
    )
    if as_json:
        lines = [result.line() for result in results]
        answer({"place": place, "results": lines, "omitted": results.omitted, "notes": results.notes})
    else:
        show(results)


def show(results: Results) -> None:
    """Print a table: value, floor, baseline; then what it was measured with, warnings, and what was left out."""
    from rich.table import Table

    from zerosum.core.console import visible

    table, apart = Table(box=None, pad_edge=False), any(one.equal is not None for one in results)
    for title in ("metric", "value", *(["at equal counts"] if apart else []), "floor", "baseline", "better"):
        table.add_column(title, justify="left" if title in ("metric", "better") else "right")
    for one in results:
        better = {True: "higher", False: "lower", None: "near the floor" if one.floor is not None else "neither"}[
            one.higher_is_better
        ]
        equal = [number(one.value if one.equal is None else one.equal)] if apart else []
        floor = number(one.floor, one.floor_spread)
        table.add_row(visible(one.metric), number(one.value, one.spread), *equal, floor, number(one.baseline), better)
    sheet(width=100).print(table)
    for line in about(results[0].protocol):
        say(line)
    for protocol in [one.protocol for one in results if one.equal is not None][:1]:
        say(
            f"floor, baseline and the column before them: {protocol['count_floor']:,} samples against "
            f"{protocol['count_floor_real']:,}, the most that the real ones allow"
        )
    for note in results.notes:
        say(note)
    for line in results.cautions():
        say(f"careful, {line}")
    for line in results.left_out():
        say(f"left out, {line}")


def about(protocol: dict[str, Any]) -> list[str]:
    """What numbers were measured with, in a line or two."""
    counts = f"{protocol['count']:,} samples against {protocol['count_real']:,} real ones ({protocol['real']})"
    lines = [f"{counts}, extractor {protocol['extractor']}, seed {protocol['seed']}"]
    if "size" in protocol:
        lines += [f"images of {protocol['size']} (height x width), brought to it by {protocol['rendering']}"]
    return lines


def number(value: float | None, spread: float | None = None) -> str:
    """A number for a column, with its scatter; a dash if it is missing."""
    if value is None:
        return "-"
    return f"{value:.4g}" if spread is None else f"{value:.4g} +- {spread:.2g}"
