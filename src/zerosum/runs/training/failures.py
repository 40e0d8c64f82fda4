"""What a failed training leaves behind: its report, what was saved, and what the machine ran out of."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zerosum.core import compatibility
from zerosum.core.errors import RunError, TrainingError, ZerosumError, is_out_of_memory
from zerosum.runs.storage.place import resume_command
from zerosum.runs.training.training import Training
from zerosum.runs.view.report import write_report


@contextmanager
def reporting(training: Training) -> Iterator[None]:
    """Write the report at the end of a training, also where that is an error, which is told what was saved."""
    run = training.run
    try:
        yield
    except Exception as error:
        saved, command = run.pointed("latest"), resume_command(run.path)
        error.add_note(
            f"saved: everything up to {int(saved):,} images; go on with: {command}"
            if saved
            else f"nothing had been saved yet; begin again with: {command}"
        )
        try:
            training.note_error(error)
            error.add_note(f"report: {write_report(run)}")
        except Exception as fault:  # what ended the training is what has to be told
            error.add_note(f"report: it could not be written ({fault})")
        raise
    write_report(run)


@contextmanager
def clear_memory() -> Iterator[None]:
    """Say that the machine ran out of memory.

    Raises:
        TrainingError: it did.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        explained = TrainingError("out of memory; start again with a smaller batch=, size= or channels")
        raise _noted(explained, error) from error


@contextmanager
def clear_errors(path: Path, game: Any = None, *, resumed: bool = False) -> Iterator[None]:
    """Say what the machine ran out of, where a run cannot be written, or which part of the user's own failed.

    Args:
        path: the run.
        game: whose parts may fail.
        resumed: the run has its place already.

    Raises:
        TrainingError: memory or disk are full, or a part of the user's own failed.
        RunError: the run cannot be written.
    """
    try:
        with clear_memory():
            yield
    except ZerosumError:
        raise
    except Exception as error:
        if compatibility.own_place(error, game):
            text = f"{type(error).__name__}: {error}{compatibility.culprit(error, game)}"
            raise _noted(TrainingError(text), error) from error
        if not isinstance(error, OSError):
            raise
        where = error.filename or path
        if error.errno == errno.ENOSPC:
            raise _noted(TrainingError(f"the disk is full ({where}); make room"), error) from error
        mend = "make it writable, or resume a copy of the run" if resumed else "choose another place with --out"
        text = f"cannot write {where}: {error.strerror or error}; {mend}"
        raise _noted(RunError(text), error) from error


def _noted(error: ZerosumError, cause: BaseException) -> ZerosumError:
    """An error with the notes of what caused it."""
    for note in getattr(cause, "__notes__", ()):
        error.add_note(note)
    return error
