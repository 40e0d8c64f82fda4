"""Layers whose weights are divided by their largest singular value, and functions that make them or plain ones.

Spectral normalization, Miyato et al. 2018, section 2 and algorithm 1: W / sigma, sigma = u^T W v, where u and v follow
the first singular vectors by one step of power iteration each time the layer works in training. W is the plain
parameter `weight`, as a matrix of [out, everything else]: that bounds a convolution only up to the taps of its kernel.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding as lookup
from torch.nn.functional import linear as affine
from torch.nn.functional import normalize

from zerosum.networks.precision import no_autocast

_TINY = 1e-12  # a sigma below it counts as this


class _Spectral(nn.Module):
    """Keeps u, the left singular vector, as a buffer; v is computed from it."""

    follows_weights = True  # u belongs to the weight: averaged weights need their own
    weight: Tensor
    u: Tensor

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.register_buffer("u", normalize(torch.randn(len(self.matrix())), dim=0))

    def matrix(self) -> Tensor:
        """The weight as `[out, everything else]`; a view where the weight lies in channels-last order."""
        return self.weight.movedim(1, -1).flatten(1)

    def sigma(self) -> Tensor:
        """Largest singular value, a scalar with a gradient to the weight; in training u takes one step."""
        with no_autocast(self.weight):  # in bf16 the steps would not converge
            matrix = self.matrix()
            v = normalize(matrix.detach().T @ self.u, dim=0)
            image = matrix @ v
            if self.training:
                u = normalize(image.detach(), dim=0)
                self.u.copy_(u)
            else:
                u = self.u.clone()  # the graph keeps it, and the next training pass changes the buffer
            return u.dot(image).clamp(min=_TINY)

    def normalised(self) -> Tensor:
        """The weight divided by its largest singular value, as estimated with u."""
        return self.weight / self.sigma()


class SpectralLinear(_Spectral, nn.Linear):
    """Linear layer with a spectrally normalised weight."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (torch's name)
        """Vectors `[..., in]` to `[..., out]`."""
        return affine(input, self.normalised(), self.bias)


class SpectralConv2d(_Spectral, nn.Conv2d):
    """Convolution with a spectrally normalised weight."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (torch's name)
        """Maps `[N, in, H, W]` to `[N, out, h, w]`."""
        return self._conv_forward(input, self.normalised(), self.bias)


class SpectralEmbedding(_Spectral, nn.Embedding):
    """Table of vectors `[entries, width]` with a spectrally normalised matrix."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (torch's name)
        """Indices `[...]` to vectors `[..., width]`."""
        return lookup(input, self.normalised())


def linear(before: int, after: int, *, bias: bool = True, spectral: bool = False) -> nn.Linear:
    """Make a linear layer."""
    return (SpectralLinear if spectral else nn.Linear)(before, after, bias=bias)


def convolution(
    before: int, after: int, kernel: int, stride: int = 1, padding: int = 0, *, spectral: bool = False, **settings: Any
) -> nn.Conv2d:
    """Make a convolution; `settings` are keywords of `nn.Conv2d`."""
    return (SpectralConv2d if spectral else nn.Conv2d)(before, after, kernel, stride, padding, **settings)


def embedding(entries: int, width: int, *, spectral: bool = False) -> nn.Embedding:
    """Make a table of vectors, drawn from N(0, 1)."""
    return (SpectralEmbedding if spectral else nn.Embedding)(entries, width)
