"""Image files without their metadata: what is left where a photograph decodes and what stands around it does not."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_PNG = b"\x89PNG\r\n\x1a\n"
_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}  # chunks of PNG that pixels come from
_RIFF_METADATA = {b"EXIF", b"XMP ", b"ICCP"}
_JFIF, _ADOBE, _COMMENT, _SCAN, _END = 0xE0, 0xEE, 0xFE, 0xDA, 0xD9  # markers of JPEG


def without_metadata(data: bytes) -> bytes | None:
    """The same image as PNG, JPEG or WebP without EXIF, profiles, previews and texts; None where nothing can go.

    Nothing is checked here: a decoder says whether what is left is an image.
    """
    if data.startswith(_PNG):
        bare = _PNG + b"".join(part for kind, part in _chunks(data) if kind in _PIXELS)
    elif data.startswith(b"\xff\xd8"):
        bare = b"\xff\xd8" + b"".join(_segments(data))
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        bare = _webp(data)
    else:
        return None
    return bare if bare != data else None


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and whole bytes of each chunk of a PNG."""
    at = len(_PNG)
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 8], data[at : at + 12 + size]
        at += 12 + size


def _segments(data: bytes) -> Iterator[bytes]:
    """Segments of a JPEG that pixels come from, the last with all that follows."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:  # filling between segments
            at += 1
            continue
        marker = data[at + 1]
        if marker in (0xFF, 0x00) or 0xD0 <= marker <= 0xD8:
            at += 1
            continue
        if marker in (_SCAN, _END):
            yield data[at:]
            return
        (size,) = struct.unpack_from(">H", data, at + 2)
        if marker in (_JFIF, _ADOBE) or (marker < _JFIF and marker != _COMMENT):
            yield data[at : at + 2 + size]
        at += 2 + size


def _webp(data: bytes) -> bytes:
    """Chunks of a WebP that pixels come from, and a head that promises no others."""
    parts, at = [], 12
    while at + 8 <= len(data):
        (size,) = struct.unpack_from("<I", data, at + 4)
        kind, part = data[at : at + 4], data[at : at + 8 + size + size % 2]
        if kind == b"VP8X" and len(part) > 8:
            part = part[:8] + bytes([part[8] & ~0x2C]) + part[9:]
        if kind not in _RIFF_METADATA:
            parts.append(part)
        at += 8 + size + size % 2
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body
