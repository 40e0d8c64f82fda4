"""What can go wrong, as one small tree.

ZerosumError
    RecipeError     a recipe, part, field or value that does not exist or does not fit      exit 2
    DataError       data that cannot be found, read or used                               exit 2
    RunError        a run directory, checkpoint or model file that cannot be used           exit 2
        DamagedError    a file of it that is not what was written                           exit 2
    TrainingError   a training that had to stop: non-finite loss, memory, disk              exit 1
        LostRankError   another process of it has ended, or does not answer                 exit 1

Every message says what is wrong, where, what is allowed or nearest, and how to mend it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from zerosum.core.console import named, visible

LISTED = 60  # options at most; classes may be thousands


class ZerosumError(Exception):
    """Base of every error that is meant for the user; shown without a traceback."""

    exit_status = 2
    told = False  # by another process: a command ends without a word


class RecipeError(ZerosumError):
    """One or several faults of a recipe, reported together."""

    def __init__(self, faults: str | Sequence[str]) -> None:
        self.faults = [faults] if isinstance(faults, str) else list(faults)
        super().__init__("\n".join(self.faults))


class UnknownPartError(RecipeError):
    """A part that is not in the registry; it may be of a file that is not loaded."""


class DataError(ZerosumError):
    """Data that cannot be found, read or used; names from archives and files are written out, see `printable`."""

    def __init__(self, text: str) -> None:
        super().__init__(printable(text))


class RunError(ZerosumError):
    """A run directory, checkpoint or model file that cannot be used as asked."""


class DamagedError(RunError):
    """A file that is not what was written: missing, cut short, changed, or of another shape."""


class TrainingError(ZerosumError):
    """A training that had to stop; what was saved before is intact."""

    exit_status = 1


class LostRankError(TrainingError):
    """Another rank has ended, or does not answer.

    Attributes:
        ranks: that have ended; empty where nobody knows.
    """

    def __init__(self, text: str, ranks: Sequence[int] = ()) -> None:
        super().__init__(text)
        self.ranks = list(ranks)


class ZerosumWarning(UserWarning):
    """Something that was left out or cannot be vouched for, while the rest goes on; commands print it as a line."""


def is_out_of_memory(error: BaseException) -> bool:
    """True for what Python and the allocators of PyTorch raise where memory is used up."""
    words = "allocate memory", "out of memory"  # of the CPU, of a GPU
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(one in str(error) for one in words)
    )


SHOWN = 80  # characters


LONGEST = 3_000  # characters of a text that others had a hand in


def printable(text: str) -> str:
    """Text fit for a terminal: as `visible`, and not too long."""
    text = text if len(text) <= LONGEST else f"{text[: LONGEST - 400]} ... {text[-300:]}"
    return visible(text)


def shown(value: object) -> str:
    """A value as messages show it: quoted, escaped, and not too long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits; nested thousands of times
        return f"a {type(value).__name__} too large to show"
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 20]}... ({len(text):,} characters)"


def nearest(word: str, options: Iterable[str], prefix: str = "") -> str:
    """Return "did you mean ...?" where an option is close to the word, else the list of options, or its beginning.

    `prefix` is written before each option; what word and options share is no reason to call them close.
    """
    options = sorted(set(options))
    close = difflib.get_close_matches(word[:SHOWN], options, n=1, cutoff=0.6)
    if close:
        return f"did you mean {prefix + close[0]!r}?"
    more = f", ... ({len(options):,} in all)" if len(options) > LISTED else ""
    return (
        f"there is: {', '.join(named(prefix + option) for option in options[:LISTED])}{more}"
        if options
        else "there is none"
    )
