"""What the files of a run say, none of them trusted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from zerosum.core.reading import read_text
from zerosum.runs.evaluation.verdict import is_number
from zerosum.runs.storage.directory import RunDirectory
from zerosum.runs.storage.logs import read_reports
from zerosum.runs.storage.record import DAMAGE, recipe_settings, sound, state_of

Line = dict[str, Any]


@dataclass(frozen=True)
class RunContent:
    """What the files of a run say; what cannot be read is empty, and named in `faults`."""

    run: RunDirectory
    recipe: str
    settings: Line  # by dotted name
    environment: Line
    reports: list[Line]
    evaluations: list[Line]
    state: str  # as `state_of` says; empty where that cannot be told
    faults: list[str]

    @property
    def data(self) -> Line:
        """Origin and facts of the data."""
        found = self.environment.get("data")
        return found if isinstance(found, dict) else {}

    @property
    def images(self) -> int:
        """How far it came."""
        return max((line["images"] for line in (*self.reports, *self.evaluations)), default=0)

    @property
    def seconds(self) -> float:
        """Seconds of training."""
        return max((line["seconds"] for line in self.reports if is_number(line.get("seconds"))), default=0.0)


def read(run: RunDirectory) -> RunContent:
    """Read a run without trusting any of its files."""
    faults: list[str] = []

    def attempt(what: str, make: Callable[[], Any], otherwise: Any) -> Any:
        try:
            return make()
        except DAMAGE as error:
            faults.append(f"{what} cannot be read: {error}")
            return otherwise

    recipe = attempt("recipe.toml", lambda: read_text(run.path / "recipe.toml"), "")
    chosen = attempt("recipe.toml", lambda: recipe_settings(run), {}) if recipe else {}
    environment = attempt("environment.json", lambda: dict(run.environment()), {})
    reports, evaluations = read_reports(run.metrics, faults.append), sound(run, faults)
    state = (
        attempt("its state", lambda: state_of(run, chosen, environment, reports), "") if chosen and environment else ""
    )
    return RunContent(run, recipe, chosen, environment, reports, evaluations, state, faults)
