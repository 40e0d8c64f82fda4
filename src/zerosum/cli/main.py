"""`zerosum`: every command, by subject; none imports torch before it is called."""

from __future__ import annotations

import importlib
import importlib.util
import io
import sys

from zerosum.cli.command import Json, Quiet, Root, Use, answer, app, command, say

__all__ = ["Json", "Quiet", "Root", "Use", "answer", "app", "command", "main", "say"]

SUBJECTS = ("training", "evaluate", "looking", "comparison", "doctor", "naming")  # as `--help` lists them

for subject in SUBJECTS:
    if importlib.util.find_spec(f"zerosum.cli.{subject}"):
        importlib.import_module(f"zerosum.cli.{subject}")


def main() -> None:
    """Entry point of the `zerosum` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a terminal's encoding has no letters for is written out
            stream.reconfigure(errors="backslashreplace")
    app()


if __name__ == "__main__":
    main()
