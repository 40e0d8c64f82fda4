"""Files that earlier versions wrote: `generator.safetensors`, which held one network and called the data a space."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypedDict

import torch

from zerosum.core.errors import DamagedError, shown
from zerosum.core.model import outline, reached
from zerosum.core.reading import misfit
from zerosum.core.signals import Signals, zeros
from zerosum.core.values import Range

UNSEALED, SEALED = FORMATS = ("zerosum-generator-1", "zerosum-generator-2")
NAME = "generator.safetensors"  # of the file in a run; today model.safetensors


def is_old(run: Path) -> bool:
    """True for a run whose model file an earlier version wrote."""
    return (run / NAME).is_file() and not (run / "model.safetensors").exists()


class Sizes(TypedDict):
    """The data, as these files held them."""

    shape: list[Annotated[int, Range(1, 65_536)]]
    latent: Annotated[int, Range(0, 1 << 24)]
    classes: Annotated[int, Range(0, 1 << 20)]


def translated(path: Path, manifest: dict[str, Any], *, whole: bool) -> dict[str, Any]:
    """What a file says, with signals in the place of sizes; what no earlier version wrote stays as it is.

    Raises:
        DamagedError: its sizes are damaged, or its checksum was taken off.
    """
    if manifest.get("format") not in FORMATS:
        if not whole:
            raise DamagedError(
                f"{path} is of the format {shown(manifest.get('format'))}, which has a checksum, but it has none"
            )
        return manifest
    if manifest["format"] != (SEALED if whole else UNSEALED):
        raise DamagedError(f"{path} is of the format {shown(manifest['format'])}, which this version does not read")
    if fault := misfit(manifest.get("space"), Sizes, "space"):
        raise DamagedError(f"{path} is damaged, or not a file of weights that zerosum wrote: {fault}")
    sizes = manifest["space"]
    sample = {"kind": "image" if len(sizes["shape"]) == 3 else "points", "shape": sizes["shape"], "classes": 0}
    label = {"label": {"kind": "label", "shape": [], "classes": sizes["classes"]}} if sizes["classes"] else {}
    return {**manifest, "signals": {"sample": sample, **label}}


def network(game: Any, signals: Signals) -> str:
    """Name of the network that these files hold: the one that the first task of the game's model goes through."""
    model = outline(game, signals)
    task = model.task()
    with torch.device("meta"):
        names = reached(model.networks, lambda: task({key: zeros(one, 2) for key, one in task.inputs.items()}))
    return min(names)
