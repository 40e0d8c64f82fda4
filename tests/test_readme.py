"""What the README shows is run, and its tree is the tree."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from zerosum.cli.main import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("block", [block for block in BLOCKS if "mine.py" not in block], ids=["run", "loop"])
def test_python_examples_run(block, tmp_path):
    quick = block.replace('images="20k"', 'images="640"').replace("range(100)", "range(5)")
    subprocess.run([sys.executable, "-W", "error", "-c", quick], cwd=tmp_path, check=True, capture_output=True)


def test_the_example_of_a_part_is_listed(tmp_path):
    (mine,) = [block for block in BLOCKS if "mine.py" in block]
    assert len([line for line in mine.splitlines() if line and not line.startswith("#")]) <= 12
    (tmp_path / "mine.py").write_text(mine)
    command = [sys.executable, "-m", "zerosum.cli.main", "ls", "objective", "--use", str(tmp_path / "mine.py")]
    assert "exponential" in subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_commands_of_the_readme_exist():
    known = {command.name for command in app.registered_commands}
    named = set(re.findall(r"^    zerosum (\w+)", README, re.MULTILINE))
    assert named <= known
    assert {"train", "resume", "sample", "ls", "show"} <= named


def test_the_tree_names_every_module():
    for path in (ROOT / "src" / "zerosum").rglob("*.py"):
        if path.name != "__init__.py" and path.parent.name != "data":
            assert path.name in README, path
    for path in [*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "docs").glob("*.md")]:
        assert path.name in README, path


def test_pictures_of_the_readme_exist():
    for name in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (ROOT / name).is_file()
