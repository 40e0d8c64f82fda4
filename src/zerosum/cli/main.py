"""`zerosum`: every command, by subject; none imports torch before it is called."""

from __future__ import annotations

import importlib
import importlib.util
import io
import signal
import sys

from zerosum.core.interrupt import leave

SUBJECTS = ("training", "evaluate", "looking", "comparison", "doctor", "naming")  # as `--help` lists them

try:
    from zerosum.cli.command import Json, Quiet, Root, Use, answer, app, command, say

    for subject in SUBJECTS:
        if importlib.util.find_spec(f"zerosum.cli.{subject}"):
            importlib.import_module(f"zerosum.cli.{subject}")
except KeyboardInterrupt:  # Ctrl-C right after Enter
    leave(signal.SIGINT)

__all__ = ["Json", "Quiet", "Root", "Use", "answer", "app", "command", "main", "say"]


def main() -> None:
    """Entry point of the `zerosum` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a terminal's encoding has no letters for is written out
            stream.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGINT, leave)  # until a command watches, and after it
    app()


if __name__ == "__main__":
    main()
