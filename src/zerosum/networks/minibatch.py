"""Layers that tell a discriminator how similar the samples of a batch are, so that it detects mode collapse.

Real and generated batches are processed separately. With such a layer the logit of a sample depends on all others: on
several ranks, on the others of its rank's part of the batch.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from zerosum.networks.precision import at_least_float32
from zerosum.networks.spectral import linear

Minibatch = Literal["none", "stddev", "discrimination"]


class MinibatchStddev(nn.Module):
    """Adds a channel: the standard deviation over a group of samples, averaged over all numbers of a sample.

    Karras et al. 2018, section 3: sqrt(var + 1e-8), mean over channels and pixels. Sample n belongs to group
    n mod (N / size), so neighbours are in different groups.

    Args:
        group: samples in a group; where it does not divide N, the next smaller number that does.
    """

    def __init__(self, group: int = 4) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        """Features `[N, C, ...]` to `[N, C + 1, ...]`."""
        size = next(size for size in range(self.group, 0, -1) if len(x) % size == 0)
        groups = at_least_float32(x).unflatten(0, (size, -1))
        variance = (groups - groups.mean(0)).square().mean(0)  # Tensor.var takes ten times as long on a CPU
        deviation = (variance + 1e-8).sqrt().flatten(1).mean(1)
        channel = deviation.repeat(size).reshape(-1, *[1] * (x.ndim - 1)).expand(-1, 1, *x.shape[2:])
        return torch.cat([x, channel.to(x.dtype)], 1)


class MinibatchDiscrimination(nn.Module):
    """Adds features: how near the other samples are, by each of several kernels.

    Salimans et al. 2016, section 3.2: with M_i = f_i T, a matrix of [kernels, dims], feature b of sample i is the sum
    over j of exp(-|M_ib - M_jb|), absolute values summed over dims. The paper sums over all j, which adds exp(0) = 1 to
    each; the authors' code leaves j = i out, as does this one.

    Args:
        features: numbers in f.
        kernels: features that are added; 100 in the authors' code.
        dims: numbers that a kernel compares; 5 in the authors' code.
        include_self: also count j = i.
        spectral: normalise T.
    """

    def __init__(
        self, features: int, kernels: int = 100, dims: int = 5, *, include_self: bool = False, spectral: bool = False
    ) -> None:
        super().__init__()
        self.kernels, self.include_self = kernels, include_self
        self.project = linear(features, kernels * dims, bias=False, spectral=spectral)

    def forward(self, x: Tensor) -> Tensor:
        """Features `[N, F]` to `[N, F + kernels]`."""
        places = at_least_float32(self.project(x)).unflatten(1, (self.kernels, -1)).transpose(0, 1)
        closeness = _Distances.apply(places.contiguous()).neg().exp()
        if not self.include_self:
            closeness = closeness - torch.eye(len(x), device=x.device)
        return torch.cat([x, closeness.sum(2).T.to(x.dtype)], 1)


class _Distances(torch.autograd.Function):
    """Sums of absolute differences, `[K, N, D]` to `[K, N, N]`; `torch.cdist` alone cannot be differentiated twice."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.cdist(x, x, p=1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        if torch.is_grad_enabled():  # a gradient penalty will differentiate it again
            signs = (x[:, :, None] - x[:, None]).sign()
            return ((grad + grad.mT)[..., None] * signs).sum(2)
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(torch.cdist(x, x, p=1), x, grad)[0]
