"""What is evaluated: a run, a model file, or samples from anywhere."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

from zerosum.core.errors import DamagedError, RunError, ZerosumWarning
from zerosum.runs.storage.directory import RunDirectory
from zerosum.runs.storage.saved import find_model, in_run, load_model
from zerosum.runs.storage.trained import TrainedModel, with_task


@dataclass(frozen=True)
class Subject:
    """What is judged: a model, or a source of samples; and where its real samples come from, if it knows."""

    model: TrainedModel | None = None
    data: str | None = None  # as `open_data` takes it
    data_root: str | None = None
    skip_bad: bool = False
    fingerprint: str = ""  # of the data that it was trained on
    trained: int = 0  # samples that it was trained on


def find_subject(place: str | Path, task: str | None = None, *, trust: bool = False) -> Subject:
    """Tell a run or a model file from a source of samples.

    Raises:
        RunError: there is no such place, or a run has no model yet.
    """
    path = Path(place)
    folder = path.parent if path.suffix == ".safetensors" else path
    if (folder / "recipe.toml").is_file():  # a run, or a model file that still lies in its run
        trained = with_task(load_model(find_model(path), trust=trust), task)
        try:
            origin = RunDirectory.open(folder).environment()["data"]
        except DamagedError as error:
            warnings.warn(f"{error}; name the data with --data", ZerosumWarning, stacklevel=2)
            return Subject(trained)
        told = origin["source"], origin.get("root"), origin["skip_bad"], origin["fingerprint"], origin["train"]
        return Subject(trained, *told)
    if path.suffix == ".safetensors" or in_run(path).is_file():
        return Subject(with_task(load_model(find_model(path), trust=trust), task))
    if not path.exists():
        raise RunError(f"{place}: there is no such run, model file, folder, archive or array file")
    return Subject()
