"""`zerosum train` and `zerosum resume`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from zerosum.cli.command import (
    Deterministic,
    Device,
    Json,
    Quiet,
    Root,
    SkipBad,
    Threads,
    Trust,
    Use,
    answer,
    command,
    say,
)
from zerosum.core.errors import RecipeError

Images = Annotated[
    str | None, typer.Option("--images", metavar="LENGTH", help="How long: 200k (images), 10epochs or 5min.")
]
SETTING = r"[\w.-]+\+?="
Minutes = Annotated[
    float | None,
    typer.Option("--minutes", min=0.0, help="How long, in minutes of training; the last evaluation comes after it."),
]


@command
def train(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DATA] [FIELD=VALUE]...", help="A set, folder, archive, table, .npz or hf:NAME, and settings."
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", "-r", help="A name from `zerosum ls recipe`, or a recipe.toml; default dcgan."),
    ] = None,
    start_from: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="RUN|FILE", help="Start from its weights; its recipe and data are the defaults."
        ),
    ] = None,
    images: Images = None,
    minutes: Minutes = None,
    out: Annotated[
        str | None,
        typer.Option("--out", "-o", metavar="DIR", help="The new run directory; default runs/DATA-RECIPE."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Equal seeds give equal results; default: the recipe's.")
    ] = None,
    stop_when: Annotated[
        str | None, typer.Option("--stop-when", metavar="CONDITION", help="Stop early, for example when fd<1.0.")
    ] = None,
    on_nan: Annotated[
        str | None,
        typer.Option("--on-nan", metavar="stop|rollback", help="What to do when a loss is not finite."),
    ] = None,
    use: Use = None,
    trust: Trust = False,
    data_root: Root = None,
    skip_bad: SkipBad = False,
    device: Device = None,
    threads: Threads = None,
    ranks: Annotated[
        int | None, typer.Option("--ranks", min=1, help="Processes that train together; default 1.")
    ] = None,
    deterministic: Deterministic = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a recipe on data. `zerosum train` alone trains dcgan on the digits that ship with scikit-learn."""
    from zerosum.runs.training import launching, session

    data, settings = split_words(words or [])
    settings += [f"{field}={value}" for field, value in (("stop_when", stop_when), ("on_nan", on_nan)) if value]
    run = session.train(
        ... if data is None else data,
        recipe,
        settings,
        images=length(images, minutes),
        out=out,
        seed=seed,
        start_from=start_from,
        use=use or [],
        trust=trust,
        data_root=data_root,
        skip_bad=skip_bad,
        device="auto" if device is None else device,
        threads=threads,
        ranks=ranks,
        deterministic=deterministic,
        quiet=quiet,
    )
    if not launching.place().rank:
        conclude(run, as_json)


@command
def resume(
    run: Annotated[str, typer.Argument(help="A run directory.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FIELD=VALUE]...", help="stop_when, patience and on_nan may change; others are compared."
        ),
    ] = None,
    images: Images = None,
    minutes: Minutes = None,
    data: Annotated[
        str | None,
        typer.Option("--data", "-d", metavar="PLACE", help="Where the run's data are now, if they were moved."),
    ] = None,
    data_root: Root = None,
    device: Annotated[
        str | None,
        typer.Option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps; default: the run's own."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="CPU threads; default: the run's own.")
    ] = None,
    ranks: Annotated[
        int | None, typer.Option("--ranks", min=1, help="Processes that train together; default: the run's own number.")
    ] = None,
    deterministic: Deterministic = False,
    use: Use = None,
    trust: Trust = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Continue a run where it was saved. --images makes it longer."""
    from zerosum.runs.training import launching, session

    ended = session.resume(
        run,
        words or [],
        images=length(images, minutes),
        data=data,
        data_root=data_root,
        device=device,
        threads=threads,
        ranks=ranks,
        deterministic=deterministic,
        use=use or [],
        trust=trust,
        quiet=quiet,
    )
    if not launching.place().rank:
        conclude(ended, as_json)


def split_words(words: list[str]) -> tuple[str | None, list[str]]:
    """Tell the data from the `field=value` words; a folder whose name looks like one is written `./NAME=...`.

    Raises:
        RecipeError: several words could be the data.
    """
    data = [word for word in words if not re.match(SETTING, word) or (word.endswith("/") and Path(word).is_dir())]
    if len(data) > 1:
        raise RecipeError(f"{data[0]!r} and {data[1]!r} cannot both be the data; settings are written field=value")
    return data[0] if data else None, [word for word in words if word not in data]


def length(images: str | None, minutes: float | None) -> str | None:
    """The length that two options give.

    Raises:
        RecipeError: both are given.
    """
    if images is not None and minutes is not None:
        raise RecipeError("--images and --minutes exclude each other; give one")
    return images if minutes is None else f"{minutes}min"


def conclude(run: Any, as_json: bool) -> None:
    """Say where everything is."""
    grids = sorted((run.path / "samples").glob("[0-9]*.png"))
    places = {
        "samples": grids[-1] if grids else None,
        "report": run.path / "report.html",
        "model": run.path / "model.safetensors",
    }
    for name, place in places.items():
        if place is not None and place.exists():
            say(f"{name + ':':<11}{place}")
    if as_json:
        last = {"metrics": (run.metrics or [None])[-1], "evaluation": (run.evaluations or [None])[-1]}
        answer(
            {
                "run": str(run.path),
                "finished": run.finished,
                **{name: str(place) for name, place in places.items()},
                **last,
            }
        )
