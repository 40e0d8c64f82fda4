"""Reports of a training: lines of metrics.jsonl, and what the health monitor finds in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zerosum.core.engine import Engine
from zerosum.data import Dataset
from zerosum.recipes import Recipe
from zerosum.runs import health
from zerosum.runs.storage.logs import Logs
from zerosum.runs.training.moments import Moment
from zerosum.runs.training.progress import Display


class Reporter:
    """Writes the reports of a training.

    Args:
        recipe: what is trained.
        dataset: on what.
        data: its origin and facts, as environment.json has them.
        logs: where the lines go.
        display: what says new findings.
    """

    def __init__(self, recipe: Recipe, dataset: Dataset, data: dict[str, Any], logs: Logs, display: Display) -> None:
        self.recipe, self.data, self.logs, self.display = recipe, data, logs, display
        self._diagnostics = health.Diagnostics(dataset, recipe.batch, recipe.game.pack, recipe.seed)
        self._history: health.History | None = None

    def report(self, engine: Engine, now: Moment, place: Mapping[str, float], rate: float) -> dict[str, float]:
        """Write the mean losses since the last report, and give them; new findings are said.

        Args:
            engine: whose losses these are.
            now: where the training stands.
            place: the same in images and epochs, for the line.
            rate: images per second since the last report.
        """
        losses = engine.meter.take("report")
        line = {**place, **losses, **self._diagnostics.look(engine)}
        line |= {"seconds": round(now.seconds, 3), "images_per_second": round(rate, 1)}
        self.logs.reports.append(line)
        for finding in health.note(self.history):
            if finding.since == now.images:
                self.display.say(str(finding), "yellow")
        self.logs.write(line)
        return losses

    @property
    def history(self) -> health.History:
        """The history of the training; it grows with the logs, and begins anew where these were cut."""
        if self._history is None or self._history.reports is not self.logs.reports:
            self._history = health.History(self.recipe, self.data, self.logs.reports, self.logs.evaluations)
        return self._history
