"""Metrics: numbers that say how close generated samples are to the data, each with its protocol.

Functions of tensors or NumPy arrays, usable in anybody's own code; those that a recipe or `zerosum evaluate` names are
in `suite`.
"""

from zerosum.metrics.baseline import ClassPCAGaussian
from zerosum.metrics.critic import critic_divergences
from zerosum.metrics.cycle import cycle_errors
from zerosum.metrics.evidence import Evidence, Measure, Metric, Samples
from zerosum.metrics.frechet import Moments, frechet_distance, frechet_distance_infinity, frechet_distance_of
from zerosum.metrics.kernel import kernel_distance, kernel_distance_subsets
from zerosum.metrics.memorisation import authenticity, ct_score, mifid_distance
from zerosum.metrics.modes import mode_coverage, stacked_modes
from zerosum.metrics.neighbours import duplicate_share, nearest, precision_recall_density_coverage
from zerosum.metrics.path_length import perceptual_path_length
from zerosum.metrics.scores import (
    accuracy_by_class,
    class_accuracy,
    class_coverage,
    inception_score,
    label_divergence,
)
from zerosum.metrics.similarity import absolute_difference, peak_signal_to_noise, structural_similarity
from zerosum.metrics.sliced import sliced_wasserstein

__all__ = [
    "ClassPCAGaussian",
    "Evidence",
    "Measure",
    "Metric",
    "Moments",
    "Samples",
    "absolute_difference",
    "accuracy_by_class",
    "authenticity",
    "class_accuracy",
    "class_coverage",
    "critic_divergences",
    "ct_score",
    "cycle_errors",
    "duplicate_share",
    "frechet_distance",
    "frechet_distance_infinity",
    "frechet_distance_of",
    "inception_score",
    "kernel_distance",
    "kernel_distance_subsets",
    "label_divergence",
    "mifid_distance",
    "mode_coverage",
    "nearest",
    "peak_signal_to_noise",
    "perceptual_path_length",
    "precision_recall_density_coverage",
    "sliced_wasserstein",
    "stacked_modes",
    "structural_similarity",
]
