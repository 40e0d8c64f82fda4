"""Class conditioning at the input of a network."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from zerosum.core.errors import RecipeError
from zerosum.networks.space import Space

GeneratorLabels = Literal["none", "concat", "embed", "norm"]
LARGEST = 1 << 22  # numbers that the one-hot maps of an image may have: 16 MB
DiscriminatorLabels = Literal["none", "concat", "embed", "projection", "classifier"]


def conditioned_on(name: str, labels: str, space: Space) -> int:
    """Number of classes that the network takes or predicts; 0 for labels=none.

    Or number of attributes, where it predicts a logit or takes a map for each of them.

    Raises:
        RecipeError: labels are requested and the data have none, or others.
    """
    if labels == "none":
        return 0
    if space.attributes:
        if labels in ("classifier", "concat"):
            return space.attributes
        raise RecipeError(
            f"network {name!r}: labels={labels} takes one class for each image, and these data have attributes; set "
            "data.attributes=, or labels=concat"
        )
    if not space.classes:
        raise RecipeError(
            f"network {name!r}: labels={labels} needs data with classes, and these have none; "
            "set labels=none, or sort the images into one sub-folder a class"
        )
    return space.classes


def required(label: Tensor | None, classes: int) -> Tensor:
    """The label, which a conditional network requires: classes [N], or shares of classes [N, classes].

    Raises:
        ValueError: the label is missing.
    """
    if label is None:
        raise ValueError(f"this network is conditional: call it with the classes, a label [N] of 0 to {classes - 1}")
    return label if label.dim() == 2 else label.long()


def rows(table: nn.Embedding | Tensor, label: Tensor) -> Tensor:
    """Rows `[N, width]` of a table with a row per class: those of classes `[N]`, or mixed by shares `[N, classes]`."""
    if label.dim() == 2:
        weights = table.weight if isinstance(table, nn.Embedding) else table
        return label.to(weights.dtype) @ weights
    return table(label) if isinstance(table, nn.Embedding) else table[label]


class JoinLabel(nn.Module):
    """Joins the class to the input as further channels, `[N, C, ...]` to `[N, C + width, ...]`.

    "concat" joins the one-hot class (Mirza & Osindero 2014, section 3.2), for maps as one constant map per class.
    "embed" joins a learned tensor per class, drawn from N(0, 1) like latents. Any other kind joins nothing.

    Args:
        labels: how the class enters.
        classes: number of classes.
        shape: of an embedding: `(width,)` beside vectors, `(1, H, W)` beside images.

    Raises:
        RecipeError: one-hot maps of so many classes would not fit into memory.
    """

    def __init__(self, labels: str, classes: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.classes, self.shape = classes, shape
        self.width = {"concat": classes, "embed": shape[0]}.get(labels, 0)  # channels that join
        if labels == "concat" and classes * math.prod(shape[1:]) > LARGEST:
            sides = "x".join(map(str, shape[1:]))
            raise RecipeError(
                f"labels=concat joins a map of {sides} a class, and {classes:,} classes would take gigabytes; set "
                "discriminator.labels=embed or projection"
            )
        self.embedding = nn.Embedding(classes, math.prod(shape)) if labels == "embed" else None

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Samples or latents `[N, C, ...]` and labels `[N]`, or shares of them, to `[N, C + width, ...]`."""
        if not self.width:
            return x
        label = required(label, self.classes)
        if self.embedding is not None:
            code = rows(self.embedding, label).unflatten(1, self.shape)
        else:
            shares = label if label.dim() == 2 else one_hot(label, self.classes)
            code = shares.reshape(-1, self.classes, *[1] * (x.ndim - 2))
        return torch.cat([x, code.to(x.dtype).expand(-1, -1, *x.shape[2:])], 1)
