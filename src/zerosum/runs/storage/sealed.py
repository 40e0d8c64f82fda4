"""Files of weights with a seal: a sha256 in the metadata over every other byte, so that one flipped bit is noticed.

They are safetensors files as any other: 8 bytes with the length of a JSON header, the header, the tensors. The seal is
the sha256 of the file with zeros in the place of the seal.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import safetensors
from safetensors.torch import load, save
from torch import Tensor

from zerosum.core.errors import DamagedError
from zerosum.core.reading import parse_json

KEY = "zerosum"  # of the metadata; one alone, as the order of several in the file would differ from time to time
_BLANK = "0" * 64


def pack(weights: dict[str, Tensor], about: dict[str, Any]) -> bytes:
    """A safetensors file of tensors and plain values, sealed."""
    content = save(weights, {KEY: json.dumps({"sha256": _BLANK, **about})})
    digest = hashlib.sha256(content).hexdigest()
    return content.replace(_mark(_BLANK), _mark(digest), 1)


def _mark(digest: str) -> bytes:
    """How a seal stands in the header: JSON within JSON."""
    return f'{{\\"sha256\\": \\"{digest}\\"'.encode()


def read(path: Path, shape: Any) -> tuple[dict[str, Any], dict[str, Tensor], bool]:
    """Plain values of a declared shape, tensors, and whether there was a seal to hold them against.

    Raises:
        DamagedError: a byte differs from what was written, or it is no such file.
    """
    if not path.is_file():
        raise DamagedError(f"{path}: there is no such file of weights")
    try:
        content = path.read_bytes()  # not mapped: what is held against the seal is what is used
        header = _header(content)
        about = _about(header, shape)
        digest = about.get("sha256")
        if digest is not None and digest != _digest(header, content, digest):
            raise DamagedError("its sha256 is not that of its content")
        weights = load(content)
    except (safetensors.SafetensorError, OSError, ValueError, DamagedError) as error:
        raise DamagedError(f"{path} is damaged, or not a file of weights that zerosum wrote: {error}") from error
    return about, weights, digest is not None


def _header(content: bytes) -> bytes:
    size = int.from_bytes(content[:8], "little")
    if not 0 < size <= len(content) - 8:
        raise DamagedError("it has no header of safetensors")
    return content[8 : 8 + size]


def _about(header: bytes, shape: Any) -> dict[str, Any]:
    names = parse_json(header, dict[str, Any])
    metadata = names.get("__metadata__")
    text = metadata.get(KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise DamagedError("its metadata hold nothing from zerosum")
    return parse_json(text, shape)


def _digest(header: bytes, content: bytes, digest: Any) -> str:
    """sha256 of the file as it was before it was sealed."""
    mark = _mark(str(digest))
    hashed = hashlib.sha256(content[:8])
    hashed.update(header.replace(mark, _mark(_BLANK)))
    hashed.update(memoryview(content)[8 + len(header) :])
    return hashed.hexdigest()
