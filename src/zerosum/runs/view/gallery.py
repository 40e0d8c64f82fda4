"""Pictures of a page: real samples beside a slider through those that a run drew, within a budget of bytes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from zerosum.core.errors import ZerosumError
from zerosum.core.reading import read_bytes
from zerosum.core.spacing import spaced
from zerosum.runs.storage.directory import RunDirectory
from zerosum.runs.view.page import picture

BUDGET = 2_000_000  # bytes of pictures in a page; base64 adds a third
MOST = 120  # pictures in the slider
PIXELS = 150_000_000  # that are decoded for a page, or those of four pictures
SIDE = 800  # pixels; what is wider is shrunk, what is higher is cut off below
LARGEST = 200 << 20  # bytes of a picture
BROKEN = (
    ZerosumError,
    OSError,
    ValueError,
    SyntaxError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)  # by Pillow


def gallery(run: RunDirectory, title: str = "Generated") -> tuple[str, list[str]]:
    """The pictures of a run as HTML, and a sentence for each that cannot be shown. `title`: of what it drew."""
    faults: list[str] = []
    real = shown(run.real, faults) if run.real.is_file() else b""
    frames = history(list(run.pictures().values()), BUDGET - len(real), faults)
    still = f'<div class="frames">{picture(real, "real samples")}</div>' if real else ""
    parts = [f"<figure><figcaption><b>Real</b></figcaption>{still}</figure>"] if real else []
    parts += [_slider(frames, title)] if frames else []
    look = "pair" if len(parts) == 2 else "pair single"
    return f'<div class="{look}">{"".join(parts)}</div>' if parts else "", faults


def _slider(frames: list[tuple[int, bytes]], title: str) -> str:
    def said(images: int) -> str:
        return f"{images:,} images" if images else "before the first image"

    pictures = "".join(
        picture(content, f"samples after {images:,} images", said=said(images)) for images, content in frames
    )
    controls = (
        '<div class="controls"><button type="button">▶ Play</button><input type="range" aria-label="images seen" '
        f'min="0" max="{len(frames) - 1}" value="{len(frames) - 1}"></div>'
    )
    caption = f"<figcaption><b>{title}</b><output>{said(frames[-1][0])}</output></figcaption>"
    below = controls if len(frames) > 1 else ""
    return f'<figure class="gallery">{caption}<div class="frames">{pictures}</div>{below}</figure>'


def history(paths: Sequence[Path], budget: int, faults: list[str]) -> list[tuple[int, bytes]]:
    """Clock and content of as many pictures as fit, evenly spread, the first and the last among them."""
    if not paths:
        return []
    some = {path: shown(path, faults) for path in sorted({paths[len(paths) // 2], paths[-1]})}
    size, pixels = max(map(len, some.values())), max(map(_pixels, some))
    fitting = min(MOST, budget // max(size, 1), PIXELS // max(pixels, 1))
    chosen = [paths[place] for place in spaced(len(paths), max(2, fitting))]
    frames = [(int(path.stem), some[path] if path in some else shown(path, faults)) for path in chosen]
    return [(images, content) for images, content in frames if content]


def _pixels(path: Path) -> int:
    """Pixels of a picture, by its header."""
    try:
        with _opened(read_bytes(path, LARGEST)) as file:
            return file.width * file.height
    except BROKEN:
        return 0


def shown(path: Path, faults: list[str]) -> bytes:
    """A file's picture as a page holds it; nothing, and a sentence, where it cannot be read."""
    try:
        return compact(read_bytes(path, LARGEST))
    except BROKEN as error:
        faults.append(f"{path.name} cannot be shown: {error}")
        return b""


def compact(content: bytes) -> bytes:
    """A picture at most SIDE wide and twice as high, as it is where it is small, else as WebP."""
    with _opened(content) as file:
        small = file.width <= SIDE and file.height <= 2 * SIDE
        if small and len(content) <= BUDGET // MOST:
            file.load()
            return content
        image = file.crop((0, 0, file.width, min(file.height, 2 * max(SIDE, file.width))))  # of many classes the first
    image = image.convert("L" if image.mode in ("L", "1") else "RGBA" if image.has_transparency_data else "RGB")
    if image.width > SIDE:
        image = image.resize((SIDE, max(1, round(image.height * SIDE / image.width))), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "WEBP", quality=80, method=2)
    return min(out.getvalue(), content, key=len) if small else out.getvalue()


def _opened(content: bytes) -> Image.Image:
    """A picture before its pixels are decoded; one that claims too many is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(io.BytesIO(content))
