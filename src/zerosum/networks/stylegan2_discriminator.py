"""The residual discriminator of StyleGAN2."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from zerosum.core.registry import Part, register
from zerosum.core.signals import Signals
from zerosum.core.values import Count
from zerosum.networks.conditioning import conditioned_on
from zerosum.networks.discriminator import Discriminator, Head
from zerosum.networks.equalized import EqualizedConv, EqualizedLinear
from zerosum.networks.layers import network_traits
from zerosum.networks.minibatch import MinibatchStddev
from zerosum.networks.precision import at_least_float32, no_autocast
from zerosum.networks.pyramid import pyramid
from zerosum.networks.resampling import Down
from zerosum.networks.sizes import plan
from zerosum.networks.space import Space

__all__ = ["StyleGAN2Discriminator"]


class DownBlock(nn.Module):
    """Two convolutions, the second to half the size, and a 1x1 skip: (branch + skip) / sqrt 2."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = EqualizedConv(before, before, 3, active=True)
        self.second = EqualizedConv(before, after, 3, down=True, active=True)
        self.skip = nn.Sequential(Down(), EqualizedConv(before, after, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """`[N, before, H, W]` to `[N, after, H/2, W/2]`."""
        return (self.second(self.first(x)) + self.skip(x)) * math.sqrt(0.5)


class Top(nn.Module):
    """Maps of the base to features: minibatch standard deviation, a convolution, a fully connected layer."""

    def __init__(self, width: int, base: tuple[int, int], group: int) -> None:
        super().__init__()
        self.spread = MinibatchStddev(group) if group else nn.Identity()
        self.conv = EqualizedConv(width + bool(group), width, 3, active=True)
        self.linear = EqualizedLinear(width * math.prod(base), width, active=True)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, width, *base]` to `[N, width]`."""
        return self.linear(self.conv(self.spread(x)).flatten(1))


class StyleDiscriminator(Discriminator):
    """Blocks in the precision of autocast; from the base on everything is float32, as in the published training.

    The head is equalized like the rest: weights from N(0, 1), scaled in use through the features. An initialization
    other than default would redraw only the head's weights.
    """

    def __init__(self, body: nn.Module, top: Top, head: Head) -> None:
        super().__init__()
        self.body, self.top, self.head = body, top, head
        self.scale = 1 / math.sqrt(head.logit.in_features)
        for parameter in head.parameters():
            (nn.init.normal_ if parameter.ndim == 2 else nn.init.zeros_)(parameter)

    def features(self, x: Tensor, label: Tensor | None = None) -> Tensor:  # noqa: ARG002 (the class is the head's)
        """Images `[N, C, H, W]` to `[N, width]`."""
        x = self.body(x)
        with no_autocast(x):
            return self.top(at_least_float32(x))

    def logits(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        """Features `[N, width]` to logits `[N]`."""
        with no_autocast(features):
            return super().logits(features * self.scale, label)

    def classify(self, features: Tensor) -> Tensor:
        """Features `[N, width]` to logits of the classes, `[N, K]`."""
        with no_autocast(features):
            return super().classify(features * self.scale)


@register("network", "stylegan2-discriminator")
@dataclass(frozen=True)
class StyleGAN2Discriminator(Part):
    """Residual discriminator: blocks that halve the image to a base of 4 to 7 pixels, then one fully connected layer.

    StyleGAN2, Karras et al. 2020, figure 7c: 1x1 skip connections, filter [1, 3, 3, 1], leaky ReLU of slope 0.2,
    equalized learning rates, no norm. The standard deviation of groups of samples joins the base as a map (Karras et
    al. 2018, section 3). With labels=projection the logit is w.f + b + v_y.f (Miyato & Koyama 2018).
    """

    channels: Count = 512  # largest number of maps of a stage
    halve_above: Count = 64  # side in pixels up to which stages have all maps; each doubling beyond halves them
    minibatch: Literal["none", "stddev"] = "stddev"  # stddev: a map of how much the samples of a group differ
    group: Count = 4  # samples in a group of the minibatch standard deviation
    labels: Literal["none", "projection", "classifier"] = "none"  # how the class enters, or is predicted

    def build(self, inputs: Signals, outputs: Signals) -> nn.Module:
        """Make the network; its forward takes `[N, C, H, W]` and gives `[N]`."""
        space = Space.of(inputs, outputs)
        halvings, base = plan(self.name, space)
        classes = conditioned_on(self.name, self.labels, space)
        widths = pyramid(self.channels, self.halve_above, base, halvings)[::-1]
        first = EqualizedConv(space.shape[0], widths[0], 1, active=True)
        body = nn.Sequential(first, *(DownBlock(*pair) for pair in itertools.pairwise(widths)))
        top = Top(widths[-1], base, self.group if self.minibatch == "stddev" else 0)
        return StyleDiscriminator(body, top, Head(widths[-1], labels=self.labels, classes=classes))

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        always = "discriminator", "logits", "features", "equalized"
        return network_traits(*always, labels=self.labels, minibatch=self.minibatch)
