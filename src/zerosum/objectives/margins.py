"""What a comparison costs: losses of a margin, by how much more real one logit is than another."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn.functional import relu, softplus

Loss = Literal["softplus", "hinge", "least-squares"]


def cost(margin: Tensor, loss: Loss) -> Tensor:
    """Mean cost f of margins t: softplus sp(-t), hinge max(0, 1 - t), least-squares (t - 1)^2."""
    if loss == "softplus":
        return softplus(-margin).mean()
    return (relu(1 - margin) if loss == "hinge" else (margin - 1).square()).mean()
