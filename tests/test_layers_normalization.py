"""Norms: what they normalise over, conditional ones class by class, pixel norm."""

import numpy as np
import pytest
import torch

from zerosum.core.average import reestimate_statistics
from zerosum.core.errors import RecipeError
from zerosum.networks.normalization import ConditionalBatchNorm, PixelNorm, conditional_classes, make_norm


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize(("name", "axes"), [("layer", (1, 2, 3)), ("instance", (2, 3)), ("batch", (0, 2, 3))])
def test_norms_normalise_over_what_they_say(name, axes):
    x = torch.randn(6, 16, 5, 7) * 3 + torch.randn(6, 16, 1, 1)
    out = make_norm(name, 16, 2)(x)
    assert out.mean(axes).abs().max() < 1e-5
    torch.testing.assert_close(out.var(axes, correction=0), torch.ones_like(out.mean(axes)), atol=1e-4, rtol=0)
    others = {(1, 2, 3), (2, 3), (0, 2, 3)} - {axes}
    assert all((out.var(other, correction=0) - 1).abs().max() > 1e-3 for other in others if not set(axes) < set(other))
    assert {name for name, _ in make_norm(name, 16, 2).named_parameters()} == {"weight", "bias"}


@pytest.mark.parametrize(
    ("channels", "groups"), [(64, 8), (8, 1), (4, 1), (24, 3), (20, 2), (7, 1), (512, 64), (13, 1), (17, 17)]
)
def test_groups_divide_the_channels_into_about_eight(channels, groups):
    assert make_norm("group", channels, 2).num_groups == groups


def test_norms_of_vectors():
    x = torch.randn(5, 16) * 2 + 1
    assert make_norm("layer", 16, 0)(x).mean(1).abs().max() < 1e-5
    assert make_norm("batch", 16, 0)(x).mean(0).abs().max() < 1e-5
    assert torch.equal(make_norm("none", 16, 0)(x), x)
    halves = make_norm("group", 16, 0)(x).reshape(5, 2, 8)
    torch.testing.assert_close(halves.mean(2), torch.zeros(5, 2), atol=1e-5, rtol=0)
    torch.testing.assert_close(halves.var(2, correction=0), torch.ones(5, 2), atol=1e-3, rtol=0)
    for name, dims in (("instance", 0), ("nonsense", 2)):
        with pytest.raises(ValueError, match=f"there is no norm '{name}' with {dims} dimensions"):
            make_norm(name, 16, dims)
    for name in ("none", "layer", "group"):
        with pytest.raises(ValueError, match=f"there is no norm '{name}' with 2 dimensions and classes"):
            make_norm(name, 16, 2, 10)
    for name in ("none", "layer", "group"):
        with pytest.raises(ValueError, match=f"there is no norm '{name}' with 0 dimensions and classes"):
            make_norm(name, 16, 0, 10)


@pytest.mark.parametrize("shape", [(7, 3), (7, 3, 4, 2)], ids=["vectors", "maps"])
def test_conditional_batch_norm_scales_and_shifts_by_class(shape):
    norm = make_norm("batch", 3, 0 if len(shape) == 2 else 2, classes=4)
    assert isinstance(norm, ConditionalBatchNorm)
    x, label = torch.randn(shape) * 2 + 1, torch.tensor([0, 3, 1, 1, 2, 0, 3])
    axes = (0, *range(2, len(shape)))
    v = x.double().numpy()
    standard = (v - v.mean(axes, keepdims=True)) / np.sqrt(v.var(axes, keepdims=True) + 1e-5)
    np.testing.assert_allclose(norm(x, label).detach(), standard, atol=1e-5)  # scales begin at 1 and shifts at 0
    with torch.no_grad():
        norm.weight.copy_(torch.randn(4, 3))
        norm.bias.copy_(torch.randn(4, 3))
    scale, shift = (
        table.detach().double().numpy()[label].reshape(7, 3, *[1] * (len(shape) - 2))
        for table in (norm.weight, norm.bias)
    )
    np.testing.assert_allclose(norm(x, label).detach(), standard * scale + shift, atol=1e-5)


def test_conditional_batch_norm_uses_running_statistics_in_evaluation():
    norm, label = ConditionalBatchNorm(3, 2), torch.tensor([0, 1, 1, 0])
    x = torch.randn(4, 3, 5, 5) * 3 + 2
    reestimate_statistics(norm, lambda: norm(x, label), batches=2)
    variance = x.var((0, 2, 3))[None, :, None, None]
    expected = (x - x.mean((0, 2, 3), keepdim=True)) / (variance + 1e-5).sqrt()
    torch.testing.assert_close(norm.eval()(x, label), expected)
    torch.testing.assert_close(norm(x[:1], label[:1]), expected[:1])
    assert {name for name, _ in norm.named_parameters()} == {"weight", "bias"}
    with pytest.raises(ValueError, match=r"call it with the classes, a label \[N\] of 0 to 1"):
        norm(x)


def test_conditional_norms_need_batch_norm():
    assert conditional_classes("mine", "norm", "batch", 10) == 10
    assert conditional_classes("mine", "concat", "layer", 10) == 0
    with pytest.raises(
        RecipeError, match=r"network 'mine': labels=norm gives every class.*set norm=batch, or labels=con"
    ):
        conditional_classes("mine", "norm", "layer", 10)


@pytest.mark.parametrize("shape", [(5, 8), (5, 8, 3, 2)], ids=["vectors", "maps"])
def test_pixel_norm_gives_vectors_of_channels_one_length(shape):
    x = torch.randn(shape) * 4
    v = x.double().numpy()
    np.testing.assert_allclose(PixelNorm()(x), v / np.sqrt((v**2).mean(1, keepdims=True) + 1e-8), rtol=1e-5)
    assert torch.equal(PixelNorm()(torch.zeros(shape)), torch.zeros(shape))
    assert PixelNorm()(x.bfloat16()).dtype == torch.float32


def test_an_instance_norm_of_classes_scales_and_shifts_each_image_by_its_own():
    norm = make_norm("instance", 3, 2, 4)
    norm.weight.data.copy_(torch.arange(12.0).view(4, 3))
    norm.bias.data.copy_(-torch.arange(12.0).view(4, 3))
    x, label = torch.randn(5, 3, 6, 7) * 3 + 1, torch.tensor([3, 0, 1, 1, 2])
    y = norm(x, label)
    torch.testing.assert_close(y.mean((2, 3)), -label[:, None] * 3.0 - torch.arange(3.0), atol=1e-4, rtol=0)
    torch.testing.assert_close(y.std((2, 3), correction=0), label[:, None] * 3.0 + torch.arange(3.0), atol=1e-3, rtol=0)
