"""A console may go away: `| head -1`, a closed terminal. What was to be said is then said to nobody."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO


class Lasting:
    """A text stream whose reader may leave: writing goes on, silently."""

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def isatty(self) -> bool:
        """True for a terminal."""
        return self.stream is not None and not self.stream.closed and self.stream.isatty()

    def write(self, text: str) -> int:
        """Write where somebody reads."""
        return self._try(lambda stream: stream.write(text)) or 0

    def flush(self) -> None:
        """Hand on what was written."""
        self._try(lambda stream: stream.flush())

    def _try(self, act: Callable[[TextIO], int | None]) -> int | None:
        if self.stream is None or self.stream.closed:
            return None
        try:
            return act(self.stream)
        except OSError:  # nobody reads
            silence(self.stream)
            self.stream = None
            return None


def silence(stream: TextIO) -> None:
    """Let a stream without a reader lead nowhere, so that nothing fails later, when Python flushes it at its end."""
    with suppress(OSError):  # it has no file of the system, so nothing flushes it
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
