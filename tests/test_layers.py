"""Dropout, maps of one pixel, maxout; the head that all discriminators share; how a class joins an input."""

import pytest
import torch
from torch import nn

from zerosum.networks.conditioning import JoinLabel
from zerosum.networks.discriminator import Discriminator, Head
from zerosum.networks.layers import Dropout, FlatMaps, FromPixel, Maxout, network_traits


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_dropout_drops_its_share_and_keeps_the_mean():
    layer, x = Dropout(0.3), torch.ones(1000, 1001)
    y = layer(x)
    dropped = (y == 0).double().mean().item()
    assert dropped == pytest.approx(0.3, abs=4 * (0.21 / x.numel()) ** 0.5 + 1e-5)
    assert y.max().item() == pytest.approx(1 / 0.7, rel=1e-4)
    assert (y == 0).double().mean(0).std().item() == pytest.approx((0.21 / 1000) ** 0.5, rel=0.1)  # units independent
    assert not torch.equal(y, layer(x))
    assert layer.eval()(x) is x


def test_dropout_passes_gradients_where_it_kept_units():
    x = torch.randn(7, 3, requires_grad=True)
    y = Dropout(0.5)(x)
    y.sum().backward()
    assert torch.equal(x.grad, (y != 0).float() * 2)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("base", [4, (5, 7)])
def test_maps_of_one_pixel_are_the_convolutions_they_stand_for(bias, base):
    up = FromPixel(6, 3, base, bias=bias).double()
    z = torch.randn(5, 6, dtype=torch.float64)
    maps = nn.functional.conv_transpose2d(z[:, :, None, None], up.weight, up.bias)
    torch.testing.assert_close(up(z), maps, rtol=1e-12, atol=1e-12)
    assert up(z).is_contiguous(memory_format=torch.channels_last)


def test_flat_maps_are_a_view_of_channels_last():
    x = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    flat = FlatMaps()(x)
    assert flat.shape == (2, 60)
    assert flat.data_ptr() == x.data_ptr()
    assert torch.equal(flat[1, 3 * (5 * 2 + 4) + 1], x[1, 1, 2, 4])


def test_maxout_takes_the_largest_of_neighbours():
    x = torch.tensor([[1.0, -2, 3, 9, -1, -5], [0, 0, 7, -3, -2, -9]])
    assert torch.equal(Maxout(3)(x), torch.tensor([[3.0, 9], [7, -2]]))


def test_traits_follow_the_settings():
    assert network_traits("generator") == {"generator"}
    every = network_traits("a", norm="batch", labels="concat", codes=2, minibatch="stddev", dropout=0.1, spectral=True)
    assert every == {"a", "batchnorm", "labels", "codes", "minibatch", "dropout", "spectral"}
    assert network_traits(norm="layer", labels="classifier") == {"classifier"}


def test_one_hot_classes_join_as_constant_maps():
    join, x = JoinLabel("concat", 3, (1, 2, 2)), torch.randn(2, 4, 2, 2)
    out = join(x, torch.tensor([2, 0]))
    assert join.width == 3
    assert torch.equal(out[:, :4], x)
    assert torch.equal(out[:, 4:].amax((2, 3)), torch.tensor([[0.0, 0, 1], [1, 0, 0]]))
    assert torch.equal(out[:, 4:].amin((2, 3)), torch.tensor([[0.0, 0, 1], [1, 0, 0]]))


@pytest.mark.parametrize("shape", [(5,), (1, 2, 3)], ids=["vector", "map"])
def test_embeddings_join_as_learned_channels(shape):
    join, label = JoinLabel("embed", 4, shape), torch.tensor([3, 1])
    x = torch.randn(2, 4, *shape[1:])
    out = join(x, label)
    assert join.width == shape[0]
    assert torch.equal(out[:, :4], x)
    assert torch.equal(out[:, 4:].flatten(1), join.embedding.weight[label])


@pytest.mark.parametrize("labels", ["none", "projection", "classifier", "norm"])
def test_other_labels_join_nothing(labels):
    x = torch.randn(2, 4)
    assert JoinLabel(labels, 3, (1,))(x) is x
    assert JoinLabel(labels, 3, (1,)).width == 0


def test_a_head_without_extras_is_one_linear_map():
    head, f = Head(6), torch.randn(3, 6)
    torch.testing.assert_close(head(f), f @ head.logit.weight[0] + head.logit.bias)
    assert sum(p.numel() for p in head.parameters()) == 7
    assert sum(p.numel() for p in Head(6, bias=False).parameters()) == 6


@pytest.mark.parametrize("spectral", [False, True])
def test_projection_adds_the_class_vector_times_the_features(spectral):
    head, f = Head(6, labels="projection", classes=4, spectral=spectral).eval(), torch.randn(3, 6)
    y1, y2 = torch.tensor([0, 3, 2]), torch.tensor([1, 1, 0])
    v = head.projection.normalised() if spectral else head.projection.weight
    torch.testing.assert_close(head(f, y1) - head(f, y2), ((v[y1] - v[y2]) * f).sum(1))
    with torch.no_grad():
        head.projection.weight.zero_()
    torch.testing.assert_close(head(f, y1), head.logit(f)[:, 0])
    with pytest.raises(ValueError, match=r"call it with the classes, a label \[N\] of 0 to 3"):
        head(f)


def test_further_heads_and_their_absence():
    class Mine(Discriminator):
        def __init__(self, **settings):
            super().__init__()
            self.head = Head(6, **settings)

        def features(self, x, label=None):
            return 2 * x

    x = torch.randn(3, 6)
    net = Mine(labels="classifier", classes=4, codes=2)
    torch.testing.assert_close(net(x), net.logits(2 * x))
    torch.testing.assert_close(net.classify(x), x @ net.head.classes.weight.T + net.head.classes.bias)
    torch.testing.assert_close(net.recover(x), x @ net.head.codes.weight.T + net.head.codes.bias)
    assert net.classify(x).shape == (3, 4)
    assert net.recover(x).shape == (3, 2)
    with pytest.raises(ValueError, match="tells no classes apart; build it with labels=classifier"):
        Mine().classify(x)
    with pytest.raises(ValueError, match="recovers no latent code; build it with codes=NUMBER"):
        Mine(labels="projection", classes=3).recover(x)
    with pytest.raises(NotImplementedError):
        Discriminator()(x)
    assert len(list(Mine(labels="classifier", classes=4, codes=2, spectral=True).buffers())) == 3
