"""Files of users: which they are, and which of their lines an error came through."""

import json
import sys

import pytest

from zerosum.core import usercode
from zerosum.core.errors import RecipeError

SOURCE = """import json

class Own:
    def direct(self):
        raise KeyError("a")
    def through(self):
        return json.loads("{")
"""


@pytest.fixture
def own(tmp_path):
    """A class of a user's file, and where that is."""
    file = tmp_path / "own.py"
    file.write_text(f"{SOURCE}# {tmp_path}\n")
    usercode.use(file)
    module = next(one for one in sys.modules.values() if getattr(one, "__file__", None) == str(file))
    return module.Own, file


def raised(call):
    with pytest.raises((KeyError, ValueError)) as caught:
        call()
    return caught.value


def test_an_error_is_placed_at_the_users_innermost_line(own):
    cls, file = own
    for name, line in (("direct", 5), ("through", 7)):
        error = raised(getattr(cls(), name))
        assert usercode.place_of(error) == f" in {file}, line {line}"
        assert usercode.origin_of(cls, error) == f" in {file}, line {line}"
    elsewhere = raised(lambda: json.loads("{"))
    assert usercode.place_of(elsewhere) == ""
    assert usercode.origin_of(cls, elsewhere) == ""
    assert usercode.origin_of(int, elsewhere) == ""  # a class of no file


def test_only_python_files_are_run(tmp_path):
    (tmp_path / "own.txt").write_text("x = 1")
    (tmp_path / "folder.py").mkdir()
    for name in ("own.txt", "folder.py", "none.py"):
        with pytest.raises(RecipeError, match=rf"{name}: there is no such Python file"):
            usercode.use(tmp_path / name)
