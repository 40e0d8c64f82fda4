"""Metrics: numbers that say how close generated samples are to the data, each with its protocol."""

from zerosum.metrics.modes import mode_coverage
from zerosum.metrics.sliced import sliced_wasserstein

__all__ = ["mode_coverage", "sliced_wasserstein"]
