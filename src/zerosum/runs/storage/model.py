"""What a generator file holds, and how it is held together: sizes, recipe and weights must fit each other."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict, cast

import torch
from torch import Tensor, nn

from zerosum.core.errors import DamagedError, ZerosumError, ZerosumWarning, shown
from zerosum.core.space import Space
from zerosum.core.values import Natural, NonNegative, Range
from zerosum.recipes import Recipe
from zerosum.runs.storage import sealed

UNSEALED, FORMAT = "zerosum-generator-1", "zerosum-generator-2"


class Sizes(TypedDict):
    """`Space`, as a generator file holds it."""

    shape: list[Annotated[int, Range(1, 65_536)]]
    latent: Annotated[int, Range(0, 1 << 24)]
    classes: Annotated[int, Range(0, 1 << 20)]


class About(TypedDict):
    """What a generator file says beside its weights."""

    sha256: NotRequired[str]  # its seal; files of earlier versions have none
    format: str
    recipe: str
    space: Sizes
    classes: list[str]
    images: Natural
    shares: NotRequired[list[NonNegative]]
    rules: NotRequired[Natural]
    units: NotRequired[dict[str, Any] | None]


def read(path: Path) -> tuple[About, dict[str, Tensor]]:
    """Read what a generator file says, and its weights; nothing is built, and no code is run.

    Raises:
        DamagedError: it is no generator file, or a byte of it was changed.
    """
    about, weights, whole = sealed.read(path, About)
    sizes = about["space"]
    if about["format"] != (FORMAT if whole else UNSEALED):
        raise DamagedError(f"{path} is of the format {shown(about['format'])}, which this version does not read")
    if len(sizes["shape"]) not in (1, 3) or len(about["classes"]) != sizes["classes"]:
        raise DamagedError(f"{path}: its sizes do not fit each other")
    if about.get("shares") and (len(about["shares"]) != sizes["classes"] or not 0 < sum(about["shares"]) < 1e9):
        raise DamagedError(f"{path}: the shares of its classes do not fit them")
    if not whole:
        text = f"{path} has no checksum, as it is of an earlier version: damage to its weights would not be noticed"
        warnings.warn(text, ZerosumWarning, stacklevel=3)
    return cast("About", about), weights


def build(path: Path, recipe: Recipe, space: Space, weights: dict[str, Tensor]) -> nn.Module:
    """The network, filled; first without memory, so that a file can ask for no more than it holds itself.

    Raises:
        DamagedError: recipe, sizes and weights do not fit each other.
    """
    game = recipe.game
    network = game.players()[game.product].network
    try:
        with torch.device("meta"):
            empty: nn.Module = network.build(*space.ports)
            empty.load_state_dict({name: one.to("meta") for name, one in weights.items()})
            label = torch.zeros(2, dtype=torch.int64) if space.classes else None
            made = game.sample(empty.eval(), torch.zeros(2, space.latent), label)
        if game.latent.size != space.latent or tuple(made.shape[1:]) != space.shape:
            raise DamagedError(f"{path}: its recipe makes samples of another shape than it says")
        module: nn.Module = network.build(*space.ports)
        module.load_state_dict(weights)
    except ZerosumError:
        raise
    except Exception as error:  # a recipe and sizes that do not fit each other raise anything
        raise DamagedError(
            f"{path}: its weights do not fit its own recipe: {' '.join(str(error).split())[:300]}"
        ) from error
    return module.eval()
