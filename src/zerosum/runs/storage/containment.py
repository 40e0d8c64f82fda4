"""What is written into a run stays in it: a run may be a stranger's, and a link in it lead to the user's own files."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path

from zerosum.core.errors import RunError, shown

NAMED = 5  # places at most
KINDS = {stat.S_IFREG: "a file", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


def check_contained(run: Path, files: Iterable[Path], folders: Iterable[Path] = ()) -> None:
    """Refuse to write where a link or a thing of another kind stands in the place of a run's own file or folder.

    Args:
        run: the directory, which itself may be reached by a link.
        files: that will be replaced or appended to; they may be missing.
        folders: that will be written into; they may be missing.

    Raises:
        RunError: every such place, together.
    """
    places = [*((file, stat.S_IFREG) for file in files), *((folder, stat.S_IFDIR) for folder in folders)]
    faults = [fault for path, kind in places if (fault := _fault(run, path, kind))]
    if faults:
        more = f" and {len(faults) - NAMED:,} more" if len(faults) > NAMED else ""
        raise RunError(
            f"{run} is not written to, and nothing was changed: {', '.join(faults[:NAMED])}{more}, but a run is "
            "written only to files and folders of its own; put one in that place, or do without this run"
        )


def is_regular(path: Path) -> bool:
    """True for a file that is itself there: no link to one."""
    return path.is_file() and not path.is_symlink()


def _fault(run: Path, path: Path, kind: int) -> str:
    """What stands in a place, in words; empty where it is of this kind, or nothing."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return ""
    if stat.S_IFMT(mode) == kind:
        return ""
    name = path.relative_to(run)
    if stat.S_ISLNK(mode):
        return f"{name} is a link to {shown(str(path.readlink()))}"
    return f"{name} is {KINDS.get(stat.S_IFMT(mode), 'a device')}"
