"""What the README shows is run, and the page of the tree is the tree."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs import tree
from zerosum.cli.main import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
MEND = "run python -m docs.tree"
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("block", BLOCK.findall(PYTHON), ids=["run", "loop"])
def test_python_examples_run(block, tmp_path):
    quick = block.replace('images="20k"', 'images="640"').replace("range(100)", "range(5)")
    subprocess.run([sys.executable, "-W", "error", "-c", quick], cwd=tmp_path, check=True, capture_output=True)


def test_python_of_the_readme_is_the_first_example():
    (block,) = BLOCK.findall(README)
    assert [
        line for line in BLOCK.findall(PYTHON)[0].splitlines() if not line.startswith("print(")
    ] == block.splitlines()


def test_the_readme_is_short_and_calls_zerosum_after_make():
    assert len(README.splitlines()) <= 120
    before, _, after = README.partition("    make demo")
    assert "    zerosum " not in before
    assert "    . .venv/bin/activate\n    zerosum " in after
    assert "`.venv/bin/zerosum`" in after


def test_commands_of_the_readme_exist():
    known = {command.name for command in app.registered_commands}
    named = set(re.findall(r"^    zerosum (\w+)", README, re.MULTILINE))
    assert named <= known
    assert {"train", "resume", "sample", "ls", "show"} <= named


def test_the_tree_names_every_module():
    page = tree.PAGE.read_text(encoding="utf-8")
    modules = [path for top in ("src", "benchmarks", "docs") for path in (ROOT / top).rglob("*.py")]
    assert len(modules) > 200
    for path in modules:
        assert path.name == "__init__.py" or f"(../{path.relative_to(ROOT).as_posix()})" in page, f"{path}: {MEND}"
    assert page == tree.render(), f"docs/tree.md: {MEND}"


def test_a_stale_tree_is_told_and_written_anew(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tree, "PAGE", tmp_path / "tree.md")
    assert tree.main(["--check"]) == 1
    assert capsys.readouterr().out == "stale: docs/tree.md; run python -m docs.tree\n"
    assert not tree.PAGE.exists()
    assert tree.main([]) == 0
    assert tree.main(["--check"]) == 0
    assert tree.main(["--chek"]) == 2


def test_a_module_without_a_docstring_is_named(tmp_path):
    package = tmp_path / "src" / "zerosum"
    package.mkdir(parents=True)
    (package / "bare.py").write_text("x = 1\n")
    with pytest.raises(ValueError, match=r"bare\.py has no docstring"):
        tree.render(tmp_path)


def test_pictures_of_the_readme_exist():
    for name in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (ROOT / name).is_file()
