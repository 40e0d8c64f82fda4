"""A little of what `python -m benchmarks.fuzz` plays by the thousand, and proof that it would notice."""

import time

import pytest

from benchmarks.fuzz import FAULTS, play, surface
from benchmarks.surfaces.surface import Case, Surface
from zerosum.core.errors import RunError

DATA = ("npy", "npz", "idx", "cifar", "pictures", "zip", "tar", "csv")


class Played(Surface):
    """Cases that are given."""

    name = "played"

    def __init__(self, *calls):
        self.calls = iter(calls)

    def case(self, random):
        return Case("a case", next(self.calls))


def fail(error):
    def call():
        raise error

    return call


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda: 1, "accepted"),
        (fail(RunError("x is damaged")), "in words"),
        (fail(RunError("")), "garbled"),
        (fail(RunError("\x1b[2J")), "garbled"),
        (fail(RunError("x" * 10_000)), "garbled"),
        (fail(KeyError("images")), "traceback"),
        (lambda: time.sleep(5), "hang"),
    ],
)
def test_every_kind_of_outcome_is_told_apart(call, kind):
    (outcome,) = play(Played(call), [0], limit=0.05)
    assert outcome.kind == kind
    assert (kind in FAULTS) == (kind not in ("accepted", "in words"))


@pytest.mark.parametrize(
    ("name", "cases"), [("words", 60), ("recipe", 20), ("model", 20), ("run", 8), *((name, 12) for name in DATA)]
)
def test_a_few_cases_of_every_surface(name, cases, tmp_path):
    outcomes = list(play(surface(name, tmp_path), range(cases), seed=1))
    assert len(outcomes) == cases
    assert [outcome for outcome in outcomes if outcome.kind in FAULTS] == []
    assert {"in words", "accepted"} >= {outcome.kind for outcome in outcomes} > set()
