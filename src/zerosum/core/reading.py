"""Untrusted files: read whole and in the declared shape, or refused in a sentence.

A shape is an annotation: `TypedDict` (further keys are left alone), `list[...]`, `dict[str, ...]`, unions, plain types
and those of `values`. Numbers of files may be NaN or infinite.
"""

from __future__ import annotations

import functools
import json
import math
import tomllib
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

from zerosum.core import values
from zerosum.core.errors import DamagedError, shown

LARGEST = 32 << 20  # bytes of a file of text
DEEPEST = 64  # tables or lists in one another
NUMBER = 1e300  # above it a sum or a product overflows

_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false", NoneType: "null"}


def read_bytes(path: Path, most: int = LARGEST) -> bytes:
    """Read a file of at most so many bytes.

    Raises:
        DamagedError: it is missing, no regular file (a folder, a device, a pipe), too large, or cannot be read.
    """
    try:
        if not path.is_file():
            raise DamagedError(f"{path} is {'not a regular file' if path.exists() else 'missing'}")
        with path.open("rb") as file:
            content = file.read(most + 1)
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise DamagedError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(content) > most:
        raise DamagedError(f"{path} is larger than {most:,} bytes; no file of this kind is")
    return content


def read_text(path: Path, most: int = LARGEST) -> str:
    """Read a file of UTF-8 text, with or without a byte order mark.

    Raises:
        DamagedError: as `read_bytes`, or it is no such text.
    """
    try:
        return read_bytes(path, most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DamagedError(f"{path} is not UTF-8 text (byte {error.start:,})") from error


def read_json(path: Path, shape: Any) -> Any:
    """Read a JSON file of a declared shape.

    Raises:
        DamagedError: as `read_text`; or it is not JSON, or of another shape.
    """
    text = read_text(path)
    try:
        return parse_json(text, shape)
    except DamagedError as error:
        raise DamagedError(f"{path}: {error}") from error


def parse_json(text: str | bytes, shape: Any) -> Any:
    """Read JSON of a declared shape.

    Raises:
        DamagedError: it is not JSON, or of another shape.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"not JSON ({_reason(error)})") from error
    fault = _excess(value) or misfit(value, shape)
    if fault:
        raise DamagedError(fault)
    return value


def parse_toml(text: str) -> dict[str, Any]:
    """Read TOML.

    Raises:
        DamagedError: it is no TOML, or nested more than DEEPEST deep.
    """
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # tomllib raises both kinds of ValueError: its own and Python's
        raise DamagedError(f"not a TOML file: {_reason(error)}") from error
    if fault := _excess(table):
        raise DamagedError(f"not a recipe: {fault}")
    return table


def _reason(error: BaseException) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]


def _excess(value: Any) -> str | None:
    """What no file of ours has: nested more than DEEPEST deep, or numbers beyond counting."""
    layer = [value]
    for _ in range(DEEPEST):
        if any(type(one) is int and abs(one) > values.LARGEST for one in layer):
            return f"a whole number is beyond {values.LARGEST:,}"
        tables = [one.values() if isinstance(one, dict) else one for one in layer if isinstance(one, (dict, list))]
        layer = [inner for table in tables for inner in table]
        if not layer:
            return None
    return "nested too deeply"


def misfit(value: Any, shape: Any, at: str = "") -> str | None:
    """Say where and how a value differs from a shape, or None."""
    plain, notes = values.strip(shape)
    origin = get_origin(plain)
    if plain is Any:
        return None
    if origin in (Union, UnionType):
        faults = [misfit(value, option, at) for option in get_args(plain)]
        return None if None in faults else faults[0]
    if origin is Literal:
        return None if value in get_args(plain) else f"{at}: {shown(value)} is not allowed"
    if is_typeddict(plain):
        return _table_misfit(value, plain, at)
    if plain is dict or origin is dict:
        inside = (get_args(plain) or (str, Any))[1]
        return _each_misfit(value.items(), inside, at) if isinstance(value, dict) else _wrong(value, "a table", at)
    if plain is list or origin is list:
        inside = (get_args(plain) or (Any,))[0]
        return _each_misfit(enumerate(value), inside, at) if isinstance(value, list) else _wrong(value, "a list", at)
    return _plain_misfit(value, plain, notes, at)


def _table_misfit(value: Any, shape: Any, at: str) -> str | None:
    if not isinstance(value, dict):
        return _wrong(value, "a table", at)
    for name, (kind, required) in _entries(shape).items():
        if name not in value:
            if required:
                return f"{_below(at, name)} is missing"
        elif fault := misfit(value[name], kind, _below(at, name)):
            return fault
    return None


@functools.cache
def _entries(shape: Any) -> dict[str, tuple[Any, bool]]:
    """Kind of each entry of a `TypedDict`, and whether it must be there; by its hints, which may be written as text."""
    hints = get_type_hints(shape, include_extras=True)
    return {
        name: (get_args(hint)[0], False) if get_origin(hint) is NotRequired else (hint, True)
        for name, hint in hints.items()
    }


def _each_misfit(items: Any, inside: Any, at: str) -> str | None:
    return next((fault for name, one in items if (fault := misfit(one, inside, _below(at, name)))), None)


def _plain_misfit(value: Any, plain: Any, notes: tuple[Any, ...], at: str) -> str | None:
    if plain is float and type(value) is int:
        value = values.as_float(value)
    if type(value) is not plain:
        return _wrong(value, _NAMES[plain], at)
    if plain in (int, float) and (values.LARGEST if plain is int else NUMBER) < abs(value) < math.inf:
        return f"{at}: {shown(value)} is too large"
    outside = next((note for note in notes if isinstance(note, values.Range) and value not in note), None)
    return f"{at}: {shown(value)} must be {outside}" if outside else None


def _wrong(value: Any, expected: str, at: str) -> str:
    return f"{at}: {shown(value)} is not {expected}" if at else f"{shown(value)} is not {expected}"


def _below(at: str, name: object) -> str:
    text = str(name) if str(name).isprintable() and len(str(name)) <= 80 else shown(name)
    return f"{at}.{text}" if at else text
