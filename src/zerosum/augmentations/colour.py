"""Colours: random affine maps of RGB, as in ADA."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zerosum.augmentations.augmentation import per_image, sometimes


def recolour(images: Tensor, p: Tensor) -> Tensor:
    """Change brightness, contrast, luma's sign, hue and saturation of images [N, C, H, W], each with probability p.

    Karras et al. 2020, appendix B, "color transformations", n ~ N(0, 1): brightness adds 0.2 n, contrast multiplies by
    2^(0.5 n), luma is mirrored for half of the chosen images, hue turns by a uniform angle, saturation is multiplied by
    2^n. Luma and its axis are grey, (1, 1, 1). Grey images have neither hue nor saturation and take the first three.

    Raises:
        ValueError: the images are neither grey nor RGB.
    """
    count, channels = images.shape[:2]
    if channels not in (1, 3):
        raise ValueError(f"ada: colours of images with {channels} channels are unknown; use pipeline=bg")
    normal = torch.randn(3, count, device=images.device)
    uniform = torch.rand(2, count, device=images.device)
    brightness, contrast = sometimes(p, 0.2 * normal[0]), sometimes(p, 0.5 * normal[1])
    mirror = sometimes(p, (2 * uniform[0]).floor())
    changes = [brightness, contrast, mirror]
    luma = contrast.exp2() * (1 - 2 * mirror)
    if channels == 3:
        hue, saturation = sometimes(p, (2 * uniform[1] - 1) * math.pi), sometimes(p, normal[2])
        changes += [hue, saturation]
        maps = colour_maps(luma, (contrast + saturation).exp2(), hue)
    else:
        maps = luma[:, None, None]
    with torch.autocast(images.device.type, enabled=False):
        shifted = (images.to(torch.promote_types(images.dtype, torch.float32)) + per_image(brightness)).flatten(2)
        recoloured = (maps.to(shifted.dtype) @ shifted).view_as(images)
    changed = torch.stack(changes).any(0)
    return torch.where(per_image(changed), recoloured, images)


def colour_maps(luma: Tensor, chroma: Tensor, hue: Tensor) -> Tensor:
    """Maps [N, 3, 3] of RGB: the grey part times `luma`, the rest turned by `hue` about grey and times `chroma`.

    Contrast, luma's mirror, hue and saturation all leave the grey axis where it is, so their product is
    luma * P + chroma * (cos(hue) * (1 - P) + sin(hue) * K), with P the projection on the axis and K its cross product.
    """
    on_axis = torch.full((3, 3), 1 / 3, device=luma.device)
    off_axis = torch.eye(3, device=luma.device) - on_axis
    cross = torch.eye(3, device=luma.device).roll(1, 0) - torch.eye(3, device=luma.device).roll(1, 1)
    cos, sin = (chroma * hue.cos())[:, None, None], (chroma * hue.sin())[:, None, None]
    return luma[:, None, None] * on_axis + cos * off_axis + sin * cross / math.sqrt(3)
