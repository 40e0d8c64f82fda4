"""Perceptual path length: closed forms of linear generators, paths, what is trimmed, what float32 costs."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from zerosum.metrics.path_length import perceptual_path_length

MATRIX = torch.tensor([[2.0, 0, -1], [0, 3, 0.5], [1, 1, 1], [0, -2, 0.3]], dtype=torch.float64)


def same(x):
    return x


def normal(count):
    return torch.randn(count, 3)


def linear(z):
    return z @ MATRIX.T


def pairs(count, seed=0):
    """The two ends that `normal` gives a path of one batch."""
    state = torch.get_rng_state()
    torch.manual_seed(seed)
    ends = [torch.randn(count, 3).double() for _ in range(2)]
    torch.set_rng_state(state)
    return ends


@pytest.mark.parametrize("sampling", ["full", "ends"])
def test_a_linear_generator_along_lines(sampling):
    one, other = pairs(50)
    found = perceptual_path_length(linear, same, normal, 50, path="lerp", sampling=sampling, batch=50, trim=0)
    assert found == pytest.approx((linear(other - one)).square().sum(1).mean().item(), rel=1e-9)


def test_a_linear_generator_along_lines_in_the_mean():
    found = perceptual_path_length(linear, same, normal, 40_000, path="lerp", batch=5000, trim=0)
    assert found == pytest.approx(2 * MATRIX.square().sum().item(), rel=0.03)  # E|A(z' - z)|^2


def slerp(one, other, t):
    """By rotation in the plane of the two, for latents of one length."""
    radius = np.linalg.norm(one, axis=1, keepdims=True)
    a, b = one / radius, other / radius
    angle = np.arccos((a * b).sum(1, keepdims=True))
    across = b - (a * b).sum(1, keepdims=True) * a
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    return radius * (np.cos(t * angle) * a + np.sin(t * angle) * across)


def sphere(count):
    z = torch.randn(count, 3).double()
    return 1.7 * z / z.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("sampling", ["full", "ends"])
def test_along_a_great_circle_the_speed_is_the_angle(sampling):
    asked = []
    found = perceptual_path_length(
        lambda z: asked.append(z) or z, same, sphere, 64, sampling=sampling, batch=64, trim=0
    )
    start, end = asked[0], asked[1]
    assert torch.allclose(start.norm(dim=1), torch.tensor(1.7, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(end.norm(dim=1), torch.tensor(1.7, dtype=torch.float64), atol=1e-12)
    torch.manual_seed(0)
    one, other = sphere(64), sphere(64)
    t = torch.rand(64, 1, dtype=torch.float64).numpy() * (sampling == "full")
    assert np.allclose(start, slerp(one.numpy(), other.numpy(), t), atol=1e-12)
    assert np.allclose(end, slerp(one.numpy(), other.numpy(), t + 1e-4), atol=1e-12)
    angle = (one * other).sum(1).div(1.7**2).acos()
    assert found == pytest.approx((1.7 * angle).square().mean().item(), rel=1e-6)


def test_a_path_between_latents_of_unequal_length_ends_at_both():
    ends = torch.tensor([[3.0, 4.0], [2.0, 0.0]])
    asked, drawn = [], iter(ends[:, None])
    perceptual_path_length(
        lambda z: asked.append(z) or z, same, lambda count: next(drawn), 1, sampling="ends", epsilon=1 - 1e-12
    )
    assert torch.allclose(asked[0][0], ends[0].double())
    assert torch.allclose(asked[1][0], ends[1].double(), atol=1e-9)


@pytest.mark.parametrize("sign", [1, -3])
def test_latents_on_one_line_are_joined_by_it(sign):
    drawn = iter([torch.ones(1, 2), sign * torch.ones(1, 2)])
    found = perceptual_path_length(same, same, lambda n: next(drawn), 1)
    assert found == pytest.approx(2 * (sign - 1) ** 2, abs=1e-9)


def test_features_of_any_shape_are_flattened_and_their_scale_is_squared():
    def images(z):
        return linear(z).reshape(-1, 2, 2)

    plain = perceptual_path_length(linear, same, normal, 30, path="lerp")
    assert perceptual_path_length(images, lambda x: 3 * x.flip(1), normal, 30, path="lerp") == pytest.approx(
        9 * plain, rel=1e-9
    )


def test_one_in_a_hundred_is_trimmed_at_either_end():
    # of 200 lengths the percentiles lie at places 1.99 and 197.01, outwards 1 and 198
    lengths = np.r_[1e6, 0.0, np.arange(1.0, 199) ** 2]

    def paths():
        parts = iter(np.split(np.sqrt(lengths), 4))
        ends = (end for part in parts for end in (torch.from_numpy(part[:, None]), torch.zeros(50, 1)))
        return lambda count: next(ends)

    settings = {"path": "lerp", "sampling": "ends", "batch": 50}
    assert perceptual_path_length(same, same, paths(), 200, **settings) == pytest.approx(
        (np.arange(1.0, 199) ** 2).mean(), rel=1e-6
    )
    whole = perceptual_path_length(same, same, paths(), 200, **settings, trim=0)
    assert whole == pytest.approx(lengths.mean(), rel=1e-6)
    most = perceptual_path_length(same, same, paths(), 200, **settings, trim=0.25)  # places 49.75 and 149.25
    assert most == pytest.approx(np.sort(lengths)[49:151].mean(), rel=1e-6)


def test_a_constant_generator_has_none():
    assert perceptual_path_length(lambda z: torch.ones(len(z), 4), same, normal, 20) == 0


def test_it_depends_on_its_seed_alone_and_leaves_the_global_one():
    found = []
    for outer in (1, 2):
        torch.manual_seed(outer)
        state = torch.get_rng_state()
        found.append(perceptual_path_length(linear, same, normal, 30))
        assert torch.equal(torch.get_rng_state(), state)
    assert found[0] == found[1]
    assert perceptual_path_length(linear, same, normal, 30, seed=1) != found[0]


def test_what_decode_draws_is_the_same_at_both_ends():
    found = perceptual_path_length(
        lambda z: linear(z) + torch.randn(len(z), 4), same, normal, 50, path="lerp", batch=50
    )
    plain = perceptual_path_length(linear, same, normal, 50, path="lerp", batch=50)
    assert found == pytest.approx(plain, rel=1e-6)


def test_noise_of_its_own_is_refused():
    own = torch.Generator().manual_seed(0)
    with pytest.raises(ValueError, match=r"decode and features differ for the same latents \(by .*, where a step is"):
        perceptual_path_length(lambda z: linear(z) + 1e-3 * torch.randn(len(z), 4, generator=own), same, normal, 50)


def test_float32_networks_come_close_and_float64_is_asked_for_by_name():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 20), nn.Tanh())
    exact = perceptual_path_length(copy.deepcopy(net).double(), same, normal, 200)
    coarse = perceptual_path_length(net, same, normal, 200, dtype=torch.float32)
    assert coarse == pytest.approx(exact, rel=2e-3)
    assert coarse != exact
    wide = perceptual_path_length(net.double(), same, normal, 200, epsilon=1e-3)
    assert wide == pytest.approx(exact, rel=2e-2)


def test_a_derivative_in_closed_form():
    found = perceptual_path_length(torch.sin, same, normal, 40, path="lerp", batch=40, trim=0)
    one, other = pairs(40)
    torch.manual_seed(0)
    normal(40), normal(40)
    t = torch.rand(40, 1, dtype=torch.float64) + 0.5e-4  # a difference is the derivative half-way
    expected = ((one + t * (other - one)).cos() * (other - one)).square().sum(1).mean().item()
    assert found == pytest.approx(expected, rel=1e-6)
    assert not math.isclose(found, perceptual_path_length(torch.sin, same, normal, 40, path="lerp", sampling="ends"))


def infinite(z):
    return z / 0


@pytest.mark.parametrize(("settings", "message"), [
    ({"count": 0}, "count and batch must be at least 1, not 0 and 100"),
    ({"batch": 0}, "count and batch must be at least 1, not 5 and 0"),
    ({"path": "arc"}, "path must be slerp or lerp, not 'arc'"),
    ({"sampling": "half"}, "sampling must be full or ends, not 'half'"),
    ({"epsilon": 0.0}, "epsilon must lie between 0 and 1, not 0.0"),
    ({"epsilon": 1.0}, "epsilon must lie between 0 and 1, not 1.0"),
    ({"trim": 0.5}, "trim must be at least 0 and below 0.5, not 0.5"),
    ({"trim": -0.1}, "trim must be at least 0 and below 0.5, not -0.1"),
    ({"latent": lambda count: torch.randn(count)}, r"latents \[5, D\] are needed, their shape is \(5,\)"),
    ({"latent": lambda count: torch.randn(3, 3)}, r"latents \[5, D\] are needed, their shape is \(3, 3\)"),
    ({"decode": infinite}, "some distances are not finite"),
])  # fmt: skip
def test_it_says_what_is_wrong(settings, message):
    arguments = {"decode": linear, "features": same, "latent": normal, "count": 5} | settings
    with pytest.raises(ValueError, match=f"perceptual_path_length: {message}"):
        perceptual_path_length(**arguments)
