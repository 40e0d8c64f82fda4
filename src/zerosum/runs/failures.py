"""What a failed training leaves behind: its report, what was saved, and what the machine ran out of."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from zerosum.core.errors import RunError, TrainingError, ZerosumError
from zerosum.runs.place import resume_command
from zerosum.runs.report import write_report
from zerosum.runs.training import Training


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
def clear_errors(path: Path, *, resumed: bool = False) -> Iterator[None]:
    """Say what the machine ran out of, or where a run cannot be written; `resumed`: it has its place already."""
    memory = "out of memory; start again with a smaller batch=, size= or channels"
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _noted(TrainingError(memory), error) from error
    except RuntimeError as error:
        if "allocate memory" not in str(error):  # how the CPU allocator says it
            raise
        raise _noted(TrainingError(memory), error) from error
    except OSError as error:
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
