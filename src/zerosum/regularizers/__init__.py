"""Anything besides the objective that shapes one player: penalties added to its loss, rules applied to its weights.

A regularizer is called as `regularizer(exchange)` and gives a loss `[]`; one with `memory()` as
`regularizer(exchange, memory)`. An exchange (`zerosum.critic.Exchange`) is an update under way.
    player    which player pays it
    tracks    samples, of "real" and "fake", that gradients of logits are taken at
    every     updates of that player from one call to the next; the caller multiplies the loss by it
"""

from zerosum.regularizers.consistency import BCR, CR, ZCR
from zerosum.regularizers.gradient import DRAGAN, R1, R2, GradientPenalty
from zerosum.regularizers.jacobian import JacobianClamping
from zerosum.regularizers.labels import AuxiliaryClassifier, MutualInformation
from zerosum.regularizers.orthogonal import Orthogonal
from zerosum.regularizers.path_length import PathLength
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
    "SuccessiveConsistency",
    "WeightClip",
]
