"""BigGAN: published counts, the latent in chunks, the modulated batch norms, first weights, labels."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from zerosum.core.errors import RecipeError
from zerosum.networks.biggan import BigGANDiscriminator, BigGANGenerator, _ModulatedBatchNorm
from zerosum.networks.space import Space

SMALL, LARGE = Space((3, 32, 32), 20, 10), Space((1, 64, 64), 13, 3)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def count(net):
    return sum(p.numel() for p in net.parameters())


def layers(net):
    return [m for m in net.modules() if isinstance(m, (nn.Linear, nn.Conv2d))]


def conv(taps, before, after):
    return taps * before * after + after


def maps(net, z, label):
    """What the linear map and the blocks give, and the image."""
    seen = []
    hooks = [m.register_forward_hook(lambda _, __, out: seen.append(out.detach())) for m in (net.dense, *net.blocks)]
    seen.append(net(z, label).detach())
    for hook in hooks:
        hook.remove()
    return seen


def test_counts_of_the_published_pair_at_128():
    space, ch = Space((3, 128, 128), 120, 1000), 96

    def attention(width):
        return 2 * width * width // 8 + 2 * width * width // 2 + 1

    widths = [16 * ch, 16 * ch, 8 * ch, 4 * ch, 2 * ch, ch]
    generator = conv(1, 20, 16 * 16 * ch) + 1000 * 128 + attention(2 * ch) + 2 * ch + conv(9, ch, 3)
    for a, b in itertools.pairwise(widths):
        generator += conv(9, a, b) + conv(9, b, b) + conv(1, a, b) + 2 * (20 + 128) * (a + b)
    discriminator = attention(ch) + 16 * ch + 1 + 1000 * 16 * ch
    for place, (a, b) in enumerate(itertools.pairwise([3, *widths[::-1]])):
        discriminator += conv(9, a, b) + conv(9, b, b) + (conv(1, a, b) if place < 5 else 0)
    with torch.device("meta"):
        g = BigGANGenerator(channels=96, attention=64, labels="norm").build(*space.ports)
        d = BigGANDiscriminator(channels=96, attention=64, labels="projection").build(*space.ports)
    assert count(g) == generator == 70_433_988
    assert count(d) == discriminator == 87_982_370


@pytest.mark.parametrize(("side", "generator", "discriminator"), [
    (8, [(256, 4), (256, 8)], [(128, 4), (128, 4), (128, 4)]),
    (28, [(256, 7), (256, 14), (256, 28)], [(128, 14), (128, 7), (128, 7), (128, 7)]),
    (32, [(256, 4), (256, 8), (256, 16), (256, 32)], [(128, 16), (128, 8), (128, 8), (128, 8)]),
    (64, [(1024, 4), (1024, 8), (512, 16), (256, 32), (128, 64)],
     [(128, 32), (256, 16), (512, 8), (1024, 4), (1024, 4)]),
    (128, [(1024, 4), (1024, 8), (512, 16), (256, 32), (128, 64), (64, 128)],
     [(64, 64), (128, 32), (256, 16), (512, 8), (1024, 4), (1024, 4)]),
])  # fmt: skip
def test_widths_and_sides(side, generator, discriminator):
    space = Space((3, side, side), 120)
    with torch.device("meta"):
        g, d = BigGANGenerator().build(*space.ports), BigGANDiscriminator().build(*space.ports)
        assert [tuple(out.shape[1:3]) for out in maps(g, torch.empty(1, 120), None)[:-1]] == generator
        seen, x = [], torch.empty(1, *space.shape)
        for block in d.blocks:
            x = block(x)
            seen.append(tuple(x.shape[1:3]))
    assert seen == discriminator
    inner = [[m.out_channels for m in block.branch if isinstance(m, nn.Conv2d)] for block in d.blocks]
    assert inner == [[width, width] for width, _ in discriminator]


@pytest.mark.parametrize("part", [
    BigGANGenerator(channels=2), BigGANGenerator(channels=2, attention=16, labels="norm"),
])  # fmt: skip
@pytest.mark.parametrize(("space", "sizes"), [(SMALL, [5, 5, 5, 5]), (LARGE, [3, 3, 3, 2, 2])], ids=str)
def test_each_chunk_of_the_latent_enters_at_its_block(part, space, sizes):
    net = part.build(*space.ports).eval()
    z, label = torch.randn(2, space.latent), torch.tensor([1, 2])
    plain, ends = maps(net, z, label), np.cumsum([0, *sizes])
    assert len(plain) == len(sizes) + 1
    for chunk, (start, end) in enumerate(itertools.pairwise(ends)):
        for place in {start, end - 1}:
            other = z.clone()
            other[:, place] += 1
            same = [torch.equal(a, b) for a, b in zip(plain, maps(net, other, label), strict=True)]
            assert same == [stage < chunk for stage in range(len(sizes))] + [False]


def test_the_class_enters_every_block_and_not_the_base():
    net = BigGANGenerator(channels=2, labels="norm").build(*SMALL.ports).eval()
    z, label = torch.randn(2, 20), torch.tensor([1, 2])
    same = [torch.equal(a, b) for a, b in zip(maps(net, z, label), maps(net, z, label + 1), strict=True)]
    assert same == [True, False, False, False, False]
    for block in net.blocks:  # by its own projections, not only through the block before
        for norm in block.norms:
            assert norm.scale.in_features == norm.shift.in_features == 5 + 128
            assert norm.scale.weight[:, 5:].norm(dim=0).min() > 1e-3


def test_one_embedding_is_shared_and_none_is_made_without_labels():
    tables = [m for m in BigGANGenerator(labels="norm").build(*SMALL.ports).modules() if isinstance(m, nn.Embedding)]
    assert [tuple(table.weight.shape) for table in tables] == [(10, 128)]
    plain = BigGANGenerator().build(*SMALL.ports)
    assert not any(isinstance(m, nn.Embedding) for m in plain.modules())
    assert {norm.scale.in_features for block in plain.blocks for norm in block.norms} == {5}
    net = BigGANGenerator(channels=2, labels="norm").build(*SMALL.ports).eval()
    z, label = torch.randn(4, 20), torch.tensor([0, 3, 9, 3])
    out, order = net(z, label), torch.randperm(10)
    assert (net(z, order[label]) - out).abs().max() > 1e-3
    with torch.no_grad():
        net.join.embedding.weight[order] = net.join.embedding.weight.clone()
    torch.testing.assert_close(net(z, order[label]), out, rtol=0, atol=0)


def test_modulated_batch_norm_by_numpy():
    layer = _ModulatedBatchNorm(3, 4).double()
    x, c = torch.randn(5, 3, 2, 4, dtype=torch.float64) * 2 + 1, torch.randn(5, 4, dtype=torch.float64)
    for _ in range(60):
        out = layer(x, c)
    maps = x.numpy()
    normed = (maps - maps.mean((0, 2, 3), keepdims=True)) / np.sqrt(maps.var((0, 2, 3), keepdims=True) + 1e-5)
    a, b = (
        w.weight.detach().numpy() / np.linalg.norm(w.weight.detach().numpy(), 2) for w in (layer.scale, layer.shift)
    )
    scale, shift = ((c.numpy() @ w.T)[:, :, None, None] for w in (a, b))
    np.testing.assert_allclose(out.detach().numpy(), normed * (1 + scale) + shift, rtol=0, atol=1e-4)
    zero = layer(x, torch.zeros_like(c)).detach()
    np.testing.assert_allclose(zero.numpy(), normed, rtol=0, atol=1e-9)


@pytest.mark.parametrize("part", [
    BigGANGenerator(channels=3, attention=16, labels="norm"),
    BigGANDiscriminator(channels=3, attention=16, labels="projection"),
], ids=lambda part: part.name)  # fmt: skip
def test_the_first_weights_are_orthogonal(part):
    net = part.build(*SMALL.ports)
    tables = [m for m in net.modules() if isinstance(m, nn.Embedding)]
    assert len(tables) == (part.name == "biggan-generator")
    for layer in [*layers(net), *tables]:
        matrix = layer.weight.flatten(1)
        gram = matrix @ matrix.T if matrix.shape[0] < matrix.shape[1] else matrix.T @ matrix
        torch.testing.assert_close(gram, torch.eye(len(gram)), atol=1e-5, rtol=0)
        assert getattr(layer, "bias", None) is None or not layer.bias.any()


@pytest.mark.parametrize("labels", ["none", "norm"])
def test_all_weights_but_the_embedding_are_spectral(labels):
    net = BigGANGenerator(channels=2, attention=8, labels=labels).build(*SMALL.ports)
    plain = {name for name, p in net.named_parameters() if p.ndim > 1}
    spectral = {f"{name}.weight" for name, m in net.named_modules() if hasattr(m, "sigma")}
    assert plain - spectral == ({"join.embedding.weight"} if labels == "norm" else set())
    assert len(spectral) == 1 + 3 * (3 + 4) + 4 + 1


@pytest.mark.parametrize("space", [SMALL, Space((1, 28, 28), 20, 4), LARGE], ids=str)
def test_a_turn_of_both_moves_every_weight(space):
    g = BigGANGenerator(channels=2, attention=14 if space.shape[1] == 28 else 16, labels="norm").build(*space.ports)
    d = BigGANDiscriminator(channels=2, labels="projection").build(*space.ports)
    z, label = torch.randn(4, space.latent), torch.arange(4) % space.classes
    loss = -d(g(z, label), label).mean()
    loss.backward()
    still = {name for name, p in g.named_parameters() if p.grad is None or not p.grad.any()}
    inside_attention = {name for name in still if "attentions" in name}
    assert all(name.endswith(".bias") for name in still - inside_attention)  # of convolutions before a batch norm
    assert not any(name.endswith("gain") for name in still)


@pytest.mark.parametrize(("latent", "message"), [(3, "it has 3 numbers"), (1, "it has 1 number;")])
def test_a_latent_too_short_for_the_chunks(latent, message):
    with pytest.raises(RecipeError, match=rf"cuts the latent into 4 chunks, and {message}.*set latent=normal:size=80"):
        BigGANGenerator(channels=2).build(*Space((3, 32, 32), latent).ports)
    assert BigGANGenerator(channels=2).build(*Space((3, 32, 32), 4).ports)(torch.randn(2, 4)).shape == (2, 3, 32, 32)
