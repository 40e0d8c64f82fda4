"""The core knows signals, players and updates, and no game: these words stand in none of its files."""

import re
from pathlib import Path

import zerosum

WORDS = ("image", "discriminator", "generator", "fake", "label")
CORE = sorted((Path(zerosum.__file__).parent / "core").glob("*.py"))


def told(text):
    """Lines with such a word, in code, docstring or comment, also as a part of a name."""
    pattern = re.compile(rf"(?<![a-z])({'|'.join(WORDS)})s?(?![a-z])", re.IGNORECASE)
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if pattern.search(line.replace("torch.default_generator", ""))]  # PyTorch's own


def test_the_core_knows_no_game():
    assert len(CORE) > 20
    found = {path.name: told(path.read_text(encoding="utf-8")) for path in CORE}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_such_a_word_is_noticed_wherever_it_stands():
    for line in ("x = Images(3)", "# fakes of a batch", "self.real_images", '"label"', "def Generator():", "is_image"):
        assert told(line) == [line]
    assert told("imagined relabelling of generators'") == ["imagined relabelling of generators'"]
    assert told("imagined relabelling, discriminating") == []
