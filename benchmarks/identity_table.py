"""A case of `benchmarks/identity.py` at play: all that the benchmark knows of zerosum's engine.

Whoever changes how engines are built, saved or asked changes this file; names of kinds, and what they hold, stay.
"""

from __future__ import annotations

import copy
import functools
from typing import Any

import torch
from torch import Tensor

from benchmarks.identity_cases import Case, cases
from zerosum.core import registry
from zerosum.core.clock import seeded
from zerosum.core.engine import Engine
from zerosum.critic import Regularization
from zerosum.data import Feed, open_data
from zerosum.games.adversarial import Adversarial, bound_parts
from zerosum.recipes import read_recipe
from zerosum.runs.storage.environment import describe

BATCH, SEED, TOTAL = 8, 3, 1_000  # TOTAL: images at which a run would end
SMALL: dict[str, dict[str, Any]] = {  # fields of parts, by kind, in place of any value but 0 and 1
    "network": {"layers": 1, "channels": 8, "widths": (16, 16), "style": 16, "mapping": 1, "hidden": 8, "units": 16}
    | {"kernels": 4, "blocks": 1, "embedding": 8, "bank": 20},
    "regularizer": {"every": 2, "until": 24, "after": 8},
    "augmentation": {"interval": 2, "speed": 100, "until": 24},
    "selection": {"until": 24},
    "schedule": {"every": 8, "warmup": 16},
    "average": {"half_life": 16, "ramp": 0.5},
}
CHANNELS = {"stylegan2": 16, "r3gan": 16, "biggan": 2}  # networks that cannot be so narrow, or are wide


def place() -> dict[str, Any]:
    """What must be equal, lest bits differ for no other reason."""
    described = describe(torch.device("cpu"), "")
    return {name: described[name] for name in ("torch", "processor", "instructions", "threads")}


def every_case() -> list[Case]:
    """All that is played."""
    return cases(registry.registered("recipe"))


def small(part: Any) -> Any:
    """A part with all below it made small, and adaptive augmentation awake."""
    fields = SMALL.get(part.kind, {})
    if part.kind == "network":
        fields = fields | {"channels": CHANNELS.get(part.name.partition("-")[0], fields["channels"])}
    now = {name: getattr(part, name) for name in registry.field_types(type(part))}
    changes = {name: fields[name] for name in now.keys() & fields.keys() if now[name] not in (0, 1)}
    if part.name == "ada":
        changes["p"] = 0.5
    for name, value in now.items():
        if isinstance(value, registry.Part):
            changes[name] = small(value)
        elif isinstance(value, tuple) and value and isinstance(value[0], registry.Part):
            changes[name] = tuple(small(one) for one in value)
    return part.replace(**changes)


@functools.cache
def dataset(name: str, preparation: Any) -> Any:
    """Data, opened once."""
    return open_data(name, preparation)


class Table:
    """A case at play."""

    def __init__(self, case: Case) -> None:
        recipe = small(read_recipe(case.recipe, list(case.settings)))
        data = dataset(case.data, recipe.data)
        self.engine = Engine(recipe.game, data.signals, seed=SEED, precision=case.precision, total=TOTAL)
        self.feed = Feed(data, BATCH, seed=SEED)
        self._remember()

    def _remember(self) -> None:
        """Bind parts as the first turn does, so that their memory is there at the start."""
        game, engine = self.engine.game, self.engine
        if isinstance(game, Adversarial):
            bound_parts(game, engine)
        for player in game.players():
            Regularization(game.regularizers, player, engine)

    def turn(self) -> dict[str, float]:
        """Play a turn: its losses and curves."""
        self.engine.turn(self.feed)
        return self.engine.meter.take("report")

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """All that training changes, as tensors: kind -> name -> tensor."""
        found: dict[str, dict[str, Tensor]] = {"random": {"cpu": torch.get_rng_state()}}
        for group, tensors in self.engine.state()[0].items():
            if group == "meter":
                kind, owner = "sums", ""
            elif group.startswith("memory."):
                kind, owner = "memory", f"{group.removeprefix('memory.')}."
            else:
                player, _, kind = group.rpartition(".")
                owner = f"{player}."
            found.setdefault(kind, {}).update({f"{owner}{name}": value for name, value in tensors.items()})
        return found

    def numbers(self) -> dict[str, int]:
        """The clock, and how far each player came."""
        moves = {f"{name}.updates": one.updates for name, one in self.engine.learners.items()}
        clocks = {f"{name}.images": one.clock for name, one in self.engine.learners.items()}
        return {"position": self.feed.position, "images": self.engine.clock, **moves, **clocks}

    def product(self) -> dict[str, Tensor]:
        """What the training is for, as it is handed out, and samples of it."""
        model = self.engine.model()
        task = model.task()
        (name,) = model.serving()
        with torch.no_grad(), seeded(SEED, "samples"):
            given = {key: 2 * torch.rand(4, *signal.shape) - 1 for key, signal in task.asked.items()}
            (samples,) = task({**given, **task.draw(4)}).values()
            return {**model.networks[name].state_dict(), "samples": samples}

    def save(self) -> Any:
        """What `load` takes, safe from further turns."""
        return copy.deepcopy(self.engine.state())

    def load(self, saved: Any) -> None:
        """Go on from there."""
        self.engine.load(*saved)
        self.feed.position = self.engine.clock
