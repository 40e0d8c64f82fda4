"""Metrics that can be named, as in `zerosum evaluate RUN --metrics fd+kid:form=subsets`."""

from zerosum.metrics.suite.classes import Classes, DomainAccuracy, InceptionScore
from zerosum.metrics.suite.copies import CT, Authenticity, MiFID
from zerosum.metrics.suite.cycle import CycleError
from zerosum.metrics.suite.distances import FD, KID, PRDC, Duplicates, FDInfinity, SlicedWasserstein
from zerosum.metrics.suite.generators import Critic, LowerBound, Modes, PathLength, StackedModes
from zerosum.metrics.suite.pairs import Similarity
from zerosum.metrics.suite.usual import Usual

__all__ = [
    "CT",
    "FD",
    "KID",
    "PRDC",
    "Authenticity",
    "Classes",
    "Critic",
    "CycleError",
    "DomainAccuracy",
    "Duplicates",
    "FDInfinity",
    "InceptionScore",
    "LowerBound",
    "MiFID",
    "Modes",
    "PathLength",
    "Similarity",
    "SlicedWasserstein",
    "StackedModes",
    "Usual",
]
