"""Regularizers over batches of logits and features: closed forms, brute force, and who receives gradients."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import l1_loss

from tests.exchanges import Two, cost, exchange, remembered
from tests.logits import FAKE, REAL, gradient, repeated, tensors
from zerosum.core.errors import RecipeError
from zerosum.core.memory import Memory
from zerosum.core.registry import parse
from zerosum.networks import BEGANDiscriminator, MLPDiscriminator, MLPGenerator
from zerosum.networks.space import Space
from zerosum.objectives import Wasserstein
from zerosum.regularizers import Content, FeatureMatching, LeCam, PullingAway
from zerosum.regularizers.fixed import seen

PARTS = [LeCam(), FeatureMatching(), Content(), PullingAway(of="features")]


class Scaling(nn.Module):
    """A discriminator whose features are the sample times a weight for each number."""

    def __init__(self, *weights):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weights))
        self.looks = 0

    def features(self, x, label=None):
        self.looks += 1
        return x.flatten(1) * self.weight

    def logits(self, features, label=None):
        return features.sum(1)

    def forward(self, x, label=None):
        return self.logits(self.features(x, label), label)


def update(real, fake, *weights, **others):
    """An update of a generator against a discriminator with these weights, or with 1 for each number."""
    network = Scaling(*weights) if weights else Scaling(*[1.0] * real[0].numel())
    return exchange("generator", None, network, real, fake, **others)


def judged(real, fake, clock=10**9):
    """An update of a discriminator that gave these logits."""
    return exchange("discriminator", real=real, fake=fake, logits=(real, fake), clock=clock)


def fixed(real, fake):
    """Averages that one more look does not move, with decay=1."""
    return Memory({"real": torch.tensor(real), "fake": torch.tensor(fake), "looks": torch.tensor(1e12)})


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_text_round_trips_and_the_class_says_who(part):
    assert parse("regularizer", str(part)) == part
    assert part.player == ("discriminator" if part.name == "lecam" else "generator")
    assert part.tracks == frozenset()
    assert ("autoencoder" in part.clashes) == (part.name == "lecam")
    assert ("features" in part.needs) == (part.name in ("feature-matching", "content", "pulling-away"))


# LeCam


@pytest.mark.parametrize(
    ("form", "size"), [("squared", np.square), ("one-sided", lambda t: np.where(t > 0, t, 0) ** 2)]
)
def test_lecam_is_its_formula(form, size):
    part = LeCam(weight=0.7, form=form, decay=1.0, after=0)
    found = part(judged(*tensors(REAL, FAKE)), fixed(0.6, -0.25))
    expected = 0.7 * (size(REAL + 0.25).mean() + size(0.6 - FAKE).mean())
    assert found.item() == pytest.approx(expected, rel=1e-5)
    maps = part(judged(*(x.reshape(1, 1, 2, 3) for x in tensors(REAL, FAKE))), fixed(0.6, -0.25))
    assert maps.item() == pytest.approx(expected, rel=1e-5)
    coarse = part(judged(*(x.bfloat16() for x in tensors(REAL, FAKE))), fixed(0.6, -0.25))
    assert coarse.dtype == torch.float32
    assert coarse.item() == pytest.approx(expected, rel=1e-2)
    lazy = part.replace(every=4)(judged(*tensors(REAL, FAKE)), fixed(0.6, -0.25))
    assert lazy.item() == pytest.approx(expected, rel=1e-5)


def test_lecam_averages_are_means_at_first_and_then_forget():
    part, memory, looks = LeCam(decay=0.75, after=0), remembered(LeCam()), []
    kept = memory["real"]
    for n in range(1, 7):
        part(judged(*tensors(REAL * n, FAKE - n)), memory)
        looks.append((memory["real"].item(), memory["fake"].item()))
    for column, means in enumerate(
        ([REAL.mean() * n for n in range(1, 7)], [FAKE.mean() - n for n in range(1, 7)]),
    ):
        expected = [np.mean(means[:n]) for n in range(1, 5)]
        expected += [0.75 * expected[3] + 0.25 * means[4]]
        expected += [0.75 * expected[4] + 0.25 * means[5]]
        assert [look[column] for look in looks] == pytest.approx(expected, rel=1e-5)
    assert memory["real"] is kept
    assert LeCam.watched == ("real", "fake")
    assert all(value.shape == () and value.dtype == torch.float32 for value in memory.values())


def test_lecam_averages_are_those_of_all_ranks():
    memory = Memory(LeCam().memory(), Two(4.0, -2.0))
    loss = LeCam(weight=1, after=0)(judged(*tensors(REAL, FAKE)), memory)
    above, below = (REAL.mean() + 4) / 2, (FAKE.mean() - 2) / 2
    assert [memory["real"].item(), memory["fake"].item()] == pytest.approx([above, below], rel=1e-6)
    assert loss.item() == pytest.approx(((REAL - below) ** 2).mean() + ((above - FAKE) ** 2).mean(), rel=1e-5)


def test_lecam_costs_nothing_at_the_start_while_its_averages_follow():
    part, memory = LeCam(after=5000), remembered(LeCam())
    assert part(judged(*tensors(REAL, FAKE), clock=4999), memory).item() == 0
    assert memory["real"].item() == pytest.approx(REAL.mean(), rel=1e-6)
    assert memory["fake"].item() == pytest.approx(FAKE.mean(), rel=1e-6)
    assert part(judged(*tensors(REAL, FAKE), clock=5000), memory).item() > 0.1


def test_lecam_averages_receive_no_gradient():
    real, fake = tensors(REAL, FAKE, requires_grad=True)
    memory = remembered(LeCam())
    loss = LeCam(weight=1, after=0)(judged(real, fake), memory)  # averages are this batch's own
    np.testing.assert_allclose(gradient(loss, real), 2 * (REAL - FAKE.mean()) / 6, rtol=1e-5)
    loss = LeCam(weight=1, after=0)(judged(real, fake), memory)
    np.testing.assert_allclose(gradient(loss, fake), -2 * (REAL.mean() - FAKE) / 6, rtol=1e-5)
    assert not any(value.requires_grad for value in memory.values())


def test_lecam_with_a_critic_has_the_optimum_of_the_paper():
    p, q, alpha = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.2, 0.7]), 0.5
    best = (1 / (2 * 0.3) - alpha) * (p - q) / (p + q)
    assert ((p - q) * best).sum() == pytest.approx(0.6585185, abs=1e-7)

    def loss(logit):
        real, fake = repeated(logit)
        part = LeCam(weight=0.3, decay=1.0, after=0)
        return Wasserstein().discriminator(real, fake) + part(judged(real, fake), fixed(alpha, -alpha))

    logit = torch.tensor(best, dtype=torch.float32, requires_grad=True)
    assert gradient(loss(logit), logit).abs().max() < 1e-6
    real, fake = repeated(logit.detach())
    assert -Wasserstein().discriminator(real, fake).item() == pytest.approx(0.6585185, abs=1e-6)
    assert loss(logit + torch.tensor([0.1, 0.0, 0.0])) > loss(logit) + 1e-4


# Feature matching


@pytest.mark.parametrize(("distance", "size"), [("squares", np.square), ("absolute", np.abs)])
def test_feature_matching_compares_batch_means(distance, size):
    torch.manual_seed(0)
    real, fake = torch.randn(5, 3), torch.randn(4, 3) + 0.5  # batches may differ in size
    gap = (fake.numpy().mean(0) - real.numpy().mean(0)) * [2, -1, 0.5]
    part = FeatureMatching(weight=3, distance=distance, every=2)
    found = part(update(real, fake, 2.0, -1.0, 0.5))
    assert found.item() == pytest.approx(3 * size(gap).mean(), rel=1e-5)
    assert part(update(real, real.clone(), 2.0, -1.0, 0.5)).item() == 0
    assert part(update(real, fake.flip(0), 2.0, -1.0, 0.5)).item() == pytest.approx(found.item(), rel=1e-6)


def test_pixels_match_mean_images_without_a_look():
    torch.manual_seed(0)
    real, fake = torch.randn(6, 3, 4, 5), torch.randn(6, 3, 4, 5) * 2 + 0.3
    r = update(real, fake)
    found = FeatureMatching(of="pixels", distance="absolute")(r)
    assert found.item() == pytest.approx(l1_loss(real.mean(0), fake.mean(0)).item(), rel=1e-6)
    assert r.critic.network.looks == 0
    assert FeatureMatching(of="pixels").needs == {}
    assert "feature-matching:of=pixels" in FeatureMatching().needs["features"]


@pytest.mark.parametrize(
    "part", [FeatureMatching(), FeatureMatching(of="pixels"), Content(reference="place"), Content()], ids=str
)
def test_only_the_fakes_receive_gradients(part):
    torch.manual_seed(0)
    real, fake = torch.randn(5, 3, requires_grad=True), torch.randn(5, 3, requires_grad=True)
    r = exchange("generator", real=real, fake=fake, features=(real * 2, fake * 2))  # those of real ones carry gradients
    up = torch.autograd.grad(part(r), (real, fake), allow_unused=True)
    assert up[0] is None
    assert up[1].abs().sum() > 0.01


# Content


def test_content_of_the_same_place():
    torch.manual_seed(0)
    real, fake = torch.randn(6, 3), torch.randn(6, 3)
    gap = (fake - real).numpy() * [2, -1, 0.5]
    for distance, size in (("squares", np.square), ("absolute", np.abs)):
        part = Content(weight=0.5, reference="place", distance=distance, every=3)
        found = part(update(real, fake, 2.0, -1.0, 0.5)).item()
        assert found == pytest.approx(0.5 * size(gap).mean(), rel=1e-5)
        order = torch.randperm(6)
        both = part(update(real[order], fake[order], 2.0, -1.0, 0.5)).item()
        assert both == pytest.approx(found, rel=1e-5)
        assert part(update(real, fake[order], 2.0, -1.0, 0.5)).item() != pytest.approx(found, rel=1e-2)
        assert part(update(real, real.clone(), 2.0, -1.0, 0.5)).item() == 0


class Stages(Scaling):
    """A discriminator of two stages, one wider than the other."""

    def layers(self, x, label=None):
        return [[x * self.weight, (x * self.weight)[:, :1] ** 2, x.sum(1)]]


@pytest.mark.parametrize("distance", ["squares", "absolute"])
def test_layers_count_one_by_one_each_by_its_mean(distance):
    real = torch.tensor([[1.0, 2.0, 3.0], [0.0, -1.0, 1.0]])
    fake = torch.tensor([[2.0, 0.0, 3.0], [1.0, 1.0, -1.0]], requires_grad=True)
    weights = torch.tensor([1.0, 2.0, 0.5])
    size = abs if distance == "absolute" else torch.square
    apart = [(fake - real) * weights, (fake[:, :1] ** 2 - real[:, :1] ** 2)]
    looked = lambda: exchange("generator", None, Stages(*weights.tolist()), real, fake)  # noqa: E731
    found = cost(Content(of="layers", reference="place", distance=distance, weight=3.0), looked())
    assert found.item() == pytest.approx(3 * sum(size(one).mean() for one in apart).item())
    assert torch.autograd.grad(found, fake)[0].abs().sum() > 0
    found = cost(FeatureMatching(of="layers", distance=distance), looked())
    assert found.item() == pytest.approx(sum(size(one.mean(0)).mean() for one in apart).item())
    same = exchange("generator", None, Stages(*weights.tolist()), real, real.clone())
    assert cost(Content(of="layers", reference="place"), same).item() == 0
    shuffled = exchange("generator", None, Stages(*weights.tolist()), real, real.flip(0))
    assert cost(Content(of="layers"), shuffled).item() == 0  # the nearest is found again
    assert cost(Content(of="layers", reference="place"), shuffled).item() > 0


@pytest.mark.parametrize("of", ["features", "layers"])
def test_content_of_a_fixed_classifier(of):
    part = Content(extractor="digits-cnn", reference="place", of=of)
    assert part.needs.keys() == {"source"}
    assert parse("regularizer", str(part)) == part
    torch.manual_seed(0)
    real, fake = (torch.rand(4, 1, 8, 8) * 2 - 1 for _ in range(2))
    fake.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        looked = exchange("generator", None, None, real, fake)
        found = cost(part, looked)
    network = parse("extractor", "digits-cnn").build((1, 8, 8)).network
    levels = [(one.detach() + 1) * 127.5 for one in (real, fake)]
    features = [network(one)[0] for one in levels]
    expected = (features[0] - features[1]).square().mean()
    if of == "layers":  # the last map of each size, and the features
        sides = [seen("digits-cnn", one, "layers") for one in (real, fake)]
        assert [one.shape[1] for one in sides[0]] == [16 * 8 * 8, 32 * 4 * 4, 32 * 2 * 2, 64]
        assert torch.allclose(sides[0][-2], network.trunk((real + 1) - 1).flatten(1), rtol=1e-4, atol=1e-5)
        expected = sum((x - y).square().mean() for x, y in zip(*sides, strict=True))
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    assert torch.autograd.grad(found, fake)[0].abs().sum() > 0
    order = torch.tensor([2, 0, 3, 1])
    again = cost(part, exchange("generator", None, None, real[order], fake[order]))
    assert again.item() == pytest.approx(found.item(), rel=1e-5)
    assert cost(part, exchange("generator", None, None, real, real.clone())).item() == 0
    assert not any(weight.requires_grad for weight in network.parameters())


def test_an_extractor_of_a_content_loss_has_weights_of_its_own():
    with pytest.raises(RecipeError, match="extractor 'pca' is fitted to real images, and a loss needs a network with"):
        Content(extractor="pca")
    with pytest.raises(RecipeError, match="there is no extractor 'digit-cnn'"):
        parse("regularizer", "content:extractor=digit-cnn")


@pytest.mark.parametrize(("distance", "size"), [("squares", np.square), ("absolute", np.abs)])
def test_content_of_the_nearest(distance, size):
    torch.manual_seed(1)
    real, fake, label = torch.randn(40, 3), torch.randn(40, 3), torch.arange(40) % 4
    part = Content(distance=distance)
    apart = size(fake.numpy()[:, None] - real.numpy()[None]).mean(2)
    found = part(update(real, fake)).item()
    assert found == pytest.approx(apart.min(1).mean(), rel=1e-5)
    same = np.where(label.numpy()[:, None] == label.numpy()[None], apart, np.inf)
    assert same.min(1).mean() > 1.2 * apart.min(1).mean()
    labelled = part(update(real, fake, label=label)).item()
    assert labelled == pytest.approx(same.min(1).mean(), rel=1e-5)
    for level in (0, 1000):  # far from 0, distances by products would round away
        assert part(update(real + level, real.flip(0) + level)).item() == 0


# Pulling away


def test_pulling_away_is_the_mean_squared_cosine_of_pairs():
    torch.manual_seed(0)
    fake = torch.randn(5, 3) * torch.tensor([[1.0], [2.0], [0.1], [30.0], [1.0]])
    rows = fake.numpy() * [2, -1, 0.5]
    pairs = list(itertools.permutations(range(5), 2))
    cosines = [rows[i] @ rows[j] / math.sqrt((rows[i] @ rows[i]) * (rows[j] @ rows[j])) for i, j in pairs]
    found = PullingAway(weight=0.2, of="features", every=3)(update(fake, fake, 2.0, -1.0, 0.5)).item()
    assert found == pytest.approx(0.2 * np.square(cosines).mean(), rel=1e-4)
    assert len(pairs) == 20


@pytest.mark.parametrize(
    ("fakes", "value"),
    [
        (torch.eye(4) * 3, 0.0),
        (torch.ones(6, 4), 1.0),
        (torch.tensor([[1.0, 0.0], [-2.0, 0.0]]), 1.0),  # opposite counts as the same direction
        (torch.tensor([[2.0, 0.0], [0.5, 0.5 * math.sqrt(3)]]), 0.25),  # 60 degrees
        (torch.tensor([[1.0, 2.0]]), 0.0),  # alone
    ],
)
def test_pulling_away_at_known_angles(fakes, value):
    assert PullingAway(weight=1, of="features")(update(fakes, fakes)).item() == pytest.approx(value, abs=1e-6)


def test_pulling_away_pushes_apart_and_survives_features_of_nothing():
    fake = torch.tensor([[1.0, 0.1], [1.0, -0.1], [0.0, 0.0]], requires_grad=True)
    up = gradient(PullingAway(weight=1, of="features")(update(fake, fake)), fake)
    assert up.isfinite().all()
    assert up[0, 1] < 0 < up[1, 1]  # against the gradient their second numbers part
    pixels = torch.rand(4, 1, 3, 3)
    assert PullingAway(of="features")(update(pixels, pixels)).shape == ()


def test_pulling_away_takes_the_code_of_an_auto_encoder():
    torch.manual_seed(0)
    network = BEGANDiscriminator(channels=4, hidden=5).build(*Space((1, 8, 8)).ports)
    fake = torch.rand(4, 1, 8, 8).requires_grad_()
    r = exchange("generator", None, network, torch.rand(4, 1, 8, 8), fake)
    codes = network.encode(fake).detach().double().numpy()
    pairs = [(codes[i] @ codes[j]) ** 2 / (codes[i] @ codes[i]) / (codes[j] @ codes[j])
             for i, j in itertools.permutations(range(4), 2)]  # fmt: skip
    loss = PullingAway()(r)
    assert loss.item() == pytest.approx(0.1 * np.mean(pairs), rel=1e-4)
    assert gradient(loss, fake).abs().sum() > 0
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        assert PullingAway()(r).dtype == torch.float32
    assert "pulling-away:of=features" in PullingAway().needs["autoencoder"]
    assert BEGANDiscriminator().traits() >= set(PullingAway().needs)


@pytest.mark.parametrize("part", [FeatureMatching(), Content(), PullingAway(of="features"), LeCam(after=0)], ids=str)
def test_they_work_on_a_network_of_the_library(part):
    space = Space((1, 8, 8), latent=6)
    G, D = MLPGenerator(widths=(8,)).build(*space.ports), MLPDiscriminator(widths=(8,)).build(*space.ports)
    r = exchange(part.player, G, D, torch.rand(4, 1, 8, 8), G(torch.randn(4, 6)))
    cost(part, r).backward()
    moved = D if part.name == "lecam" else G
    assert all(p.grad.isfinite().all() and p.grad.abs().sum() > 0 for p in moved.parameters() if p.ndim > 1)
    assert MLPDiscriminator().traits() >= set(part.needs)


@pytest.mark.parametrize("part", [FeatureMatching(), Content(), PullingAway(of="features")], ids=lambda part: part.name)
def test_the_discriminator_looks_once_at_what_is_asked_for(part):
    x = torch.randn(4, 3)
    r = update(x, x + 1)
    assert r.fake.logits.tolist() == (x + 1).sum(1).tolist()
    part(r)
    part(r)
    assert r.critic.network.looks == (1 if part.name == "pulling-away" else 2)
    r = exchange("generator", None, lambda x, label=None: x.sum(1), x, x)
    with pytest.raises(ValueError, match=f"{part.name}: it compares features of the discriminator, which this one doe"):
        part(r)


@pytest.mark.parametrize("part", [PullingAway(of="features"), FeatureMatching(), Content()], ids=lambda part: part.name)
def test_all_is_float32_under_mixed_precision(part):
    torch.manual_seed(0)
    real, fake = torch.randn(8, 16), torch.randn(8, 16)
    r = update(real, fake)
    exact = part(r)
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        found = part(r)
    assert found.dtype == torch.float32
    assert torch.equal(found, exact)
    coarse = r.real.features.bfloat16(), r.fake.features.bfloat16()  # as they are under mixed precision
    r = exchange("generator", real=real, fake=fake, features=coarse)
    assert part(r).dtype == torch.float32
    assert part(r).item() == pytest.approx(exact.item(), rel=2e-2)
