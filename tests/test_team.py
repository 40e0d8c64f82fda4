"""Teams within one process: one that is alone, and ranks of a world of one; which processes have ended."""

import os
import subprocess
import sys

import pytest
import torch

from zerosum.core import ranks
from zerosum.core.errors import LostRankError
from zerosum.core.gradients import as_stored
from zerosum.core.ranks import Ranks
from zerosum.core.team import Alone

MESSAGE = "[/torch/gloo/pair.cc:12] Connection closed by peer. It may have ended.\nmore"


@pytest.fixture
def only(tmp_path):
    """The ranks of a world of one."""
    team = Ranks(0, 1, f"file://{tmp_path}/meeting", timeout=10)
    yield team
    team.close()


@pytest.fixture(scope="module")
def ended():
    """A process that has ended and was waited for, and one that was not waited for."""
    gone, zombie = (subprocess.Popen([sys.executable, "-S", "-c", ""]) for _ in range(2))
    gone.wait()
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    yield gone.pid, zombie.pid
    zombie.wait()


def test_means_and_gathered_batches_of_one_rank_are_its_own(only):
    image = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    for x in (torch.randn(3), image, torch.randn(2, 3, 4, 4)):
        leaf = x.clone().requires_grad_()
        mean = only.mean(leaf)
        (gradient,) = torch.autograd.grad(mean.square().sum(), leaf, create_graph=True)
        (second,) = torch.autograd.grad(gradient.sum(), leaf)
        assert torch.equal(mean, x)
        assert torch.equal(gradient, 2 * x)
        assert torch.equal(second, torch.full_like(x, 2))
        for team in (only, Alone()):
            assert torch.equal(team.gather(leaf), x)
            assert not team.gather(leaf).requires_grad
        for change in (only.average_, only.agree_):
            kept = x.clone()
            change([kept])
            assert torch.equal(kept, x)
            assert kept.stride() == x.stride()


def test_a_tensor_is_sent_as_it_lies_in_memory():
    plain, image = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    assert as_stored(plain) is plain
    assert as_stored(image).is_contiguous()
    assert as_stored(image).shape == (2, 4, 5, 3)
    assert as_stored(plain[0]).shape == (3, 4, 5)


def test_a_rank_whose_process_has_ended_is_lost(only, ended, monkeypatch):
    monkeypatch.setattr(ranks, "DYING", 0.0)
    machine, own = only._processes[0]
    assert own == os.getpid()
    assert only.lost() == []
    only._processes += [[machine, ended[0]], [machine + 1, ended[0]], [machine, ended[1]]]
    assert only.lost() == [1, 3]  # of another machine nobody knows

    def fail():
        raise RuntimeError(MESSAGE)

    with pytest.raises(LostRankError, match=r"^ranks 1 and 3 of 1 ended before the others did$") as raised:
        only._meet(fail)
    assert raised.value.ranks == [1, 3]
    del only._processes[1:]
    with pytest.raises(
        LostRankError, match=r"^rank 0 of 1 waited for the others in vain \(Connection closed by peer\)"
    ):
        only._meet(fail)
    assert ranks.lost_ranks([2], 4) == "rank 2 of 4 ended before the others did"


def test_which_processes_run_is_known_where_the_system_says(ended, monkeypatch):
    assert [ranks._is_running(one) for one in (os.getpid(), *ended)] == [True, False, False]
    with monkeypatch.context() as patch:  # a system without /proc
        patch.setattr(ranks, "_read", lambda _file: "")
        assert [ranks._is_running(one) for one in (os.getpid(), ended[0])] == [True, False]
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", "nt")
        patch.setattr(ranks, "_read", pytest.fail)
        running = ranks._is_running(ended[0])
    assert running
