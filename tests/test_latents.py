"""Latents: their distribution, their shape, their seed."""

import math

import numpy as np
import pytest
import torch

from zerosum.core.errors import RecipeError
from zerosum.core.registry import parse, registered
from zerosum.latents import InfoGAN, Normal, Truncated, Uniform

SMALL = [Normal(7), Uniform(7), Truncated(7, 0.5), InfoGAN(2, 3, 2)]
every_latent = pytest.mark.parametrize("latent", SMALL, ids=lambda part: part.name)
every_sized = pytest.mark.parametrize("cls", [Normal, Uniform, Truncated])


@every_latent
def test_shape_seed_and_text(latent):
    draws = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        draws.append(latent(5))
    assert draws[0].shape == (5, 7)
    assert latent.size == 7
    assert draws[0].dtype == torch.float32
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert parse("latent", str(latent)) == latent
    assert latent(2, device="meta").device.type == "meta"
    assert latent(2, device="meta").shape == (2, 7)


def test_every_latent_is_tried_here():
    assert {part.name for part in SMALL} == set(registered("latent"))


@every_sized
def test_a_latent_has_a_hundred_numbers_unless_told(cls):
    assert cls().size == 100


def normal_within(threshold):
    """Standard deviation and kurtosis of a normal distribution cut at +-threshold, by numerical integration."""
    x = np.linspace(-threshold, threshold, 200_001)
    density = np.exp(-(x**2) / 2)
    second, fourth = ((density * x**power).sum() / density.sum() for power in (2, 4))
    return math.sqrt(second), fourth / second**2


@pytest.mark.parametrize(("latent", "std", "fourth"), [
    (Normal(50), 1.0, 3.0),
    (Uniform(50), 1 / math.sqrt(3), 1.8),
    (Truncated(50), *normal_within(2.0)),
    (Truncated(50, 0.5), *normal_within(0.5)),
    (Truncated(50, 30.0), 1.0, 3.0),
], ids=str)  # fmt: skip
def test_moments(latent, std, fourth):
    torch.manual_seed(0)
    z = latent(20_000).double()
    assert z.mean().item() == pytest.approx(0, abs=4e-3)
    assert z.std().item() == pytest.approx(std, rel=4e-3)
    assert (z.pow(4).mean() / z.var() ** 2).item() == pytest.approx(fourth, rel=1e-2)
    assert z.T.corrcoef().fill_diagonal_(0).abs().max() < 0.04


def test_known_moments_of_the_truncated_normal():
    assert normal_within(2.0)[0] ** 2 == pytest.approx(0.7737413, abs=1e-4)  # 1 - 2 t phi(t) / (2 Phi(t) - 1)


def test_truncation_is_what_resampling_gives():
    torch.manual_seed(0)
    z = Truncated(1, 1.3)(40_000).flatten()
    drawn = torch.randn(120_000)
    kept = drawn[drawn.abs() <= 1.3][:40_000]
    assert z.abs().max() <= 1.3
    assert z.abs().max() > 1.29
    gap = (torch.sort(z).values - torch.sort(kept).values).abs().mean()
    assert gap < 0.015  # Wasserstein distance of two samples of this size is about 0.005


def test_truncation_far_out_stays_finite(monkeypatch):
    monkeypatch.setattr(torch, "rand", torch.zeros)  # the rarest draw, whose normal number would be -infinity
    assert Truncated(2, 30.0)(1).tolist() == [[-30.0, -30.0]]


def test_uniform_fills_its_range():
    torch.manual_seed(0)
    z = Uniform(size=10)(10_000)
    assert -1 <= z.min() < -0.999
    assert 0.999 < z.max() < 1


def test_a_code_is_noise_then_a_category_then_uniform_numbers():
    torch.manual_seed(0)
    noise, category, continuous = InfoGAN(noise=3, categories=5, continuous=2)(20_000).split((3, 5, 2), dim=1)
    assert noise.std(0).tolist() == pytest.approx([1, 1, 1], rel=0.03)
    assert noise.abs().max() > 3
    assert ((category == 0) | (category == 1)).all()
    assert (category.sum(1) == 1).all()
    assert category.mean(0).tolist() == pytest.approx([0.2] * 5, abs=0.012)  # 4 standard errors
    assert (continuous.std(0) * math.sqrt(3)).tolist() == pytest.approx([1, 1], rel=0.02)
    assert -1 <= continuous.min() < -0.99
    assert 0.99 < continuous.max() < 1


def test_parts_of_a_code_may_be_left_out():
    assert InfoGAN(noise=4, categories=0, continuous=1)(6).shape == (6, 5)
    assert InfoGAN(noise=4, categories=3, continuous=0)(6)[:, 4:].sum(1).tolist() == [1] * 6
    assert InfoGAN(noise=0, categories=2, continuous=0)(6).sum(1).tolist() == [1] * 6
    assert InfoGAN().size == 74
    with pytest.raises(RecipeError, match="latent 'infogan': noise, categories and continuous are all 0; set one"):
        InfoGAN(0, 0, 0)


@every_sized
def test_an_empty_latent_is_refused(cls):
    with pytest.raises(RecipeError, match=f"latent '{cls.name}': size: 0 must be at least 1"):
        cls(size=0)


def test_a_threshold_of_nothing_is_refused():
    with pytest.raises(RecipeError, match=r"latent 'truncated': threshold: 0\.0 must be above 0"):
        Truncated(threshold=0)
