"""Fill the generated blocks of these pages from the registry, so that no table can differ from the code.

    python docs/generate.py            rewrite every block in place
    python docs/generate.py --check    change nothing; exit 1 and list the pages that are not up to date

A block stands between two comments; what is between them belongs to this script:

    <!-- generated: recipe wgan-gp -->              what the recipe chooses otherwise than `gan`
    <!-- generated: part regularizer r1 -->         what the part is, needs and clashes with, and its fields
    <!-- end -->
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zerosum import recipes
from zerosum.core import registry, values
from zerosum.core.errors import RecipeError
from zerosum.core.registry import Part

DOCS = Path(__file__).parent
BASE = "gan"  # the recipe that the others are compared with
BLOCK = re.compile(r"(?P<open><!-- generated: (?P<what>[^>]*?) -->\n)(?P<body>.*?)(?P<end><!-- end -->)", re.DOTALL)
MARKS = re.compile(r"<!-- (generated:|end)")


def pages() -> list[Path]:
    """Every page that may hold a block."""
    return sorted(DOCS.rglob("*.md"))


def render(text: str, where: str = "page") -> tuple[str, list[str]]:
    """A page's text with every block filled anew, and what is wrong with its markers; a faulty block stays as it is."""
    blocks = list(BLOCK.finditer(text))
    if len(MARKS.findall(text)) != 2 * len(blocks) or any("<!--" in block["body"] for block in blocks):
        return text, [f"{where}: each '<!-- generated: ... -->' needs its own '<!-- end -->' on a line below it"]
    faults = []

    def fill(block: re.Match[str]) -> str:
        try:
            lines = list(contents(block["what"]))
        except (RecipeError, ValueError) as error:
            faults.append(f"{where}, line {text.count(chr(10), 0, block.start()) + 1}: {error}")
            return block[0]
        return block["open"] + "\n".join(["", *lines, ""]) + "\n" + block["end"]

    return BLOCK.sub(fill, text), faults


def contents(what: str) -> Iterator[str]:
    """Lines of one block, from the words of its marker.

    Raises:
        RecipeError: there is no such recipe or part.
        ValueError: the words are no marker.
    """
    match what.split():
        case ["recipe", name]:
            return recipe_lines(name)
        case ["part", kind, name]:
            return part_lines(kind, name)
    raise ValueError(f"'generated: {what}' is no marker; write 'recipe NAME' or 'part KIND NAME'")


def recipe_lines(name: str) -> Iterator[str]:
    """A recipe's summary, and a table of what it chooses otherwise than the base (the base itself: all of it)."""
    function = registry.lookup("recipe", name)
    base = {} if name == BASE else {key: value for key, value, _ in choices(registry.lookup("recipe", BASE)())}
    rows = [row for row in choices(function()) if row[0] != "recipe" and base.get(row[0]) != row[1]]
    yield f"Recipe `{name}`: {registry.summary(function)}"
    if rows:
        yield from ("", f"| field | {f'`{name}`' if not base else f'`{name}`, where `{BASE}` differs'} | what it is |")
        yield "|---|---|---|"
        yield from (f"| `{key}` | {code(value)} | {plain(comment)} |" for key, value, comment in rows)


def choices(part: Part, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str, str]]:
    """Each field of a tree of parts as (word, text of its value, comment); the names of a recipe's game are plain."""
    for name, kind, comment in registry.described_fields(type(part)):
        value, inner = getattr(part, name), (*path, name)
        if not (isinstance(value, Part) and registry.is_composite(value)):
            yield ".".join(inner), short(value, kind), comment
        elif name == "game":
            yield name, value.name, registry.summary(value)
            yield from choices(value)
        else:
            yield from choices(value, inner)


def short(value: Any, kind: Any) -> str:
    """Text of a field's value; of a part only the fields that are not at their defaults."""
    if isinstance(value, tuple) and any(isinstance(one, Part) for one in value):
        return "+".join(short(one, kind) for one in value)
    if not isinstance(value, Part):
        return values.write(value, kind) or "none"
    fields = {field.name: field for field in dataclasses.fields(value)}  # type: ignore[arg-type]
    said = [
        f"{name}={values.write(getattr(value, name), type_)}"
        for name, type_ in registry.field_types(type(value)).items()
        if getattr(value, name) != default_of(fields[name])
    ]
    return f"{value.name}:{','.join(said)}" if said else value.name


def part_lines(kind: str, name: str) -> Iterator[str]:
    """A part's summary, its needs and clashes, and a table of its fields."""
    cls = registry.lookup(kind, name)
    yield f"{kind.capitalize()} `{name}`: {registry.summary(cls)}"
    bounds = [
        f"- {verb} `{trait}`: {plain(why)}"
        for verb, attribute in (("needs", "needs"), ("clashes with", "clashes"))
        for trait, why in traits_of(cls, attribute).items()
    ]
    yield from ("", *bounds) if bounds else ()
    rows = [
        f"| `{field.name}` | {default_text(field, type_)} | {plain(comment)} |"
        for field, (_, type_, comment) in zip(dataclasses.fields(cls), registry.described_fields(cls), strict=True)
    ]
    yield from ("", "| field | default | what it is |", "|---|---|---|", *rows) if rows else ()


def traits_of(cls: type[Part], attribute: str) -> dict[str, str]:
    """Needs or clashes of a part: of its class, or of the part with its defaults where they depend on fields."""
    found = getattr(cls, attribute)
    return getattr(cls(), attribute) if isinstance(found, property) else found


def default_of(field: Any) -> Any:
    """Default of a dataclass field; MISSING where it has none."""
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def default_text(field: Any, type_: Any) -> str:
    """Text of a field's default."""
    value = default_of(field)
    if value is dataclasses.MISSING:
        return "required"
    return code("none" if value is None else short(value, type_))


def plain(text: str) -> str:
    """Text that is safe in a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def code(text: str) -> str:
    """Text as code in a cell of a table."""
    return f"`{plain(text)}`"


def main(words: list[str]) -> int:
    """Rewrite or check all pages; 0 where all is well."""
    if set(words) - {"--check"}:
        say(f"usage: {Path(__file__).name} [--check]")
        return 2
    bad = 0
    for page in pages():
        name, text = page.relative_to(DOCS).as_posix(), page.read_text(encoding="utf-8")
        new, faults = render(text, name)
        bad += sum(say(f"error: {fault}") for fault in faults)
        if new != text and "--check" in words:
            bad += say(f"stale: {name}; run python docs/generate.py")
        elif new != text:
            page.write_text(new, encoding="utf-8")
            say(f"rewrote {name}")
    return 1 if bad else 0


def say(line: str) -> int:
    """Print a line; 1, for counting."""
    sys.stdout.write(line + "\n")
    return 1


if __name__ == "__main__":
    assert recipes  # importing it put every part on the shelf
    sys.exit(main(sys.argv[1:]))
