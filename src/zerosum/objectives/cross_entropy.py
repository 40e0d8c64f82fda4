"""Binary cross-entropy of the two original objectives."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor
from torch.nn.functional import softplus

from zerosum.core.values import Range

Probability = Annotated[float, Range(0, 1, open_low=True)]


def cross_entropy(real: Tensor, fake: Tensor, real_target: float) -> Tensor:
    """-E[a log D(x) + (1-a) log(1-D(x))] - E[log(1-D(G(z)))], with a the real target and D = sigmoid(logit)."""
    real, fake = real.float(), fake.float()
    looks_real = real_target * softplus(-real) + (1 - real_target) * softplus(real)
    return looks_real.mean() + softplus(fake).mean()
