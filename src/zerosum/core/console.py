"""What a console shows, and that it may go away: `| head -1`, a closed terminal. Then things are said to nobody.

Names of files and classes are anybody's: all that is shown goes through `visible`, and names through `named`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO

# control characters; those that turn the direction of writing, or are not seen; separators of lines; halves of letters
_UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\U000e0000-\U000e007f\ud800-\udfff]"
)
_BREAKS = str.maketrans({"\n": "\\n", "\t": "\\t"})


def visible(value: object) -> str:
    r"""Any value as text whose control characters are written out, as `\x1b`; lines stay lines."""
    return _UNSEEN.sub(lambda match: ascii(match[0])[1:-1], str(value))


def named(name: object) -> str:
    r"""A name within a text: as `visible`, and on one line."""
    return visible(name).translate(_BREAKS)


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
