"""`zerosum evaluate`: numbers for a run, a generator file or samples from anywhere, each with what it is worth."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from zerosum.cli.command import (
    Data,
    Device,
    Json,
    Quiet,
    Root,
    Seed,
    SkipBad,
    Threads,
    Trust,
    Use,
    answer,
    command,
    say,
    sheet,
)


@command
def evaluate(
    place: Annotated[
        str,
        typer.Argument(metavar="RUN|FILE|DIR|NPZ", help="A run, a generator file, or samples: folder, archive, npz."),
    ],
    data: Data = None,
    metrics: Annotated[
        str, typer.Option("--metrics", "-m", help="As fd+prdc:k=3; all: every one that applies. `zerosum ls metric`.")
    ] = "",
    extractor: Annotated[
        str,
        typer.Option("--extractor", "-e", help="What sees features, from `zerosum ls extractor`; auto: by the data."),
    ] = "auto",
    count: Annotated[int, typer.Option("--count", "-n", min=2, help="Generated samples.")] = 10_000,
    split: Annotated[str, typer.Option("--split", help="Real samples: held-out, train, all.")] = "auto",
    seed: Seed = None,
    use: Use = None,
    trust: Trust = False,
    data_root: Root = None,
    skip_bad: SkipBad = False,
    device: Device = None,
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Judge samples against real ones; beside each value stand its floor and a trivial baseline."""
    from zerosum import recipes  # noqa: F401  (puts every part on the shelf)
    from zerosum.core import registry
    from zerosum.runs import evaluate as judging
    from zerosum.runs.progress import Display

    for file in use or []:
        registry.use(file)
    display = Display(quiet)
    records = judging.evaluate(
        place,
        data,
        metrics=metrics,
        extractor=extractor,
        count=count,
        split=split,
        seed=seed or 0,
        data_root=data_root,
        skip_bad=skip_bad,
        device=device or "auto",
        threads=threads,
        trust=trust,
        report=display.work,
    )
    if as_json:
        answer({"place": place, "records": [record.line() for record in records]})
    else:
        show(records)


def show(records: list[Any]) -> None:
    """Print a table: value, floor, baseline; then what it was measured with, and warnings."""
    from rich.table import Table

    from zerosum.core.console import visible

    table = Table(box=None, pad_edge=False)
    for title in ("metric", "value", "floor", "baseline", "better"):
        table.add_column(title, justify="left" if title in ("metric", "better") else "right")
    for record in records:
        spread = "" if record.spread is None else f" +- {record.spread:.2g}"
        better = {True: "higher", False: "lower", None: "near the floor"}[record.higher_is_better]
        table.add_row(
            visible(record.metric), f"{record.value:.4g}{spread}", number(record.floor), number(record.baseline), better
        )
    sheet(width=100).print(table)
    protocol = records[0].protocol
    say(
        f"{protocol['count']:,} samples against {protocol['count_real']:,} real ones ({protocol['real']}), "
        f"extractor {protocol['extractor']}, seed {protocol['seed']}"
    )
    for warning in dict.fromkeys(
        f"{one.protocol['part'].partition(':')[0]}: {one.warning}" for one in records if one.warning
    ):
        say(f"careful, {warning}")


def number(value: float | None) -> str:
    """A number for a column; a dash where there is none."""
    return "-" if value is None else f"{value:.4g}"
