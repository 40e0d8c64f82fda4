"""What messages are made of: lists of faults, long texts and values, the nearest of many names."""

import pytest

from zerosum.core import errors
from zerosum.core.errors import RecipeError, is_out_of_memory, nearest, printable, shown


def test_a_recipe_error_holds_one_fault_or_several():
    assert RecipeError("a fault").faults == ["a fault"]
    assert RecipeError(("a", "b")).faults == ["a", "b"]
    assert str(RecipeError(["a", "b"])) == "a\nb"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ..."), True),
        (RuntimeError("CUDA out of memory. Tried ..."), True),
        (RuntimeError("shapes differ"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_memory_that_is_used_up_is_told_by_kind_and_words(error, expected):
    assert is_out_of_memory(error) is expected


def test_long_texts_keep_their_beginning_and_end():
    assert printable("x" * errors.LONGEST) == "x" * errors.LONGEST
    text = printable("a" * errors.LONGEST + "z" * 300)
    assert text == "a" * (errors.LONGEST - 400) + " ... " + "z" * 300


def test_long_values_are_cut_and_their_length_is_said():
    assert shown("x" * 78) == repr("x" * 78)
    assert shown("x" * 79) == f"'{'x' * 59}... (81 characters)"
    assert shown(10**5000) == "a int too large to show"


def test_the_nearest_of_many_is_offered_else_the_first_of_them():
    names = [f"name-{number:03}" for number in range(errors.LISTED + 1)]
    assert nearest("nam-000", names) == "did you mean 'name-000'?"
    assert nearest("x", names[:-1]) == f"there is: {', '.join(names[:-1])}"
    assert nearest("x", names) == f"there is: {', '.join(names[:-1])}, ... (61 in all)"
    assert nearest("x", []) == "there is none"
