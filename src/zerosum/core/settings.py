"""Trees of parts (recipe, game, player) as dotted words and as TOML tables.

A word such as `encoder.lr=1e-4` may leave out the names of the parts in between as long as one place is meant.
"""

from __future__ import annotations

import json
import re
from typing import Any, TypeVar

from zerosum.core import reading, registry, values
from zerosum.core.errors import DamagedError, RecipeError, UnknownPartError, nearest, shown
from zerosum.core.registry import Part
from zerosum.core.slots import Described
from zerosum.core.tree import Path, kind_at, put, resolve, step_into

T = TypeVar("T", bound=Part)


def assign(part: T, words: list[str]) -> T:
    """Return the part with `field=value` words applied, in any order: whole parts first, then their fields.

    A field that lists parts also takes `field+=part` and `field-=name`.

    Raises:
        RecipeError: every fault of all words, together.
    """
    faults: list[str] = []
    later: list[str] = []
    for word in words:
        key, sign, text = _split(word)
        try:
            path = resolve(part, key)
        except RecipeError:
            later.append(word)  # its part may come with another word
            continue
        if kind_at(part, path) is None:
            later.append(word)
        else:
            part = _collect(faults, part, path, text, sign)
    for word in later:
        key, sign, text = _split(word)
        try:
            part = _collect(faults, part, resolve(part, key), text, sign)
        except RecipeError as error:
            faults += error.faults
    if faults:
        raise RecipeError(faults)
    return part


def _split(word: str) -> tuple[str, str, str]:
    """Key, sign and text of `field=value` (no sign), `field+=part` or `field-=name`."""
    key, _, text = word.partition("=")
    key = key.strip()
    return (key[:-1].rstrip(), key[-1], text) if key.endswith(("+", "-")) else (key, "", text)


def _collect(faults: list[str], part: T, path: Path, text: str, sign: str) -> T:
    try:
        return put(part, path, _changed(part, path, text, sign) if sign else read_at(part, path, text))
    except RecipeError as error:
        faults += error.faults
    except ValueError as error:
        faults.append(f"{'.'.join(path)}: {error}")
    return part


def read_at(part: Any, path: Path, text: str) -> Any:
    """Read the text of the field at a path.

    Raises:
        RecipeError, ValueError: the text cannot be read.
    """
    for key in path[:-1]:
        part = step_into(part, key)
    kind = registry.slot_kind(type(part), path[-1])
    if kind is None:
        return values.read(text, registry.field_types(type(part))[path[-1]])
    if registry.holds_several(type(part), path[-1]):
        return _read_several(kind, text)
    if registry.is_composite(getattr(part, path[-1])):
        raise RecipeError(f"{'.'.join(path)} is made of parts; set its fields, for example {path[-1]}.FIELD=VALUE")
    return registry.parse(kind, text)


def _read_several(kind: str, text: str) -> tuple[Any, ...]:
    listed = [] if text.strip() in ("", "none") else re.split(r"\+(?=[a-z])", text)
    return tuple(registry.parse(kind, one) for one in listed)


def _changed(part: Any, path: Path, text: str, sign: str) -> tuple[Any, ...]:
    """The parts listed in a field, with those of the text added or taken away.

    Raises:
        RecipeError: the field lists no parts, or what is taken away is not there.
    """
    where, place = part, ".".join(path)
    for key in path[:-1]:
        where = step_into(where, key)
    current = getattr(where, path[-1])
    kind = registry.slot_kind(type(where), path[-1])
    if kind is None or not isinstance(current, tuple):
        raise RecipeError(f"{place}{sign}={text}: {place} is not a list of parts; write {place}={text}")
    current = current or registry.implied(type(where), path[-1])
    if sign == "+":
        return (*current, *read_at(part, path, text))
    names = [name.strip() for name in text.split("+")]
    there = [one.name for one in current]
    if missing := [name for name in names if name not in there]:
        raise RecipeError(f"{place} has no {missing[0]!r} to take away; {nearest(missing[0], there)}")
    return tuple(one for one in current if one.name not in names)


def to_table(part: Described) -> dict[str, Any]:
    """Write a composite part as a table; every default is spelt out."""
    table: dict[str, Any] = {"part": part.name} if part.name else {}
    for name, kind in registry.field_types(type(part)).items():
        value = getattr(part, name)
        if registry.slot_kind(type(part), name) is None:
            plain = values.strip(kind)[0]
            table[name] = (
                value
                if plain in (bool, int, float) and "samples" not in values.strip(kind)[1]
                else values.write(value, kind)
            )
        elif isinstance(value, tuple):
            table[name] = [str(one) for one in value]
        else:
            table[name] = to_table(value) if registry.is_composite(value) else str(value)
    return table


def from_table(cls: type[T], table: dict[str, Any], *, partly: bool = False) -> T:
    """Read a composite part from its table; each entry is held against the field that it is for.

    With `partly`, `Unloaded` stands for every part that is not in the registry.

    Raises:
        RecipeError: every fault of the table, together.
    """
    types = registry.field_types(cls)
    table = {registry.current(cls, key): value for key, value in table.items()}
    faults = [registry.unknown_field(cls, key) for key in table if key not in types and (key != "part" or not cls.name)]
    fields: dict[str, Any] = {}
    for name in [name for name in types if name in table]:
        try:
            fields[name] = _read_entry(cls, name, table[name], partly)
        except RecipeError as error:
            faults += [f"{name}: {fault}" for fault in error.faults]
        except ValueError as error:
            faults.append(f"{name}: {error}")
    faults += registry.missing(cls, table)
    if faults:
        raise RecipeError(faults)
    return cls(**fields)


def _read_entry(cls: type[Part], name: str, entry: Any, partly: bool) -> Any:
    kind, type_ = registry.slot_kind(cls, name), registry.field_types(cls)[name]
    if kind is None:
        whole = type(entry) is int and values.strip(type_)[0] is values.Length
        return values.read(str(entry) if whole else entry, type_) if whole or isinstance(entry, str) else entry
    if not registry.holds_several(cls, name):
        return _read_part(kind, entry, partly)
    if isinstance(entry, str):
        return _read_several(kind, entry)
    if not isinstance(entry, list):
        raise RecipeError(f"{shown(entry)} is not a list of parts; write [] or a list of texts")
    return tuple(_read_part(kind, one, partly) for one in entry)


def _read_part(kind: str, entry: Any, partly: bool) -> Any:
    try:
        if isinstance(entry, dict):
            return from_table(_class_of(kind, entry.get("part")), entry, partly=partly)
        if isinstance(entry, str):
            return registry.parse(kind, entry)
    except UnknownPartError:
        if not partly:
            raise
        return registry.Unloaded(entry["part"] if isinstance(entry, dict) else entry)
    raise RecipeError(f"{shown(entry)} is not text; write the name of the {kind} as text")


def _class_of(kind: str, part: Any) -> Any:
    if isinstance(part, str):
        return registry.lookup(kind, part)
    raise RecipeError(f"its table must say which {kind} it is, as part = ...; {nearest('', registry.registered(kind))}")


def to_toml(part: Described) -> str:
    """Write a composite part as TOML text."""
    return "\n".join(_toml_lines(to_table(part), ())) + "\n"


def _toml_lines(table: dict[str, Any], path: Path) -> list[str]:
    lines = [f"[{'.'.join(path)}]"] if path else []
    lines += [f"{key} = {_toml_value(value)}" for key, value in table.items() if not isinstance(value, dict)]
    for key, value in table.items():
        if isinstance(value, dict):
            lines += ["", *_toml_lines(value, (*path, key))]
    return lines


def _toml_value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)  # its escapes of characters beyond 16 bits are none of TOML


def from_toml(cls: type[T], text: str, *, partly: bool = False) -> T:
    """Read a composite part from TOML text; `partly` as in `from_table`.

    Raises:
        RecipeError: the text is not TOML, or not this part.
    """
    try:
        table = reading.parse_toml(text)
    except DamagedError as error:
        raise RecipeError(str(error)) from error
    return from_table(cls, table, partly=partly)


def differences(before: Part, after: Part) -> list[str]:
    """One line for each field that differs: `game.encoder.optimizer: A -> B`."""
    old, new = dict(_flat(to_table(before))), dict(_flat(to_table(after)))
    return [f"{key}: {old.get(key)} -> {new.get(key)}" for key in {**old, **new} if old.get(key) != new.get(key)]


def _flat(table: dict[str, Any], path: Path = ()) -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in table.items():
        rows += _flat(value, (*path, key)) if isinstance(value, dict) else [(".".join((*path, key)), value)]
    return rows
