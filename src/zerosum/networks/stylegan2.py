"""The style-based generator of StyleGAN2: a mapping network from latents to styles, a synthesis network to images."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from zerosum.core.registry import Part, register
from zerosum.core.signals import Signals
from zerosum.core.values import Count, Fraction, Repeats
from zerosum.networks.conditioning import conditioned_on, required, rows
from zerosum.networks.equalized import EqualizedLinear
from zerosum.networks.layers import Output, end, network_traits
from zerosum.networks.modulation import ModulatedConv, StyledConv
from zerosum.networks.normalization import PixelNorm
from zerosum.networks.precision import at_least_float32, no_autocast
from zerosum.networks.pyramid import pyramid
from zerosum.networks.resampling import Up
from zerosum.networks.sizes import latent_size, plan
from zerosum.networks.space import Space

__all__ = ["StyleGAN2Generator"]

_SLOW = 0.01  # learning rate of the mapping network, relative to the rest
_KEPT = 0.995  # share of the average style that an update keeps


class Mapping(nn.Module):
    """Latents, and classes where there are any, to styles: fully connected layers, in float32."""

    def __init__(self, latent: int, classes: int, style: int, depth: int, layers: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(classes, style) if classes else None
        sizes = [latent + (style if classes else 0), *[style] * depth]
        self.body = nn.ModuleList(EqualizedLinear(a, b, rate=_SLOW, active=True) for a, b in itertools.pairwise(sizes))
        self.norm, self.layers = PixelNorm(), layers

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Latents `[N, latent]` to styles `[N, layers, style]`, the same for every layer."""
        with no_autocast(x):
            x = self.norm(x)
            if self.embedding is not None:
                x = torch.cat([x, self.norm(rows(self.embedding, required(label, self.embedding.num_embeddings)))], 1)
            for layer in self.body:
                x = layer(x)
        return x[:, None].expand(-1, self.layers, -1)


class Synthesis(nn.Module):
    """Styles to images: a learned constant, styled convolutions, and a sum of up-sampled colours."""

    def __init__(
        self,
        widths: list[int],
        base: tuple[int, int],
        colours: int,
        style: int,
        output: Output = "linear",
        *,
        noise: bool,
    ) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.randn(widths[0], *base))
        convs = [StyledConv(widths[0], widths[0], style, base, noise=noise)]
        for stage, (before, after) in enumerate(itertools.pairwise(widths), 1):
            size = base[0] << stage, base[1] << stage
            convs += [StyledConv(before, after, style, size, up=True, noise=noise)]
            convs += [StyledConv(after, after, style, size, noise=noise)]
        self.convs = nn.ModuleList(convs)
        self.colours = nn.ModuleList(Colours(width, colours, style) for width in widths)
        self.up = Up()
        self.layers, self.output = len(convs) + 1, output

    def forward(self, w: Tensor) -> Tensor:
        """Styles `[N, layers, style]` to images `[N, C, H, W]`, within [-1, 1] unless the output is linear."""
        x = self.constant.expand(len(w), -1, -1, -1)
        image: Tensor | None = None
        for layer, conv in enumerate(self.convs):
            x = conv(x, w[:, layer])
            if layer % 2 == 0:  # the last layer of its size; its colours share the style of the next convolution
                colours = self.colours[layer // 2](x, w[:, layer + 1])
                image = colours if image is None else self.up(image) + colours
        assert image is not None
        return end(image, self.output)


class Colours(nn.Module):
    """Maps to colours: a modulated 1x1 convolution without demodulation, and a bias; float32."""

    def __init__(self, inputs: int, outputs: int, style: int) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, outputs, 1, style, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Maps `[N, inputs, H, W]` and styles `[N, style]` to `[N, outputs, H, W]`."""
        with no_autocast(x):
            return self.conv(at_least_float32(x), w) + self.bias[:, None, None]


class StyleGenerator(nn.Module):
    """Mapping and synthesis, with style mixing in training and an average style for truncation."""

    average: Tensor

    def __init__(self, mapping: Mapping, synthesis: Synthesis, style: int, mixing: float) -> None:
        super().__init__()
        self.mapping, self.synthesis, self.mixing = mapping, synthesis, mixing
        self.register_buffer("average", torch.zeros(style))

    def forward(self, x: Tensor, label: Tensor | None = None, psi: float = 1.0) -> Tensor:
        """Latents `[N, latent]` to images `[N, C, H, W]`; `psi` below 1 trades variety for quality (`truncate`)."""
        w = self.mapping(x, label)
        if self.training:
            self._remember(w)
            w = self._mix(w, x, label)
        return self.synthesis(w if psi == 1 else self.truncate(w, psi))

    def truncate(self, w: Tensor, psi: float) -> Tensor:
        """Styles moved towards their average; at `psi` 0 they equal it (Karras et al. 2019, appendix B)."""
        return self.average.lerp(w, psi)

    @torch.no_grad()
    def _remember(self, w: Tensor) -> None:
        self.average.lerp_(w[:, 0].mean(0), 1 - _KEPT)

    def _mix(self, w: Tensor, x: Tensor, label: Tensor | None) -> Tensor:
        """Give a share of the samples, from a random layer on, the styles of a second latent (section 3.1 of 2019)."""
        if not self.mixing:
            return w
        count, layers, _ = w.shape
        crossover = torch.randint(1, layers, [count, 1], device=w.device)
        mixed = torch.rand(count, 1, device=w.device) < self.mixing
        second = mixed & (torch.arange(layers, device=w.device) >= crossover)
        return torch.where(second[:, :, None], self.mapping(torch.randn_like(x), label), w)


@register("network", "stylegan2-generator")
@dataclass(frozen=True)
class StyleGAN2Generator(Part):
    """Style-based generator: a mapping network, modulated convolutions on a learned constant, a sum of colours.

    StyleGAN2, Karras et al. 2020, configuration F (figure 2c, figure 7b): skip connections, filter [1, 3, 3, 1], leaky
    ReLU of slope 0.2, equalized learning rates, noise inputs; style mixing of StyleGAN (Karras et al. 2019, section
    3.1). Their output is linear. The constant is 4 to 7 pixels wide; an image of 2^k pixels has 2k - 2 layers of
    styles. The network offers `mapping(z, label) -> w [N, layers, style]`, `synthesis(w) -> [N, C, H, W]`,
    `truncate(w, psi)`, and a third argument `psi` of its forward.
    """

    channels: Count = 512  # largest number of maps of a stage
    halve_above: Count = 64  # side in pixels up to which stages have all maps; each doubling beyond halves them
    style: Count = 512  # numbers in a style w
    mapping: Repeats = 8  # layers of the mapping network; StyleGAN2-ADA has 2 for CIFAR-10
    mixing: Fraction = 0.9  # share of training images with styles of two latents
    noise: bool = True  # fresh noise in every layer, with a learned strength that starts at 0
    output: Output = "linear"  # tanh: for large areas of pure black or white; tanh-inward: can also leave them again
    labels: Literal["none", "embed"] = "none"  # embed: a learned embedding of the class beside the latent

    def build(self, inputs: Signals, outputs: Signals) -> nn.Module:
        """Make the network; its forward takes `[N, latent]` and gives `[N, C, H, W]`."""
        space = Space.of(inputs, outputs)
        halvings, base = plan(self.name, space)
        classes = conditioned_on(self.name, self.labels, space)
        widths = pyramid(self.channels, self.halve_above, base, halvings)
        synthesis = Synthesis(widths, base, space.shape[0], self.style, self.output, noise=self.noise)
        mapping = Mapping(latent_size(self.name, space), classes, self.style, self.mapping, synthesis.layers)
        return StyleGenerator(mapping, synthesis, self.style, self.mixing)

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        return network_traits("generator", "styles", "equalized", labels=self.labels)
