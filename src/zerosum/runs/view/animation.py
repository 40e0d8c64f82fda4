"""Ways through the space of latents, and moving pictures of them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from zerosum.runs.storage.outputs import MARK
from zerosum.runs.view.pictures import enlarge, to_pillow

Array = np.ndarray
FORMS = {".gif": "GIF", ".webp": "WEBP", ".apng": "PNG"}  # endings, as Pillow calls them
PAUSE = 40  # milliseconds a frame: 25 a second, in whole hundredths as GIF counts


def lerp(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """Points of the straight way from a `[N, K]` to b at shares `[N, 1]`: 0 gives a, 1 gives b."""
    return (1 - share) * a + share * b


def slerp(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """Points of the great arc from a `[N, K]` to b at shares `[N, 1]`: normal latents lie about a sphere.

    Shoemake 1985 for directions; White 2016 for latents, whose lengths differ: the weights are those of the angle
    between the directions. Where the angle is 0 or pi there is no one arc, and the way is straight.
    """
    cosine = torch.nn.functional.cosine_similarity(a.double(), b.double(), dim=1).clamp(-1, 1)[:, None]
    angle = cosine.arccos()
    arc = ((1 - share) * angle).sin() * a + (share * angle).sin() * b
    flat = angle.sin() < 1e-6
    return torch.where(flat, lerp(a, b, share).double(), arc / angle.sin().where(~flat, 1)).to(a.dtype)


def between(a: Tensor, b: Tensor, share: Tensor, spherical: int) -> Tensor:
    """Great arc for the first `spherical` numbers of a latent, a straight way for those after them."""
    return torch.cat(
        [slerp(a[:, :spherical], b[:, :spherical], share), lerp(a[:, spherical:], b[:, spherical:], share)], 1
    )


def walk(
    latents: Tensor, labels: Tensor | None, spherical: int, frames: int, *, around: bool
) -> tuple[Tensor, Tensor | None]:
    """Latents `[F, K]` on the way from each to the next, `frames` for each pair, and labels `[F]` of the nearer end.

    Args:
        latents: `[N, K]`, where the way leads through.
        labels: `[N]`, or None.
        spherical: how many numbers of a latent, from the first on, go on great arcs.
        frames: for each pair.
        around: true: on from the last to the first, each end once, as something that is looped. False: N - 1 pairs,
            each with both of its ends.
    """
    first, last, share = _way(len(latents), frames, around=around)
    points = between(latents[first], latents[last], share, spherical)
    return points, None if labels is None else labels[torch.where(share[:, 0] < 0.5, first, last)]


def straight(corners: Tensor, frames: int, *, around: bool) -> Tensor:
    """What goes along with latents on the way of `walk`, `[N, ...]`: straight from each to the next, `[F, ...]`."""
    first, last, share = _way(len(corners), frames, around=around)
    return lerp(corners[first], corners[last], share.reshape(-1, *[1] * (corners.dim() - 1)))


def _way(count: int, frames: int, *, around: bool) -> tuple[Tensor, Tensor, Tensor]:
    """For each frame the numbers of the latents before and after it, `[F]`, and its share of the way, `[F, 1]`."""
    starts = torch.arange(count if around else count - 1)
    shares = torch.arange(frames) / frames if around else torch.linspace(0, 1, frames)
    first, last = (ends.repeat_interleave(frames) for ends in (starts, (starts + 1) % count))
    return first, last, shares.repeat(len(starts))[:, None]


def encode(images: Array, form: str) -> bytes:
    """A moving picture of uint8 images `[F, H, W, C]`, looped for ever, as the bytes of a file with that ending."""
    first, *others = (to_pillow(image) for image in enlarge(images, 256))
    file = io.BytesIO()
    first.save(file, FORMS[form], save_all=True, append_images=others, duration=PAUSE, loop=0, **_comment(form))
    return file.getvalue()


def _comment(form: str) -> dict[str, Any]:
    """Options that leave zerosum's mark in a file of that form; WebP stays lossless."""
    if form == ".gif":
        return {"comment": MARK}
    if form == ".apng":
        comment = PngInfo()
        comment.add_text("Comment", MARK.decode())
        return {"pnginfo": comment}
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = MARK.decode()
    return {"lossless": True, "exif": exif}
