"""Progress in a notebook: one line with a bar in the output of a cell, and the next in its place."""

from __future__ import annotations

from typing import Any

from zerosum.runs.view.page import text

LOOK = "display:flex;gap:1em;align-items:center;font-family:ui-monospace,monospace;font-size:.9em"


class Line:
    """A line of a cell's output."""

    def __init__(self) -> None:
        self._output: Any = None

    def show(self, share: float, said: str) -> None:
        """Write it, in the place of what stood there; `share` is how much is done, 0 to 1."""
        from IPython.display import display

        bar = f'<progress value="{share:.4f}" style="width:10em;flex:none"></progress>'
        content = {"text/plain": said, "text/html": f'<div style="{LOOK}">{bar}<span>{text(said)}</span></div>'}
        if self._output is None:
            self._output = display(content, raw=True, display_id=True)
        else:
            self._output.update(content, raw=True)
