"""`zerosum`: train, resume, sample, report, ls, show. Answers go to stdout, people's text to stderr.

Exit status: 0 done, 1 failed at run time, 2 wrong usage. A user's mistake never prints a traceback.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from zerosum.core.errors import RecipeError, ZerosumError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help takes half the time
    help="Train, sample and compare adversarial games.",
)

Json = Annotated[bool, typer.Option("--json", help="Print one machine-readable object on stdout.")]
Use = Annotated[
    list[str] | None, typer.Option("--use", metavar="FILE", help="A Python file that registers parts of your own.")
]
Root = Annotated[
    str | None,
    typer.Option("--data-root", metavar="DIR", help="Where named sets are looked for; default $ZEROSUM_DATA."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress.")]
Images = Annotated[
    str | None, typer.Option("--images", metavar="LENGTH", help="How long: 200k (images), 10epochs or 5min.")
]
Minutes = Annotated[float | None, typer.Option("--minutes", min=0.0, help="How long, in minutes of training.")]


def say(text: str) -> None:
    """Print a line for people."""
    print(text, file=sys.stderr)  # noqa: T201


def answer(value: dict[str, Any]) -> None:
    """Print one JSON object."""
    print(json.dumps(value))  # noqa: T201


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Make a function a command whose expected errors are one message and an exit status."""

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except ZerosumError as error:
            say(f"error: {error}")
            raise typer.Exit(error.exit_status) from None
        except KeyboardInterrupt:
            say("stopped at once; nothing more was saved")
            raise typer.Exit(130) from None
        except BrokenPipeError:  # `zerosum ls | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    app.command(name=function.__name__)(guarded)
    return guarded


@command
def train(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DATA] [FIELD=VALUE]...", help="A set, folder, archive, .npz or hf:NAME, and settings."
        ),
    ] = None,
    recipe: Annotated[
        str, typer.Option("--recipe", "-r", help="A name from `zerosum ls recipe`, or a recipe.toml.")
    ] = "dcgan",
    images: Images = None,
    minutes: Minutes = None,
    out: Annotated[
        str | None, typer.Option("--out", "-o", metavar="DIR", help="The run directory; default runs/DATA-RECIPE.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Everything random is a function of it.")] = None,
    use: Use = None,
    data_root: Root = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out images that cannot be read, and count them.")
    ] = False,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads; default all cores.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a recipe on data. `zerosum train` alone trains dcgan on the digits that ship with scikit-learn."""
    from zerosum.runs import session

    data, settings = split_words(words or [])
    run = session.train(
        data,
        recipe,
        settings,
        images=length(images, minutes),
        out=out,
        seed=seed,
        use=use or [],
        data_root=data_root,
        skip_bad=skip_bad,
        device=device,
        threads=threads,
        quiet=quiet,
    )
    conclude(run, as_json)


@command
def resume(
    run: Annotated[str, typer.Argument(help="A run directory.")],
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[FIELD=VALUE]...", help="Only to check that they are the run's own.")
    ] = None,
    images: Images = None,
    minutes: Minutes = None,
    data_root: Root = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Continue a run exactly where it was saved; --images makes it longer."""
    from zerosum.runs import session

    conclude(
        session.resume(run, words or [], images=length(images, minutes), data_root=data_root, quiet=quiet), as_json
    )


@command
def sample(
    place: Annotated[str, typer.Argument(metavar="RUN|FILE", help="A run directory or a generator file.")],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many samples.")] = 64,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Equal seeds give equal samples.")] = 0,
    out: Annotated[
        str, typer.Option("--out", "-o", help="FILE.npz (arrays), FILE.png (a grid) or FOLDER/ (a file each).")
    ] = "samples.png",
    label: Annotated[str | None, typer.Option("--label", help="One class only, by number or name.")] = None,
    latent: Annotated[
        str | None, typer.Option("--latent", help="Other latents of that size, as truncated:threshold=0.7.")
    ] = None,
    use: Use = None,
    as_json: Json = False,
) -> None:
    """Draw samples from a trained generator."""
    from zerosum.core import registry
    from zerosum.runs.sample import write_samples

    for file in use or []:
        registry.use(file)
    written = write_samples(place, out, count=count, seed=seed, label=label, latent=latent)
    say(f"{count} samples in {written}")
    if as_json:
        answer({"samples": str(written), "count": count, "seed": seed})


@command
def report(run: Annotated[str, typer.Argument(help="A run directory.")]) -> None:
    """Write report.html of a run again."""
    from zerosum.runs.directory import RunDirectory
    from zerosum.runs.report import write_report

    say(f"report: {write_report(RunDirectory.open(run))}")


@command
def ls(
    kind: Annotated[str | None, typer.Argument(help="recipe, data, objective, regularizer, network, ...")] = None,
    use: Use = None,
    as_json: Json = False,
) -> None:
    """List everything that can be named, by kind."""
    from zerosum.cli import shelf

    rows = shelf.listing(kind, use or [])
    if as_json:
        answer({name: dict(parts) for name, parts in rows.items()})
    else:
        shelf.print_listing(rows)


@command
def show(
    name: Annotated[str, typer.Argument(help="A recipe, part or data set.")],
    use: Use = None,
) -> None:
    """Print a recipe or part with every field, its default and its meaning."""
    from zerosum.cli import shelf

    shelf.print_description(name, use or [])


def split_words(words: list[str]) -> tuple[str, list[str]]:
    """Tell the data from the `field=value` words.

    Raises:
        RecipeError: several words could be the data.
    """
    data = [word for word in words if "=" not in word or Path(word).exists()]
    if len(data) > 1:
        raise RecipeError(f"{data[0]!r} and {data[1]!r} cannot both be the data; settings are written field=value")
    return (data or ["digits"])[0], [word for word in words if word not in data]


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
    grids = sorted((run.path / "samples").glob("*.png"))
    places = {
        "samples": grids[-1] if grids else None,
        "report": run.path / "report.html",
        "generator": run.path / "generator.safetensors",
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


def main() -> None:
    """Entry point of the `zerosum` command."""
    app()


if __name__ == "__main__":
    main()
