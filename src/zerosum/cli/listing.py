"""`zerosum ls` and `zerosum show`: the registry, printed."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rich.table import Table

from zerosum import recipes  # which registers every part
from zerosum.cli.command import sheet, tell
from zerosum.core import registry, settings, usercode, values
from zerosum.core.console import visible
from zerosum.core.errors import RecipeError, nearest
from zerosum.core.registry import Part

Listing = dict[str, list[tuple[str, str]]]
HIDDEN = ("player",)  # kinds with a single part, shown as part of every recipe


def listing(kind: str | None, use: Iterable[str]) -> Listing:
    """Names and summaries of all parts, or of one kind.

    Raises:
        RecipeError: there is no such kind.
    """
    usercode.use(*use)
    kinds = [one for one in registry.kinds() if one not in HIDDEN] if kind is None else [kind.rstrip("s")]
    return {one: [(name, registry.summary(part)) for name, part in registry.registered(one).items()] for one in kinds}


def print_listing(rows: Listing) -> None:
    """Print names and summaries to stdout."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for kind, parts in rows.items():
        for place, (name, text) in enumerate(parts):
            table.add_row("" if place else kind, visible(name), visible(text))
    sheet().print(table)


def print_description(name: str, use: Iterable[str], *, trust: bool = False) -> None:
    """Print every field of what is called `name`, in all kinds that have it; else of the recipe of that file or run.

    Raises:
        RecipeError: nothing is called so, or the recipe has faults.
        RunError: it is a folder, and no run.
    """
    usercode.use(*use)
    parts = [(kind, registry.registered(kind)[name]) for kind in registry.kinds() if name in registry.registered(kind)]
    if not parts and (name.endswith(".toml") or Path(name).is_dir()):
        print_recipe(name, trust=trust)
    elif not parts:
        names = [one for kind in registry.kinds() for one in registry.registered(kind)]
        raise RecipeError(f"nothing is called {name!r}; {nearest(name, names)}")
    for kind, part in parts:
        tell(f"# {kind} {name}: {registry.summary(part)}")
        more = [f"# {line}".rstrip() for line in (inspect.getdoc(part) or "").splitlines()[1:]]
        if kind == "metric" and part.better:
            more += [f"# Left out below {part().needed():,} samples on each side. Numbers: {', '.join(part.better)}."]
        fields = _part_lines(part) if isinstance(part, type) else annotated(part())
        tell("\n".join([*more, *fields, ""]))


def print_recipe(place: str, *, trust: bool) -> None:
    """Print every field of the recipe of a file or a run, with what each means."""
    from zerosum.runs.storage import code
    from zerosum.runs.storage.directory import RunDirectory

    if place.endswith(".toml"):
        recipe = recipes.read_recipe(place)
    else:
        run = RunDirectory.open(place)
        code.load(place, trust=trust)
        recipe = run.recipe()
    tell("\n".join([f"# recipe {recipe.recipe}, as {place} has it", *annotated(recipe), ""]))


def _part_lines(cls: type[Part]) -> Iterator[str]:
    for name, kind, comment in registry.described_fields(cls):
        default = cls.__dataclass_fields__[name].default  # type: ignore[attr-defined]
        slot = registry.slot_kind(cls, name)
        if default is dataclasses.MISSING:
            text = f"({slot or 'value'}: chosen by a recipe)"
        elif slot and isinstance(default, tuple):
            text = "+".join(map(str, default)) or "none"
        else:
            text = str(default) if slot else values.write(default, kind)
        yield f"{name} = {text}  # {comment}"


def annotated(part: Part, path: tuple[str, ...] = ()) -> Iterator[str]:
    """TOML lines of a composite part, each with the comment of its field."""
    table = settings.to_table(part)
    if path:
        yield ""
        yield f"[{'.'.join(path)}]"
    comments = {name: comment for name, _, comment in registry.described_fields(type(part))}
    below: list[tuple[str, Any]] = []
    for name, value in table.items():
        if isinstance(value, dict):
            below.append((name, getattr(part, name)))
        else:
            comment = comments.get(name)
            yield f"{name} = {json.dumps(value)}" + (f"  # {comment}" if comment else "")
    for name, child in below:
        yield from annotated(child, (*path, name))
