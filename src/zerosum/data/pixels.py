"""From a Pillow image of any mode to uint8 pixels of one shape, and from a network's tensor back to pixels."""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from zerosum.core.errors import DataError
from zerosum.data.preparation import Preparation
from zerosum.data.ranges import Span, to_levels

Shape = tuple[int, int, int]  # (H, W, C)

LARGEST_PIXELS = 100_000_000  # an image above it is taken for a decompression bomb
_FORMATS = ("PNG", "JPEG", "BMP", "DIB", "GIF", "TIFF", "WEBP", "PPM", "TGA", "JPEG2000", "ICO", "AVIF")
FILTERS = {
    "lanczos": Image.Resampling.LANCZOS,
    "bicubic": Image.Resampling.BICUBIC,
    "box": Image.Resampling.BOX,
    "nearest": Image.Resampling.NEAREST,
}
TURNS = {  # EXIF's orientations
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
NAMED = 20  # bad images that one message names
FEW = 0.05  # share of bad images, or pairs, that are left out without being asked; more are an error
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}  # by channels
_GREY = {"1", "L", "LA", "La", "I", "F"}
_ALPHA = {"LA", "La", "PA", "RGBA", "RGBa"}


class BadImagesError(DataError):
    """Images that cannot be used; `fault` names the files and says why."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        ended = "\n" if "\n" in fault else "; "
        super().__init__(f"{fault}{ended}mend or remove such files, or leave them out with --skip-bad")


class BadImageError(BadImagesError):
    """One image that cannot be used."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")


def refuse_bad(faults: Sequence[str], count: int, of: str = "images") -> None:
    """Refuse `count` images, or pairs, of which more than a few are bad.

    Raises:
        BadImagesError: more than 1 in 20 are.
    """
    if len(faults) <= FEW * count:
        return
    if len(faults) == 1:
        raise BadImageError(*faults[0].split(": ", 1))
    raise BadImagesError(name_bad(faults, count, of, "bad"))


def name_bad(faults: Sequence[str], count: int, of: str, what: str) -> str:
    """Say what the bad ones of `count` images, or pairs, are, the first 20 by name."""
    rest = [f"and {len(faults) - NAMED:,} more"] if len(faults) > NAMED else []
    listed = "\n  ".join([*faults[:NAMED], *rest])
    return f"{len(faults):,} of {count:,} {of} {'is' if len(faults) == 1 else 'are'} {what}:\n  {listed}"


@contextmanager
def calm_pillow() -> Iterator[None]:
    """Keep Pillow's warnings to itself: they are about metadata, and its limit of pixels is not ours.

    Set once around all decoding: warning filters belong to the process, so threads must not set them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def blaming(name: str) -> Iterator[None]:
    """Turn whatever a decoder raises into `BadImageError`, naming the file."""
    try:
        yield
    except BadImageError:
        raise
    except UnidentifiedImageError:
        raise BadImageError(name, "is not an image in a format that zerosum reads") from None
    except Image.DecompressionBombError:
        raise BadImageError(name, f"has more than {LARGEST_PIXELS:,} pixels") from None
    except MemoryError:
        raise BadImageError(name, "does not fit into memory") from None
    except Exception as error:  # decoders raise anything, from SyntaxError to struct.error
        if isinstance(error, OSError) and error.errno:
            raise BadImageError(name, f"cannot be read ({error.strerror})") from error
        reason = re.sub(r"\s+", " ", str(error)) or type(error).__name__
        raise BadImageError(name, f"is damaged ({reason})") from error


@functools.cache
def formats() -> tuple[str, ...]:
    """Of the formats that Pillow opens those that hold pixels alone: EPS, for one, would start a program."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def open_image(file: BinaryIO, name: str) -> Image.Image:
    """Open an image and check its header; pixels are not decoded yet.

    Raises:
        BadImageError: the file is empty, no image, or above 100 million pixels.
    """
    with blaming(name):
        if not file.read(1):
            raise BadImageError(name, "is empty")
        file.seek(0)
        image = Image.open(file, formats=formats())
        if image.width * image.height > LARGEST_PIXELS:
            raise BadImageError(name, f"has {image.width}x{image.height} pixels, more than {LARGEST_PIXELS:,}")
        return image


def is_grey(image: Image.Image) -> bool:
    """True where mode or palette hold no colour; grey pixels stored as RGB count as colour."""
    if image.mode in ("P", "PA"):
        palette = image.getpalette("RGB") or []
        return palette[0::3] == palette[1::3] == palette[2::3]
    return image.mode in _GREY or image.mode.startswith("I;16")


def has_frames(image: Image.Image) -> bool:
    """True for an animation, or several pages; a camera's second picture in a JPEG file (MPO) is none."""
    try:
        return image.format != "MPO" and bool(getattr(image, "is_animated", False))
    except Exception:  # what follows the first frame may be damaged; the first alone is used
        return False


def is_deep(image: Image.Image) -> bool:
    """True for grey of more than 8 bits, or of floats."""
    return image.mode[0] in "IF"


def is_clear(image: Image.Image) -> bool:
    """True where some pixels are transparent; decodes."""
    if image.mode not in _ALPHA:
        return "transparency" in image.info
    lowest = image.getchannel(len(image.getbands()) - 1).getextrema()[0]
    return isinstance(lowest, int) and lowest < 255


def orientation(image: Image.Image) -> int:
    """How EXIF says that an image must be turned to be seen, 1 to 8 (1: not at all); 0 where that is damaged."""
    if image.format == "PNG" and "exif" not in image.info and getattr(image, "tile", None):
        return 1  # Pillow would decode the pixels to look behind them
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged metadata raise anything; a zero says so, and the pixels are used
        return 0


def seen_size(image: Image.Image) -> tuple[int, int]:
    """(height, width) as it is seen."""
    sideways = orientation(image) in (5, 6, 7, 8)
    return (image.width, image.height) if sideways else (image.height, image.width)


def prepare(
    image: Image.Image, name: str, shape: Shape, preparation: Preparation, span: Span | None = None
) -> np.ndarray:
    """Turn an image into uint8 [H, W, C] of this shape; `span` is the range of pixels of more than 8 bits.

    Raises:
        BadImageError: it cannot be decoded, or its pixels lie outside their range.
    """
    with blaming(name):
        return shaped(flat(image, name, shape[2], preparation, span), shape, preparation)


def flat(image: Image.Image, name: str, channels: int, preparation: Preparation, span: Span | None) -> Image.Image:
    """An image as it is seen, of mode L, LA, RGB or RGBA, in its own size.

    Raises:
        BadImageError: it cannot have so many channels.
    """
    if channels not in MODES:
        raise BadImageError(name, f"is a picture, and cannot have {channels} channels as the others do")
    return flatten(image, name, channels, preparation.background, span)


def shaped(plain: Image.Image, shape: Shape, preparation: Preparation) -> np.ndarray:
    """Such an image as uint8 [H, W, C] of this shape."""
    height, width, _ = shape
    return np.asarray(fit(plain, (width, height), preparation), dtype=np.uint8).reshape(shape)


def flatten(image: Image.Image, name: str, channels: int, background: str, span: Span | None = None) -> Image.Image:
    """Apply rotation, depth, palette and transparency: what is left is mode L, LA, RGB or RGBA."""
    image.load()
    how = TURNS.get(orientation(image))
    image = image if how is None else image.transpose(how)
    if is_deep(image):
        image = Image.fromarray(_narrow(np.asarray(image), name, span))
    if channels in (2, 4):
        return _as_mode(_as_mode(image, "RGBA"), MODES[channels])
    if image.mode in _ALPHA or "transparency" in image.info:
        canvas = Image.new("RGBA", image.size, background)
        canvas.alpha_composite(image.convert("RGBA"))
        image = canvas
    return _as_mode(image, MODES[channels])


def _as_mode(image: Image.Image, mode: str) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)  # Pillow would copy where nothing changes


def _narrow(deep: np.ndarray, name: str, span: Span | None) -> np.ndarray:
    """Scale grey of more than 8 bits; without a span it must fill the range of its type."""
    if span is not None:
        return to_levels(deep, span)
    low, high = float(deep.min()), float(deep.max())
    top = 1 if deep.dtype.kind == "f" else 65535
    if not (low >= 0 and high <= top):  # also refuses NaN
        kind = "float" if top == 1 else "whole-number"
        raise BadImageError(name, f"has {kind} pixels from {low:g} to {high:g}; 0..{top} is allowed")
    return to_levels(deep, (0, top))


def fit(image: Image.Image, size: tuple[int, int], preparation: Preparation) -> Image.Image:
    """Give an image a size (width, height) by crop, bars or stretching."""
    if image.size == size:
        return image
    method = FILTERS[preparation.resample]
    if preparation.fit == "crop":
        return ImageOps.fit(image, size, method)
    if preparation.fit == "pad":
        bands = len(image.getbands())
        return ImageOps.pad(image, size, method, color=(0,) * bands if bands > 1 else 0)
    return image.resize(size, method)


def fit_array(pixels: np.ndarray, name: str, shape: Shape, preparation: Preparation) -> np.ndarray:
    """Turn uint8 [H, W, C] into another shape; the same channels are treated one by one, others as a picture's.

    Raises:
        DataError: its channels cannot become so many.
    """
    if pixels.shape == shape:
        return pixels
    height, width, channels = shape
    if pixels.shape[2] == channels:
        planes = (Image.fromarray(np.ascontiguousarray(pixels[..., plane])) for plane in range(channels))
        return np.stack([np.asarray(fit(plane, (width, height), preparation)) for plane in planes], axis=2)
    if pixels.shape[2] not in MODES or channels not in MODES:
        raise DataError(f"{name}: {pixels.shape[2]} channels cannot become {channels}; leave channels=auto")
    bare = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    return prepare(Image.fromarray(np.ascontiguousarray(bare)), name, shape, preparation)


def to_images(tensor: torch.Tensor) -> np.ndarray:
    """Turn [N, C, H, W] in [-1, 1], of any float type, into uint8 [N, H, W, C]; what lies outside is clamped."""
    scaled = tensor.detach().to(torch.float32).add(1).mul_(127.5).round_().clamp_(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
