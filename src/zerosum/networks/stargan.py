"""The networks of StarGAN: a translator that is told a domain, and a discriminator of patches that names it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from zerosum.core.errors import RecipeError
from zerosum.core.registry import Part, register
from zerosum.core.signals import Signals
from zerosum.core.values import Count
from zerosum.networks.conditioning import JoinLabel, conditioned_on
from zerosum.networks.discriminator import Discriminator
from zerosum.networks.layers import network_traits
from zerosum.networks.normalization import make_norm
from zerosum.networks.precision import at_least_float32
from zerosum.networks.space import Space
from zerosum.networks.stack import Stack

HALVINGS = 2  # of the image before the residual blocks, and doublings after them
LEAST = 8  # pixels of a side, and what sides are multiples of: below nothing is left for instance norm


@register("network", "stargan-translator")
@dataclass(frozen=True)
class StarGANTranslator(Part):
    """Image and class to image: strided convolutions, residual blocks at a quarter of the size, transposed ones.

    StarGAN, Choi et al. 2018, appendix, table 4: the class joins the image as one constant map for each; 7x7 to 64
    `channels`, 4x4 to 128 and 256, 6 residual blocks of two 3x3 each, transposed 4x4 to 128 and 64, 7x7 to the image;
    instance norm with scale and shift and ReLU after each but the last. For colour images and 5 classes: 8,430,528
    parameters.

    A constant map is constant after a convolution too, and instance norm takes constants away: the class is then seen
    at the borders alone, where zeros join. labels=norm gives each class a scale and shift in every norm instead
    (Dumoulin, Shlens & Kudlur 2017), and no map. In place of a class there may be attributes, 0 or 1 each: a map for
    each; or a scale and shift for having it and for lacking it, whose means over the attributes are taken.
    """

    channels: Count = 64  # channels of the first stage, at the image's own size
    blocks: Count = 6  # residual blocks, of 4 times `channels`
    labels: Literal["concat", "norm"] = "concat"  # how the class enters: as maps beside the image, or in each norm

    def build(self, inputs: Signals, outputs: Signals) -> nn.Module:
        """Make the network; its forward takes `[N, C, H, W]` and classes `[N]`, and gives `[N, C, H, W]` in [-1, 1].

        In place of classes attributes `[N, K]`, where the data have these.

        Raises:
            RecipeError: there are no images, or of a size that does not halve, or no classes.
        """
        space = Space.of(inputs, outputs)
        _fit(self.name, space, LEAST)
        count = 2 * space.attributes if self.labels == "norm" and space.attributes else 0
        count = count or conditioned_on(self.name, self.labels, space)
        colours, wide = space.shape[0], self.channels
        join = JoinLabel(self.labels, count, space.shape)
        each = count if self.labels == "norm" else 0
        body = [join, *_stage(nn.Conv2d(colours + join.width, wide, 7, 1, 3, bias=False), each)]
        for _ in range(HALVINGS):
            body += _stage(nn.Conv2d(wide, 2 * wide, 4, 2, 1, bias=False), each)
            wide *= 2
        body += [_Block(wide, each) for _ in range(self.blocks)]
        for _ in range(HALVINGS):
            body += _stage(nn.ConvTranspose2d(wide, wide // 2, 4, 2, 1, bias=False), each)
            wide //= 2
        body.append(nn.Conv2d(wide, colours, 7, 1, 3, bias=False))
        return _Translator(*body, shared=self.labels == "norm" and space.attributes > 0)

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        return frozenset({"translator", "labels"})


@register("network", "stargan-discriminator")
@dataclass(frozen=True)
class StarGANDiscriminator(Part):
    """Strided convolutions without norms, a logit for each place of the map that is left, and one head for the class.

    StarGAN, Choi et al. 2018, appendix, table 5: 4x4 convolutions of stride 2 and LeakyReLU of 0.01, the first to 64
    `channels`, each of the others to twice as many, down to a map of 2x2 for 128x128 pixels; a 3x3 convolution gives
    the patches' logits, one of the whole map the classes'. Neither has a bias. For those images and 5 classes:
    44,762,048 parameters.
    """

    channels: Count = 64  # channels of the first stage
    layers: Count = 6  # stages, which halve the map
    labels: Literal["none", "classifier"] = "none"  # classifier: a second head that names the class

    def build(self, inputs: Signals, outputs: Signals) -> nn.Module:
        """Make the network; its forward takes `[N, C, H, W]` and gives `[N, 1, h, w]`.

        Raises:
            RecipeError: there are no images, or of a size that does not halve, or no classes.
        """
        space = Space.of(inputs, outputs)
        _fit(self.name, space, 1 << self.layers)
        classes = conditioned_on(self.name, self.labels, space)
        body: list[nn.Module] = []
        before = space.shape[0]
        for stage in range(self.layers):
            after = self.channels << stage
            body += [nn.Conv2d(before, after, 4, 2, 1), nn.LeakyReLU(0.01, inplace=True)]
            before = after
        sides = [side >> self.layers for side in space.shape[1:]]
        return _PatchesAndClasses(nn.Sequential(*body), (before, *sides), classes)

    def traits(self) -> frozenset[str]:
        """What the network brings."""
        return network_traits("discriminator", "logits", "features", labels=self.labels)


def _fit(name: str, space: Space, step: int) -> None:
    if not space.is_image:
        mend = "use mlp-discriminator" if name.endswith("discriminator") else "train on images"
        raise RecipeError(f"network {name!r} works on images, and these are {space}; {mend}")
    if any(side % step for side in space.shape[1:]):
        near = "x".join(str(max(1, round(side / step)) * step) for side in space.shape[1:])
        fewer = ", or fewer layers" if name.endswith("discriminator") else ""
        raise RecipeError(
            f"network {name!r} takes sides that are multiples of {step}, and these are {space}; set size={near}{fewer}"
        )


def _stage(convolution: nn.Conv2d | nn.ConvTranspose2d, classes: int) -> list[nn.Module]:
    return [convolution, make_norm("instance", convolution.out_channels, 2, classes), nn.ReLU(inplace=True)]


class _Block(nn.Module):
    """Two convolutions beside the identity; nothing follows the sum."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        first, second = (nn.Conv2d(channels, channels, 3, 1, 1, bias=False) for _ in range(2))
        self.body = Stack(*_stage(first, classes), *_stage(second, classes)[:-1])

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """Maps `[N, C, H, W]` to maps of that size, as of these classes `[N]`."""
        change: Tensor = self.body(x, label)
        return x + change


class _Translator(Stack):
    """Layers one after the other; images end in tanh.

    Args:
        layers: as of `Stack`.
        shared: each attribute has two rows in the norms, for having and lacking it, of which the mean is taken.
    """

    conditional: ClassVar[tuple[type[nn.Module], ...]] = (*Stack.conditional, _Block)
    step: ClassVar[int] = LEAST  # it takes all sides that are multiples of this

    def __init__(self, *layers: nn.Module, shared: bool = False) -> None:
        super().__init__(*layers)
        self.shared = shared

    def forward(self, input: Tensor, label: Tensor | None = None) -> Tensor:  # noqa: A002  (torch's name)
        """Images `[N, C, H, W]` to images in [-1, 1], as of these classes `[N]` or with these attributes `[N, K]`."""
        if self.shared and label is not None:
            label = torch.cat([label, 1 - label], 1) / label.shape[1]
        return at_least_float32(super().forward(input, label)).tanh()


class _PatchesAndClasses(Discriminator):
    """Both heads look at the same map, which is flat between them and the trunk.

    Args:
        trunk: images `[N, C, H, W]` to maps.
        shape: of a map.
        classes: how many; 0 for no second head.
    """

    def __init__(self, trunk: nn.Module, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.trunk, self.shape = trunk, shape
        self.patches = nn.Conv2d(shape[0], 1, 3, 1, 1, bias=False)
        self.classes = nn.Conv2d(shape[0], classes, (shape[1], shape[2]), bias=False) if classes else None

    def features(self, x: Tensor, label: Tensor | None = None) -> Tensor:  # noqa: ARG002 - it is not told the class
        """Images `[N, C, H, W]` to maps, flat, `[N, F]`."""
        return self.trunk(x).flatten(1)

    def logits(self, features: Tensor, label: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Maps, flat, `[N, F]`, to logits of patches `[N, 1, h, w]`."""
        return self.patches(features.unflatten(1, self.shape))

    def classify(self, features: Tensor) -> Tensor:
        """Maps, flat, `[N, F]`, to logits of the classes `[N, K]`.

        Raises:
            ValueError: the network was not built with labels=classifier.
        """
        if self.classes is None:
            raise ValueError("this discriminator tells no classes apart; build it with labels=classifier")
        return self.classes(features.unflatten(1, self.shape)).flatten(1)
