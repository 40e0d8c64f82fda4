"""Text that grows with a run: metrics.jsonl, evaluations.jsonl and loss.txt.

A checkpoint remembers how long each file was; a resumed run cuts them there, so no line is lost and none is doubled.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from zerosum.core.game import role
from zerosum.runs.directory import RunDirectory

TIMES = ("seconds", "images_per_second")  # fields of a line that differ between equal runs


class Logs:
    """The growing files of a run.

    Attributes:
        reports: lines of metrics.jsonl.
        evaluations: lines of evaluations.jsonl.
    """

    def __init__(self, run: RunDirectory) -> None:
        self.run = run
        self.files = (run.metrics, run.evaluations, run.losses)
        self._read()

    def _read(self) -> None:
        self.reports, self.evaluations = read_lines(self.run.metrics), read_lines(self.run.evaluations)

    def metrics(self, line: dict[str, Any]) -> None:
        """Append one report, or an event."""
        _append(self.run.metrics, json.dumps(line))
        self.reports.append(line)

    def evaluation(self, line: dict[str, Any]) -> None:
        """Append one metric with its protocol."""
        _append(self.run.evaluations, json.dumps(line))
        self.evaluations.append(line)

    def epoch(self, number: int, epochs: int, losses: dict[str, float]) -> str:
        """Append the mean losses of an epoch in the tutorial's format; return the line."""
        panel = [loss for player, loss in losses.items() if role(player) == "discriminator"]
        loss_d = sum(panel) / len(panel)
        line = f"[{number}/{epochs}]: loss_d: {loss_d:.3f}, loss_g: {losses['generator']:.3f}"
        _append(self.run.losses, line)
        return line

    def flush(self) -> dict[str, int]:
        """Bring the files to disk and return how long each is."""
        sizes = {}
        for path in self.files:
            with path.open("ab") as file:
                os.fsync(file.fileno())
                sizes[path.name] = file.tell()
        return sizes

    def cut(self, sizes: dict[str, int]) -> None:
        """Forget every line written after `flush` gave these sizes."""
        for path in self.files:
            with path.open("ab") as file:
                file.truncate(sizes.get(path.name, 0))
        self._read()


def _append(path: Path, line: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read a .jsonl file; a line cut off by a killed process is left out."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows
