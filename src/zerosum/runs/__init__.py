"""Runs: train, resume, sample and report; the only layer that sees all the others."""

from zerosum.runs.storage.run import Run
from zerosum.runs.training.session import resume, train

__all__ = ["Run", "resume", "train"]
