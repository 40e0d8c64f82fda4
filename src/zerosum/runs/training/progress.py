"""What users see while a training runs: a live line on a terminal or in a notebook, else plain lines on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO, cast

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from zerosum.core.console import Lasting, visible
from zerosum.runs.training import notebook
from zerosum.runs.training.moments import Standing

BAR = 16  # characters
NARROW = 60  # characters; below it there is no bar
FIRST = 2.0  # seconds of training before the first plain line, so that its rate means something


class Display:
    """Progress of one training."""

    def __init__(self, quiet: bool = False, every: float = 5.0) -> None:
        self.console = Console(file=cast("TextIO", Lasting(sys.stderr)), quiet=quiet, highlight=False)
        self.live = self.console.is_terminal and not quiet
        self.every = every  # seconds between plain lines
        self._standing: Callable[[], Standing] = lambda: Standing(0.0, 0.0, 0.0)
        self._bar: Live | None = None
        self._cell: notebook.Line | None = None
        self._text = ""
        self._said = 0.0
        self.metric = ""

    def say(self, text: str, style: str = "") -> None:
        """Print a line above the bar."""
        self.console.print(Text(visible(text), style=style), soft_wrap=True)

    def warn(self, text: str) -> None:
        """Print a line that asks for attention."""
        self.say(text, "yellow")

    def work(self, what: str, done: int, total: int) -> None:
        """Progress of preparing data."""
        if self.console.quiet or (time.monotonic() - self._said < self.every and done != total):
            return
        self._said = time.monotonic()
        self.say(f"{what} {done:,}/{total:,}" if total else what)

    def start(self, standing: Callable[[], Standing]) -> None:
        """Begin; `standing` is asked whenever something is shown, so that the bar follows time."""
        self._standing, self._said = standing, time.monotonic() - self.every + FIRST
        if self.live:
            self._bar = Live(get_renderable=self._line, console=self.console)
            self._bar.start()
        elif self.console.is_jupyter and not self.console.quiet:
            self._cell = notebook.Line()

    def _line(self) -> Table:
        """Share and times, a bar, and as much of the text as there is room for."""
        standing, line = self._standing(), Table.grid(padding=(0, 1), expand=True)
        bar = [ProgressBar(1.0, standing.share, BAR)] if self.console.width >= NARROW else []
        for _ in range(1 + len(bar)):
            line.add_column(no_wrap=True)
        line.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        line.add_row(str(standing), *bar, Text(visible(self._text)))
        return line

    def update(self, text: str) -> None:
        """Say how it goes."""
        self._text = f"{text} {self.metric}".rstrip()
        if self._cell is not None:
            self._show_cell(self._cell)
        elif self._bar is None and time.monotonic() - self._said >= self.every:
            self._said = time.monotonic()
            self.say(f"{self._standing()}  {self._text}")

    def doing(self, what: str) -> None:
        """Say what is done besides, until the next update."""
        self._text = what

    def stop(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
        if self._cell is not None:
            self._show_cell(self._cell)
        self._bar = self._cell = None

    def _show_cell(self, cell: notebook.Line) -> None:
        standing = self._standing()
        cell.show(standing.share, f"{standing}  {visible(self._text)}")


def lost(losses: dict[str, float], player: str) -> float:
    """What a player lost: to the objective, or all together where there is none."""
    terms = {name: value for name, value in losses.items() if name.startswith(f"{player}.")}
    return terms.get(f"{player}.adversarial", sum(terms.values()))


def brief(losses: dict[str, float]) -> str:
    """What players lose to each other, in a few characters."""
    players = [name.removesuffix("_gradient") for name in losses if name.endswith("_gradient")]
    player_losses = {player: lost(losses, player) for player in players}
    short = {name: name.replace("discriminator", "D").replace("generator", "G") for name in player_losses}
    return " ".join(f"{short[name]} {value:.3f}" for name, value in player_losses.items())
