"""Python files that a run keeps, as `train --use` gave them: they may be a stranger's, so none runs unasked.

A file runs where its sha256 is that of a file that `--use` named, or of one that this machine itself copied into a run
(its own record, in the cache: a run cannot bring one along), or where the user trusts the run.
"""

from __future__ import annotations

import hashlib
import os
import stat
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from zerosum.core import usercode
from zerosum.core.download import cache_folder
from zerosum.core.errors import DamagedError, RecipeError, RunError, ZerosumWarning
from zerosum.core.reading import read_bytes

FOLDER = "code"
LARGEST = 4 << 20  # bytes of a file of code


def files(place: str | Path) -> list[Path]:
    """Python files that come with a run, or with a model file that lies in one, in the order in which they run."""
    run = Path(place) if Path(place).is_dir() else Path(place).parent
    return sorted((run / FOLDER).glob("*.py"))


def load(place: str | Path, *, trust: bool = False) -> None:
    """Run the files of a run that may be run, with `trust` all; one that `--use` named replaces that of its name.

    Raises:
        RecipeError: one of them fails.
        DamagedError: one that is trusted cannot be read.
    """
    for file in files(place):
        try:
            source = read_bytes(file, LARGEST)
        except DamagedError:
            if trust:
                raise
            continue  # `withheld` names it
        if usercode.replaces(file) and hashlib.sha256(source).hexdigest() not in usercode.used():
            text = f"{file} is left alone: another {file.name} was named with --use"
            warnings.warn(text, ZerosumWarning, stacklevel=2)
        elif trust or _allowed(source):
            usercode.run_source(file, source)


def try_load(place: str | Path, *, trust: bool = False) -> None:
    """As `load`, for what works without: a file that fails is warned of."""
    try:
        load(place, trust=trust)
    except (RecipeError, DamagedError) as error:
        warnings.warn(f"{error}; going on without it", ZerosumWarning, stacklevel=2)


def refuse_edited(run: Path, named: Sequence[str | Path]) -> None:
    """A training goes on with the code that it began with.

    Raises:
        RunError: one of the files that the user names is another version of one that the run keeps.
    """
    for copy in files(run):
        versions = [file for file in map(Path, named) if file.name == copy.name]
        if versions and read_bytes(copy, LARGEST) not in [read_bytes(file, LARGEST) for file in versions]:
            raise RunError(
                f"{run} began with another {copy.name}, which it keeps in {copy}: resume without --use, or begin "
                f"anew with its weights and the new file: zerosum train --from {run} --use {versions[0]}"
            )


def run_files(place: str | Path) -> list[Path]:
    """Files of a run that this process has run; one that cannot be read is none."""
    run = []
    for file in files(place):
        with suppress(DamagedError):
            if hashlib.sha256(read_bytes(file, LARGEST)).hexdigest() in usercode.used():
                run.append(file)
    return run


def withheld(place: str | Path) -> str:
    """Which files were not run, why, and how to allow them; empty where there are none."""
    withheld = []
    for file in files(place):
        try:
            source = read_bytes(file, LARGEST)
        except DamagedError as error:
            withheld.append(str(error))
            continue
        if hashlib.sha256(source).hexdigest() not in usercode.used() and not usercode.replaces(file):
            withheld.append(f"{file} (sha256 {hashlib.sha256(source).hexdigest()})")
    if not withheld:
        return ""
    return (
        f"{place} holds Python files that were not run, because anybody may have written them: {'; '.join(withheld)}. "
        "Read them, then allow them with --trust (trust=True in Python), or name your own copy with --use FILE"
    )


def _allowed(source: bytes) -> bool:
    digest = hashlib.sha256(source).hexdigest()
    return digest in usercode.used() or _recorded(digest)


def _records() -> Path:
    return cache_folder() / "code"


def _recorded(digest: str) -> bool:
    """True where this user's own record says that the file was copied here; a cache may be shared with others."""
    try:
        status = os.lstat(_records() / digest)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and (os.name != "posix" or status.st_uid == os.getuid())


def keep(run: Path, named: Sequence[str | Path]) -> None:
    """Copy files into a run that is being made, each content once, and record it; two of a name stay two.

    Raises:
        DamagedError: a file cannot be read any more.
        OSError: the run cannot be written.
    """
    sources: dict[bytes, Path] = {}
    for file in map(Path, named):
        sources.setdefault(read_bytes(file, LARGEST), file)
    for source, file in sources.items():
        target, number = run / FOLDER / file.name, 1
        target.parent.mkdir(exist_ok=True)
        while target.exists():
            number += 1
            target = target.with_name(f"{file.stem}-{number}.py")
        target.write_bytes(source)
        _record(hashlib.sha256(source).hexdigest())


def _record(digest: str) -> None:
    try:
        _records().mkdir(parents=True, exist_ok=True)
        (_records() / digest).touch()
    except OSError as error:
        text = f"{_records()} cannot be written ({error.strerror}), so resume will ask for --use or --trust"
        warnings.warn(text, ZerosumWarning, stacklevel=2)
