"""What a report measures of pairs: whether the discriminator heeds their inputs, and how sharp outputs are."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from zerosum.core.game import role
from zerosum.core.signals import Batch
from zerosum.data.pairs import SIGNALS

NUMBERS = ("condition", "contrast")  # what it measures


def conditions(scores: Callable[[Batch], dict[str, Tensor]], pairs: Batch) -> dict[str, float]:
    """How far verdicts on targets change with the inputs beside them, for each discriminator; 0: not at all.

    The root of the mean squared change of a logit where each input stands beside the target of another pair, over the
    standard deviation of the logits.

    Args:
        scores: logits of a batch of pairs, by player.
        pairs: two or more.
    """
    given = pairs[SIGNALS[0]]
    own, others = scores(pairs), scores({**pairs, SIGNALS[0]: given.roll(1, 0)})
    changes = {name: _change(own[name].double(), others[name].double()) for name in own}
    return {f"condition{name.removeprefix(role(name))}": change for name, change in changes.items() if change >= 0}


def _change(own: Tensor, other: Tensor) -> float:
    """Root mean square of a difference over the deviation of both; -1 where they do not differ within themselves."""
    deviation = torch.cat([own, other]).std()
    return float((own - other).square().mean().sqrt() / deviation) if deviation > 0 else -1.0


def contrast(outputs: Tensor, targets: Tensor) -> dict[str, float]:
    """Mean difference of neighbouring pixels of images [N, C, H, W], of that of their targets; nothing of flat ones."""
    made, wanted = _fine(outputs), _fine(targets)
    return {"contrast": made / wanted} if wanted > 0 else {}


def _fine(images: Tensor) -> float:
    x = images.detach().float().clamp(-1, 1)
    return float(x.diff(dim=2).abs().mean() + x.diff(dim=3).abs().mean())
