"""Results that depend on their key alone, kept as files: measured once, measured again where a file is damaged."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import cast

import safetensors
from safetensors.torch import load, save
from torch import Tensor

from zerosum import metrics
from zerosum.core.errors import DamagedError
from zerosum.core.reading import read_json
from zerosum.core.registry import Part
from zerosum.core.writing import remember


class ResultCache:
    """Files of a folder, by key; one that cannot be written only costs time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def tensors(self, key: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """Named tensors."""
        path = self.folder / f"{key}.safetensors"
        try:
            return load(path.read_bytes())
        except (OSError, safetensors.SafetensorError):
            tensors = make()
        remember(path, save({name: one.contiguous() for name, one in tensors.items()}))
        return tensors

    def numbers(self, key: str, make: Callable[[], dict[str, float]]) -> dict[str, float]:
        """Named numbers."""
        path = self.folder / f"{key}.json"
        try:
            return cast("dict[str, float]", read_json(path, dict[str, float]))
        except DamagedError:
            value = make()
        remember(path, json.dumps(value).encode())
        return value


def code(part: Part) -> str:
    """Digest of what decides a part's results: its class and version, the files that define it, and all our metrics."""
    classes = [one for one in type(part).__mro__ if one is not Part and issubclass(one, Part)]
    digest = hashlib.sha256(repr((getattr(part, "version", 1), _metrics(), *map(_source, classes))).encode())
    return digest.hexdigest()


@functools.cache
def _metrics() -> str:
    """Digest of the package of metrics, of which one file uses another."""
    files = sorted(Path(metrics.__file__).parent.rglob("*.py"))
    return hashlib.sha256(b"\n".join(file.read_bytes() for file in files)).hexdigest()


def _source(cls: type) -> str:
    """Digest of the file that a class is in; of the class itself where it was written in a console."""
    try:
        content = Path(inspect.getfile(cls)).read_bytes()
    except (OSError, TypeError):  # built in, or its file is gone
        functions = [getattr(one, "__code__", None) for one in vars(cls).values()]
        content = repr([(one.co_code, one.co_consts, one.co_names) for one in functions if one]).encode()
    return f"{cls.__module__}.{cls.__qualname__} {hashlib.sha256(content).hexdigest()}"
