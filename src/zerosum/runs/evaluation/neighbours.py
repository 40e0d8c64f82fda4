"""Samples beside what is nearest to them in the training data: does a generator make, or copy?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zerosum.core.download import Report, silent
from zerosum.core.errors import RunError
from zerosum.data import open_data
from zerosum.metrics.neighbours import nearest
from zerosum.runs.storage import outputs
from zerosum.runs.storage.directory import RunDirectory
from zerosum.runs.storage.place import is_run
from zerosum.runs.view import pictures
from zerosum.runs.view.draft import Draft
from zerosum.runs.view.media import medium_of

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Samples and what is nearest to them in the training data."""

    samples: Array  # uint8 [N, H, W, C]
    nearest: Array  # uint8 [N, k, H, W, C], the nearest first
    distances: Array  # [N, k]: root mean square differences in grey levels, 0 to 255


def neighbours(
    draft: Draft,
    source: str | Path,
    k: int = 5,
    *,
    data_root: str | Path | None = None,
    skip_bad: bool = False,
    fingerprint: str | None = None,
    report: Report = silent,
) -> Neighbours:
    """Find the k training images nearest to each sample, by pixels.

    `source` is prepared and split as it was for the model's own training; `skip_bad` leaves out images that cannot
    be read. With `fingerprint` they must be the very data that it belongs to.

    Raises:
        RunError: the model makes points, the data are others, or of another shape, or there are fewer than k.
        DataError: the data cannot be read.
    """
    trained = draft.model
    if trained.signal.kind != "image":
        raise RunError(f"--neighbours takes images, and this model makes {medium_of(trained.signal).noun}")
    recipe = trained.recipe
    how: dict[str, Any] = {"seed": recipe.seed, "rules": trained.rules}
    data = open_data(source, recipe.data, data_root=data_root, skip_bad=skip_bad, report=report, **how)
    if data.shape != trained.signal.shape:
        raise RunError(
            f"--neighbours {source}: images of {list(data.shape)} (channels, height, width), and this model makes "
            f"{list(trained.signal.shape)}; name the data that it was trained on"
        )
    if fingerprint is not None and data.fingerprint != fingerprint:
        raise RunError(
            f"--neighbours own: {source} holds other data than the run was trained on; name data with --neighbours DATA"
        )
    if len(data.train) < k:
        raise RunError(f"--neighbours {source}: there are {len(data.train)} training images, fewer than --k {k}")
    images = draft.render(report)
    base = data.values[data.train]
    flat = [torch.from_numpy(np.ascontiguousarray(one)).flatten(1).float() for one in (images, base)]
    distances, places = nearest(flat[0], flat[1], k)
    return Neighbours(images, base[places.numpy()], distances.numpy() / math.sqrt(flat[0].shape[1]))


def own_data(place: str | Path, moved: str | Path | None, root: str | Path | None) -> tuple[str, dict[str, Any]]:
    """Where the data of a run's own training are, and what `neighbours` takes beside; `moved`: where they are now.

    Raises:
        RunError: it is no run, so nobody knows.
    """
    if not is_run(Path(place)):
        raise RunError(
            f"--neighbours own: {place} is not a run and does not know its data; name them with --neighbours"
        )
    origin = RunDirectory(place).environment()["data"]
    source = origin["source"] if moved is None else str(moved)
    skip = {"skip_bad": True} if origin["skip_bad"] else {}
    return source, {"data_root": root or origin.get("root"), "fingerprint": origin["fingerprint"], **skip}


def write_neighbours(
    draft: Draft,
    out: str | Path,
    source: str | Path,
    k: int = 5,
    *,
    data_root: str | Path | None = None,
    skip_bad: bool = False,
    fingerprint: str | None = None,
    overwrite: bool = False,
    report: Report = silent,
) -> dict[str, Any]:
    """Write a .png with each sample at the left of its nearest training images; return their distances.

    Raises:
        RunError, DataError: as `neighbours`; or the name has another ending, or cannot be written.
    """
    path = Path(out)
    if path.suffix.lower() != ".png":
        raise RunError(f"--out {out}: neighbours are a picture; use FILE.png")
    outputs.check(path, overwrite=overwrite)
    options: dict[str, Any] = {"data_root": data_root, "skip_bad": skip_bad, "fingerprint": fingerprint}
    pairs = neighbours(draft, source, k, report=report, **options)
    outputs.write(path, pictures.encode(pictures.beside(pairs.samples, pairs.nearest)), overwrite=overwrite)
    return {"distances": pairs.distances.tolist(), "unit": "root mean square of grey levels"}
