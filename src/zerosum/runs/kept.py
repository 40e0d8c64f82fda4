"""Results that depend on their key alone, kept as files: measured once, measured again where a file is damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import safetensors
from safetensors.torch import load, save
from torch import Tensor

from zerosum.runs.checkpoint import write_file


class Kept:
    """Files of a folder, by key; one that cannot be written only costs time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def tensors(self, key: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """Named tensors."""
        path = self.folder / f"{key}.safetensors"
        try:
            return load(path.read_bytes())
        except (OSError, safetensors.SafetensorError):
            made = make()
        self._keep(path, save({name: one.contiguous() for name, one in made.items()}))
        return made

    def numbers(self, key: str, make: Callable[[], dict[str, float]]) -> dict[str, float]:
        """Named numbers."""
        path = self.folder / f"{key}.json"
        try:
            found: dict[str, float] = json.loads(path.read_text())
            return found
        except (OSError, ValueError):
            made = make()
        self._keep(path, json.dumps(made).encode())
        return made

    def _keep(self, path: Path, content: bytes) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_file(path, content)
        except OSError:
            return
