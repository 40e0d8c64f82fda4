"""What a model file holds, and how it is held together: signals, recipe and weights must fit each other."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

import torch
from torch import Tensor, nn

from zerosum.core.errors import DamagedError, ZerosumError, ZerosumWarning, shown
from zerosum.core.model import Model, Networks, Task, outline, reached
from zerosum.core.reading import misfit
from zerosum.core.signals import Signal, Signals, build, zeros
from zerosum.core.values import Natural, NonNegative, Range
from zerosum.data.attributes import KIND
from zerosum.recipes import Recipe
from zerosum.runs.storage import legacy, sealed

FORMAT = "zerosum-model-1"
Weights = dict[str, dict[str, Tensor]]  # by network, and by name


class Facts(TypedDict):
    """A signal of the data, as a file holds it."""

    kind: str
    shape: list[Annotated[int, Range(1, 65_536)]]
    classes: Annotated[int, Range(0, 1 << 20)]


class About(TypedDict):
    """What a model file says beside its weights."""

    sha256: NotRequired[str]  # its seal; files of the first version have none
    format: str
    recipe: str
    signals: dict[str, Facts]
    classes: list[str]
    images: Natural
    shares: NotRequired[list[NonNegative]]
    rules: NotRequired[Natural]
    units: NotRequired[dict[str, Any] | None]


def read(path: Path) -> tuple[About, dict[str, Tensor]]:
    """Read what a model file says, and its weights by network and name; nothing is built, and no code is run.

    Weights of files of earlier versions, which hold one network, have no network's name before their own.

    Raises:
        DamagedError: it is no model file, or a byte of it was changed.
    """
    said, weights, whole = sealed.read(path, dict[str, Any])
    about = _about(path, legacy.translated(path, said, whole=whole))
    told = about["signals"].values()
    if any(len(one["shape"]) not in (0, 1, 3) for one in told) or not about["signals"]:
        raise DamagedError(f"{path}: its sizes do not fit each other")
    if len(about["classes"]) != max(one["shape"][0] if one["kind"] == KIND else one["classes"] for one in told):
        raise DamagedError(f"{path}: its sizes do not fit each other")
    if about.get("shares") and (len(about["shares"]) != len(about["classes"]) or not 0 < sum(about["shares"]) < 1e9):
        raise DamagedError(f"{path}: the shares of its classes do not fit them")
    if not whole:
        text = f"{path} has no checksum, as it is of an earlier version: damage to its weights would not be noticed"
        warnings.warn(text, ZerosumWarning, stacklevel=3)
    return about, weights


def _about(path: Path, said: dict[str, Any]) -> Any:
    if fault := misfit(said, About):
        raise DamagedError(f"{path} is damaged, or not a file of weights that zerosum wrote: {fault}")
    if said["format"] not in (FORMAT, *legacy.FORMATS):
        raise DamagedError(f"{path} is of the format {shown(said['format'])}, which this version does not read")
    return said


def signals_of(about: About) -> dict[str, Signal]:
    """The signals of the data."""
    return {name: Signal(one["kind"], tuple(one["shape"]), one["classes"]) for name, one in about["signals"].items()}


def fill(path: Path, recipe: Recipe, about: About, weights: dict[str, Tensor]) -> Model:
    """The model, filled; first without memory, so that a file can ask for no more than it holds itself.

    Tasks whose networks the file does not hold are left out, as in files of earlier versions.

    Raises:
        DamagedError: recipe, signals and weights do not fit each other.
    """
    game, signals = recipe.game, signals_of(about)
    try:
        named = about["format"] == FORMAT
        held = _grouped(weights) if named else {legacy.network(game, signals): weights}
        tasks = _able(game, signals, held)
        players, wirings = game.players(), game.networks(signals)

        def filled(name: str) -> nn.Module:
            with torch.device("cpu" if name in held else "meta"):
                module = build(players[wirings[name].players[0]].network, wirings[name])
            if name in held:
                module.load_state_dict(held[name])
            return module

        whole = game.model(Networks(filled), signals)
    except ZerosumError:
        raise
    except Exception as error:  # a recipe and sizes that do not fit each other raise anything
        raise DamagedError(
            f"{path}: its weights do not fit its own recipe: {' '.join(str(error).split())[:300]}"
        ) from error
    networks = {name: network for name, network in whole.networks.items() if name in held}
    return Model(networks, {name: whole.tasks[name] for name in tasks})


def _grouped(weights: dict[str, Tensor]) -> Weights:
    held: Weights = {}
    for key, value in weights.items():
        network, _, name = key.partition(".")
        held.setdefault(network, {})[name] = value
    return held


def _able(game: Any, signals: Signals, held: Weights) -> list[str]:
    """Tasks that the held networks serve; tried without memory or arithmetic.

    Raises:
        ValueError: there are none, or one of them gives something else than the signals say.
    """

    def check(name: str, module: nn.Module) -> None:
        if name in held:
            module.load_state_dict({key: value.to("meta") for key, value in held[name].items()})

    plan = outline(game, signals, check)
    if unused := held.keys() - plan.networks.keys():
        raise ValueError(f"the recipe has no place for weights of {min(unused)!r}")
    able = []
    for name, task in plan.tasks.items():
        if reached(plan.networks, lambda task=task: _try(task)) <= held.keys():  # type: ignore[misc]
            able.append(name)
    if not able:
        raise ValueError("it lacks the networks of every task")
    return able


def _try(task: Task) -> None:
    """Call a task with zeros.

    Raises:
        ValueError: its outputs are of other shapes than it says.
    """
    with torch.device("meta"):
        found = task({name: zeros(signal, 2) for name, signal in task.inputs.items()})
    for name, signal in task.outputs.items():
        if list(found[name].shape) != [2, *signal.shape]:
            raise ValueError(f"{name} of {list(found[name].shape)} where it says {[2, *signal.shape]}")
