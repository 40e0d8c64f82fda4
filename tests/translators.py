"""Networks of one number, and every part that may stand in a slot of a game that translates."""

from dataclasses import dataclass

import torch
from torch import nn

from tests import axes
from zerosum.core import compatibility
from zerosum.core.engine import Engine
from zerosum.core.errors import RecipeError
from zerosum.core.registry import Part
from zerosum.core.signals import Signal

IMAGE = Signal("image", (1, 2, 2))


class Times(nn.Module):
    """Each pixel times a number; or, as a discriminator, the mean of the pixels times it."""

    def __init__(self, factor, mean):
        super().__init__()
        self.factor, self.mean = nn.Parameter(torch.tensor(float(factor))), mean

    def forward(self, x, label=None):
        return self.factor * (x.flatten(1).mean(1) if self.mean else x)


@dataclass(frozen=True)
class Factor(Part):
    """Networks of one number."""

    factor: float
    mean: bool

    def build(self, inputs, outputs):
        return Times(self.factor, self.mean)

    def traits(self):
        return frozenset({"discriminator", "logits"} if self.mean else {"translator"})


Factor.kind, Factor.name = "network", "factor"


class Fixed:
    """A feed of one batch."""

    position = 0

    def __init__(self, side=2, **batch):
        flat = {name: torch.tensor(row).view(-1, 1, 1, 1) for name, row in batch.items()}
        self.batch = {name: one.expand(-1, 1, side, side) for name, one in flat.items()}

    def next(self):
        self.position += len(next(iter(self.batch.values())))
        return dict(self.batch)


KINDS = {"objective": "objective", "regularizer": "regularizers", "augmentation": "augmentations"}


def alternatives(critic):
    """Settings with each part that may stand in a slot of a game, one at a time; `critic` plays the discriminator."""
    for kind, field in KINDS.items():
        yield from ([f"{field}={name}"] for name in axes.registered(kind))
    for part in axes.registered("network").values():
        if "discriminator" in part().traits():
            yield [f"{critic}.network={axes.text(part)}"]


def one_turn(game, *names):
    """Faults that a game is refused for, or the numbers of a turn, in which every network moves; names of its data."""
    signals = dict.fromkeys(names, Signal("image", (1, 16, 16)))
    try:
        compatibility.check(game, signals, 1000, 4)
    except RecipeError as error:
        return error.faults
    engine = Engine(game, signals, total=1000)
    before = {name: [one.clone() for one in module.parameters()] for name, module in engine.modules.items()}
    engine.turn(Fixed(side=16, **dict(zip(names, ([0.5, -0.25], [0.75, 1.0]), strict=True))))
    for name, module in engine.modules.items():
        assert any(not torch.equal(*pair) for pair in zip(before[name], module.parameters(), strict=True)), name
    return engine.meter.take("report")


def misjudged(played, refused):
    """Settings that were refused and should not have been, or the other way round, or for another reason.

    `played`: faults or numbers by settings; `refused`: the settings, or their network, by what the faults must say.
    """
    said = {words: " ".join(faults) for words, faults in played.items() if isinstance(faults, list)}
    reasons = {one: reason for reason, listed in refused.items() for one in listed}
    wrong = []
    for words, faults in said.items():
        reason = reasons.pop(words.partition("network=")[2].partition(":")[0] or words, None)
        wrong += [] if reason and reason in faults else [f"{words}: {faults}"]
    return wrong + [f"{words} was not refused" for words in reasons]
