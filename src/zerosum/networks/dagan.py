"""Networks for pairs of images of one class: a generator that starts from an image, and a discriminator of pairs."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from zerosum.core.errors import RecipeError
from zerosum.core.registry import Part, register
from zerosum.core.signals import Signals
from zerosum.core.values import Count
from zerosum.networks.dcgan import Norm, halve, widths
from zerosum.networks.discriminator import Discriminator, Head
from zerosum.networks.layers import FlatMaps, FromPixel, network_traits
from zerosum.networks.mlp import hidden
from zerosum.networks.normalization import make_norm
from zerosum.networks.precision import at_least_float32
from zerosum.networks.sizes import latent_size, plan
from zerosum.networks.space import Space
from zerosum.networks.stack import Stack

__all__ = ["DAGANDiscriminator", "DAGANGenerator"]

_PRIME = 1_000_003


class Bank(nn.Module):
    """The last real images of each class, as 8-bit pixels: buffers, so they are saved with the weights.

    Args:
        shape: of an image, (channels, height, width).
        classes: number of classes.
        size: total number of images, equally many of each class; at least one of each.
    """

    images: Tensor  # uint8 [classes * each, C, H, W], those of one class side by side
    seen: Tensor  # int64 [classes], images of each class so far

    def __init__(self, shape: tuple[int, ...], classes: int, size: int) -> None:
        super().__init__()
        self.each = max(1, size // classes)
        self.register_buffer("images", torch.zeros(classes * self.each, *shape, dtype=torch.uint8))
        self.register_buffer("seen", torch.zeros(classes, dtype=torch.int64))

    @torch.no_grad()
    def keep(self, images: Tensor, label: Tensor) -> None:
        """Store real images `[N, C, H, W]` in [-1, 1] of classes `[N]`, each in place of the oldest of its class.

        For every slot the last image of the batch that falls on it is computed: nothing waits for the device, and the
        result does not depend on the order in which a device writes.
        """
        order = label.argsort(stable=True)
        row, classes = label[order], torch.arange(len(self.seen), device=label.device)
        first = torch.searchsorted(row, classes)
        count = torch.searchsorted(row, classes, right=True) - first
        places, last = torch.arange(self.each, device=label.device), (count - 1)[:, None]
        which = last - (last - (places - self.seen[:, None])) % self.each  # among the batch's of the class; < 0: none
        newest = order[(first[:, None] + which).flatten().clamp(0, len(label) - 1)]
        pixels = images.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
        came = (which >= 0).flatten()[:, None, None, None]
        self.images.copy_(torch.where(came, pixels[newest], self.images))
        self.seen.add_(count)

    def draw(self, label: Tensor, key: Tensor, otherwise: Tensor | float = 0.0) -> Tensor:
        """Images `[N, C, H, W]` in [-1, 1] of classes `[N]`; equal keys (whole numbers >= 0, `[N]`) give equal images.

        `otherwise` replaces images of classes of which none are stored.
        """
        counts = self.seen[label]
        stored = self.images[label * self.each + key % counts.clamp(1, self.each)].float().div(127.5).sub(1)
        return torch.where((counts > 0)[:, None, None, None], stored, otherwise)

    def start(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """Images `[N, C, H, W]` that samples start from: a function of the latents `[N, K]` and of their classes.

        The bits of a latent are the key, so a sample does not depend on the rest of the batch.
        """
        key = latent.float().view(torch.int32).sum(1) % _PRIME  # a prime: some latents have no odd bits
        if label is None:
            key, label = key // len(self.seen), key % len(self.seen)
        return self.draw(label, key)


class SourcedGenerator(nn.Module):
    """Generator that starts from an image: an encoder, with skip connections to the decoder at each size.

    Args:
        encoder: stages that halve an image to the base.
        code: maps of the base to vectors `[N, units]`.
        inlet: joined latents and vectors, `[N, latent + units]`, to maps of the base.
        decoder: as many stages that double; each takes the maps so far and the encoder's maps of that size.
        bank: real images to start from where no source is given.
    """

    def __init__(
        self, encoder: list[nn.Module], code: nn.Module, inlet: nn.Module, decoder: list[nn.Module], bank: Bank
    ) -> None:
        super().__init__()
        self.encoder, self.code, self.inlet = nn.ModuleList(encoder), code, inlet
        self.decoder, self.bank = nn.ModuleList(decoder), bank

    def forward(self, x: Tensor, label: Tensor | None = None, source: Tensor | None = None) -> Tensor:
        """Latents `[N, latent]` and sources `[N, C, H, W]` to images `[N, C, H, W]` in [-1, 1].

        Without sources they come from the bank: of the classes in `label`, or of any.
        """
        maps = [self.bank.start(x, label) if source is None else source]
        maps[0] = maps[0].to(x.dtype)
        for stage in self.encoder:
            maps.append(stage(maps[-1]))
        x = self.inlet(torch.cat([x, self.code(maps[-1])], 1))
        for stage in self.decoder:
            x = stage(torch.cat([x, maps.pop()], 1))
        # bf16 has too few steps near -1 and 1: the discriminator would know fakes by them
        return at_least_float32(x).tanh()

    def sources(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """Images `[N, C, H, W]` that samples of these latents start from where no source is given."""
        return self.bank.start(latent, label)


class PairDiscriminator(Discriminator):
    """Discriminator of pairs of images, concatenated along their channels.

    Args:
        body: pairs `[N, 2 * C, H, W]` to features `[N, F]`.
        head: features to logits.
    """

    def __init__(self, body: list[nn.Module], head: Head) -> None:
        super().__init__()
        self.body, self.head = Stack(*body), head

    def features(self, x: Tensor, label: Tensor | None = None, source: Tensor | None = None) -> Tensor:
        """Samples and their sources, both `[N, C, H, W]`, to the input of the head, `[N, F]`.

        Raises:
            ValueError: the sources are missing.
        """
        if source is None:
            raise ValueError(
                "this discriminator judges pairs: call it with sample, label or None, and source [N, C, H, W]"
            )
        return self.body(torch.cat([x, source.to(x.dtype)], 1), label)

    def forward(self, x: Tensor, label: Tensor | None = None, source: Tensor | None = None) -> Tensor:
        """Samples and their sources, both `[N, C, H, W]`, to logits `[N]`."""
        return self.logits(self.features(x, label, source), label)


@register("network", "dagan-generator")
@dataclass(frozen=True)
class DAGANGenerator(Part):
    """Generator of further images of a class: it takes an image of the class and a latent, and makes another.

    DAGAN, Antoniou, Storkey & Edwards 2018. Their U-Net of residual blocks is here a plain one: strided convolutions
    halve the source to 4 to 7 pixels (the first has no norm), a linear layer makes a vector of that map, vector and
    latent together become a map of the same size, and transposed convolutions double it back, each joined with the
    encoder's map of its size. No residual blocks, no dropout. The class enters only through the source, so images of
    new classes can be sources too.

    It samples without data because it keeps the last real images of each class, `bank` in all, and starts from those
    where it is called without a source. So its weights, and every file of them, CONTAIN TRAINING IMAGES: do not share
    them where the data may not be shared. A class that no batch contained yet starts from grey.

    Raises:
        RecipeError: the data have no classes, are points, or have a size that does not halve to 4 to 7 pixels.
    """

    needs: ClassVar[dict[str, str]] = {
        "source game": "it starts from real images, which only a game such as pairs gives it; choose a recipe of that "
        "game, or set generator.network=dcgan-generator"
    }
    channels: Count = 64  # channels of the first stage and of the last hidden one, both at half the image's size
    units: Count = 128  # size of the vector that represents the source
    norm: Norm = "batch"  # of hidden stages, before their activation
    bank: Count = 256  # real images stored in the network, equally many of each class (at least one)

    def build(self, inputs: Signals, outputs: Signals) -> nn.Module:
        """Make the network; its forward takes `[N, latent]`, labels and `[N, C, H, W]`, and gives `[N, C, H, W]`."""
        space = Space.of(inputs, outputs)
        halvings, base = plan(self.name, space)
        latent, bias = latent_size(self.name, space), self.norm == "none"
        if not space.classes:
            raise RecipeError(
                f"network {self.name!r} makes further images of a class, and these data have no classes; sort the "
                "images into one sub-folder a class, or choose dcgan-generator and game=image"
            )
        stages = widths(self.channels, halvings)
        encoder: list[nn.Module] = [
            self._stage(nn.Conv2d(before, after, 4, 2, 1, bias=bias), nn.LeakyReLU(0.2, inplace=True), normed=place > 0)
            for place, (before, after) in enumerate(itertools.pairwise([space.shape[0], *stages]))
        ]
        code = nn.Linear(stages[-1] * base[0] * base[1], self.units)
        inlet = self._stage(FromPixel(latent + self.units, stages[-1], base, bias=bias), nn.ReLU(inplace=True))
        decoder: list[nn.Module] = [
            self._stage(nn.ConvTranspose2d(2 * before, after, 4, 2, 1, bias=bias), nn.ReLU(inplace=True))
            for before, after in itertools.pairwise(stages[::-1])
        ]
        decoder += [nn.ConvTranspose2d(2 * stages[0], space.shape[0], 4, 2, 1, bias=bias)]
        vector = nn.Sequential(FlatMaps(), code, nn.LeakyReLU(0.2, inplace=True))
        return SourcedGenerator(encoder, vector, inlet, decoder, Bank(space.shape, space.classes, self.bank))

    def _stage(
        self, layer: nn.Conv2d | nn.ConvTranspose2d, activation: nn.Module, *, normed: bool = True
    ) -> nn.Sequential:
        """A convolution, its norm, and the activation."""
        norms = [make_norm(self.norm, layer.out_channels, 2)] if normed and self.norm != "none" else []
        return nn.Sequential(layer, *norms, activation)

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        return network_traits("generator", "source", "labels", norm=self.norm)


@register("network", "dagan-discriminator")
@dataclass(frozen=True)
class DAGANDiscriminator(Part):
    """Discriminator of pairs of images: DCGAN's stages on both images, concatenated, and a hidden layer.

    DAGAN, Antoniou, Storkey & Edwards 2018, who use a DenseNet with layer norm; the stages here are those of Radford
    et al. 2016. The first stage has no norm, so with images of 8 to 14 pixels there is none. Batch norm is incompatible
    with the gradient penalty.
    """

    needs: ClassVar[dict[str, str]] = {
        "pairs game": "it judges two images together, which only a game such as pairs shows it; choose a recipe of "
        "that game, or set discriminator.network=dcgan-discriminator"
    }
    channels: Count = 64  # channels of the first stage, the one at half the image's size
    units: Count = 512  # units of the hidden layer after the stages
    norm: Norm = "layer"  # of all stages but the first, before the LeakyReLU of slope 0.2
    spectral: bool = False  # true: divide every weight by its largest singular value

    def build(self, inputs: Signals, outputs: Signals) -> Discriminator:
        """Make the network; its forward takes `[N, C, H, W]`, labels and `[N, C, H, W]`, and gives `[N]`."""
        space = Space.of(inputs, outputs)
        halvings, (height, width) = plan(self.name, space)
        stages = widths(self.channels, halvings)
        body = [*halve(2 * space.shape[0], stages, self.norm, spectral=self.spectral), FlatMaps()]
        body += hidden([stages[-1] * height * width, self.units], "leaky-relu", spectral=self.spectral)
        return PairDiscriminator(body, Head(self.units, spectral=self.spectral))

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        always = "discriminator", "logits", "features", "pairs"
        return network_traits(*always, norm=self.norm, spectral=self.spectral)
