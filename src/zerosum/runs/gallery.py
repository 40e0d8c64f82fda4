"""Pictures of a page: real samples beside a slider through those that a run drew, within a budget of bytes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from zerosum.runs.page import picture

BUDGET = 2_000_000  # bytes of pictures in a page; base64 adds a third
MOST = 120  # pictures in the slider
SIDE = 800  # pixels; what is wider is shrunk, what is higher is cut off below
BROKEN = (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning)  # by Pillow
REAL = "real.png"


def gallery(folder: Path) -> tuple[str, list[str]]:
    """The pictures of a run's folder as HTML, and a sentence for each that cannot be shown."""
    drawn = sorted((path for path in folder.glob("*.png") if path.stem.isdecimal()), key=lambda path: int(path.stem))
    faults: list[str] = []
    real = shown(folder / REAL, faults) if (folder / REAL).is_file() else b""
    frames = history(drawn, BUDGET - len(real), faults)
    still = f'<div class="frames">{picture(real, "real samples")}</div>' if real else ""
    parts = [f"<figure><figcaption><b>Real</b></figcaption>{still}</figure>"] if real else []
    parts += [_slider(frames)] if frames else []
    look = "pair" if len(parts) == 2 else "pair single"
    return f'<div class="{look}">{"".join(parts)}</div>' if parts else "", faults


def _slider(frames: list[tuple[int, bytes]]) -> str:
    def said(images: int) -> str:
        return f"{images:,} images" if images else "before the first image"

    pictures = "".join(
        picture(content, f"samples after {images:,} images", said=said(images)) for images, content in frames
    )
    controls = (
        '<div class="controls"><button type="button">▶ Play</button><input type="range" aria-label="images seen" '
        f'min="0" max="{len(frames) - 1}" value="{len(frames) - 1}"></div>'
    )
    caption = f"<figcaption><b>Generated</b><output>{said(frames[-1][0])}</output></figcaption>"
    below = controls if len(frames) > 1 else ""
    return f'<figure class="gallery">{caption}<div class="frames">{pictures}</div>{below}</figure>'


def history(paths: Sequence[Path], budget: int, faults: list[str]) -> list[tuple[int, bytes]]:
    """Clock and content of as many pictures as fit, evenly spread, the first and the last among them."""
    if not paths:
        return []
    ends = [shown(path, []) for path in {paths[len(paths) // 2], paths[-1]}]
    fitting = max(2, budget // max((len(content) for content in ends if content), default=1))
    frames = [(int(path.stem), shown(path, faults)) for path in spread(paths, min(MOST, fitting))]
    return [(images, content) for images, content in frames if content]


def spread(paths: Sequence[Path], most: int) -> list[Path]:
    """At most so many of them, evenly spread, both ends among them."""
    if len(paths) <= most:
        return list(paths)
    return [paths[round(place * (len(paths) - 1) / (most - 1))] for place in range(most)]


def shown(path: Path, faults: list[str]) -> bytes:
    """A file's picture as a page holds it; nothing, and a sentence, where it cannot be read."""
    try:
        return compact(path.read_bytes())
    except BROKEN as error:
        faults.append(f"{path.name} cannot be shown: {error}")
        return b""


def compact(content: bytes) -> bytes:
    """A picture at most SIDE wide and high, as it is where it is small, else as WebP."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        opened = Image.open(io.BytesIO(content))
    with opened as file:
        small = file.width <= SIDE and file.height <= 2 * SIDE
        if small and len(content) <= BUDGET // MOST:
            file.load()
            return content
        image = file.convert("L" if file.mode in ("L", "1") else "RGB")
    if image.width > SIDE:
        image = image.resize((SIDE, max(1, round(image.height * SIDE / image.width))), Image.Resampling.LANCZOS)
    image = image.crop((0, 0, image.width, min(image.height, 2 * SIDE)))  # many classes: the first rows
    out = io.BytesIO()
    image.save(out, "WEBP", quality=80, method=2)
    return min(out.getvalue(), content, key=len) if small else out.getvalue()
