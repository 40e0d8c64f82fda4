"""Digests of files that are not read again while size and time stay the same."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from stat import S_ISREG

from zerosum.core.download import Report
from zerosum.core.errors import DataError
from zerosum.core.writing import remember

SETTLED = 0.1  # seconds; a file changed more recently could change again within one tick of its clock


def sha256_of(path: Path) -> str:
    """Hash a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(root: Path, files: Mapping[str, Path], cache: Path, report: Report, lenient: bool = False) -> str:
    """Hash names and bytes of files below a root (or of the root); only those of another size or time are read again.

    `lenient` lets a file that cannot be read stand for itself: whoever decodes it will say so.

    Raises:
        DataError: a file cannot be read.
    """
    index = cache / "digests" / f"{hashlib.sha256(os.fsencode(root.absolute())).hexdigest()}.json"
    recorded = _read_index(index)
    fresh: dict[str, list[object]] = {}
    hasher = hashlib.sha256()
    for done, (name, path) in enumerate(files.items()):
        fresh[name] = entry = _entry(path, recorded.get(name), lenient)
        hasher.update(f"{name}\0{entry[2]}\n".encode(errors="surrogateescape"))
        report("reading", done + 1, len(files))
    if fresh != recorded:
        remember(index, json.dumps(fresh).encode())
    return hasher.hexdigest()


def _entry(path: Path, recorded: object, lenient: bool) -> list[object]:
    """Size, time and digest of a file."""
    try:
        stat = path.stat()
        if not S_ISREG(stat.st_mode):  # reading a pipe would wait for ever
            raise OSError(errno.EINVAL, "it is not a regular file")
        if isinstance(recorded, list) and recorded[:2] == [stat.st_size, stat.st_mtime_ns]:
            return recorded
        settled = time.time() - stat.st_mtime > SETTLED
        return [stat.st_size, stat.st_mtime_ns if settled else -1, sha256_of(path)]
    except OSError as error:
        if lenient:
            return [0, -1, "unreadable"]
        raise DataError(f"{path}: cannot be read ({error.strerror}); mend or remove it") from error


def _read_index(path: Path) -> dict[str, object]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return entries if isinstance(entries, dict) else {}
