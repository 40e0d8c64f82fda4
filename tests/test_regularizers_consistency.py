"""CR, bCR and zCR: closed forms on linear players, what the transformation does, who learns from it."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.exchanges import exchange
from tests.test_regularizers import LinearGenerator, linear, quadratic
from zerosum.core.registry import parse
from zerosum.networks import DCGANDiscriminator, DCGANGenerator
from zerosum.networks.space import Space
from zerosum.regularizers import BCR, CR, ZCR
from zerosum.regularizers.consistency import transformed

PARTS = [CR(), BCR(), ZCR()]
every_part = pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def update(discriminator, shape=(2, 8, 8), count=6, player="discriminator", dtype=torch.float32, **options):
    """An update between a linear generator and a discriminator."""
    latent = torch.randn(count, 4)
    G = LinearGenerator(torch.randn(int(np.prod(shape)), 4), shape)
    fake = G(latent).to(dtype)
    G.given.clear()
    fake = fake.detach() if player == "discriminator" else fake
    real = torch.randn(count, *shape).to(dtype)
    return exchange(player, G, discriminator, real, fake, latent=latent, **options)


def numbers(x):
    return x.detach().double().numpy().reshape(len(x), -1)


@every_part
def test_text_round_trips_and_the_class_says_who_and_what(part):
    assert parse("regularizer", str(part)) == part
    assert part.player == ("both" if part.name == "zcr" else "discriminator")
    assert part.tracks == set()
    assert "set discriminator.dropout=0" in part.clashes["dropout"]


def test_images_are_shifted_with_reflected_borders_and_half_of_them_mirrored():
    image = torch.randn(2, 16, 24)
    count = 3000
    changed = transformed(image.expand(count, -1, -1, -1), flip=True, shift=0.125, jitter=9).numpy()
    padded = np.pad(image.numpy(), ((0, 0), (2, 2), (3, 3)), mode="reflect")
    found = np.zeros((5, 7, 2), dtype=int)
    for down in range(5):
        for right in range(7):
            crop = padded[:, down : down + 16, right : right + 24]
            for mirrored, candidate in enumerate((crop, crop[:, :, ::-1])):
                found[down, right, mirrored] = (changed == candidate).all((1, 2, 3)).sum()
    assert found.sum() == count  # nothing else ever
    assert found.min() >= 0.5 * count / 70  # every change, about as often
    assert found.max() <= 1.6 * count / 70
    assert found[:, :, 1].sum() == pytest.approx(count / 2, rel=0.06)


def test_the_transformation_does_what_its_fields_say():
    x = torch.randn(50, 1, 8, 8)
    assert torch.equal(transformed(x, flip=False, shift=0, jitter=9), x)
    assert torch.equal(transformed(x, flip=False, shift=0.124, jitter=9), x)  # less than a pixel
    mirrored = transformed(x, flip=True, shift=0, jitter=9)
    same = (mirrored == x).all((1, 2, 3))
    assert torch.equal(mirrored[~same], x.flip(3)[~same])
    assert 10 < same.sum() < 40
    rows = transformed(x, flip=False, shift=0.5, jitter=9)
    assert rows.shape == x.shape
    assert rows.isfinite().all()
    points = torch.randn(4000, 3)
    noise = transformed(points, flip=True, shift=0.5, jitter=0.3) - points
    assert noise.std().item() == pytest.approx(0.3, rel=0.03)
    assert noise.mean().item() == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("pack", [1, 3])
@pytest.mark.parametrize("shape", [(2, 8, 8), (5,)], ids=str)
def test_cr_of_a_linear_discriminator(shape, pack):
    w = torch.randn(pack * shape[0], *shape[1:])
    label = torch.arange(6)
    r = update(linear(w), shape, label=label, pack=pack)
    found = CR(weight=3, every=2)(r)
    ((changed, given),) = r.shown
    assert given is label
    assert not torch.equal(changed, r.real.x)
    assert (changed - r.real.x).abs().sum() < (changed - r.fake.x).abs().sum()
    difference = (numbers(r.real.x) - numbers(changed)).reshape(6 // pack, -1) @ numbers(w[None])[0]
    assert found.shape == ()
    assert found.item() == pytest.approx(3 * (difference**2).mean(), rel=1e-4)


def test_bcr_adds_the_same_on_generated_samples_with_a_weight_of_its_own():
    w, label = torch.randn(2, 8, 8), torch.arange(6)
    r = update(linear(w), label=label)
    found = BCR(real=3, fake=5, every=2)(r)
    (real, first), (fake, second) = r.shown
    assert first is second is label
    terms = [((numbers(a) - numbers(b)) @ numbers(w[None])[0]) ** 2 for a, b in ((r.real.x, real), (r.fake.x, fake))]
    assert all(term.mean() > 0.1 for term in terms)
    assert found.item() == pytest.approx(3 * terms[0].mean() + 5 * terms[1].mean(), rel=1e-4)


@every_part
def test_no_change_or_a_constant_discriminator_costs_nothing(part):
    flat = update(lambda x, label=None: x.flatten(1).sum(1) * 0 + 3)
    assert part(flat).item() == 0
    if part.name != "zcr":
        still = part.replace(flip=False, shift=0.0)
        assert still(update(quadratic(torch.randn(128, 128)))).item() == 0


@every_part
def test_doubling_the_logits_quadruples_the_penalty(part):
    w, found = torch.randn(2, 8, 8), []
    for scale in (1, 2):
        torch.manual_seed(5)
        found.append(part(update(linear(scale * w))).item())
    assert found[0] > 0.1
    assert found[1] == pytest.approx(4 * found[0], rel=1e-5)


def test_both_branches_are_learnt():
    w = torch.randn(2, 8, 8, requires_grad=True)
    r = update(linear(w))
    CR(weight=1)(r).backward()
    ((changed, _),) = r.shown
    step = numbers(r.real.x) - numbers(changed)
    expected = 2 * ((step @ numbers(w[None])[0])[:, None] * step).mean(0)
    assert w.grad.flatten().double().numpy() == pytest.approx(expected, rel=1e-3, abs=1e-3)
    assert np.abs(expected).max() > 0.1


def test_zcr_of_linear_players_in_the_discriminators_move():
    w, label = torch.randn(2, 8, 8, requires_grad=True), torch.arange(6)
    r = update(linear(w), label=label)
    found = ZCR(discriminator=3, generator=100, sigma=0.2, every=2)(r)
    ((moved, given),) = r.generator.given
    assert given is label
    assert r.shown[0][1] is label
    difference = numbers(moved - r.latent) @ numbers(r.generator.matrix).T @ numbers(w[None])[0]
    assert found.item() == pytest.approx(3 * (difference**2).mean(), rel=1e-3)
    found.backward()
    assert w.grad.abs().sum() > 0
    assert r.generator.matrix.grad is None


def test_zcr_in_the_mean_is_the_variance_times_the_slope():
    w = torch.randn(2, 2, 2)
    r = update(linear(w), (2, 2, 2), count=20_000)
    slope = numbers(r.generator.matrix).T @ numbers(w[None])[0]
    assert ZCR(discriminator=1, sigma=0.2)(r).item() == pytest.approx(0.04 * (slope**2).sum(), rel=0.04)


def test_zcr_in_the_generators_move_rewards_what_changes_and_asks_nobody():
    r = update(None, (2, 4, 4), count=5000, player="generator")
    part = ZCR(discriminator=100, generator=3, sigma=0.2, every=2)
    found = part(r)
    matrix = r.generator.matrix
    ((moved, _),) = r.generator.given
    change = numbers(moved - r.latent) @ numbers(matrix).T
    assert found.item() == pytest.approx(-3 * (change**2).mean(), rel=1e-4)
    assert found.item() == pytest.approx(-3 * 0.04 * matrix.square().sum().item() / 32, rel=0.05)  # s^2 |A|^2 / numbers
    found.backward()
    steps = numbers(moved - r.latent)  # both images learn, so only the step counts, not z
    expected = -3 * 2 * numbers(matrix) @ (steps.T @ steps) / change.size
    assert matrix.grad.double().numpy() == pytest.approx(expected, rel=2e-2, abs=1e-4)
    assert r.shown == []


@every_part
def test_a_patch_map_counts_as_its_mean(part):
    conv, found = nn.Conv2d(2, 1, 3), []
    for maps in (True, False):
        torch.manual_seed(5)
        network = conv if maps else (lambda x: conv(x).mean((1, 2, 3)))
        found.append(part(update(lambda x, label=None, network=network: network(x))).item())
    assert found[0] > 1e-4
    assert found[0] == pytest.approx(found[1], rel=1e-4)


@every_part
def test_the_generator_learns_nothing_in_the_discriminators_move(part):
    net = DCGANDiscriminator(channels=8, norm="none").build(*Space((2, 8, 8)).ports)
    r = update(net)
    part(r).backward()
    assert r.generator.matrix.grad is None
    assert all(p.grad.isfinite().all() for p in net.parameters())
    assert next(net.parameters()).grad.abs().sum() > 0


@every_part
def test_bf16_autocast_leaves_the_penalty_in_float32(part):
    net = nn.Linear(128, 1)
    for player in ("discriminator", "generator"):
        r = update(lambda x, label=None: net(x.flatten(1)).squeeze(1), player=player, dtype=torch.bfloat16)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = part(r)
            assert r.fake.logits.dtype == torch.bfloat16
        assert found.dtype == torch.float32


@every_part
def test_extra_passes_leave_running_statistics_alone_and_still_normalise_by_the_batch(part):
    D = DCGANDiscriminator(channels=8, norm="batch").build(*Space((1, 16, 16)).ports)
    G = DCGANGenerator(channels=8, norm="batch").build(*Space((1, 16, 16), 4).ports)
    assert all(any(isinstance(m, nn.BatchNorm2d) for m in net.modules()) for net in (D, G))
    latent = torch.randn(6, 4)
    real, fake = torch.randn(6, 1, 16, 16), G(latent).detach()
    r = exchange("discriminator", G, D, real, fake, latent=latent)
    assert len(r.real.logits) == len(r.fake.logits) == 6  # the game's own looks, which do count
    kept = [x.clone() for net in (D, G) for x in net.buffers()]
    assert part(r) > 0
    assert all(torch.equal(a, b) for a, b in zip(kept, [x for net in (D, G) for x in net.buffers()], strict=True))
    assert all(m.track_running_stats for m in D.modules() if isinstance(m, nn.BatchNorm2d))
    if part.name == "cr":  # identity: equal only if both passes normalise by the batch
        assert part.replace(flip=False, shift=0.0)(r).item() == pytest.approx(0, abs=1e-9)


def test_gradients_that_another_regularizer_tracks_are_not_followed_again():
    for part in (CR(), BCR()):
        r = update(linear(torch.randn(2, 8, 8)), tracks={"real", "fake"})
        part(r)
        assert r.real.x.requires_grad
        assert not any(x.requires_grad for x, _ in r.shown)
