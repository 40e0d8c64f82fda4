"""A run goes on where it was saved."""

from __future__ import annotations

import warnings

from zerosum.core.errors import RunError, ZerosumWarning
from zerosum.core.values import Length
from zerosum.runs.storage import legacy, remains
from zerosum.runs.storage.place import resume_command
from zerosum.runs.storage.saved import save_model
from zerosum.runs.training import starting
from zerosum.runs.training.progress import Display
from zerosum.runs.training.training import Training


def go_on(training: Training, display: Display) -> None:
    """Bring a training to where its run was saved, and the run's files to what the training has.

    Raises:
        RunError: it took its weights from elsewhere and ended before it saved them, or its checkpoints are gone.
    """
    saved = starting.newest(training.run, lambda text: display.say(text, "yellow"))
    if saved is None and "from" in training.environment:
        place = training.environment["from"]["path"]
        raise RunError(
            f"{training.run.path} ended before it took its weights from {place}; remove it, and start it again"
        )
    if saved is None and training.run.pointed("latest") is not None:
        raise RunError(
            f"{training.run.path}: its checkpoints are gone, so it cannot go on; "
            + starting.without_checkpoints(training.run)
        )
    if saved is None:
        display.say("no checkpoint had been written yet; starting from the beginning")
        training.logs.cut({})
        return
    training.restore(saved)
    run = training.run
    if legacy.is_old(run.path):
        save_model(run.model, training.model)
        text = f"{run.path} is of an earlier version: its model is in {run.model.name} from now on"
        warnings.warn(f"{text}, and {legacy.NAME} stays as it was", ZerosumWarning, stacklevel=2)
    elif not remains.is_whole(run.model):
        save_model(run.model, training.model)
        text = f"{run.model} was missing or damaged; it is written again from checkpoint {saved.name}"
        warnings.warn(text, ZerosumWarning, stacklevel=2)
    if training.ended is not None:
        display.say(
            f"{run.path} is finished ({training.ended}); "
            f"train it further with: {resume_command(run.path, 'stop_when=', 'patience=never')}"
        )
    elif training.share >= 1.0:
        longer = Length(training.recipe.length.amount * 2, training.recipe.length.unit)
        display.say(
            f"{run.path} is finished ({training.done}); "
            f"train it longer with: {resume_command(run.path, '--images', str(longer))}"
        )
    run.write_recipe(training.recipe)
