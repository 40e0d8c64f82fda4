"""What a run keeps: checkpoints, which of them stay, and which is the best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from zerosum.core import settings
from zerosum.core.engine import Engine
from zerosum.core.errors import RunError
from zerosum.recipes import Recipe
from zerosum.runs.storage import checkpoint
from zerosum.runs.storage.directory import RunDirectory
from zerosum.runs.storage.logs import Logs
from zerosum.runs.storage.saved import save_model
from zerosum.runs.storage.trained import TrainedModel
from zerosum.runs.training import stopping
from zerosum.runs.training.moments import clock
from zerosum.runs.training.starting import offer

FORMAT = "zerosum-checkpoint-1"


@dataclass
class Keeper:
    """Writes the checkpoints of one run."""

    run: RunDirectory
    recipe: Recipe
    fingerprint: str  # of the data
    logs: Logs
    followed: Callable[[], str]  # gives the metric that `best` follows

    def save(self, engine: Engine, model: TrainedModel, seconds: float) -> None:
        """Write the model file, then a checkpoint; killed in between, the run still fits together."""
        save_model(self.run.model, model)
        tensors, numbers = engine.state()
        manifest = {
            "format": FORMAT,
            "recipe": settings.to_toml(self.recipe),
            "data": self.fingerprint,
            "seconds": seconds,
            "logs": self.logs.flush(),
            **numbers,
        }
        name = checkpoint.save(self.run.checkpoints, model.images, tensors, manifest)
        self.settle(name, lambda: model)

    def settle(self, name: str, model: Callable[[], TrainedModel]) -> None:
        """Make a checkpoint the latest, and remove those that are neither recent nor best."""
        self.run.point("latest", name)
        checkpoint.prune(self.run.checkpoints, self.recipe.keep, self._best(name, model))

    def _best(self, name: str, model: Callable[[], TrainedModel]) -> str:
        """The checkpoint with the best number so far; evaluations and checkpoints meet by the clock."""
        lines = [line for line in self.logs.evaluations if line["metric"] == self.followed()]
        values = {
            f"{line['images']:09d}": line["value"] * (-1 if line.get("higher_is_better") else 1) for line in lines
        }
        best = self.run.pointed("best")
        if best is None or best not in values or values.get(name, float("inf")) < values[best]:
            best = name
            save_model(self.run.best_model, model())
            self.run.point("best", name)
        return best

    def admit(self, saved: checkpoint.Checkpoint, total: int | None) -> None:
        """Refuse a checkpoint of another training; `total`: images of the whole, None where it is measured in time.

        Raises:
            RunError: recipe or data are not those of the checkpoint, or the recipe was made shorter than what is done.
        """
        before = settings.from_toml(Recipe, saved.manifest["recipe"])
        changed = settings.differences(stopping.as_free(before, self.recipe), self.recipe)
        if changed:
            raise RunError(
                "the recipe changed since the checkpoint was written:\n  " + "\n  ".join(changed) + "\n"
                f"restore recipe.toml, or {offer(self.run.path)}"
            )
        if saved.manifest["data"] != self.fingerprint:
            raise RunError(f"the data changed since this run began; restore them, or {offer(self.run.path)}")
        done, length = saved.manifest["clock" if total else "seconds"], self.recipe.length
        if length != before.length and done > (total or length.amount):
            point = f"{done:,} images" if total else f"{clock(done)} of training"
            raise RunError(
                f"{self.run.path} cannot end after {length}, as {point} are done; nothing was changed. Give a greater "
                f'length, or leave recipe.toml at length = "{before.length}"'
            )
