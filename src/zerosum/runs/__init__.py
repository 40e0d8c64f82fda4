"""Runs: train, resume, sample and report; the only layer that sees all the others."""

from zerosum.runs.run import Run
from zerosum.runs.session import resume, train

__all__ = ["Run", "resume", "train"]
