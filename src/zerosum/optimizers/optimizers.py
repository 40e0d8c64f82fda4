"""Optimizers: PyTorch's own, with GAN defaults and the fastest kernel that the device has.

Each also has one step of one weight as a formula that gradients flow through: `ahead(weight, gradient, moments, lr)`.
The moments are what PyTorch's optimizer remembers of that weight, under its names; none before the first step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from zerosum.core.registry import Part, register
from zerosum.core.values import NonNegative, Positive, Range
from zerosum.optimizers.dense import DenseAdam, DenseAdamW

__all__ = ["SGD", "Adam", "AdamW", "RMSprop"]

Decay = Annotated[float, Range(0, 0.999999)]  # 1 would remember the first gradient for ever
Moments = dict[str, Tensor]


def _kernel(params: Sequence[Tensor]) -> dict[str, bool]:
    """One kernel for all parameters where there is one (same mathematics, fewer passes), else lists of tensors."""
    fused = all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in params)
    return {"fused": True} if fused else {"foreach": True}


def _root(square: Tensor) -> Tensor:
    """Square root with derivative 0 at 0, where it has none: a weight without any gradient must not make NaN."""
    positive = square > 0
    return torch.where(positive, torch.where(positive, square, 1).sqrt(), 0)


def _adam(part: Adam | AdamW, weight: Tensor, gradient: Tensor, moments: Moments, lr: float) -> tuple[Tensor, Moments]:
    step = moments.get("step", torch.zeros(())) + 1
    mean = part.beta1 * moments.get("exp_avg", 0) + (1 - part.beta1) * gradient
    square = part.beta2 * moments.get("exp_avg_sq", 0) + (1 - part.beta2) * gradient.square()
    time = step.double()  # float32 would leave four digits of 1 - 0.999
    root = _root(square / (1 - part.beta2**time)) + part.eps
    moved = weight - lr * mean / (1 - part.beta1**time) / root
    return moved, {"step": step, "exp_avg": mean, "exp_avg_sq": square}


@register("optimizer", "adam")
@dataclass(frozen=True)
class Adam(Part):
    """Steps of equal size along the averaged gradient; the usual optimizer of GANs, there with beta1 0.5 or 0.

    Kingma & Ba 2015, algorithm 1.
    """

    lr: Positive = 2e-4  # learning rate: about the largest change of a weight in one step
    beta1: Decay = 0.9  # how much of the mean gradient one step keeps
    beta2: Decay = 0.999  # how much of the mean squared gradient one step keeps
    eps: Positive = 1e-8  # added to the root mean square of the gradient

    def build(self, params: Sequence[Tensor]) -> torch.optim.Optimizer:
        """Make the optimizer of these parameters."""
        betas = (self.beta1, self.beta2)
        return DenseAdam(params, lr=self.lr, betas=betas, eps=self.eps, **_kernel(params))

    def ahead(self, weight: Tensor, gradient: Tensor, moments: Moments, lr: float) -> tuple[Tensor, Moments]:
        """One step as a formula: the weight and the moments after it; nothing is changed in place."""
        return _adam(self, weight, gradient, moments, lr)


@register("optimizer", "adamw")
@dataclass(frozen=True)
class AdamW(Part):
    """Adam whose weights shrink a little each step, apart from the gradient.

    Loshchilov & Hutter 2019, algorithm 2.
    """

    lr: Positive = 2e-4  # learning rate: about the largest change of a weight in one step
    beta1: Decay = 0.9  # how much of the mean gradient one step keeps
    beta2: Decay = 0.999  # how much of the mean squared gradient one step keeps
    eps: Positive = 1e-8  # added to the root mean square of the gradient
    weight_decay: NonNegative = 0.01  # share of a weight that one step takes away, times the learning rate

    def build(self, params: Sequence[Tensor]) -> torch.optim.Optimizer:
        """Make the optimizer of these parameters."""
        return DenseAdamW(
            params,
            lr=self.lr,
            betas=(self.beta1, self.beta2),
            eps=self.eps,
            weight_decay=self.weight_decay,
            **_kernel(params),
        )

    def ahead(self, weight: Tensor, gradient: Tensor, moments: Moments, lr: float) -> tuple[Tensor, Moments]:
        """One step as a formula: the weight and the moments after it; nothing is changed in place."""
        return _adam(self, (1 - lr * self.weight_decay) * weight, gradient, moments, lr)


@register("optimizer", "rmsprop")
@dataclass(frozen=True)
class RMSprop(Part):
    """Gradient divided by its root mean square, without momentum; the optimizer of WGAN with clipped weights.

    Tieleman & Hinton 2012, lecture 6.5; WGAN's settings from Arjovsky et al. 2017, algorithm 1.
    """

    lr: Positive = 5e-5  # learning rate: about the change of a weight in one step
    alpha: Decay = 0.99  # how much of the mean squared gradient one step keeps
    eps: Positive = 1e-8  # added to the root mean square of the gradient
    momentum: Decay = 0.0  # how much of the last step one step keeps

    def build(self, params: Sequence[Tensor]) -> torch.optim.Optimizer:
        """Make the optimizer of these parameters."""
        return torch.optim.RMSprop(
            params, lr=self.lr, alpha=self.alpha, eps=self.eps, momentum=self.momentum, foreach=True
        )

    def ahead(self, weight: Tensor, gradient: Tensor, moments: Moments, lr: float) -> tuple[Tensor, Moments]:
        """One step as a formula: the weight and the moments after it; nothing is changed in place."""
        square = self.alpha * moments.get("square_avg", 0) + (1 - self.alpha) * gradient.square()
        change = self.momentum * moments.get("momentum_buffer", 0) + gradient / (_root(square) + self.eps)
        return weight - lr * change, {"square_avg": square, "momentum_buffer": change}


@register("optimizer", "sgd")
@dataclass(frozen=True)
class SGD(Part):
    """Plain gradient descent, with momentum if asked for.

    Robbins & Monro 1951; momentum as in Sutskever et al. 2013, eq. 1-2, with the learning rate outside.
    """

    lr: Positive = 1e-2  # learning rate: change of a weight in one step for a gradient of 1
    momentum: Decay = 0.0  # how much of the last step one step keeps

    def build(self, params: Sequence[Tensor]) -> torch.optim.Optimizer:
        """Make the optimizer of these parameters."""
        return torch.optim.SGD(params, lr=self.lr, momentum=self.momentum, **_kernel(params))

    def ahead(self, weight: Tensor, gradient: Tensor, moments: Moments, lr: float) -> tuple[Tensor, Moments]:
        """One step as a formula: the weight and the moments after it; nothing is changed in place."""
        change = self.momentum * moments.get("momentum_buffer", 0) + gradient
        return weight - lr * change, {"momentum_buffer": change}
