"""Places in a tree of parts, by dotted keys, of which parts in between may be left out."""

from __future__ import annotations

import dataclasses
from difflib import get_close_matches
from typing import Any

from zerosum.core import registry
from zerosum.core.errors import SHOWN, RecipeError, nearest, shown
from zerosum.core.registry import Part

Path = tuple[str, ...]


def resolve(part: Part, key: str) -> Path:
    """Full path of a dotted key, of which parts in between may be left out.

    Raises:
        RecipeError: no field is meant, or several are.
    """
    found = _find(part, tuple(key.split(".")))
    if not found:
        raise RecipeError(f"there is no field {shown(key)}; {_nearest(part, key)}")
    if len(found) > 1:
        raise RecipeError(f"{shown(key)} may mean {' or '.join('.'.join(path) for path in found)}; write which")
    return found[0]


def _find(part: Any, keys: Path) -> list[Path]:
    if isinstance(part, tuple):  # parts of a list are called by their names
        return [(keys[0], *rest) for one in part if one.name == keys[0] for rest in _find(one, keys[1:])]
    if not isinstance(part, Part):
        return [] if keys else [()]
    if not keys:
        return [()]
    key = registry.current(type(part), keys[0])
    if key in registry.field_types(type(part)):
        return [(key, *rest) for rest in _find(getattr(part, key), keys[1:])] if keys[1:] else [(key,)]
    below = [(name, found) for name, child in children(part) for found in _find(child, keys)]
    shortest = min((len(path) for _, path in below), default=0)
    return [(name, *path) for name, path in below if len(path) == shortest]


def children(part: Part) -> list[tuple[str, Any]]:
    """Fields that hold a part or a tuple of parts, with their values."""
    types = registry.field_types(type(part))
    return [(name, getattr(part, name)) for name in types if registry.slot_kind(type(part), name)]


def walk(part: Part) -> list[Part]:
    """The part and all parts below it."""
    below = [one for _, child in children(part) for one in (child if isinstance(child, tuple) else (child,))]
    return [part, *(deep for one in below if isinstance(one, Part) for deep in walk(one))]


def _mended(part: Part, key: str) -> list[str]:
    """A key of several words with each in its nearest spelling, where that names a field."""
    words = key.split(".")
    if len(words) == 1 or len(key) > SHOWN:
        return []
    names = {name for one in walk(part) for name in (one.name, *registry.field_types(type(one)))}
    close = [get_close_matches(word, names, n=1) for word in words]
    mended = [found[0] for found in close if found]
    return [".".join(mended)] if len(mended) == len(words) and _find(part, tuple(mended)) else []


def _nearest(part: Part, key: str) -> str:
    """What a mistaken key may have meant: a field below the same part where it names one, else any."""
    if mended := _mended(part, key):
        return nearest(key, mended)
    head = key.rpartition(".")[0]
    found = _find(part, tuple(head.split("."))) if head else []
    node: Any = part
    for step in found[0] if len(found) == 1 else ():
        node = step_into(node, step)
    prefix = f"{head}." if node is not part else ""
    below = walk(node) if isinstance(node, Part) else []
    names = {name for one in below for name in registry.field_types(type(one))}
    return nearest(key.removeprefix(prefix), names, prefix)


def kind_at(part: Any, path: Path) -> str | None:
    """Kind of part that the field at a path holds; None for a plain value."""
    for key in path[:-1]:
        part = step_into(part, key)
    return registry.slot_kind(type(part), path[-1]) if isinstance(part, Part) else None


def step_into(part: Any, key: str) -> Any:
    """What a field holds, or the part of that name in a list of parts."""
    return next(one for one in part if one.name == key) if isinstance(part, tuple) else getattr(part, key)


def put(part: Any, path: Path, value: Any) -> Any:
    """Return the tree with the value at a path replaced."""
    if not path:
        return value
    if isinstance(part, tuple):
        return tuple(put(one, path[1:], value) if one.name == path[0] else one for one in part)
    return dataclasses.replace(part, **{path[0]: put(getattr(part, path[0]), path[1:], value)})
