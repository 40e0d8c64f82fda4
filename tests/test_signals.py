"""Signals: batches of nothing, modules built for them, and a rank's part of a batch."""

import pytest
import torch

from zerosum.core.errors import RecipeError
from zerosum.core.signals import Signal, Wiring, build, told, zeros
from zerosum.core.spacing import spaced
from zerosum.core.team import share


def test_a_batch_of_nothing_has_the_type_of_its_signal():
    label, image = zeros(Signal("label", classes=3), 2), zeros(Signal("image", (1, 4, 4)), 2)
    assert (label.dtype, label.shape) == (torch.int64, (2,))
    assert (image.dtype, image.shape) == (torch.float32, (2, 1, 4, 4))


def test_what_builds_no_module_is_refused():
    class Part:
        name = "odd"

        def build(self, inputs, outputs):
            return 3

    with pytest.raises(RecipeError, match=r"'odd': build gave int, and must give an nn\.Module"):
        build(Part(), Wiring({}, {}, ("generator",)))


def test_a_rank_gets_its_part_in_order():
    class Second:
        world, rank = 2, 1

    assert share(torch.arange(6), Second()).tolist() == [3, 4, 5]


def test_a_signal_is_told_by_its_kind_and_size():
    signals = {"x": Signal("image", (1, 4, 4)), "y": Signal("label", classes=3), "z": Signal("logit")}
    assert told(signals) == "x: image [1, 4, 4], y: label of 3, z: logit"


def test_a_few_of_many_are_evenly_spread_with_both_ends():
    assert spaced(10, 4).tolist() == [0, 3, 6, 9]
    assert spaced(3, 9).tolist() == [0, 1, 2]
    assert spaced(1, 9).tolist() == [0]
