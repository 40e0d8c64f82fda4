"""A linear classifier of features: regularised logistic regression, the same every time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from zerosum.metrics.checks import samples

PENALTY = 1e-3  # of half the squares of the weights, beside a mean over samples
ROUNDS = 200  # of L-BFGS at most


@dataclass(frozen=True, eq=False)
class LinearClassifier:
    """Logistic regression on standardised features, fitted from 0 by L-BFGS in float64.

    Labels are classes, int64 `[N]` (softmax), or attributes, 0 or 1 each, float `[N, K]` (each by itself).
    """

    mean: Tensor  # [D]
    scale: Tensor  # [D]
    weight: Tensor  # [D, K]
    bias: Tensor  # [K]

    @classmethod
    def fit(cls, features: Tensor, labels: Tensor) -> Self:
        """Fit to features `[N, D]` and as many labels.

        Raises:
            ValueError: they do not fit, or there are none.
        """
        (x,) = samples("LinearClassifier", features=features)
        if len(labels) != len(x):
            raise ValueError(f"LinearClassifier: {len(x)} features need as many labels, not {len(labels)}")
        y = labels.cpu().double() if labels.ndim == 2 else labels.cpu().long()
        outputs = y.shape[1] if y.ndim == 2 else int(y.max()) + 1
        mean, scale = x.mean(0), x.std(0, correction=0)
        scale = scale.where(scale > 0, 1)
        x = (x - mean) / scale
        weight = torch.zeros(x.shape[1], outputs, dtype=x.dtype, requires_grad=True)
        bias = torch.zeros(outputs, dtype=x.dtype, requires_grad=True)
        optimizer = torch.optim.LBFGS([weight, bias], max_iter=ROUNDS, line_search_fn="strong_wolfe")

        def cost() -> Tensor:
            optimizer.zero_grad()
            logits = x @ weight + bias
            if y.ndim == 1:
                surprise = cross_entropy(logits, y)
            else:
                surprise = binary_cross_entropy_with_logits(logits, y, reduction="sum") / len(y)
            loss = surprise + PENALTY / 2 * weight.square().sum()
            loss.backward()
            return loss

        with torch.enable_grad():
            optimizer.step(cost)
        return cls(mean, scale, weight.detach(), bias.detach())

    def right(self, features: Tensor, labels: Tensor) -> Tensor:
        """Which labels are those that it predicts for features `[N, D]`, bool, of the shape of the labels.

        Raises:
            ValueError: features are of another length.
        """
        (x,) = samples("LinearClassifier", features=features)
        logits = ((x - self.mean) / self.scale) @ self.weight + self.bias
        named = logits.argmax(1) if labels.ndim == 1 else (logits > 0).to(labels.dtype)
        return named == labels.cpu()
