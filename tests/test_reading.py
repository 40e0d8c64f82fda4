"""Files that anybody may have written: shapes that are declared, and what of them is said."""

from typing import Any, Literal, NotRequired, TypedDict

import pytest

from zerosum.core.errors import DamagedError
from zerosum.core.reading import misfit, parse_toml, read_bytes
from zerosum.core.values import Fraction


class Table(TypedDict):
    name: str
    share: NotRequired[Fraction]


@pytest.mark.parametrize(
    ("value", "shape", "fault"),
    [
        ({"name": "a"}, Table, None),
        ({"name": "a", "share": 1, "more": []}, Table, None),
        ({"share": 1}, Table, "name is missing"),
        ({"name": "a", "share": 2}, Table, "share: 2.0 must be at least 0 and at most 1"),
        ({"name": "a", "share": None}, Table, "share: None is not a number"),
        (3, Table, "3 is not a table"),
        ([{"name": 1}], list[Table], "0.name: 1 is not text"),
        ({"a": [3]}, dict[str, list[str]], "a.0: 3 is not text"),
        (3, list[Any], "3 is not a list"),
        (None, int | None, None),
        ("x", int | None, "'x' is not a whole number"),
        ("b", Literal["a", "b"], None),
        (["c"], list[Literal["a", "b"]], "0: 'c' is not allowed"),
        (10**400, float, None),  # infinite, as files may have it
        ([1e301], list[float], "0: 1e+301 is too large"),
    ],
)
def test_where_a_value_differs_from_a_shape_is_said(value, shape, fault):
    assert misfit(value, shape) == fault


@pytest.mark.parametrize(("letters", "is_shown_whole"), [(80, True), (81, False), (160, False)])
def test_long_names_are_cut(letters, is_shown_whole):
    name = "x" * letters
    cut = f"'{'x' * 59}... ({letters + 2} characters)"
    assert misfit({name: 1}, dict[str, str]) == f"{name if is_shown_whole else cut}: 1 is not text"


def test_what_is_wrong_with_toml_is_said_in_few_words():
    with pytest.raises(DamagedError) as raised:
        parse_toml(f"[{'x' * 1000}]\n" * 2)
    assert 200 < len(str(raised.value)) <= 200 + len("not a TOML file: ")
    assert parse_toml("a = [1]") == {"a": [1]}
    for text in ("a = 9007199254740993", f"a = {'[' * 70}{']' * 70}"):
        with pytest.raises(DamagedError, match=r"^not a recipe: (a whole number is beyond|nested too deeply)"):
            parse_toml(text)


def test_a_file_is_read_up_to_its_limit(tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    assert read_bytes(tmp_path / "file", 5) == b"12345"
    with pytest.raises(DamagedError, match="is larger than 4 bytes"):
        read_bytes(tmp_path / "file", 4)
