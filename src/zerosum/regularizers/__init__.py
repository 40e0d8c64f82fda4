"""Anything besides the objective that shapes one player: penalties added to its loss, rules applied to its weights.

A regularizer is called as `regularizer(round, memory)` and gives a loss `[]`, already multiplied by `every`.
    player    which player pays it
    tracks    tensors of the round that must require gradients before the discriminator looks at them
    every     it is due at each so-manieth update of that player
"""

from zerosum.regularizers.consistency import BCR, CR, ZCR
from zerosum.regularizers.gradient import DRAGAN, R1, R2, GradientPenalty
from zerosum.regularizers.jacobian import JacobianClamping
from zerosum.regularizers.labels import AuxiliaryClassifier, MutualInformation
from zerosum.regularizers.orthogonal import Orthogonal
from zerosum.regularizers.path_length import PathLength
from zerosum.regularizers.protocol import Round
from zerosum.regularizers.rules import MaxNorm, WeightClip
from zerosum.regularizers.smoothness import ALR, VAT
from zerosum.regularizers.statistics import Content, FeatureMatching, LeCam, PullingAway
from zerosum.regularizers.successive import SuccessiveConsistency

__all__ = [
    "ALR",
    "BCR",
    "CR",
    "DRAGAN",
    "R1",
    "R2",
    "VAT",
    "ZCR",
    "AuxiliaryClassifier",
    "Content",
    "FeatureMatching",
    "GradientPenalty",
    "JacobianClamping",
    "LeCam",
    "MaxNorm",
    "MutualInformation",
    "Orthogonal",
    "PathLength",
    "PullingAway",
    "Round",
    "SuccessiveConsistency",
    "WeightClip",
]
