"""What a translator is told to give, and how far off that is: one class of several, or attributes, 0 or 1 each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from zerosum.core.engine import Engine
from zerosum.core.model import Choice, Flags, Prior
from zerosum.core.signals import Signal


class Goals(Protocol):
    """Labels of one kind."""

    @property
    def prior(self) -> Prior:
        """Labels where nobody asks for any."""
        ...

    def draw(self, given: Tensor, engine: Engine) -> Tensor:
        """What a batch of images with these labels is translated to."""
        ...

    def surprise(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of labels under logits [N, K], mean over the batch, []."""
        ...

    def right(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Share of the labels that logits [N, K] name, []."""
        ...


@dataclass(frozen=True)
class ClassGoals:
    """Classes [N], of which each is as likely."""

    classes: int

    @property
    def prior(self) -> Prior:
        """Each class as likely."""
        return Choice(self.classes)

    def draw(self, given: Tensor, engine: Engine) -> Tensor:
        """Classes, each as likely, whatever the batch has."""
        return engine.draw(self.prior, len(given))

    def surprise(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of one class."""
        return cross_entropy(logits, labels)

    def right(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The most likely class."""
        return (logits.argmax(1) == labels).float().mean()


@dataclass(frozen=True)
class AttributeGoals:
    """Attributes [N, K]; an image is translated to those of another one of its batch, so that they occur together."""

    attributes: int

    @property
    def prior(self) -> Prior:
        """Each attribute with probability 1/2."""
        return Flags(self.attributes)

    def draw(self, given: Tensor, engine: Engine) -> Tensor:  # noqa: ARG002
        """Those of the batch, shuffled."""
        return given[torch.randperm(len(given), device=given.device)]

    def surprise(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of each attribute by itself; their sum."""
        return binary_cross_entropy_with_logits(logits, labels, reduction="sum") / len(labels)

    def right(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Whether each attribute is more likely than not."""
        return ((logits > 0) == (labels > 0)).float().mean()


def goals_of(label: Signal) -> Goals:
    """Labels of a signal: classes, or attributes."""
    return ClassGoals(label.classes) if label.classes else AttributeGoals(label.shape[0])
