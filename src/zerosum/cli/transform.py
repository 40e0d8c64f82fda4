"""`zerosum translate`, `zerosum reconstruct` and `zerosum encode`: images through a trained model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import typer

from zerosum.cli.command import (
    Device,
    Json,
    Label,
    Overwrite,
    Quiet,
    Task,
    Threads,
    Trust,
    Use,
    answer,
    command,
    ready,
    say,
)
from zerosum.cli.looking import patient, silent

Place = Annotated[str, typer.Argument(metavar="RUN|FILE", help="A run directory or a model file.")]
Images = Annotated[list[str], typer.Argument(metavar="IMAGES...", help="Image files, and folders of them.")]
Folder = Annotated[str, typer.Option("--out", "-o", metavar="DIR", help="Folder for the results.")]
Size = Annotated[
    Literal["own", "training"],
    typer.Option("--size", help="Of the results: each image's own, where the network allows it, or the training's."),
]


def _command(verb: str, folder: str, summary: str) -> Callable[..., None]:
    """A command that sends images through the task of a verb, into a folder that `--out` renames."""

    def transforms(
        place: Place,
        images: Images,
        out: Folder = folder,
        task: Task = None,
        label: Label = None,
        size: Size = "own",
        overwrite: Overwrite = False,
        use: Use = None,
        trust: Trust = False,
        device: Device = None,
        threads: Threads = None,
        as_json: Json = False,
        quiet: Quiet = False,
    ) -> None:
        from zerosum.runs.view.transform import transform

        where = ready(use, threads, device)
        done = transform(
            place,
            verb,
            images,
            out,
            task=task,
            label=label,
            size=size,
            device=where,
            overwrite=overwrite,
            trust=trust,
            report=silent if quiet else patient(),
        )
        count = len(done.files)
        say(f"{count} image{'' if count == 1 else 's'} in {out}; beside what they were made of: {done.sheet}")
        if done.attributes:
            say(f"attributes that were asked for: {done.attributes}")
        if as_json:
            answer({"task": done.task, "images": [str(path) for path in done.files], "beside": str(done.sheet)})

    transforms.__name__, transforms.__doc__ = verb, summary
    return command(transforms)


translate = _command("translate", "translated", "Translate images by a trained model, such as photos into paintings.")
reconstruct = _command(
    "reconstruct",
    "reconstructed",
    "Encode images to latents and decode these again; what the model has not learnt is lost.",
)


@command
def encode(
    place: Place,
    images: Images,
    out: Annotated[str, typer.Option("--out", "-o", metavar="NPZ", help="File for the latents.")] = "latents.npz",
    task: Task = None,
    label: Label = None,
    overwrite: Overwrite = False,
    use: Use = None,
    trust: Trust = False,
    device: Device = None,
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write the latents of images to a file that `sample --latents` starts from, to go from one image to another."""
    from zerosum.runs.view.transform import encode

    where = ready(use, threads, device)
    done = encode(
        place,
        images,
        out,
        task=task,
        label=label,
        device=where,
        overwrite=overwrite,
        trust=trust,
        report=silent if quiet else patient(),
    )
    count = len(done.files)
    say(f"{count} latent{'' if count == 1 else 's'} of {done.size} numbers in {out}; see `zerosum sample --latents`")
    if as_json:
        answer({"task": done.task, "latents": out, "count": count, "size": done.size})
