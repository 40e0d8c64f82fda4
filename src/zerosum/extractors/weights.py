"""Files of weights: where they are looked for, their checksums, and loading them into a network."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from zerosum.core.download import cache_folder
from zerosum.core.errors import DataError
from zerosum.core.registry import registered

N = TypeVar("N", bound=nn.Module)


def download_folder() -> Path:
    """Folder of downloaded weights."""
    return cache_folder() / "weights"


def places() -> list[Path]:
    """Folders where weights are looked for: $ZEROSUM_DATA/weights, zerosum's cache, torch's cache."""
    data = os.environ.get("ZEROSUM_DATA")
    data_folders = [Path(data).expanduser() / "weights"] if data else []
    return [*data_folders, download_folder(), Path(torch.hub.get_dir()) / "checkpoints"]


def find(path: str, names: Sequence[str]) -> Path | None:
    """The given file, else the first of these names in one of the places, else None.

    Raises:
        DataError: the given file does not exist.
    """
    if path:
        if not Path(path).expanduser().is_file():
            raise DataError(f"{path}: there is no such file of weights")
        return Path(path).expanduser()
    files = (folder / name for folder in places() for name in names)
    return next((file for file in files if file.is_file()), None)


def read(path: Path, sha256: str, mend: str) -> bytes:
    """Read a file and check its sha256.

    Raises:
        DataError: it cannot be read, or its sha256 differs; the message ends with `mend`.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); {mend}") from error
    actual = hashlib.sha256(data).hexdigest()
    if actual != sha256:
        raise DataError(f"{path}: has sha256 {actual}, expected {sha256}; it is damaged or another file: {mend}")
    return data


def fill(make: Callable[[], N], state: dict[str, Tensor]) -> N:
    """Make a network and load its weights; none are initialized first, so no random numbers are consumed."""
    with torch.device("meta"):
        network = make()
    network.load_state_dict(state, assign=True)
    return network


def alternatives() -> str:
    """The extractors that need no file, as the end of a message."""
    return "these need no file: " + ", ".join(n for n, part in registered("extractor").items() if not part.needs_file)
