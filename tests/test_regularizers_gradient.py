"""Penalties on the discriminator's gradient: closed forms, finite differences, packs, augmentation, real networks."""

import math

import pytest
import torch
from torch import nn

from tests.exchanges import exchange
from tests.test_regularizers import linear, quadratic
from zerosum.core.errors import RecipeError
from zerosum.core.registry import parse
from zerosum.networks import DCGANDiscriminator, MLPDiscriminator
from zerosum.networks.space import Space
from zerosum.regularizers import DRAGAN, R1, R2, GradientPenalty

GRADIENT = [R1(), R2(), GradientPenalty(), DRAGAN()]
every_penalty = pytest.mark.parametrize("part", GRADIENT, ids=lambda part: part.name)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def penalty(part, discriminator, real, fake, label=None, **options):
    options = {"tracks": part.tracks} | options
    return part(exchange("discriminator", None, discriminator, real, fake, label, **options))


@every_penalty
def test_text_round_trips_and_the_class_says_who_and_what(part):
    assert parse("regularizer", str(part)) == part
    assert part.player == "discriminator"
    assert part.tracks == {"r1": {"real"}, "r2": {"fake"}}.get(part.name, set())
    assert "discriminator.norm=layer, group or none" in part.clashes["batchnorm"]
    assert "Gulrajani" in part.clashes["batchnorm"]


CLOSED_FORMS = [
    (R1(gamma=3, every=16), lambda n: 1.5 * n**2),
    (R2(gamma=3, every=16), lambda n: 1.5 * n**2),
    (GradientPenalty(weight=3, every=16), lambda n: 3 * (n - 1) ** 2),
    (GradientPenalty(weight=3, target=0), lambda n: 3 * n**2),
    (GradientPenalty(weight=3, target=100), lambda n: 3 * (n - 100) ** 2),
    (GradientPenalty(weight=3, target=100, one_sided=True), lambda n: 0),
    (GradientPenalty(weight=3, target=0.5, one_sided=True), lambda n: 3 * (n - 0.5) ** 2),
    (DRAGAN(weight=3, every=16), lambda n: 3 * (n - 1) ** 2),
    (DRAGAN(weight=3, target=7), lambda n: 3 * (n - 7) ** 2),
]


@pytest.mark.parametrize("shape", [(7,), (3, 4, 4), (2, 5, 3)], ids=str)
@pytest.mark.parametrize(("part", "closed_form"), CLOSED_FORMS)
def test_a_linear_discriminator_has_a_closed_form(part, closed_form, shape):
    w = torch.randn(shape) + 0.5
    found = penalty(part, linear(w), torch.randn(6, *shape), torch.randn(6, *shape) * 3)
    assert found.shape == ()
    assert found.item() == pytest.approx(closed_form(w.norm().item()), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4)], ids=str)
@pytest.mark.parametrize(("part", "closed_form"), CLOSED_FORMS)
def test_the_norm_of_a_pack_is_over_all_its_samples(part, closed_form, shape):
    w = torch.randn(3 * shape[0], *shape[1:]) + 0.5
    found = penalty(part, linear(w), torch.randn(6, *shape), torch.randn(6, *shape) * 3, pack=3)
    assert found.item() == pytest.approx(closed_form(w.norm().item()), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize(("part", "closed_form"), CLOSED_FORMS)
def test_the_gradient_goes_through_the_augmentation_to_the_sample_before_it(part, closed_form):
    w = torch.randn(2, 3, 4) + 0.5
    found = penalty(
        part, linear(w), torch.randn(6, 2, 3, 4), torch.randn(6, 2, 3, 4), augmentations=[lambda x: 4 * x.flip(3)]
    )
    assert found.item() == pytest.approx(closed_form(4 * w.norm().item()), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("part", [GradientPenalty(weight=1), DRAGAN(weight=1)], ids=lambda part: part.name)
def test_the_norm_is_over_all_numbers_of_a_sample(part):
    found = penalty(part, linear(torch.ones(3, 4, 4)), torch.randn(5, 3, 4, 4), torch.randn(5, 3, 4, 4))
    assert found.item() == pytest.approx(35.14359, rel=1e-6)  # (sqrt(48) - 1)^2; over channels only it is 0.535898
    assert abs(found.item() - 0.535898) > 1


@pytest.mark.parametrize("part", [GradientPenalty(), DRAGAN()], ids=lambda part: part.name)
def test_a_slope_of_one_costs_nothing(part):
    w = torch.randn(12)
    assert penalty(part, linear(w / w.norm()), torch.randn(6, 12), torch.randn(6, 12)).item() == pytest.approx(
        0, abs=1e-10
    )


@pytest.mark.parametrize("pack", [1, 2])
def test_a_quadratic_discriminator_is_judged_where_the_part_says(pack):
    a = torch.randn(4 * pack, 4 * pack)
    a = a + a.T
    real, fake = torch.randn(8, 4), torch.randn(8, 4) * 2 + 1
    for part, x in ((R1(gamma=0.5), real), (R2(gamma=0.5), fake)):
        expected = 0.25 * (x.double().numpy().reshape(8 // pack, -1) @ a.double().numpy()) ** 2
        found = penalty(part, quadratic(a), real, fake, pack=pack)
        assert found.item() == pytest.approx(expected.sum(1).mean(), rel=1e-5)


@pytest.mark.parametrize("part", [R1, R2], ids=lambda part: part.name)
def test_gamma_follows_half_a_cosine_of_the_clock(part):
    w, moving, still = torch.randn(5), part(gamma=0.05, final=0.1, until=20_000_000), part(gamma=0.05)
    for images in (0, 1_000_000, 5_000_000, 10_000_000, 17_000_000, 20_000_000, 90_000_000):
        t = min(images / 20e6, 1)
        gamma = 0.05 + (1 - 0.5 * (1 + math.cos(math.pi * t))) * (0.005 - 0.05)  # R3GAN's settings
        found = penalty(moving, linear(w), torch.randn(4, 5), torch.randn(4, 5), clock=images).item()
        assert found == pytest.approx(gamma / 2 * w.square().sum().item(), rel=1e-5)
    found = penalty(still, linear(w), torch.randn(4, 5), torch.randn(4, 5), clock=90_000_000).item()
    assert found == pytest.approx(0.025 * w.square().sum().item(), rel=1e-5)


@pytest.mark.parametrize("pack", [1, 4])
def test_interpolates_lie_between_their_own_pair(pack):
    real, fake, label = torch.randn(400, 2, 3), torch.randn(400, 2, 3) + 5, torch.arange(400)
    total = lambda x, label=None: x.flatten(1).sum(1)  # noqa: E731
    r = exchange("discriminator", None, total, real, fake.requires_grad_(), label, pack=pack)
    GradientPenalty()(r)
    ((x, given),) = r.shown
    share = ((x - fake) / (real - fake)).detach().reshape(400 // pack, -1)
    assert given is label
    assert torch.allclose(share, share[:, :1].expand_as(share), atol=1e-4)  # one number a pack
    assert 0 <= share.min() < 0.05
    assert 0.95 < share.max() <= 1
    assert share[:, 0].mean().item() == pytest.approx(0.5, abs=0.1)
    assert share[:, 0].unique().numel() > 390 // pack
    assert x.is_leaf  # detached from both


def test_dragan_looks_around_real_samples_with_centred_noise():
    real, label = torch.randn(300, 2, 3) * 3 + 7, torch.arange(300)
    total = lambda x, label=None: x.flatten(1).sum(1)  # noqa: E731
    r = exchange("discriminator", None, total, real, torch.zeros(300, 2, 3), label)
    DRAGAN(spread=0.5)(r)
    ((x, given),) = r.shown
    assert given is label
    noise = (x - real).detach() / real.double().numpy().std()
    assert -0.5 <= noise.min() < -0.495
    assert 0.495 < noise.max() <= 0.5
    assert noise.mean().item() == pytest.approx(0, abs=0.03)
    assert noise.var().item() == pytest.approx(1 / 12, rel=0.1)
    assert noise.unique().numel() > 1700  # its own for every number
    a = torch.randn(4, 4)
    a, real = a + a.T, torch.randn(8, 4)
    norms = (real @ a).double().norm(dim=1).numpy()
    found = penalty(DRAGAN(weight=1, spread=0), quadratic(a), real, real + 9).item()
    assert found == pytest.approx(((norms - 1) ** 2).mean(), rel=1e-5)


def test_the_gradient_penalty_is_symmetric_in_real_and_fake():
    net = MLPDiscriminator(widths=(16,), dropout=0).build(*Space((2,)).ports)
    real, fake = torch.randn(4000, 2), torch.randn(4000, 2) + 2
    one, two = (penalty(GradientPenalty(), net, *pair).item() for pair in ((real, fake), (fake, real)))
    assert one == pytest.approx(two, rel=0.02)


@every_penalty
def test_derivatives_by_weights_equal_finite_differences(part):
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1))
    real, fake = torch.randn(6, 3), torch.randn(6, 3) * 2

    def value():
        torch.manual_seed(9)
        return penalty(part, lambda x, label=None: net(x).squeeze(1), real, fake)

    analytic = torch.autograd.grad(value(), net[0].weight)[0]
    direction, size = torch.randn_like(net[0].weight), 2e-2
    ends = []
    for sign in (1, -1):
        with torch.no_grad():
            net[0].weight += sign * size * direction
        ends.append(value().item())
        with torch.no_grad():
            net[0].weight -= sign * size * direction
    numeric = (ends[0] - ends[1]) / (2 * size)
    assert abs(numeric) > 0.05
    assert (analytic * direction).sum().item() == pytest.approx(numeric, rel=1e-2)


@every_penalty
def test_the_generator_receives_nothing_from_it(part):
    generator = nn.Linear(2, 3)
    fake = generator(torch.randn(5, 2))
    net = MLPDiscriminator(widths=(8,)).build(*Space((3,)).ports)
    if part.tracks:
        fake = fake.detach()  # a game hands on detached fakes in the discriminator's turn
    penalty(part, net, torch.randn(5, 3), fake).backward()
    assert generator.weight.grad is None
    assert next(net.parameters()).grad.abs().sum() > 0


@every_penalty
def test_a_flat_discriminator_has_finite_gradients(part):
    w = torch.zeros(3, requires_grad=True)
    penalty(part, lambda x, label=None: x @ w, torch.randn(4, 3), torch.randn(4, 3)).backward()
    assert w.grad.isfinite().all()


@every_penalty
def test_a_patch_map_counts_as_its_mean(part):
    conv = nn.Conv2d(3, 1, 2, 2, bias=False)
    real, fake = torch.randn(5, 3, 4, 6), torch.randn(5, 3, 4, 6)
    found = []
    for maps in (True, False):
        torch.manual_seed(1)
        found.append(
            penalty(
                part, lambda x, label=None, maps=maps: conv(x) if maps else conv(x).mean((1, 2, 3)), real, fake
            ).item()
        )
    assert found[0] == pytest.approx(found[1], rel=1e-6)
    norm = conv.weight.norm().item() / math.sqrt(6)  # of the mean over 2 x 3 places that share no pixel
    expected = 5 * norm**2 if part.tracks else 10 * (norm - 1) ** 2
    assert found[0] == pytest.approx(expected, rel=1e-4)


@every_penalty
def test_adding_a_constant_or_permuting_the_batch_changes_nothing(part):
    a = torch.randn(4, 4)
    real, fake, order = torch.randn(8, 4), torch.randn(8, 4), torch.randperm(8)
    torch.manual_seed(1)
    plain = penalty(part, quadratic(a), real, fake).item()
    torch.manual_seed(1)
    assert penalty(part, lambda x, label=None: quadratic(a)(x) + 7, real, fake).item() == pytest.approx(plain, rel=1e-6)
    if part.tracks:  # the others draw numbers for each place
        assert penalty(part, quadratic(a), real[order], fake[order]).item() == pytest.approx(plain, rel=1e-6)


@every_penalty
def test_bf16_autocast_leaves_the_penalty_in_float32(part):
    net = nn.Linear(64, 1, bias=False)
    net.weight.data.copy_(torch.randn(64) + 1)
    seen = []

    def discriminator(x, label=None):
        logits = net(x).squeeze(1)
        seen.append(logits.dtype)
        return logits

    real, fake = torch.randn(8, 64), torch.randn(8, 64)
    exact = penalty(part, discriminator, real, fake)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = penalty(part, discriminator, real, fake if part.tracks else fake.bfloat16())
        found.backward()
    assert found.dtype == torch.float32
    assert set(seen) == {torch.float32}
    assert found.item() == pytest.approx(exact.item(), rel=1e-5)
    assert net.weight.grad.isfinite().all()
    with torch.autocast("cpu", dtype=torch.bfloat16):  # the same of scores that are coarse
        found = penalty(part, discriminator, real, fake, precise=False)
    assert (torch.bfloat16 in seen) == bool(part.tracks)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(exact.item(), rel=2e-2)


@every_penalty
@pytest.mark.parametrize("norm", ["layer", "group", "instance", "none"])
def test_works_on_the_networks_it_allows(part, norm):
    net = DCGANDiscriminator(channels=8, norm=norm).build(*Space((1, 8, 12), classes=3).ports)
    found = penalty(part, net, torch.randn(4, 1, 8, 12), torch.randn(4, 1, 8, 12), torch.tensor([0, 1, 2, 2]))
    found.backward()
    assert found > 0
    grads = [p.grad for name, p in net.named_parameters() if not name.endswith("bias")]
    assert all(g.isfinite().all() for g in grads)
    assert grads[0].abs().sum() > 0


@pytest.mark.parametrize("part", [R1(), R2()], ids=lambda part: part.name)
def test_logits_that_the_game_has_are_not_asked_for_again(part):
    w = torch.randn(3)
    r = exchange("discriminator", None, linear(w), torch.randn(4, 3), torch.randn(4, 3), tracks=part.tracks)
    assert all(len(getattr(r, name).logits) == 4 for name in part.tracks)
    r.critic.network = None
    assert part(r).item() == pytest.approx(5 * w.square().sum().item(), rel=1e-5)


def test_errors_say_what_to_do():
    net = linear(torch.ones(3))
    real = torch.randn(4, 3)
    for part, what in ((R1(), "real"), (R2(), "fake")):
        message = rf"{part.name}: the {what} samples follow no gradient; score them with critic\({what}, track=True\)"
        with pytest.raises(ValueError, match=message):
            penalty(part, net, real, real, tracks=())
        with pytest.raises(RecipeError, match=f"{part.name}': final=0.1 is reached after `until` images; set until"):
            part.replace(final=0.1)
    with pytest.raises(ValueError, match=r"real samples \(4, 3\) and generated ones \(5, 3\) are joined in pairs"):
        penalty(GradientPenalty(), net, real, torch.randn(5, 3))
    with pytest.raises(RecipeError, match=r"regularizer 'r1': gamma: -1\.0 must be at least 0"):
        R1(gamma=-1)
    with pytest.raises(RecipeError, match="regularizer 'r2': every: 0 must be at least 1"):
        R2(every=0)


@every_penalty
def test_coarse_samples_give_a_float32_penalty(part):
    w, found = torch.tensor([0.3, -1.7, 0.9]), []
    real, fake = torch.randn(6, 3).bfloat16(), torch.randn(6, 3).bfloat16()
    for samples in ((real, fake), (real.float(), fake.float())):
        found.append(penalty(part, lambda x, label=None: linear(w)(x.float()), *samples))
    assert found[0].dtype == torch.float32
    assert found[0].item() == pytest.approx(found[1].item(), rel=1e-2)


@pytest.mark.parametrize("part", [GradientPenalty(), DRAGAN()], ids=lambda part: part.name)
def test_penalties_between_samples_leave_alone_what_others_track(part):
    a = torch.randn(4, 4, requires_grad=True)
    samples = torch.randn(6, 4), torch.randn(6, 4)
    r = exchange("discriminator", None, quadratic(a + a.T), *samples, tracks={"real", "fake"})
    part(r).backward()
    assert a.grad.abs().sum() > 0
    assert r.real.x.grad is None
    assert r.fake.x.grad is None
