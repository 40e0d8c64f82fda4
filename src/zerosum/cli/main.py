"""`zerosum`: every command, by subject; none imports torch before it is called."""

from __future__ import annotations

import importlib
import io
import signal
import sys

from zerosum.cli.command import Json, Quiet, Root, Use, answer, app, command, say
from zerosum.core.interrupt import leave

SUBJECTS = ("training", "evaluate", "looking", "transform", "comparison", "doctor", "naming")  # as `--help` lists them

for subject in SUBJECTS:
    importlib.import_module(f"zerosum.cli.{subject}")

__all__ = ["Json", "Quiet", "Root", "Use", "answer", "app", "command", "main", "say"]


def main() -> None:
    """Run the command that the arguments name."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a terminal's encoding has no letters for is written out
            stream.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGINT, leave)  # until a command watches, and after it
    app()


if __name__ == "__main__":
    main()
