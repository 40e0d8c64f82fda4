"""Values: text, ranges, lengths."""

import math
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zerosum.core import values
from zerosum.core.values import Count, Fraction, Length, Positive, SampleCount


@pytest.mark.parametrize(("text", "images"), [("300", 300), ("50k", 50_000), ("1.5M", 1_500_000), ("1_000", 1000)])
def test_images_are_read(text, images):
    assert values.read_count(text) == images


@pytest.mark.parametrize("text", ["", "k", "-5", "1.5", "3 cats", "1e5"])
def test_what_is_no_number_of_images_is_refused(text):
    with pytest.raises(ValueError, match="samples"):
        values.read_count(text)


@given(st.integers(0, 10**12))
def test_images_round_trip(images):
    assert values.read_count(values.write_count(images)) == images


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("200k", Length(200_000)),
        ("10epochs", Length(10, "epochs")),
        ("1epoch", Length(1, "epochs")),
        ("0.5epochs", Length(0.5, "epochs")),
        ("5min", Length(300, "seconds")),
        ("90s", Length(90, "seconds")),
        ("2h", Length(7200, "seconds")),
        ("never", Length(0)),
    ],
)
def test_lengths_are_read_and_written(text, length):
    assert Length.read(text) == length
    assert Length.read(str(length)) == length


def test_a_length_counts_images():
    assert Length(2.5, "epochs").samples(1000) == 2500
    assert Length(300, "seconds").samples(1000) is None
    assert Length(0).samples(1000) == 0


@pytest.mark.parametrize("text", ["five", "5 parsecs", "min", "-3epochs"])
def test_what_is_no_length_is_refused(text):
    with pytest.raises(ValueError, match="is not a length; write 200k"):
        Length.read(text)


@pytest.mark.parametrize(
    ("value", "kind", "fault"),
    [
        (0.0, Positive, "must be above 0"),
        (-1.0, Positive, "must be above 0"),
        (1.5, Fraction, "at most 1"),
        (0, Count, "must be at least 1"),
        (1.5, Count, "not a whole number"),
        (True, Count, "not a whole number"),
        ("x", Positive, "not a number"),
        (float("nan"), Positive, "not a finite number"),
        ((1, "x"), tuple[int, ...], "not a whole number"),
    ],
)
def test_values_out_of_range_are_named(value, kind, fault):
    assert fault in values.check(value, kind)


@pytest.mark.parametrize(("value", "kind"), [(0.5, Fraction), (0, SampleCount), (3, Count), (1e-8, Positive)])
def test_values_in_range_pass(value, kind):
    assert values.check(value, kind) is None


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_round_trip_exactly(number):
    assert values.read(values.write(number, float), float) == number


@pytest.mark.parametrize("text", ["9" * 400, "9" * 5000, f"{'9' * 400}epochs", f"{'9' * 400}min"])
def test_numbers_beyond_counting_are_refused_in_few_words(text):
    with pytest.raises(ValueError, match="is not a length") as raised:
        Length.read(text)
    assert len(str(raised.value)) < 200
    assert "must be at most" in values.check(10**400, int)
    assert "not a finite number" in values.check(10**400, float)
    assert values.check(Length(float("nan")), Length) == "nan samples is not a length"


def test_large_numbers_of_images_are_exact():
    assert values.read_count("9007199254740991") == 9007199254740991
    assert values.read_count("1.5M") == 1_500_000


@pytest.mark.parametrize(
    ("images", "text"),
    [(0, "0"), (999, "999"), (50_000, "50k"), (1_500_000, "1500k"), (2_000_000, "2M"), (1_000_001, "1000001")],
)
def test_numbers_of_images_are_written_as_short_as_they_stay_exact(images, text):
    assert values.write_count(images) == text


@pytest.mark.parametrize(
    ("bounds", "text", "inside", "outside"),
    [
        (values.Range(0, open_low=True), "above 0", (1e-9, 1e9), (0, -1)),
        (values.Range(1), "at least 1", (1, 1e9), (0.5,)),
        (values.Range(0, 2), "at least 0 and at most 2", (0, 2), (-0.1, 2.1)),
    ],
)
def test_a_range_says_what_is_in_it(bounds, text, inside, outside):
    assert str(bounds) == text
    assert [value in bounds for value in (*inside, *outside)] == [True] * len(inside) + [False] * len(outside)


def test_true_and_false_are_words():
    assert [values.read(word, bool) for word in ("true", " False ")] == [True, False]
    with pytest.raises(ValueError, match="'maybe' is not true or false"):
        values.read("maybe", bool)
    assert [values.write(value, bool) for value in (True, False)] == ["true", "false"]


def test_lists_of_numbers_and_unions_are_read_and_checked():
    widths = tuple[int, ...]
    assert values.read("16/ 8/", widths) == (16, 8)
    assert values.write((16, 8), widths) == "16/8"
    assert values.check((16, 8), widths) is None
    assert values.check([16], widths) == "[16] is not a list; separate its numbers by '/'"
    assert values.check("all", Count | Literal["all"]) is None
    assert values.check(3, Count | Literal["all"]) is None
    assert values.check("x", Count | Literal["all"]) == "'x' is not a whole number"


def test_whole_numbers_become_floats_or_are_infinite():
    assert [values.as_float(value) for value in (3, 10**400, -(10**400))] == [3.0, math.inf, -math.inf]
    assert values.as_float("3") == "3"
