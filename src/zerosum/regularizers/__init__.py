"""Anything besides the objective that shapes one player: penalties added to its loss, rules applied to its weights.

A regularizer is called as `regularizer(round, memory)` and gives a loss `[]`, already multiplied by `every`.
    player    which player pays it
    tracks    tensors of the round that must require gradients before the discriminator looks at them
    every     it is due at each so-manieth update of that player
"""

from zerosum.regularizers.clip import WeightClip
from zerosum.regularizers.gradient import R1, R2, GradientPenalty
from zerosum.regularizers.protocol import Round

__all__ = ["R1", "R2", "GradientPenalty", "Round", "WeightClip"]
