"""Files from elsewhere: the folder that keeps them, and how they get there, whole and checked, or not at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from zerosum.core.errors import DataError

TIMEOUT = 30  # seconds without an answer
_CHUNK = 1 << 20  # bytes
Report = Callable[[str, int, int], None]  # what is done, how much of it is done, how much there is (0: unknown)


def silent(what: str, done: int, total: int) -> None:
    """Report nothing."""


def cache_folder(given: str | Path | None = None) -> Path:
    """The given folder, else $ZEROSUM_CACHE, else zerosum under $XDG_CACHE_HOME or ~/.cache."""
    if given or os.environ.get("ZEROSUM_CACHE"):
        return Path(given or os.environ["ZEROSUM_CACHE"]).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "zerosum"


def download(url: str, sha256: str, target: Path, report: Report = silent) -> None:
    """Fetch a URL to a file.

    Raises:
        DataError: the bytes that came have another sha256; nothing is left behind.
        OSError: there is no network, or no room.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f"{target.name}.", suffix=".part", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            actual = _copy(url, file, f"downloading {target.name}", report)
        if actual != sha256:
            raise DataError(f"{url}: has sha256 {actual}, expected {sha256}; it was not kept, try again later")
        Path(temporary).replace(target)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _copy(url: str, file: BinaryIO, what: str, report: Report) -> str:
    hashed, done = hashlib.sha256(), 0
    with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:  # noqa: S310 - only URLs with a known sha256 come here
        total = int(answer.headers.get("Content-Length") or 0)
        while chunk := answer.read(_CHUNK):
            file.write(chunk)
            hashed.update(chunk)
            done += len(chunk)
            report(what, done, total)
    return hashed.hexdigest()
