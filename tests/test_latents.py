"""Latents: their distribution, their shape, their seed."""

import math

import pytest
import torch

from zerosum.core.errors import RecipeError
from zerosum.core.registry import parse, shelf
from zerosum.latents import Normal, Uniform

every_latent = pytest.mark.parametrize("cls", list(shelf("latent").values()), ids=lambda cls: cls.name)


@every_latent
def test_shape_seed_and_text(cls):
    latent = cls(size=7)
    draws = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        draws.append(latent(5))
    assert draws[0].shape == (5, 7)
    assert draws[0].dtype == torch.float32
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert parse("latent", str(latent)) == latent
    assert cls().size == 100
    assert latent(2, device="meta").device.type == "meta"


@pytest.mark.parametrize(("cls", "std", "fourth"), [(Normal, 1.0, 3.0), (Uniform, 1 / math.sqrt(3), 1.8)])
def test_moments(cls, std, fourth):
    torch.manual_seed(0)
    z = cls(size=50)(20_000).double()
    assert z.mean().item() == pytest.approx(0, abs=4e-3)
    assert z.std().item() == pytest.approx(std, rel=4e-3)
    assert (z.pow(4).mean() / z.var() ** 2).item() == pytest.approx(fourth, rel=1e-2)
    assert z.T.corrcoef().fill_diagonal_(0).abs().max() < 0.04


def test_uniform_fills_its_range():
    torch.manual_seed(0)
    z = Uniform(size=10)(10_000)
    assert -1 <= z.min() < -0.999
    assert 0.999 < z.max() < 1


@every_latent
def test_an_empty_latent_is_refused(cls):
    with pytest.raises(RecipeError, match=f"latent '{cls.name}': size: 0 must be at least 1"):
        cls(size=0)
