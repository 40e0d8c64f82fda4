"""Logits that tests of objectives share, and one way to call every objective."""

import numpy as np
import torch

from zerosum import objectives
from zerosum.core.memory import Bound, Memory
from zerosum.core.registry import registered

REAL = np.array([1.3, -0.4, 2.1, 0.2, -1.7, 0.9])  # asymmetric on purpose
FAKE = np.array([-0.8, 0.6, -2.2, 1.1, 0.3, -3.0])
P, Q = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.2, 0.7])  # two distributions over three points
FEEDBACK = 0.25  # BEGAN's k

OBJECTIVES = [part() for part in registered("objective").values() if part.__module__.startswith(objectives.__name__)]


def tensors(*arrays, requires_grad=False):
    return tuple(torch.tensor(a, dtype=torch.float32, requires_grad=requires_grad) for a in arrays)


def repeated(values):
    """Values over the three points as two batches: each appears 10 p times in one and 10 q times in the other."""
    values = torch.as_tensor(values, dtype=torch.float32)
    return tuple(values.repeat_interleave(torch.tensor(np.rint(10 * mass).astype(int))) for mass in (P, Q))


def gradient(loss, x):
    return torch.autograd.grad(loss, x)[0]


def bound(part):
    """An objective, with its memory where it has one."""
    return Bound(part, Memory(part.memory() | {"k": torch.tensor(FEEDBACK)})) if hasattr(part, "memory") else part


def discriminator(part, real, fake):
    """Loss of the discriminator, whether or not the objective remembers."""
    return bound(part).discriminator(real, fake)


def generator(part, fake, real):
    """Loss of the generator, whether or not the objective remembers."""
    return bound(part).generator(fake, real)
