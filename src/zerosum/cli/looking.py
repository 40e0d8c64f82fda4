"""`zerosum sample` and `zerosum report`: what a trained model makes, and how its training went."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any

import typer

from zerosum.cli.command import (
    Device,
    Json,
    Label,
    Overwrite,
    Quiet,
    Root,
    Seed,
    SkipBad,
    Threads,
    Trust,
    Use,
    answer,
    command,
    ready,
    say,
)

PATIENCE = 3.0  # seconds of work before anybody hears of progress


@command
def sample(
    place: Annotated[str, typer.Argument(metavar="RUN|FILE", help="A run directory or a model file.")],
    count: Annotated[
        int | None,
        typer.Option(
            "--count", "-n", min=1, help="How many samples; default 64, --neighbours 16, --interpolate 8 latents."
        ),
    ] = None,
    seed: Seed = None,
    start: Annotated[
        int,
        typer.Option(
            "--start", min=0, max=10**15, help="Number of the first sample; sample i of a seed is always the same."
        ),
    ] = 0,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            metavar="PLACE",
            help="FILE.png (a grid), FILE.npz (arrays), FILE.csv (points) or FOLDER/ (a file each); "
            "with --interpolate also FILE.mp4, .gif, .webp or .apng; default samples.png.",
        ),
    ] = None,
    label: Label = None,
    latent: Annotated[
        str | None, typer.Option("--latent", help="Other latents of the same size, such as truncated:threshold=0.7.")
    ] = None,
    truncation: Annotated[
        float | None,
        typer.Option("--truncation", min=0.0, help="Less variety, better samples: psi of styles, else a threshold."),
    ] = None,
    interpolate: Annotated[
        int | None, typer.Option("--interpolate", min=2, metavar="N", help="N frames from each latent to the next.")
    ] = None,
    neighbours: Annotated[
        str | None,
        typer.Option(
            "--neighbours", metavar="DATA", help="Each sample beside its nearest images of DATA; own: the run's data."
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", "-d", metavar="PLACE", help="For --neighbours own: where the run's data are now."),
    ] = None,
    k: Annotated[int, typer.Option("--k", min=1, help="How many neighbours.")] = 5,
    skip_bad: SkipBad = False,
    latents: Annotated[str | None, typer.Option("--latents", metavar="NPZ", help="Start from saved latents.")] = None,
    save_latents: Annotated[
        str | None, typer.Option("--save-latents", metavar="NPZ", help="Save the latents, and labels, that are used.")
    ] = None,
    overwrite: Overwrite = False,
    use: Use = None,
    trust: Trust = False,
    data_root: Root = None,
    device: Device = None,
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw samples from a trained model. They become pictures, arrays, points or an animation."""
    from zerosum.core.errors import RunError
    from zerosum.runs.evaluation.neighbours import own_data, write_neighbours
    from zerosum.runs.view import sample as sampling

    if neighbours is not None and interpolate is not None:
        raise RunError("--neighbours and --interpolate exclude each other; give one")
    if data is not None and neighbours != "own":
        raise RunError("--data says where a run's own data are now, for --neighbours own")
    if count is None and latents is None:
        count = 8 if interpolate is not None else 16 if neighbours is not None else 64
    out = out or "samples.png"
    where = ready(use, threads, device)
    draft = sampling.draft(
        place,
        count=count,
        seed=seed,
        label=label,
        latent=latent,
        truncation=truncation,
        latents=latents,
        start=start,
        trust=trust,
    ).on(where)
    if save_latents is not None:
        sampling.check_latents(save_latents, overwrite=overwrite)
    report = silent if quiet else patient()
    if neighbours is None:
        facts: dict[str, Any] = {}
        sampling.write(draft, out, interpolate, report, overwrite=overwrite)
    else:
        options: dict[str, Any] = {"data_root": data_root, "skip_bad": skip_bad, "overwrite": overwrite}
        if neighbours == "own":
            neighbours, data_options = own_data(place, data, data_root)
            options |= data_options
        facts = write_neighbours(draft, out, neighbours, k, report=report, **options)
    if save_latents is not None:
        sampling.save_latents(save_latents, draft, overwrite=overwrite)
    how = "".join(f", {note}" for note in (draft.notes, sampling.pictured(draft, out)) if note)
    way = f" with {interpolate} frames from each to the next" if interpolate else ""
    say(f"{len(draft)} sample{'' if len(draft) == 1 else 's'}{way} in {out}{how}")
    if as_json:
        answer({"samples": out, "count": len(draft), "start": start, "seed": None if latents else seed or 0, **facts})


@command
def report(run: Annotated[str, typer.Argument(help="A run directory.")], use: Use = None, trust: Trust = False) -> None:
    """Write a run's report.html again. Files of your own parts are not required."""
    from zerosum.core import usercode
    from zerosum.runs.storage import code
    from zerosum.runs.storage.directory import RunDirectory
    from zerosum.runs.view.report import write_report

    usercode.use(*use or ())
    code.try_load(run, trust=trust)
    say(f"report: {write_report(RunDirectory.open(run))}")


def silent(what: str, done: int, total: int) -> None:
    """Say nothing."""


def patient() -> Callable[[str, int, int], None]:
    """A listener to progress that prints it once the work takes long."""
    from zerosum.runs.training.progress import Display

    display, began = Display(), time.monotonic()

    def hear(what: str, done: int, total: int) -> None:
        if time.monotonic() - began > PATIENCE:
            display.work(what, done, total)

    return hear
