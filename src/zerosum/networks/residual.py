"""Residual blocks that double or halve a side, and their initial weights."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.functional import interpolate

from zerosum.networks.normalization import make_norm
from zerosum.networks.spectral import convolution


def glorot(module: nn.Module, gain: float = 1.0) -> None:
    """Draw all linear layers and convolutions uniformly (Glorot & Bengio 2010, eq. 16), and set their biases to 0."""
    for layer in module.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            nn.init.xavier_uniform_(layer.weight, gain)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class UpBlock(nn.Module):
    """Residual block that doubles the side: norm, ReLU, nearest upsampling, 3x3, norm, ReLU, 3x3; a 1x1 skip.

    Gulrajani et al. 2017; Miyato et al. 2018. The 1x1 convolution comes before the upsampling, not after it as drawn in
    the papers: the two commute, and there it costs a quarter.

    Args:
        before: channels in.
        after: channels out.
        norm: makes the norm of so many channels; it is called with the condition if the block is.
        spectral: normalise every convolution.
    """

    def __init__(self, before: int, after: int, norm: Callable[[int], nn.Module], *, spectral: bool = False) -> None:
        super().__init__()
        self.norms = nn.ModuleList([norm(before), norm(after)])
        self.branch = nn.ModuleList(
            [
                convolution(before, after, 3, padding=1, spectral=spectral),
                convolution(after, after, 3, padding=1, spectral=spectral),
            ]
        )
        self.skip = convolution(before, after, 1, spectral=spectral)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Maps `[N, before, H, W]`, and what the norms depend on, to `[N, after, 2 H, 2 W]`."""
        extra = () if condition is None else (condition,)
        y = self.branch[0](_doubled(self.norms[0](x, *extra).relu()))
        y = self.branch[1](self.norms[1](y, *extra).relu())
        return y + _doubled(self.skip(x))


def _doubled(x: Tensor) -> Tensor:
    return interpolate(x, scale_factor=2, mode="nearest")


class DownBlock(nn.Module):
    """Residual block of discriminators: norm, ReLU, 3x3, norm, ReLU, 3x3, and a mean over 2x2 where it halves.

    Gulrajani et al. 2017; Miyato et al. 2018. The skip is the mean and a 1x1 convolution, which commute too; the
    identity where neither width nor size changes. The first block of a network starts with its convolution, as a ReLU
    would cut off half of the image, and has no norm.

    Args:
        before: channels in.
        after: channels out.
        hidden: channels between the two convolutions.
        norm: by name, of both places.
        halve: halve the side.
        first: the input is the image.
        spectral: normalise every convolution.
    """

    def __init__(
        self,
        before: int,
        after: int,
        hidden: int,
        *,
        norm: str = "none",
        halve: bool = True,
        first: bool = False,
        spectral: bool = False,
    ) -> None:
        super().__init__()
        shrink = [nn.AvgPool2d(2)] if halve else []
        self.branch = nn.Sequential(
            *([] if first else [make_norm(norm, before, 2), nn.ReLU()]),
            convolution(before, hidden, 3, padding=1, spectral=spectral),
            *([] if first else [make_norm(norm, hidden, 2)]),
            nn.ReLU(inplace=True),
            convolution(hidden, after, 3, padding=1, spectral=spectral),
            *shrink,
        )
        same = before == after and not halve
        self.skip = nn.Identity() if same else nn.Sequential(*shrink, convolution(before, after, 1, spectral=spectral))

    def forward(self, x: Tensor) -> Tensor:
        """Maps `[N, before, H, W]` to `[N, after, h, w]`."""
        return self.branch(x) + self.skip(x)
