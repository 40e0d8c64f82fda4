"""The examples of docs/extending.md are files that train, resume and are refused like any part."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text()
EXAMPLES = dict(re.findall(r"<!-- file: (\w+\.py) -->\n```python\n(.*?)```\n\n", PAGE, re.DOTALL))
COMMANDS = {
    command.split()[-1]: command for command in re.findall(r"^    zerosum (train .*--use \w+\.py)$", PAGE, re.MULTILINE)
}
SMALL = ["batch=16", "generator.channels=8", "report=64", "checkpoint=64", "samples=128", "evaluation=128"]


def zerosum(folder, *arguments):
    command = [sys.executable, "-m", "zerosum.cli.main", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_the_page_has_three_files_each_with_its_command():
    assert EXAMPLES.keys() == COMMANDS.keys() == {"drift.py", "patches.py", "invert.py"}


@pytest.mark.parametrize("file", EXAMPLES)
def test_an_example_trains_resumes_and_samples(file, tmp_path):
    (tmp_path / file).write_text(EXAMPLES[file])
    run = tmp_path / "run"
    begun = zerosum(tmp_path, *COMMANDS[file].split(), *SMALL, "--images", "128", "--out", str(run), "--quiet")
    assert begun.returncode == 0, begun.stderr
    name = file.removesuffix(".py")
    assert name in (run / "recipe.toml").read_text()
    (tmp_path / file).unlink()  # the run keeps a copy
    resumed = zerosum(tmp_path, "resume", str(run), "--images", "256", "--quiet")
    assert resumed.returncode == 0, resumed.stderr
    lines = (run / "metrics.jsonl").read_text()
    assert ('"discriminator.drift"' in lines and '"drift.mean"' in lines) == (name == "drift")
    assert zerosum(tmp_path, "sample", str(run), "--count", "4", "--out", "four.npz").returncode == 0


def test_an_augmentation_of_the_users_refuses_points_in_its_own_words(tmp_path):
    (tmp_path / "invert.py").write_text(EXAMPLES["invert.py"])
    refused = zerosum(tmp_path, "train", "ring8", "--recipe", "mixture", "augmentations=invert", "--use", "invert.py")
    assert refused.returncode == 2
    assert "augmentation 'invert' needs 'images': points have no negatives; leave augmentations empty" in " ".join(
        refused.stderr.split()
    )
