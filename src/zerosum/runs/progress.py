"""What a person sees while a training runs: a live line on a terminal, plain lines elsewhere; always on stderr."""

from __future__ import annotations

import sys
import time
from typing import TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from zerosum.core.console import Lasting


class Display:
    """Progress of one training."""

    def __init__(self, quiet: bool = False, every: float = 5.0) -> None:
        self.console = Console(file=cast("TextIO", Lasting(sys.stderr)), quiet=quiet, highlight=False)
        self.live = self.console.is_terminal and not quiet
        self.every = every  # seconds between plain lines
        self._bar: Progress | None = None
        self._said = 0.0
        self.metric = ""

    def say(self, text: str, style: str = "") -> None:
        """Print a line above the bar."""
        self.console.print(Text(text, style=style), soft_wrap=True)

    def warn(self, text: str) -> None:
        """Print a line that asks for attention."""
        self.say(text, "yellow")

    def work(self, what: str, done: int, total: int) -> None:
        """Progress of preparing data."""
        if self.console.quiet or (time.monotonic() - self._said < self.every and done != total):
            return
        self._said = time.monotonic()
        self.say(f"{what} {done:,}/{total:,}" if total else what)

    def start(self, share: float) -> None:
        """Begin with this share of the whole done."""
        if self.live:
            columns = (BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TextColumn("{task.description}"))
            self._bar = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=self.console)
            self._bar.start()
            self._bar.update(self._bar.add_task("", total=1.0), completed=share)

    def update(self, share: float, text: str, remaining: float) -> None:
        """Move to a share of the whole; `remaining` is in seconds."""
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=share, description=f"{text} {self.metric}")
        elif time.monotonic() - self._said >= self.every:
            self._said = time.monotonic()
            self.say(f"{share:4.0%} {text} {self.metric} {clock(remaining)} left")

    def stop(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def clock(seconds: float) -> str:
    """Seconds as 0:05 or 1:02:03."""
    minutes, seconds = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
