"""The tree of modules: docs/tree.md, a line a module, from the first line of its docstring.

python -m docs.tree            write docs/tree.md
python -m docs.tree --check    change nothing; exit 1 if it is not up to date
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "tree.md"
TITLE = "# The tree\n\nEvery module, in the first line of its docstring. Written by `python -m docs.tree`.\n"


def render(root: Path = ROOT) -> str:
    """Text of the page: a section for each package, a line for each of its modules.

    Raises:
        ValueError: a module has no docstring.
    """
    folders = [*_packages(root / "src" / "zerosum"), *_packages(root / "benchmarks"), root / "docs"]
    return "\n".join([TITLE, *(line for folder in folders for line in _section(folder, root))])


def _packages(top: Path) -> list[Path]:
    """A folder and all folders of modules below it."""
    return sorted({top, *(path.parent for path in top.rglob("*.py"))})


def _section(folder: Path, root: Path) -> Iterator[str]:
    package = folder / "__init__.py"
    yield from (f"## {folder.relative_to(root).as_posix()}", "")
    if package.exists():
        yield from (_summary(package), "")
    modules = sorted(path for path in folder.glob("*.py") if path != package)
    yield from (f"- [`{path.name}`](../{path.relative_to(root).as_posix()}): {_summary(path)}" for path in modules)
    yield ""


def _summary(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    if not text:
        raise ValueError(f"{path} has no docstring; say in one line what it is")
    return text.splitlines()[0]


def main(words: list[str]) -> int:
    """Write or check the page; 0 where all is well."""
    if set(words) - {"--check"}:
        sys.stdout.write("usage: python -m docs.tree [--check]\n")
        return 2
    new = render()
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == new:
        return 0
    if words:
        sys.stdout.write("stale: docs/tree.md; run python -m docs.tree\n")
        return 1
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
