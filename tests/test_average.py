"""Weight averages: half-lives in images, buffers, and BatchNorm statistics that belong to the averaged weights."""

import copy

import pytest
import torch
from torch import nn

from tests.small import table
from zerosum.core.average import ExponentialAverage, reestimate_statistics, update_average
from zerosum.networks.spectral import SpectralLinear


def test_after_one_half_life_an_old_weight_counts_half():
    average = ExponentialAverage(half_life=1000, ramp=0)
    decay = average.decay(50, 10**6) ** 20  # 20 updates of 50 images
    assert decay == pytest.approx(0.5, rel=1e-9)
    assert ExponentialAverage(half_life=10_000, ramp=0).decay(32, 10**6) == pytest.approx(0.9977844, abs=1e-7)


def test_the_ramp_shortens_the_half_life_at_the_start():
    average = ExponentialAverage(half_life=10_000, ramp=0.05)
    assert average.decay(64, 64) < 1e-5
    assert average.decay(64, 100_000) == pytest.approx(0.5 ** (64 / 5_000))
    assert average.decay(64, 10**6) == pytest.approx(0.5 ** (64 / 10_000))


def test_weights_move_by_the_decay_and_buffers_are_copied():
    current, average = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    with torch.no_grad():
        current.weight.fill_(5.0)
        average.weight.fill_(1.0)
    current.running_mean.fill_(7.0)
    current.num_batches_tracked.fill_(4)
    update_average(average, current, 0.75)
    assert average.weight.tolist() == [2.0] * 3
    assert average.running_mean.tolist() == [7.0] * 3
    assert average.num_batches_tracked == 4


def test_the_average_of_constant_weights_is_constant():
    current = nn.Linear(3, 2)
    average = copy.deepcopy(current)
    for _ in range(10):
        update_average(average, current, 0.9)
    torch.testing.assert_close(average.weight, current.weight, rtol=1e-6, atol=0)


def test_statistics_are_those_of_the_networks_own_activations():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 3), nn.BatchNorm1d(3)).eval()
    network[1].running_mean.fill_(100.0)
    inputs = [torch.randn(64, 4) for _ in range(8)]
    stream = iter(inputs)
    with torch.no_grad():
        expected = torch.stack([network[0](one).mean(0) for one in inputs]).mean(0)
        spread = torch.stack([network[0](one).var(0) for one in inputs]).mean(0)
    reestimate_statistics(network, lambda: network(next(stream)), batches=8)
    torch.testing.assert_close(network[1].running_mean, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(network[1].running_var, spread, rtol=1e-5, atol=1e-6)
    assert not network[1].training
    assert network[1].momentum == 0.1


def test_the_product_has_averaged_weights_and_its_own_statistics():
    engine, feed = table("dcgan", "generator.lr=0.05")  # weights that move far
    for _ in range(6):
        engine.turn(feed)
    average, live = engine.averages["generator"], engine.network("generator")
    product = engine.model().requires_grad_(False)
    norm, copied = (next(m for m in one.modules() if isinstance(m, nn.BatchNorm2d)) for one in (product, average))
    assert not torch.equal(next(product.parameters()), next(live.parameters()))
    assert torch.equal(next(product.parameters()), next(average.parameters()))
    assert not torch.allclose(norm.running_mean, copied.running_mean, rtol=0.05)
    normalised = []
    norm.register_forward_hook(lambda _m, _i, output: normalised.append(output.clone()))  # ReLU is in place
    product(product.task().draw(4096))
    standard = (normalised[0] - norm.bias.view(1, -1, 1, 1)) / norm.weight.view(1, -1, 1, 1)
    assert standard.mean((0, 2, 3)).abs().max() < 0.1
    assert (standard.std((0, 2, 3)) - 1).abs().max() < 0.1


def test_making_the_product_twice_gives_the_same():
    engine, feed = table("dcgan")
    engine.turn(feed)
    first, second = engine.model().state_dict(), engine.model().state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_singular_vectors_of_averaged_weights_are_found_before_statistics_are():
    torch.manual_seed(0)
    layer, norm = SpectralLinear(12, 9), nn.BatchNorm1d(9)
    with torch.no_grad():
        layer.weight.mul_(torch.linspace(1, 3, 12))
        layer.u.copy_(torch.eye(9)[0])  # of other weights
    module = nn.Sequential(layer, norm).eval()
    x = torch.randn(64, 12)
    passes = []
    reestimate_statistics(module, lambda: passes.append(module(x)), batches=60)
    with torch.no_grad():
        assert torch.linalg.matrix_norm(layer.normalised(), 2).item() == pytest.approx(1, abs=1e-3)
        torch.testing.assert_close(norm.running_mean, layer(x).mean(0), rtol=1e-3, atol=1e-4)
    assert len(passes) == 120
    assert not layer.training
    assert not norm.training


def test_networks_with_other_buffers_are_not_averaged():
    average, current = (nn.BatchNorm1d(3, track_running_stats=one) for one in (True, False))
    with pytest.raises(ValueError, match="shorter"):
        update_average(average, current, 0.5)
