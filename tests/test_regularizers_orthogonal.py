"""Orthogonal filters: products one by one, the gradient, and which weights of which player are meant."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from tests.exchanges import exchange
from tests.logits import gradient
from zerosum.core.errors import RecipeError
from zerosum.core.registry import parse
from zerosum.regularizers import Orthogonal


def update(network, player="generator"):
    """An update of a player with this network."""
    networks = (network, None) if player == "generator" else (None, network)
    return exchange(player, *networks, torch.zeros(2), torch.zeros(2))


def products(rows):
    return np.array([[a @ b for b in rows] for a in rows])


@pytest.mark.parametrize("norms", [False, True])
def test_orthogonal_multiplies_filters_with_each_other(norms):
    torch.manual_seed(0)
    layers = nn.Linear(5, 3), nn.Conv2d(2, 4, 3), nn.ConvTranspose2d(2, 3, 4), nn.ConvTranspose1d(1, 2, 3)
    network = nn.Sequential(*layers, nn.Embedding(7, 5), nn.BatchNorm2d(4), nn.ReLU())
    weights = [layer.weight.detach().double().numpy() for layer in layers]
    rows = [w.reshape(len(w), -1) for w in weights[:2]]  # a row makes one output number or channel
    rows += [np.stack([w[:, n].flatten() for n in range(w.shape[1])]) for w in weights[2:]]
    grams = [products(r) - (np.eye(len(r)) if norms else np.diag(products(r).diagonal())) for r in rows]
    expected = sum((gram**2).sum() for gram in grams)
    found = Orthogonal(strength=0.5, norms=norms, every=2)(update(network))
    assert found.item() == pytest.approx(0.5 * expected, rel=1e-5)


def test_orthogonal_filters_of_any_size_cost_nothing():
    layer = nn.Linear(6, 4)
    nn.init.orthogonal_(layer.weight)
    assert Orthogonal(strength=1)(update(layer)).item() == pytest.approx(0, abs=1e-10)
    with torch.no_grad():
        layer.weight *= torch.tensor([[1.0], [2.0], [3.0], [0.5]])
    assert Orthogonal(strength=1)(update(layer)).item() == pytest.approx(0, abs=1e-10)
    found = Orthogonal(strength=1, norms=True)(update(layer)).item()
    assert found == pytest.approx(3**2 + 8**2 + 0.75**2, rel=1e-5)


def test_orthogonal_has_the_gradient_of_its_formula():
    layer = nn.Linear(4, 3)
    w = layer.weight.detach().double().numpy()
    up = gradient(Orthogonal(strength=0.1)(update(layer)), layer.weight)
    np.testing.assert_allclose(up, 0.1 * 4 * (w @ w.T * (1 - np.eye(3))) @ w, rtol=1e-4, atol=1e-7)


def test_orthogonal_takes_learnt_weights_and_leaves_power_iteration_alone():
    layer = spectral_norm(nn.Linear(4, 3))
    state = {name: value.clone() for name, value in layer.state_dict().items()}
    plain = nn.Linear(4, 3)
    with torch.no_grad():
        plain.weight.copy_(layer.parametrizations.weight.original)
    assert torch.equal(Orthogonal()(update(layer)), Orthogonal()(update(plain)))
    assert all(torch.equal(value, layer.state_dict()[name]) for name, value in state.items())


def test_orthogonal_acts_on_the_player_that_moves():
    a, b = nn.Linear(4, 3), nn.Linear(4, 3)
    part = parse("regularizer", "orthogonal:player=both")
    found = [part(exchange(player, a, b, torch.zeros(2), torch.zeros(2))) for player in ("generator", "discriminator")]
    assert torch.equal(found[0], part(update(a)))
    assert torch.equal(found[1], part(update(b)))
    assert not torch.equal(*found)
    assert Orthogonal(player="discriminator").player == "discriminator"
    with pytest.raises(ValueError, match="orthogonal: the discriminator has no linear or convolutional layers; leave"):
        part(update(nn.ReLU(), "discriminator"))
    with pytest.raises(RecipeError, match="orthogonal': player: 'critic' is not allowed"):
        Orthogonal(player="critic")


def test_orthogonal_is_float32_under_mixed_precision():
    layer = nn.Linear(16, 9)
    exact = Orthogonal()(update(layer))
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        found = Orthogonal()(update(layer))
    assert found.dtype == torch.float32
    assert torch.equal(found, exact)
    assert parse("regularizer", str(Orthogonal(strength=2, norms=True))) == Orthogonal(strength=2, norms=True)
