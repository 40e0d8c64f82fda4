"""Self-attention over the positions of a map, as in SAGAN."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from zerosum.core.errors import RecipeError
from zerosum.networks.spectral import convolution

__all__ = ["SelfAttention", "attentions"]


class SelfAttention(nn.Module):
    """Every position of a map attends to all positions; the result is added with a gain that starts at 0.

    SAGAN, Zhang et al. 2019, eqs. 1 to 3: `x + gain * out(sum_i softmax_i(query(x_j) . key(x_i)) value(x_i))` for every
    position j. Queries and keys have an eighth of the channels, values half of them, all from 1x1 convolutions without
    bias; keys and values are max-pooled 2x2, as in the authors' code, which saves three quarters of the work.
    """

    def __init__(self, channels: int, *, spectral: bool = False) -> None:
        super().__init__()
        narrow, half = max(1, channels // 8), max(1, channels // 2)
        self.query = convolution(channels, narrow, 1, bias=False, spectral=spectral)
        self.key = convolution(channels, narrow, 1, bias=False, spectral=spectral)
        self.value = convolution(channels, half, 1, bias=False, spectral=spectral)
        self.out = convolution(half, channels, 1, bias=False, spectral=spectral)
        self.gain = nn.Parameter(torch.zeros(()))

    def weights(self, x: Tensor) -> Tensor:
        """Attention of each position to each pooled position, `[N, H * W, h * w]`; rows sum to 1."""
        queries, keys = self.query(x).flatten(2), _pooled(self.key(x))
        return (queries.transpose(1, 2) @ keys).softmax(2)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `[N, C, H, W]` to maps of the same shape."""
        attended = _pooled(self.value(x)) @ self.weights(x).transpose(1, 2)
        return x + self.gain * self.out(attended.unflatten(2, x.shape[2:]))


def _pooled(x: Tensor) -> Tensor:
    """Maps `[N, C, H, W]` max-pooled 2x2, `[N, C, h * w]`; an odd edge is pooled by itself."""
    return max_pool2d(x, 2, ceil_mode=True).flatten(2)


def attentions(name: str, attention: int, sides: list[int], widths: list[int], *, spectral: bool) -> list[nn.Module]:
    """Make the module after each block: self-attention after the largest map that is small enough, else the identity.

    Args:
        name: of the network, for the message.
        attention: largest side in pixels; 0 for none.
        sides: of each block's map, in pixels.
        widths: channels of each block's map.
        spectral: normalise every weight.

    Raises:
        RecipeError: every block's map is larger.
    """
    followers: list[nn.Module] = [nn.Identity() for _ in sides]
    if attention and attention < min(sides):
        choices = " or ".join(map(str, sorted(set(sides))))
        raise RecipeError(
            f"network {name!r}: no block gives maps of {attention} pixels or fewer; set attention=0 or {choices}"
        )
    if attention:
        place = sides.index(max(side for side in sides if side <= attention))
        followers[place] = SelfAttention(widths[place], spectral=spectral)
    return followers
