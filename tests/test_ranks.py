"""Two ranks against one on their joint batches; what is equal on both, and what one is told when the other is gone."""

import os
import re
import subprocess
import sys

import pytest
import torch

from tests.ranks import JOINT, OWN, digits
from zerosum.core.errors import DataError
from zerosum.data import Feed

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="the two processes begin by a fork")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What ranks 0 and 1 found, and rank 0 when it was alone."""
    folder = tmp_path_factory.mktemp("ranks")
    ended = subprocess.run([sys.executable, "-m", "tests.ranks", folder], timeout=120, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return {name: torch.load(folder / f"{name}.pt") for name in ("rank0", "rank1", "alone")}


def assert_equal(a, b):
    assert a.keys() == b.keys()
    for key, value in a.items():
        assert torch.equal(value, b[key]), key


@forks
@pytest.mark.parametrize("name", JOINT)
def test_two_ranks_train_as_one_does_on_the_joint_batch(found, name):
    joint, alone = found["rank0"]["joint"][name], found["alone"]["joint"][name]
    assert alone["position"] == joint["position"] > 0
    assert joint.keys() == alone.keys()
    for key, value in alone.items():
        if "_spread" not in key:  # a deviation within each rank's part
            torch.testing.assert_close(joint[key], value, rtol=1e-12, atol=1e-12)
    assert_equal(joint, found["rank1"]["joint"][name])


@forks
@pytest.mark.parametrize("name", OWN)
def test_ranks_hold_the_same_bits_whatever_each_draws_for_itself(found, name):
    a, b = found["rank0"]["own"][name], found["rank1"]["own"][name]
    assert not torch.equal(a["own"], b["own"])
    for when in ("before", "after"):
        assert_equal(a[when], b[when])
    assert any(not torch.equal(a["before"][key], value) for key, value in a["after"].items() if key in a["before"])


@forks
@pytest.mark.parametrize("name", OWN)
def test_a_state_that_rank_0_saved_goes_on_bit_for_bit_on_both(found, name):
    for rank in ("rank0", "rank1"):
        assert_equal(found[rank]["own"][name]["after"], found[rank]["own"][name]["resumed"])


@forks
def test_ranks_begin_with_the_weights_of_rank_0_and_stop_together(found):
    a, b = found["rank0"]["agreed"], found["rank1"]["agreed"]
    assert_equal(a["start"], b["start"])
    assert a["error"] == b["error"]
    assert "the loss of the discriminator is not finite" in a["error"]
    assert "odd nan" in a["error"]
    for rank in (a, b):
        assert_equal(rank["start"], rank["end"])


@forks
def test_augmentation_adapts_to_the_logits_of_all_ranks(found):
    alone = found["alone"]["adapted"]
    assert alone == pytest.approx([0.4, 0.5, 0.4])  # the second rank's own logits would lower it each time
    assert found["rank0"]["adapted"] == found["rank1"]["adapted"] == alone


@forks
@pytest.mark.parametrize("rank", ["rank0", "rank1"])
def test_a_mean_and_its_gradients_are_those_of_all_ranks(found, rank):
    done = found[rank]["calculated"]
    assert done["mean"].tolist() == [1.5, 4]
    assert done["first"].tolist() == [4.5, 12]  # 2 * mean, times the mean of 1 and 2
    assert done["second"].tolist() == [3, 3]


@forks
@pytest.mark.parametrize("rank", ["rank0", "rank1"])
def test_tensors_of_any_type_and_order_are_averaged_agreed_and_gathered(found, rank):
    done = found[rank]["calculated"]
    number, matrix, maps = done["average"]
    assert (number.item(), matrix.tolist(), matrix.dtype) == (1.5, [[2, 2], [2, 2]], torch.float64)
    assert torch.equal(maps, torch.full((2, 3, 4, 4), 0.5))
    assert done["dense"]  # channels stay last
    count, truth, few, drawn = done["agreed"]
    assert (count.item(), truth.tolist(), few.tolist()) == (7, [True, True], torch.full((3,), 0.1).tolist())
    assert torch.equal(drawn, maps)
    assert [one.tolist() for one in done["gathered"]] == [[0, 8, 1, 8], [[False], [True]], [1, 5, 2, 3]]


@forks
@pytest.mark.parametrize(("case", "reason", "limit"), [("absent", "Wait timeout", 0.5), ("silent", "Timed out", 1)])
def test_a_rank_that_does_not_answer_ends_the_others_with_one_sentence(found, case, reason, limit):
    seconds, said = found["alone"][case]
    assert seconds < 10
    message = (
        rf"rank 0 of 2 waited for the others in vain \([^()]*({reason})[^()]*\): one of them has ended, or has not "
        rf"answered for {limit} s; see what stopped it"
    )
    assert re.fullmatch(message, said)


@forks
def test_a_rank_that_is_lost_ends_the_others_with_its_number(found):
    seconds, said = found["alone"]["killed"]
    assert seconds < 10
    assert said == "rank 1 of 2 ended before the others did"


def test_parts_of_ranks_are_the_joint_batch_in_order():
    data = digits(4)
    joint, parts = Feed(data, 12, seed=1), [Feed(data, 12, seed=1, rank=rank, world=3) for rank in range(3)]
    for _ in range(5):  # into a second epoch
        whole, shares = joint.next(), [part.next() for part in parts]
        assert [len(one["label"]) for one in shares] == [4, 4, 4]
        assert_equal(whole, {key: torch.cat([one[key] for one in shares]) for key in whole})
        assert {part.position for part in parts} == {joint.position}


@pytest.mark.parametrize(("batch", "world", "near"), [(50, 4, 48), (51, 4, 52), (1, 3, 3), (7, 8, 8)])
def test_a_batch_that_ranks_cannot_share_is_refused_with_the_nearest(batch, world, near):
    with pytest.raises(
        DataError, match=f"^toy: {world} ranks cannot share a batch of {batch} images; the nearest is {near}$"
    ):
        Feed(digits(4), batch, world=world)
