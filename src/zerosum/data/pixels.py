"""From a Pillow image of any mode to uint8 pixels of one shape, and from a network's tensor back to pixels."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from zerosum.core.errors import DataError
from zerosum.data.preparation import Preparation
from zerosum.data.tally import Look

LARGEST_PIXELS = 100_000_000  # an image above it is taken for a decompression bomb
FILTERS = {
    "lanczos": Image.Resampling.LANCZOS,
    "bicubic": Image.Resampling.BICUBIC,
    "box": Image.Resampling.BOX,
    "nearest": Image.Resampling.NEAREST,
}
_GREY = {"1", "L", "LA", "La", "I", "F"}
_ALPHA = {"LA", "La", "PA", "RGBA", "RGBa"}


class BadImageError(DataError):
    """One image that cannot be used; `fault` names the file and says why."""

    def __init__(self, name: str, reason: str) -> None:
        self.fault = f"{name}: {reason}"
        super().__init__(f"{self.fault}; mend or remove it, or leave such files out with --skip-bad")


@contextmanager
def strict_pillow() -> Iterator[None]:
    """Turn Pillow's warnings about damage into errors; our own limit replaces its warning about size.

    Set once around all decoding: warning filters belong to the process, so threads must not set them.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("error", module=r"PIL\.")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


@contextmanager
def blaming(name: str) -> Iterator[None]:
    """Turn whatever a decoder raises into `BadImageError`, naming the file."""
    try:
        yield
    except BadImageError:
        raise
    except UnidentifiedImageError:
        raise BadImageError(name, "is no image of a format that Pillow reads") from None
    except Image.DecompressionBombError:
        raise BadImageError(name, f"has more than {LARGEST_PIXELS:,} pixels") from None
    except MemoryError:
        raise BadImageError(name, "does not fit into memory") from None
    except Exception as error:  # decoders raise anything, from SyntaxError to struct.error
        reason = re.sub(r"\s+", " ", str(error)) or type(error).__name__
        raise BadImageError(name, f"is damaged ({reason})") from error


def open_image(file: BinaryIO, name: str) -> Image.Image:
    """Open an image and check its header; pixels are not decoded yet.

    Raises:
        BadImageError: the file is empty, no image, or above 100 million pixels.
    """
    with blaming(name):
        if not file.read(1):
            raise BadImageError(name, "is empty")
        file.seek(0)
        image = Image.open(file)
        if image.width * image.height > LARGEST_PIXELS:
            raise BadImageError(name, f"has {image.width}x{image.height} pixels, more than {LARGEST_PIXELS:,}")
        return image


def is_grey(image: Image.Image) -> bool:
    """True where mode or palette hold no colour; grey pixels stored as RGB count as colour."""
    if image.mode in ("P", "PA"):
        palette = image.getpalette("RGB") or []
        return palette[0::3] == palette[1::3] == palette[2::3]
    return image.mode in _GREY or image.mode.startswith("I;16")


def look(image: Image.Image) -> Look:
    """What an image is before anything is done to it."""
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    size = (image.width, image.height) if turned else (image.height, image.width)
    return Look(size, not is_grey(image), _is_clear(image), image.mode[0] in "IF")


def _is_clear(image: Image.Image) -> bool:
    if image.mode not in _ALPHA:
        return "transparency" in image.info
    return image.getchannel(len(image.getbands()) - 1).getextrema()[0] < 255  # type: ignore[operator]


def prepare(image: Image.Image, name: str, shape: tuple[int, int, int], preparation: Preparation) -> np.ndarray:
    """Turn an image into uint8 [H, W, C] of this shape.

    Raises:
        BadImageError: it cannot be decoded, or its pixels lie outside their range.
    """
    height, width, channels = shape
    with blaming(name):
        plain = flatten(image, name, preparation.background)
        plain = _as_mode(plain, "L" if channels == 1 else "RGB")
        plain = _fit(plain, (width, height), preparation)
        return np.asarray(plain, dtype=np.uint8).reshape(shape)


def flatten(image: Image.Image, name: str, background: str) -> Image.Image:
    """Apply rotation, depth, palette and transparency: what is left is mode L or RGB."""
    grey = is_grey(image)
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        return Image.fromarray(_from_float(np.asarray(image), name))
    if image.mode.startswith("I"):
        return Image.fromarray(_from_deep(np.asarray(image), name))
    if image.mode in _ALPHA or "transparency" in image.info:
        canvas = Image.new("RGBA", image.size, background)
        canvas.alpha_composite(image.convert("RGBA"))
        image = canvas
    return _as_mode(image, "L" if grey else "RGB")


def _as_mode(image: Image.Image, mode: str) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)  # Pillow would copy where nothing changes


def narrow(deep: np.ndarray) -> np.ndarray:
    """Divide 16-bit values by 257, rounded: 0..65535 becomes 0..255 of uint8, never clipped."""
    return ((deep.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _from_deep(deep: np.ndarray, name: str) -> np.ndarray:
    low, high = int(deep.min()), int(deep.max())
    if low < 0 or high > 65535:
        raise BadImageError(name, f"has whole-number pixels from {low} to {high}; 0..65535 is allowed")
    return narrow(deep)


def _from_float(values: np.ndarray, name: str) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1):  # also refuses NaN
        raise BadImageError(name, f"has float pixels from {low:g} to {high:g}; 0..1 is allowed")
    return np.rint(values * 255).astype(np.uint8)


def _fit(image: Image.Image, size: tuple[int, int], preparation: Preparation) -> Image.Image:
    if image.size == size:
        return image
    method = FILTERS[preparation.resample]
    if preparation.fit == "crop":
        return ImageOps.fit(image, size, method)
    if preparation.fit == "pad":
        return ImageOps.pad(image, size, method, color="black")
    return image.resize(size, method)


def to_images(tensor: torch.Tensor) -> np.ndarray:
    """Turn [N, C, H, W] in [-1, 1], of any float type, into uint8 [N, H, W, C]; what lies outside is clamped."""
    scaled = tensor.detach().to(torch.float32).add(1).mul_(127.5).round_().clamp_(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
