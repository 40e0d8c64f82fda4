"""Python files of users, which register parts of their own; what fails in them is named by file and line."""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import sys
from pathlib import Path

from zerosum.core.errors import RecipeError

PREFIX = "zerosum_use_"  # of the names of modules that users' files become
_used: set[str] = set()  # sha256 of every file that was run
_named: set[str] = set()  # names of the files that the last command was given


def use(*paths: str | Path) -> None:
    """Run Python files of a user so that the parts they register can be named.

    Raises:
        RecipeError: a file is missing, fails to run, or registers a name that is taken.
    """
    _named.clear()
    for path in map(Path, paths):
        _use(path)


def _use(path: Path) -> None:
    if not path.is_file() or path.suffix != ".py":
        raise RecipeError(f"--use {path}: there is no such Python file (.py)")
    try:
        source = path.read_bytes()
    except OSError as error:
        raise RecipeError(f"--use {path} cannot be read: {error.strerror}") from error
    run_source(path, source)
    _named.add(path.name)


def run_source(path: Path, source: bytes) -> None:
    """Run what was read from a user's file, once; not the file, whose bytecode in __pycache__ may be another program's.

    Raises:
        RecipeError: it fails, or registers a name that is taken.
    """
    digest = hashlib.sha256(source).hexdigest()
    if digest in _used:  # for example the copy that a run keeps of a file already loaded
        return
    spec = importlib.machinery.ModuleSpec(f"{PREFIX}{path.stem}_{digest[:8]}", None, origin=str(path))
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    module.__file__ = str(path)
    try:
        exec(compile(source, str(path), "exec"), vars(module))  # noqa: S102  (the user named it, or trusts it)
    except RecipeError as error:
        raise RecipeError([f"--use {path}: {fault}" for fault in error.faults]) from error
    except (Exception, SystemExit) as error:  # whatever a user's file raises is the user's to mend
        line = error.lineno if isinstance(error, SyntaxError) else _line_in(error, str(path))
        raise RecipeError(f"--use {path}, line {line}: {type(error).__name__}: {error}") from error
    _used.add(digest)


def used() -> frozenset[str]:
    """sha256 of every user's file that this process has run."""
    return frozenset(_used)


def replaces(file: Path) -> bool:
    """True where the user named a file of this name, which stands for the copy that a run keeps."""
    return file.name in _named


def origin_of(cls: type, error: BaseException) -> str:
    """Where in the file of a class an error arose, in words; "" where it arose elsewhere, or there is no file."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    line = None if file is None else _line_in(error, file)
    return f" in {file}, line {line}" if line else ""


def place_of(error: BaseException) -> str:
    """The innermost line of a file that `use` ran that an error came through, in words; empty where it met none."""
    place, trace = "", error.__traceback__
    while trace is not None:
        if str(trace.tb_frame.f_globals.get("__name__", "")).startswith(PREFIX):
            place = f" in {trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _line_in(error: BaseException, file: str) -> int | None:
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
