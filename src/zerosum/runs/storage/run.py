"""A run as Python sees it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from zerosum.recipes import Recipe
from zerosum.runs.storage import code
from zerosum.runs.storage.directory import RunDirectory
from zerosum.runs.storage.logs import read_evaluations, read_reports
from zerosum.runs.storage.saved import find_model, load_model
from zerosum.runs.storage.trained import TrainedModel


@dataclass(frozen=True)
class Run:
    """A directory that a training wrote."""

    path: Path
    finished: bool = True  # false where the training was interrupted
    trust: bool = False  # run the Python files that it keeps, whoever wrote them

    @property
    def recipe(self) -> Recipe:
        """What was trained.

        Raises:
            RecipeError: it has parts of files that were not run; the message names them.
        """
        run = RunDirectory.open(self.path)
        code.load(self.path, trust=self.trust)
        return run.recipe()

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """One dictionary for each report."""
        return read_reports(self.path / "metrics.jsonl")

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        """One dictionary for each evaluation, with its protocol."""
        return read_evaluations(self.path / "evaluations.jsonl")

    @property
    def model(self) -> TrainedModel:
        """The trained model."""
        return load_model(find_model(self.path), trust=self.trust)

    def sample(self, count: int = 16, *, seed: int = 0, label: str | int | None = None, start: int = 0) -> Tensor:
        """Samples [N, C, H, W] in [-1, 1], or points [N, D] in the data's units; of all classes in turn or of one.

        Sample i of a seed is the same in any count, and from any `start`.
        """
        return self.model.sample(count, seed=seed, label=label, start=start)

    def _repr_html_(self) -> str:
        """As a notebook shows it."""
        from zerosum.runs.view.cards import run_card

        return run_card(RunDirectory(self.path))

    def __str__(self) -> str:
        return str(self.path)
