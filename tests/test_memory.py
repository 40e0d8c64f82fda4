"""What a part remembers: which of its methods are handed the memory, and means over ranks."""

from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import torch

from tests.exchanges import Two
from zerosum.core.memory import Bound, Memory
from zerosum.core.registry import Part


@dataclass(frozen=True)
class Remembering(Part):
    """Has methods with and without a memory."""

    clashes: ClassVar[dict[str, str]] = {"a": "b"}
    weight: float = 2.0

    def __call__(self, x, memory):
        return x, memory

    @torch.no_grad()
    def adapt(self, outcome, memory):
        return outcome, memory, torch.is_grad_enabled()

    def plain(self, x):
        return x


def test_methods_that_ask_for_a_memory_receive_it_and_all_else_is_the_parts_own():
    part, memory = Remembering(), Memory({"mean": torch.zeros(())})
    bound = Bound(part, memory)
    assert bound(3) == (3, memory)
    assert bound(3)[1] is memory
    assert bound.adapt(4) == (4, memory, False)
    assert bound.plain(5) == 5
    assert (bound.weight, bound.clashes, bound.part, bound.memory) == (2.0, {"a": "b"}, part, memory)
    assert not hasattr(bound, "discriminator")


def test_a_mean_is_that_of_all_ranks():
    x = torch.tensor([1.0, 5.0], requires_grad=True)
    assert Memory().mean(x) is x
    found = Memory({}, Two(torch.tensor([3.0, 1.0]))).mean(x)
    assert found.tolist() == [2, 3]
    assert torch.autograd.grad(found.sum(), x)[0].tolist() == [0.5, 0.5]


class Pair(Two):
    """The second of two ranks, which draw alike in a block; it tells when that is entered."""

    rank = 1

    def __init__(self, other):
        super().__init__()
        self.other, self.entered = other, 0

    def gather(self, x):
        return torch.cat([self.other, x.detach()])

    @contextmanager
    def common(self):
        self.entered += 1
        yield


def test_what_is_made_of_the_batches_of_all_ranks_is_shared_out_again():
    x = torch.tensor([3.0, 4.0], requires_grad=True)
    pair, shown = Pair(torch.tensor([1.0, 2.0])), []

    def work(whole):
        shown.append(whole)
        return 10 * whole

    assert Memory({}, pair, pair.common).whole(x, work).tolist() == [30, 40]
    assert shown[0].tolist() == [1, 2, 3, 4]
    assert pair.entered == 1
    assert Memory().whole(x, work).tolist() == [30, 40]
    assert not shown[1].requires_grad
