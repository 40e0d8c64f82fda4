"""Weights in files: where they are looked for, whether they are the right ones, how they get into a network."""

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


def own_folder() -> Path:
    """Where weights that were fetched are kept."""
    return cache_folder() / "weights"


def places() -> list[Path]:
    """Folders where weights are looked for: $ZEROSUM_DATA/weights, our cache, and torch's."""
    data = os.environ.get("ZEROSUM_DATA")
    own = [Path(data).expanduser() / "weights"] if data else []
    return [*own, own_folder(), Path(torch.hub.get_dir()) / "checkpoints"]


def find(path: str, names: Sequence[str]) -> Path | None:
    """The given file, else the first of these names in one of the places, else None.

    Raises:
        DataError: the given file is not there.
    """
    if path:
        if not Path(path).expanduser().is_file():
            raise DataError(f"{path}: there is no such file of weights")
        return Path(path).expanduser()
    files = (folder / name for folder in places() for name in names)
    return next((file for file in files if file.is_file()), None)


def read(path: Path, sha256: str, mend: str) -> bytes:
    """Read a file whose sha256 is known.

    Raises:
        DataError: it cannot be read, or holds other bytes; the message ends with `mend`.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); {mend}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise DataError(f"{path}: has sha256 {found}, expected {sha256}; it is damaged or another file: {mend}")
    return data


def fill(make: Callable[[], N], state: dict[str, Tensor]) -> N:
    """Make a network out of weights; none are drawn first, so no random number is used up."""
    with torch.device("meta"):
        network = make()
    network.load_state_dict(state, assign=True)
    return network


def alternatives() -> str:
    """The extractors that need nothing from elsewhere, for a message."""
    return "these need no file: " + ", ".join(n for n, part in registered("extractor").items() if not part.needs_file)
