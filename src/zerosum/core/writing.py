"""Small files of our own: written aside, flushed to disk and renamed, so that each is the old one or the new one."""

from __future__ import annotations

import os
from pathlib import Path


def write_file(path: Path, content: bytes) -> None:
    """Write a small file so that it is either the old one or the new one, whatever happens, and whoever else writes."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        aside.unlink(missing_ok=True)  # what a process of the same number left, or a link that someone put there
        flush(aside, content)
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def remember(path: Path, content: bytes) -> None:
    """Write a file of the cache, which only saves time; a place that cannot be written is left alone."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, content)
    except OSError:
        return


def flush(path: Path, content: bytes) -> None:
    """Write a new file, and wait until it is on disk."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def flush_folder(path: Path) -> None:
    """Wait until the names in a folder are on disk."""
    if os.name == "posix":  # a folder cannot be flushed elsewhere
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
