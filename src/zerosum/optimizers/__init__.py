"""How weights follow gradients: optimizers, and schedules that multiply their learning rate."""

from zerosum.optimizers.optimizers import SGD, Adam, AdamW, RMSprop
from zerosum.optimizers.schedules import Constant, Cosine, Halving, LateLinear, Linear

__all__ = ["SGD", "Adam", "AdamW", "Constant", "Cosine", "Halving", "LateLinear", "Linear", "RMSprop"]
