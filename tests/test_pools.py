"""The pool of translated images: what is given on, what is kept, alone and over ranks."""

import torch

from zerosum.core.memory import Memory
from zerosum.core.signals import Signal
from zerosum.pools import ImagePool

ONE = Signal("image", (1, 1, 1))


def numbered(first, count):
    """Images that are told apart by their one pixel."""
    return torch.arange(first, first + count, dtype=torch.float32).view(-1, 1, 1, 1)


def put(pool, memory, batches, batch):
    """What comes out for so many batches of numbered images, [batches, batch]."""
    return torch.stack([pool(numbered(1 + k * batch, batch), memory).flatten() for k in range(batches)])


def test_a_pool_of_none_gives_on_what_it_gets():
    pool = ImagePool(0)
    x = torch.randn(3, 2, 4, 4, requires_grad=True)
    given = pool(x, Memory(pool.memory(Signal("image", (2, 4, 4)))))
    assert torch.equal(given, x)
    assert not given.requires_grad
    assert pool.memory(ONE) == {}


def test_until_it_is_full_images_are_kept_and_given_on():
    torch.manual_seed(0)
    pool = ImagePool(10)
    memory = Memory(pool.memory(ONE))
    given = put(pool, memory, 2, 4)
    assert given.flatten().tolist() == list(range(1, 9))
    assert memory["count"] == 8
    assert memory["images"].flatten().tolist() == [*range(1, 9), 0, 0]
    last = pool(numbered(9, 4), memory).flatten()  # two places are left
    assert last[:2].tolist() == [9, 10]
    assert all(new in (11, 12) or new <= 8 for new in last[2:])
    assert memory["count"] == 10
    assert memory["images"][8:].flatten().tolist() == [9, 10]


def test_a_full_pool_changes_half_of_all_images_for_old_ones():
    torch.manual_seed(0)
    pool, batch, batches = ImagePool(20), 5, 400
    memory = Memory(pool.memory(ONE))
    given = put(pool, memory, batches, batch)
    new = torch.arange(1, 1 + batches * batch).view(batches, batch)
    old = given < new
    assert torch.equal(given[~old], new[~old].float())
    later = old[4:].float()
    assert abs(later.mean() - 0.5) < 0.03  # three deviations are 0.034
    assert abs(later.mean(0) - 0.5).max() < 0.08
    first = torch.arange(batches)[:, None] * batch + 1  # of each batch: none of it comes back at once
    assert (given[old] < first.expand_as(old)[old]).all()
    out, kept = given.flatten().tolist(), memory["images"].flatten().tolist()
    swapped = [x for x, was in zip(given.flatten().tolist(), old.flatten().tolist(), strict=True) if was]
    assert len(set(swapped)) == len(swapped)  # what is given on for a new one is gone
    assert len(set(kept)) == 20
    assert not set(kept) & set(swapped)
    assert {*out, *kept} == set(range(1, 1 + batches * batch))  # and nothing is lost
    age = torch.tensor(swapped) - torch.tensor([x for x, was in zip(new.flatten(), old.flatten(), strict=True) if was])
    assert abs(-age.float().mean() - 2 * 20) < 6  # every second image takes one of 20 places: 40 images


def test_the_host_waits_for_nothing():
    pool = ImagePool(4)
    with torch.device("meta"):
        memory = Memory(pool.memory(ONE))
        assert pool(torch.empty(3, 1, 1, 1), memory).shape == (3, 1, 1, 1)
