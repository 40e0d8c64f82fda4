"""Fill the generated blocks of these pages from the registry, so that no table can differ from the code.

    python -m docs.generate            rewrite every block in place
    python -m docs.generate --check    change nothing; exit 1 and list the pages that are not up to date

A block stands between two comments; what is between them belongs to this script:

    <!-- generated: recipe wgan-gp -->              what the recipe chooses otherwise than `gan`
    <!-- generated: part regularizer r1 -->         what the part is, needs and clashes with, and its fields
    <!-- generated: sheet wgan-gp -->               what the recipe, as it is now, drew and reached in benchmarks
    <!-- generated: points hinge top-k -->          what methods found on mixtures of points, and a picture of the first
    <!-- generated: small recipes -->               which recipes have a smaller copy for a CPU
    <!-- generated: findings -->                    what the health monitor can find
    <!-- end -->
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import toys
from benchmarks.lines import RESULTS, read_lines
from benchmarks.sheets import current
from zerosum import recipes
from zerosum.core import registry, values
from zerosum.core.errors import RecipeError
from zerosum.core.registry import Part
from zerosum.runs.health.symptoms import SYMPTOMS

DOCS = Path(__file__).parent
NAMES = {"digits": "digits", "mnist": "MNIST", "fashion-mnist": "Fashion-MNIST"}
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
            lines = list(contents(block["what"], "../" * where.count("/")))
        except (RecipeError, ValueError) as error:
            faults.append(f"{where}, line {text.count(chr(10), 0, block.start()) + 1}: {error}")
            return block[0]
        return block["open"] + "\n".join(["", *lines, ""]) + "\n" + block["end"]

    return BLOCK.sub(fill, text), faults


def contents(what: str, root: str = "") -> Iterator[str]:
    """Lines of one block, from the words of its marker; `root` leads from its page to the folder of the pages.

    Raises:
        RecipeError: there is no such recipe or part.
        ValueError: the words are no marker.
    """
    match what.split():
        case ["recipe", name]:
            return recipe_lines(name)
        case ["part", kind, name]:
            return part_lines(kind, name)
        case ["sheet", name]:
            return sheet_lines(name, root)
        case ["points", *names] if names:
            return point_lines(names, root)
        case ["small", "recipes"]:
            return small_lines()
        case ["findings"]:
            return finding_lines()
    known = "'recipe NAME', 'part KIND NAME', 'sheet NAME', 'points METHOD ...', 'small recipes' or 'findings'"
    raise ValueError(f"'generated: {what}' is no marker; write {known}")


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


def small_lines() -> Iterator[str]:
    """Every recipe NAME of which there is a NAME-small, by the length of the small one."""
    by_length: dict[str, list[str]] = {}
    for name, function in registry.registered("recipe").items():
        if name.endswith("-small"):
            by_length.setdefault(str(function().length), []).append(name.removesuffix("-small"))
    for length, names in sorted(by_length.items()):
        yield f"- {length.replace('k', ',000')} images: {', '.join(map(code, names))}"


def sheet_lines(name: str, root: str) -> Iterator[str]:
    """A recipe's contact sheet, and what it reached, from the results of benchmarks/sheets.py and leaderboard.py."""
    registry.lookup("recipe", name)
    sheets = {line["data"]: line for line in kept("sheets", name) if "error" not in line}
    drawn = [data for data in NAMES if data in sheets]
    if not drawn:
        yield f"`{name}` has no contact sheet yet: `python -m benchmarks.sheets --recipes {name}` draws it."
        return
    for data in drawn:
        line = sheets[data]
        yield from (f"![What {name} drew of {NAMES[data]}]({root}sheets/{data}/{name}.png)", "")
        images = line["images"].replace("k", ",000")
        yield from (f"*Samples after {images} images of {NAMES[data]}, seed {line['seed']}: `{line['command']}`.*", "")
    yield from reached(name, [sheets[data] for data in drawn], root)


def reached(name: str, sheets: list[dict[str, Any]], root: str) -> Iterator[str]:
    """Numbers of a recipe, each with its floor where one is kept."""
    pixels = [f"{NAMES[line['data']]} {line['sliced-wasserstein']:.3f}" for line in sheets]
    yield f"Sliced Wasserstein distance in pixels of these: {', '.join(pixels)}."
    judged = [line for line in kept("leaderboard", name) if line.get("at") == "last" and not line["words"]]
    features = []
    for data in NAMES:
        found = sorted((line for line in judged if line["data"] == data), key=lambda line: line["seed"])
        if found:
            values = "; ".join(f"{line['fd']:.3g}" for line in found)
            features.append(f"{NAMES[data]} {values} (floor {found[0]['floor.fd']:.2g})")
    if features:
        yield f"Frechet distance of features, a value for each seed ([leaderboard]({root}leaderboard.md)):"
        yield f"{', '.join(features)}."


def point_lines(names: list[str], root: str) -> Iterator[str]:
    """What methods of benchmarks/toys.py found on each mixture, and what the first of them drew.

    Raises:
        ValueError: there is no such method.
    """
    if unknown := set(names) - toys.METHODS.keys():
        raise ValueError(f"benchmarks/toys.py has no method {sorted(unknown)[0]!r}")
    every = read_lines(RESULTS / "toys.jsonl")
    for toy in toys.TOYS:
        jobs = [(toy, name, seed) for name in names if toy in toys.METHODS[name].toys for seed in range(3)]
        found = [line for line in toys.wanted(jobs, every).values() if line is not None]
        if found:
            yield from (toys.toy_table(toy, found), "")
    yield "From `python -m benchmarks.toys`, machine and date in `benchmarks/results/toys.jsonl`."
    if (DOCS / "panels" / f"{names[0]}.png").exists():
        shown = ", ".join(f"`{toys.TOYS[toy].data}`" for toy in toys.METHODS[names[0]].toys)
        yield from ("", f"![Points of {names[0]}]({root}panels/{names[0]}.png)", "")
        yield f"*Above {shown}, below what `{names[0]}` has found at the end, seed 0: `python -m benchmarks.panels`.*"


def finding_lines() -> Iterator[str]:
    """A table of what the health monitor looks for."""
    yield from ("| finding | | what is seen | what it means |", "|---|---|---|---|")
    for one in SYMPTOMS:
        seen = (one.look.__doc__ or "").partition("\n")[0].rstrip(".")
        yield f"| `{one.name}` | {one.severity} | {plain(seen)} | {plain(one.meaning)} |"


def kept(benchmark: str, name: str) -> list[dict[str, Any]]:
    """Lines of a benchmark's results for a recipe as it is now."""
    found = [line for line in read_lines(RESULTS / f"{benchmark}.jsonl") if line["recipe"] == name]
    return [line for line in found if current(line)]


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
            bad += say(f"stale: {name}; run python -m docs.generate")
        elif new != text:
            page.write_text(new, encoding="utf-8")
            say(f"rewrote {name}")
    return 1 if bad else 0


def say(line: str) -> int:
    """Print a line; 1, for counting."""
    sys.stdout.write(line + "\n")
    return 1


if __name__ == "__main__":
    assert recipes  # importing it registers every part
    sys.exit(main(sys.argv[1:]))
