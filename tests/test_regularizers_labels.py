"""Heads that name the class or recover the code: closed forms, both players, and two small games."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from tests.exchanges import exchange
from tests.logits import gradient
from zerosum.core.errors import RecipeError
from zerosum.core.registry import parse
from zerosum.latents import InfoGAN
from zerosum.networks import MLPDiscriminator, MLPGenerator
from zerosum.networks.space import Space
from zerosum.objectives import NonSaturating
from zerosum.regularizers import AuxiliaryClassifier, MutualInformation

REAL_HEAD = np.array([[2.0, -1.0, 0.5], [0.3, 0.1, -2.0]])  # class logits of two real samples, and of two fakes
FAKE_HEAD = np.array([[-0.4, 1.5, 0.2], [0.0, -3.0, 1.0]])
LABEL = np.array([2, 0])


class Heads(nn.Module):
    """A discriminator whose features are the sample, and whose heads are the features."""

    def features(self, x, label=None):
        return x

    def logits(self, features, label=None):
        return features.sum(1)

    def classify(self, features):
        return features

    def recover(self, features):
        return features


class FirstOfPack(Heads):
    """Heads of a discriminator of packs: one row for several samples, here that of the first."""

    def features(self, x, label=None):
        return x[:, :3]


def update(player="discriminator", real=REAL_HEAD, fake=FAKE_HEAD, label=LABEL, heads=Heads, **others):
    """An update in which the heads say these numbers of real samples and of fakes."""
    real, fake = torch.tensor(real, dtype=torch.float32), torch.tensor(fake, dtype=torch.float32, requires_grad=True)
    label = None if label is None else torch.tensor(label)
    return exchange(player, None, heads(), real, fake, label, **others)


def cross_entropy(logits, label):
    return np.mean([np.log(np.exp(row).sum()) - row[c] for row, c in zip(logits, label, strict=True)])


@pytest.mark.parametrize("part", [AuxiliaryClassifier(), MutualInformation()], ids=lambda part: part.name)
def test_text_round_trips_and_the_class_says_who(part):
    assert parse("regularizer", str(part)) == part
    assert part.player == "both"
    assert part.tracks == frozenset()


def test_needs_name_the_option():
    assert set(AuxiliaryClassifier.needs) == {"classifier", "labels"}
    assert "set discriminator.labels=classifier" in AuxiliaryClassifier.needs["classifier"]
    needs = MutualInformation(categories=3, continuous=1).needs
    assert list(needs) == ["codes", "code of 3 categories and 1 numbers"]
    assert "set discriminator.codes=4" in needs["codes"]
    assert "set latent=infogan:categories=3,continuous=1" in needs["code of 3 categories and 1 numbers"]
    assert InfoGAN(categories=3, continuous=1).traits() == {"code of 3 categories and 1 numbers"}


# Auxiliary classifier


def test_the_classifier_pays_cross_entropy_in_both_moves():
    of_real, of_fake = cross_entropy(REAL_HEAD, LABEL), cross_entropy(FAKE_HEAD, LABEL)
    part = AuxiliaryClassifier(weight=0.7, generator_weight=0.2, every=3)
    assert part(update()).item() == pytest.approx(0.7 * (of_real + of_fake), rel=1e-5)
    assert part(update("generator")).item() == pytest.approx(0.2 * of_fake, rel=1e-5)
    alone = part.replace(fakes=False)
    assert alone(update()).item() == pytest.approx(0.7 * of_real, rel=1e-5)
    assert alone(update("generator")).item() == pytest.approx(0.2 * of_fake, rel=1e-5)


@pytest.mark.parametrize("classes", [3, 10])
def test_a_classifier_that_knows_nothing_pays_the_entropy(classes):
    zero = np.zeros((4, classes))
    r = update(real=zero, fake=zero, label=np.arange(4) % classes)
    assert AuxiliaryClassifier()(r).item() == pytest.approx(2 * math.log(classes), rel=1e-6)
    r = update("generator", real=zero, fake=zero, label=np.arange(4) % classes)
    assert AuxiliaryClassifier()(r).item() == pytest.approx(math.log(classes), rel=1e-6)


def test_a_sure_classifier_pays_nothing():
    sure = np.eye(10) * 40
    r = update("generator", real=sure, fake=sure, label=np.arange(10))
    assert AuxiliaryClassifier()(r).item() == pytest.approx(0, abs=1e-6)  # after a softmax it would be 1.46115


def test_both_players_move_fakes_to_their_class():
    for player in ("discriminator", "generator"):
        r = update(player)
        up = gradient(AuxiliaryClassifier()(r), r.fake.x)
        assert up[0, 2] < 0 < up[0, 1]
        assert up[1, 0] < 0 < up[1, 2]
    r = update("generator")
    assert gradient(AuxiliaryClassifier(generator_weight=0)(r), r.fake.x).tolist() == [[0] * 3] * 2
    r = update(fake=REAL_HEAD)
    up = torch.autograd.grad(AuxiliaryClassifier(fakes=False)(r).requires_grad_(), r.fake.x, allow_unused=True)
    assert up == (None,)


def test_packs_are_named_by_their_one_class():
    real = np.arange(12.0).reshape(4, 3)
    r = update("generator", real, real, label=np.array([2, 2, 0, 0]), pack=2, heads=FirstOfPack)
    assert AuxiliaryClassifier()(r).item() == pytest.approx(cross_entropy(real[::2], [2, 0]), rel=1e-5)


def test_samples_without_labels_are_refused():
    with pytest.raises(ValueError, match="auxiliary-classifier: there is no label; choose data with classes"):
        AuxiliaryClassifier()(update(label=None))


# Mutual information

CODE = np.array([[9.0, 9.0, 0, 1, 0, 0.5, -1.0], [9.0, 9.0, 1, 0, 0, -0.25, 0.0]])  # noise, category, continuous
GUESS = np.array([[2.0, -1.0, 0.5, 0.1, 0.2], [0.3, 0.1, -2.0, 0.0, 3.0]])


def coded(player="discriminator", guess=GUESS, code=CODE):
    latent = None if code is None else torch.tensor(code, dtype=torch.float32)
    return update(player, guess, guess, None, latent=latent)


def test_information_is_the_likelihood_of_the_code():
    category = cross_entropy(GUESS[:, :3], [1, 0])
    continuous = ((GUESS[:, 3:] - CODE[:, 5:]) ** 2).sum(1).mean() / 2
    part = MutualInformation(categories=3, continuous=2, weight=0.6, continuous_weight=0.3, every=2)
    for player in ("discriminator", "generator"):
        r = coded(player)
        assert part(r).item() == pytest.approx(0.6 * category + 0.3 * continuous, rel=1e-5)
        assert gradient(part(r), r.fake.x).abs().min() > 0
    only = MutualInformation(categories=3, continuous=0, weight=0.6)
    assert only(coded(guess=GUESS[:, :3], code=CODE[:, :5])).item() == pytest.approx(0.6 * category, rel=1e-5)
    only = MutualInformation(categories=0, continuous=2, continuous_weight=0.3)
    assert only(coded(guess=GUESS[:, 3:])).item() == pytest.approx(0.3 * continuous, rel=1e-5)


def test_it_looks_at_fakes_alone():
    r = coded()
    MutualInformation(categories=3)(r)
    ((shown, _),) = r.critic.shown
    assert shown is r.fake.x


def test_a_code_that_is_read_exactly_costs_nothing():
    latent = InfoGAN(noise=4, categories=3, continuous=2)(50)
    guess = latent[:, 4:] * torch.tensor([40.0, 40.0, 40.0, 1.0, 1.0])
    part = MutualInformation(categories=3, continuous=2)
    assert part(coded(guess=guess.numpy(), code=latent.numpy())).item() == pytest.approx(0, abs=1e-6)
    mute = part(coded(guess=0 * guess.numpy(), code=latent.numpy())).item()
    assert mute == pytest.approx(math.log(3) + 0.1 * latent[:, 7:].square().sum(1).mean().item() / 2, rel=1e-5)


def test_sizes_that_disagree_name_the_option():
    part = MutualInformation(categories=3, continuous=2)
    with pytest.raises(ValueError, match=r"recovers 3 numbers, the code of 3 .* has 5; set discriminator\.codes=5"):
        part(coded(guess=GUESS[:, :3]))
    for code in (CODE[:, :4], None):
        with pytest.raises(ValueError, match="is not in the latent; set latent=infogan:categories=3,continuous=2"):
            part(coded(code=code))
    with pytest.raises(ValueError, match="recovers 1 codes from 2 samples; set pack=1"):
        part(coded(guess=GUESS[:1]))
    with pytest.raises(RecipeError, match="'mutual-information': categories and continuous are both 0; set one of the"):
        MutualInformation(categories=0, continuous=0)


class Coarse(Heads):
    """Heads that answer in low precision, as under mixed precision."""

    def classify(self, features):
        return features.bfloat16()

    recover = classify


@pytest.mark.parametrize("part", [AuxiliaryClassifier(), MutualInformation(3, 0)], ids=lambda part: part.name)
def test_losses_are_float32(part):
    exact = part(update("generator", latent=torch.eye(3)[:2]))
    r = update("generator", latent=torch.eye(3)[:2], heads=Coarse)
    assert part(r).dtype == torch.float32
    assert part(r).item() == pytest.approx(exact.item(), rel=1e-2)


def test_they_work_on_a_network_of_the_library():
    latent = InfoGAN(noise=4, categories=3, continuous=2)
    space = Space((1, 8, 8), latent.size, 3)
    network = MLPDiscriminator(widths=(8,), labels="classifier", codes=5)
    G, D = MLPGenerator(widths=(8,)).build(*space.ports), network.build(*space.ports)
    label, z = torch.tensor([0, 1, 2, 2]), latent(4)
    parts = AuxiliaryClassifier(), MutualInformation(categories=3, continuous=2)
    for player, moved in (("discriminator", [D.head.classes, D.head.codes]), ("generator", [G])):
        r = exchange(player, G, D, torch.rand(4, 1, 8, 8), G(z), label, z)
        sum(part(r) for part in parts).backward()
        grads = [p.grad for one in moved for p in one.parameters()]
        assert all(grad.isfinite().all() and grad.abs().sum() > 0 for grad in grads)
    given = network.traits() | latent.traits() | {"labels"}  # which the data bring
    assert all(given >= set(part.needs) for part in parts)


# Two small games


class Pair(nn.Module):
    """A discriminator of points with three heads."""

    def __init__(self, classes, codes):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.LeakyReLU(0.2))
        self.logit, self.classify, self.recover = nn.Linear(32, 1), nn.Linear(32, classes), nn.Linear(32, max(1, codes))

    def features(self, x, label=None):
        return self.body(x)

    def logits(self, features, label=None):
        return self.logit(features).squeeze(1)


def play(part, draw_latent, turns):
    """Train on three far clusters; give the generator, the discriminator and the centres."""
    torch.manual_seed(0)
    centres = torch.tensor([[0.0, 1.0], [0.87, -0.5], [-0.87, -0.5]])
    D, size = Pair(3, 3), draw_latent(torch.zeros(1, dtype=torch.int64)).shape[1]
    G = nn.Sequential(nn.Linear(size, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))
    steps = {
        name: torch.optim.Adam(one.parameters(), lr=2e-3, betas=(0.5, 0.99))
        for name, one in {"discriminator": D, "generator": G}.items()
    }
    objective = NonSaturating()
    for _ in range(turns):
        label = torch.randint(3, (64,))
        real, z = centres[label] + 0.1 * torch.randn(64, 2), draw_latent(label)
        for player, step in steps.items():
            fake = G(z)
            r = exchange(player, G, D, real, fake.detach() if player == "discriminator" else fake, label, z)
            if player == "discriminator":
                loss = objective.discriminator(r.real.logits, r.fake.logits)
            else:
                loss = objective.generator(r.fake.logits)
            step.zero_grad()
            (loss + part(r)).backward()
            step.step()
    return G, D, centres


def test_an_auxiliary_classifier_puts_every_class_in_its_place():
    def conditioned(label):
        return torch.cat([torch.randn(len(label), 2), torch.eye(3)[label]], dim=1)

    G, D, centres = play(AuxiliaryClassifier(), conditioned, turns=500)
    label = torch.arange(3).repeat(200)
    with torch.no_grad():
        fake, real = G(conditioned(label)), centres[label] + 0.1 * torch.randn(600, 2)
        landed = torch.cdist(fake, centres).argmin(1)
        named = D.classify(D.features(real)).argmax(1)
    assert (named == label).float().mean() > 0.99
    assert (landed == label).float().mean() > 0.95


def test_information_ties_the_code_to_the_cluster():
    latent = InfoGAN(noise=2, categories=3, continuous=0)
    part = MutualInformation(categories=3, continuous=0)
    G, D, centres = play(part, lambda label: latent(len(label)), turns=500)
    z = latent(600)
    with torch.no_grad():
        fake = G(z)
        read = D.recover(D.features(fake)).argmax(1)
        landed = torch.cdist(fake, centres).argmin(1)
    code = z[:, 2:].argmax(1)
    assert (read == code).float().mean() > 0.95
    table = torch.stack([torch.bincount(landed[code == c], minlength=3) for c in range(3)])
    assert table.max(1).values.sum() > 0.95 * 600  # each code lands in one cluster,
    assert sorted(table.argmax(1).tolist()) == [0, 1, 2]  # each in another
