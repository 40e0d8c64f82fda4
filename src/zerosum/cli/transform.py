"""`zerosum translate` and `zerosum reconstruct`: images through a trained model."""

from __future__ import annotations

from typing import Annotated

import typer

from zerosum.cli.command import (
    Device,
    Json,
    Label,
    Out,
    Overwrite,
    Quiet,
    Task,
    Threads,
    Trust,
    Use,
    answer,
    command,
    say,
)
from zerosum.cli.looking import patient, silent

Place = Annotated[str, typer.Argument(metavar="RUN|FILE", help="A run directory or a model file.")]
Images = Annotated[list[str], typer.Argument(metavar="IMAGES...", help="Image files, and folders of them.")]


@command
def translate(
    place: Place,
    images: Images,
    out: Out = None,
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
    """Translate images by a trained model, such as photos into paintings."""
    _transform("translate", place, images, out, task, label, overwrite, use, trust, device, threads, as_json, quiet)


@command
def reconstruct(
    place: Place,
    images: Images,
    out: Out = None,
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
    """Encode images and make them again from their latents: what is lost is what the model does not know."""
    _transform("reconstruct", place, images, out, task, label, overwrite, use, trust, device, threads, as_json, quiet)


def _transform(
    verb: str,
    place: str,
    images: list[str],
    out: str | None,
    task: str | None,
    label: str | None,
    overwrite: bool,
    use: list[str] | None,
    trust: bool,
    device: str | None,
    threads: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    from zerosum.core import usercode
    from zerosum.runs.storage.environment import choose_device, use_threads
    from zerosum.runs.view.transform import transform

    usercode.use(*use or ())
    out = out or f"{verb}d"
    use_threads(threads, say)
    done = transform(
        place,
        verb,
        images,
        out,
        task=task,
        label=label,
        device=choose_device("auto" if device is None else device),
        overwrite=overwrite,
        trust=trust,
        report=silent if quiet else patient(),
    )
    count = len(done.files)
    say(f"{count} image{'' if count == 1 else 's'} in {out}; beside what they were made of: {done.sheet}")
    if as_json:
        answer({"task": done.task, "images": [str(path) for path in done.files], "beside": str(done.sheet)})
