"""Spectral normalization: one step as written in NumPy, the limit against a singular value decomposition."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d

from zerosum.networks.initialization import Orthogonal
from zerosum.networks.spectral import SpectralLinear, convolution, embedding, linear

MAKERS = {
    "linear": lambda **how: linear(7, 5, **how),
    "convolution": lambda **how: convolution(3, 5, 3, 2, 1, **how),
    "grouped convolution": lambda **how: convolution(4, 6, 3, groups=2, **how),
    "embedding": lambda **how: embedding(6, 4, **how),
}
every_layer = pytest.mark.parametrize("name", MAKERS)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def matrix(weight):
    """The weight as [out, everything else], in C order."""
    return weight.detach().double().numpy().reshape(len(weight), -1)


def inputs(name):
    if name == "embedding":
        return torch.tensor([0, 5, 2])
    return torch.randn(4, 7) if name == "linear" else torch.randn(4, 4 if "grouped" in name else 3, 6, 5)


def settle(layer, steps=300):
    for _ in range(steps):
        layer.sigma()
    return layer


@every_layer
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last], ids=["plain", "channels-last"])
def test_a_training_pass_takes_one_step_of_power_iteration(name, order):
    layer = MAKERS[name](spectral=True)
    if layer.weight.ndim == 4:
        layer = layer.to(memory_format=order)
    W, u = matrix(layer.weight), layer.u.double().numpy().copy()
    assert np.linalg.norm(u) == pytest.approx(1, abs=1e-6)
    v = W.T @ u / np.linalg.norm(W.T @ u)
    after = W @ v / np.linalg.norm(W @ v)
    x = inputs(name)
    out = layer(x)
    np.testing.assert_allclose(layer.u.numpy(), after, atol=1e-6)
    plain = MAKERS[name]()
    plain.load_state_dict({key: value for key, value in layer.state_dict().items() if key != "u"})
    with torch.no_grad():
        plain.weight /= float(after @ W @ v)
    torch.testing.assert_close(out, plain(x), rtol=1e-4, atol=1e-6)


@every_layer
def test_evaluation_changes_nothing(name):
    layer = MAKERS[name](spectral=True)
    x = inputs(name)
    layer(x)
    layer.eval()
    before = {key: value.clone() for key, value in layer.state_dict().items()}
    out = layer(x)
    assert torch.equal(out, layer(x))
    assert all(torch.equal(before[key], value) for key, value in layer.state_dict().items())
    copy = MAKERS[name](spectral=True).eval()
    copy.load_state_dict(layer.state_dict())
    assert torch.equal(copy(x), out)
    layer.train()(x)
    assert not torch.equal(layer.u, before["u"])


@every_layer
def test_largest_singular_value_becomes_one(name):
    layer = settle(MAKERS[name](spectral=True))
    largest = np.linalg.svd(matrix(layer.weight), compute_uv=False)[0]
    assert layer.sigma().item() == pytest.approx(largest, rel=1e-5)
    again = np.linalg.svd(matrix(layer.normalised()), compute_uv=False)[0]
    assert again == pytest.approx(1, abs=1e-4)


@every_layer
def test_a_multiple_of_the_weight_is_the_same_layer(name):
    layer, x = MAKERS[name](spectral=True), inputs(name)
    out = layer.eval()(x)
    with torch.no_grad():
        layer.weight *= 37
    torch.testing.assert_close(layer(x), out, rtol=1e-5, atol=1e-6)


def test_gradient_flows_through_sigma():
    layer = linear(4, 3, bias=False, spectral=True)
    cost, u = torch.randn(3, 4), layer.u.double().numpy().copy()
    (cost * layer.normalised()).sum().backward()
    W, G = layer.weight.detach().double().numpy(), cost.double().numpy()
    v = W.T @ u / np.linalg.norm(W.T @ u)
    u = W @ v / np.linalg.norm(W @ v)
    sigma = u @ W @ v
    np.testing.assert_allclose(layer.weight.grad, (G - (G * W / sigma).sum() * np.outer(u, v)) / sigma, atol=1e-5)


def test_two_passes_then_both_graphs_go_back():
    layer, x = linear(4, 3, spectral=True), torch.randn(2, 4)
    layer.eval()
    first = layer(x)
    layer.train()
    second, third = layer(x), layer(x)
    for out in (first, second, third):
        out.sum().backward()
    assert layer.weight.grad.isfinite().all()


def test_weight_is_a_plain_parameter_and_bias_is_left_alone():
    layer = linear(6, 3, spectral=True)
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
    assert [name for name, _ in layer.named_buffers()] == ["u"]
    Orthogonal(gain=3).apply(layer)
    torch.testing.assert_close(layer.weight @ layer.weight.T, 9 * torch.eye(3), rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        layer.bias.copy_(torch.tensor([5.0, -7, 11]))
    assert torch.equal(layer(torch.zeros(1, 6))[0], layer.bias)


def test_lipschitz_constant_of_a_stack_is_one():
    net = nn.Sequential(*[layer for _ in range(3) for layer in (linear(9, 9, spectral=True), nn.LeakyReLU(0.2))])
    for layer in net[::2]:
        settle(layer)
    a, b = torch.randn(2, 500, 9)
    ratio = (net.eval()(a) - net(b)).norm(dim=1) / (a - b).norm(dim=1)
    assert 0.02 < ratio.max() <= 1.0001


def test_sigma_keeps_full_precision_under_autocast():
    layer = linear(50, 40, spectral=True).eval()
    expected = layer.sigma()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(torch.randn(2, 50)).dtype == torch.bfloat16
        assert torch.equal(layer.sigma(), expected)


def test_plain_layers_unless_asked():
    kinds = [type(MAKERS[name](spectral=False)) for name in MAKERS]
    assert kinds == [nn.Linear, nn.Conv2d, nn.Conv2d, nn.Embedding]
    assert linear(3, 2, bias=False, spectral=True).bias is None
    assert convolution(3, 2, 1, bias=False).bias is None


@every_layer
def test_layers_wire_on_the_meta_device(name):
    with torch.device("meta"):
        layer = MAKERS[name](spectral=True)
        out = layer(torch.empty_like(inputs(name), device="meta"))
    assert out.is_meta
    assert layer.u.is_meta


def test_convolutions_are_the_functions_they_stand_for():
    down = convolution(3, 5, 3, 2, 1, spectral=True).eval()
    x = torch.randn(2, 3, 6, 6)
    torch.testing.assert_close(down(x), conv2d(x, down.weight / down.sigma(), down.bias, 2, 1))
    assert isinstance(linear(2, 2, spectral=True), SpectralLinear)


@pytest.mark.parametrize("spectral", [False, True])
def test_convolutions_take_single_steps_without_a_margin_unless_asked(spectral):
    layer = convolution(3, 2, 5, spectral=spectral)
    assert (layer.stride, layer.padding, layer.kernel_size) == ((1, 1), (0, 0), (5, 5))
    layer = convolution(3, 2, 5, 4, 3, spectral=spectral)
    assert (layer.stride, layer.padding, layer.kernel_size) == ((4, 4), (3, 3), (5, 5))
