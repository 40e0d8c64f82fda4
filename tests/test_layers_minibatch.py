"""Minibatch layers: against double loops in NumPy, and twice differentiable."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from zerosum.networks.minibatch import MinibatchDiscrimination, MinibatchStddev


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def added(layer, x):
    """The new features alone; the old ones must pass untouched."""
    out = layer(x)
    assert torch.equal(out[:, : x.shape[1]], x)
    return out[:, x.shape[1] :]


@pytest.mark.parametrize("include_self", [False, True])
def test_discrimination_is_the_sum_of_closenesses(include_self):
    layer = MinibatchDiscrimination(3, kernels=4, dims=2, include_self=include_self)
    x = torch.randn(5, 3) * 2
    M = (x.double().numpy() @ layer.project.weight.detach().double().numpy().T).reshape(5, 4, 2)
    expected = [
        [sum(np.exp(-abs(M[i, b] - M[j, b]).sum()) for j in range(5) if include_self or j != i) for b in range(4)]
        for i in range(5)
    ]
    np.testing.assert_allclose(added(layer, x).detach(), expected, rtol=1e-5)


@pytest.mark.parametrize(("include_self", "near", "far"), [(False, 5, 0), (True, 6, 1)])
def test_equal_samples_count_and_far_ones_do_not(include_self, near, far):
    layer = MinibatchDiscrimination(3, kernels=4, include_self=include_self)
    assert torch.equal(added(layer, torch.randn(1, 3).expand(6, 3)), torch.full((6, 4), float(near)))
    lonely = added(layer, torch.randn(6, 3) * 1e4)
    torch.testing.assert_close(lonely, torch.full((6, 4), float(far)), atol=1e-6, rtol=0)


def test_a_collapsed_batch_is_told_by_the_new_features_alone():
    layer = MinibatchDiscrimination(8, kernels=16)
    collapsed = added(layer, torch.randn(1, 8) + 0.05 * torch.randn(64, 8))
    diverse = added(layer, torch.randn(64, 8))
    assert collapsed.mean(1).min() > 1.2 * diverse.mean(1).max()


@pytest.mark.parametrize("layer", [MinibatchDiscrimination(3, kernels=4), MinibatchStddev(6)], ids=["sum", "stddev"])
def test_samples_may_come_in_any_order(layer):
    x, order = torch.randn(6, 3), torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(layer(x[order]), layer(x)[order])
    assert not torch.allclose(layer(x)[:3], layer(x[:3]))


@pytest.mark.parametrize(("batch", "group", "size"), [(12, 4, 4), (6, 4, 3), (7, 4, 1), (8, 100, 8), (2, 4, 2)])
@pytest.mark.parametrize("shape", [(3, 2, 5), (4,)], ids=["maps", "vectors"])
def test_stddev_is_that_of_strided_groups(batch, group, size, shape):
    x = torch.randn(batch, *shape) * 3
    values, groups = x.double().numpy(), batch // size
    expected = np.empty((batch, 1, *shape[1:]))
    for n in range(batch):
        members = values[[m for m in range(batch) if m % groups == n % groups]]
        assert len(members) == size
        expected[n] = np.sqrt(members.var(0) + 1e-8).mean()
    np.testing.assert_allclose(added(MinibatchStddev(group), x), expected, rtol=1e-5)


def test_stddev_of_equal_samples():
    channel = added(MinibatchStddev(), torch.randn(1, 3, 2, 2).expand(8, -1, -1, -1))
    torch.testing.assert_close(channel, torch.full((8, 1, 2, 2), 1e-4), rtol=1e-3, atol=0)


@pytest.mark.parametrize(
    "layer",
    [
        MinibatchDiscrimination(3, kernels=2, dims=3),
        MinibatchDiscrimination(3, 2, include_self=True),
        MinibatchStddev(2),
    ],
    ids=["sum", "sum with self", "stddev"],
)
def test_minibatch_layers_are_twice_differentiable(layer):
    layer, x = layer.double(), torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    weights = tuple(layer.parameters())

    def call(x, *changed):
        named = dict(zip((name for name, _ in layer.named_parameters()), changed, strict=True))
        return torch.func.functional_call(layer, named, x)

    assert torch.autograd.gradcheck(call, (x, *weights))
    assert torch.autograd.gradgradcheck(call, (x, *weights))


def test_cheap_and_repeatable_gradients_agree():
    layer, x = MinibatchDiscrimination(4, kernels=3), torch.randn(6, 4, requires_grad=True)
    cost = torch.randn(6, 7)
    (cheap,) = torch.autograd.grad((cost * layer(x)).sum(), x)
    (repeatable,) = torch.autograd.grad((cost * layer(x)).sum(), x, create_graph=True)
    torch.testing.assert_close(cheap, repeatable)
    assert repeatable.requires_grad


def test_distances_are_float32_under_autocast():
    layer, x = MinibatchDiscrimination(4, kernels=3), torch.randn(16, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = layer(x)
        assert out.dtype == x.dtype
        same = added(layer, x[:1].expand(300, 4))
    assert torch.equal(same, torch.full_like(same, 299))  # bf16 would say 300
    torch.testing.assert_close(out, layer(x), atol=0.05, rtol=0.05)


def test_shape_of_the_projection():
    layer = MinibatchDiscrimination(10)
    assert isinstance(layer.project, nn.Linear)
    assert layer.project.weight.shape == (500, 10)
    assert layer.project.bias is None
    assert "u" in dict(MinibatchDiscrimination(10, spectral=True).project.named_buffers())
    assert math.prod(layer(torch.randn(2, 10)).shape) == 220
