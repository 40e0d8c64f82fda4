"""Selections: which fakes are chosen, and how many at which clock."""

import pytest
import torch

from tests.logits import gradient
from zerosum.core.errors import RecipeError
from zerosum.core.registry import parse, registered
from zerosum.objectives import Hinge, Relativistic
from zerosum.selection import All, TopK

LOGITS = torch.tensor([0.3, -2.0, 1.5, 0.9, -0.1, -3.0, 0.8, 0.2])


def test_the_registry_and_text():
    assert {name: cls.__name__ for name, cls in registered("selection").items()} == {"all": "All", "top-k": "TopK"}
    for part in (All(), TopK(), TopK(share=0.25, until=1500)):
        assert parse("selection", str(part)) == part


@pytest.mark.parametrize("images", [0, 10**9])
def test_all_makes_no_choice(images):
    assert All()(LOGITS, images) is None


def test_the_highest_logits_are_chosen():
    chosen = TopK(share=0.5, until=0)(LOGITS, 0)
    assert sorted(chosen.tolist()) == [0, 2, 3, 6]
    assert TopK(share=0.01, until=0)(LOGITS, 0).tolist() == [2]  # at least one


def test_nothing_is_chosen_before_the_decay_has_begun():
    assert TopK(until=1000)(LOGITS, 0) is None
    assert TopK(share=1.0, until=0)(LOGITS, 10**9) is None


def test_the_share_falls_by_a_constant_factor():
    logits = torch.randn(1000)
    counts = [len(TopK(share=0.25, until=4000)(logits, images)) for images in (1000, 2000, 3000, 4000, 9000)]
    assert counts == [707, 500, 354, 250, 250]  # 1000 / sqrt(2)^n
    at_an_epoch = len(TopK()(logits, 50_000))
    assert at_an_epoch == 990  # the paper's 0.99 an epoch


def test_a_patch_map_is_judged_by_its_mean():
    maps = torch.stack([torch.tensor([[9.0, -9.5]]), torch.tensor([[0.1, 0.2]]), torch.tensor([[0.5, -0.1]])])[:, None]
    assert maps.shape == (3, 1, 1, 2)
    assert sorted(TopK(share=0.6, until=0)(maps, 0).tolist()) == [1, 2]


def test_the_generator_learns_from_the_chosen_alone():
    fake = LOGITS.clone().requires_grad_()
    chosen = TopK(share=0.5, until=0)(fake, 0)
    assert gradient(Hinge().generator(fake[chosen]), fake).tolist() == [-0.25, 0, -0.25, -0.25, 0, 0, -0.25, 0]
    real = torch.randn(8)
    gradients = gradient(Relativistic().generator(fake[chosen], real[chosen]), fake)
    alone = torch.sigmoid(real - LOGITS) / -4
    assert torch.allclose(gradients[[0, 2, 3, 6]], alone[[0, 2, 3, 6]])
    assert gradients[[1, 4, 5, 7]].tolist() == [0, 0, 0, 0]


def test_ranks_are_those_of_low_precision_logits():
    logits = torch.tensor([1.0, 300.0, -5.0, 2.0], dtype=torch.bfloat16)
    assert sorted(TopK(share=0.5, until=0)(logits, 0).tolist()) == [1, 3]


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(RecipeError, match=rf"selection 'top-k': share: {share} must be above 0 and at most 1"):
        TopK(share=share)
