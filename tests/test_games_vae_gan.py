"""The judged variational auto-encoder: who learns from what, by the paper's algorithm written out again."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

import zerosum
from tests.small import table, words
from zerosum.augmentations import DiffAugment
from zerosum.core import compatibility
from zerosum.core.engine import Engine
from zerosum.core.errors import RecipeError
from zerosum.core.player import Player
from zerosum.core.registry import Part
from zerosum.critic import Critic
from zerosum.games import VAEGAN
from zerosum.latents import Normal
from zerosum.networks import Default
from zerosum.networks.space import Space
from zerosum.objectives import NonSaturating
from zerosum.optimizers import SGD, Constant
from zerosum.recipes import read_recipe

N, WIDE, K, FEATURES = 5, 3, 2, 6  # samples, numbers of a sample, of a latent, and of what the discriminator sees
ROLES = "encoder", "generator", "discriminator"


class Linear(nn.Module):
    """Rows of weights; as a discriminator its features are products, and the logit is their sum."""

    def __init__(self, before, after):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before))

    def forward(self, x, label=None):
        return self.features(x).sum(1) if len(self.weight) == FEATURES else x @ self.weight.T

    def features(self, x, label=None):
        return (x @ self.weight.T).tanh()

    def logits(self, features, label=None):
        return features.sum(1)


@dataclass(frozen=True)
class Plain(Part):
    """A linear network of a role."""

    role: str
    kind, name = "network", "plain"

    def build(self, inputs, outputs):
        sizes = {"encoder": (WIDE, 2 * K), "generator": (K, WIDE), "discriminator": (WIDE, FEATURES)}
        return Linear(*sizes[self.role])

    def traits(self):
        return frozenset({self.role, "logits", "features"} if self.role == "discriminator" else {self.role})


class Fixed:
    """A feed of one batch."""

    position = 0

    def __init__(self):
        self.x = torch.randn(N, WIDE, generator=torch.Generator().manual_seed(5)) + 0.5

    def next(self):
        self.position += N
        return {"sample": self.x}


def linear(**fields):
    """An engine of linear players, and the latents that its first turn draws."""
    trio = {role: Player(Plain(role), SGD(lr=0.1), Constant(), Default()) for role in ROLES}
    engine = Engine(VAEGAN(**trio, objective=NonSaturating(), latent=Normal(K), **fields), Space((WIDE,)).signals)
    drawn, draw = [], engine.draw
    engine.draw = lambda prior, count: drawn.append(draw(prior, count)) or drawn[-1]
    return engine, drawn


def paper(weights, x, noise, z_p, distortion, beta=1):
    """Losses by player, after algorithm 1 of Larsen et al. 2016."""
    E, G, D = (weights[role] for role in ROLES)
    mean, log_var = (x @ E.T).split(K, 1)
    prior = ((mean**2 + log_var.exp() - log_var - 1) / 2).sum(1).mean()
    rebuilt, made = (mean + (log_var / 2).exp() * noise) @ G.T, z_p @ G.T
    features = [(one @ D.T).tanh() for one in (x, rebuilt, made)]
    like = ((features[0] - features[1]) ** 2 / 2).sum(1).mean()
    real, again, fake = (one.sum(1) for one in features)
    return {
        "encoder": beta * prior + like,
        "generator": distortion * like + softplus(-again).mean() + softplus(-fake).mean(),
        "discriminator": softplus(-real).mean() + (softplus(again).mean() + softplus(fake).mean()) / 2,
    }


def test_each_player_follows_the_gradient_of_its_own_loss_at_the_weights_as_they_are():
    engine, drawn = linear(distortion=0.3, beta=2.0)
    before = {role: engine.network(role).weight.detach().clone().requires_grad_() for role in ROLES}
    engine.turn(Fixed())
    found = engine.meter.take("report")
    losses = paper(before, Fixed().x, *drawn, distortion=0.3, beta=2)
    for role in ROLES:
        (gradient,) = torch.autograd.grad(losses[role], before[role], retain_graph=True)
        torch.testing.assert_close(engine.network(role).weight, before[role] - 0.1 * gradient)
        total = sum(value for name, value in found.items() if name.startswith(f"{role}."))
        assert total == pytest.approx(losses[role].item(), rel=1e-5)
    assert {name for name in found if "." in name} == {
        *("encoder.rate", "encoder.distortion"),
        *("generator.distortion", "generator.adversarial"),
        "discriminator.adversarial",
    }


@pytest.mark.parametrize(
    ("fields", "still"),
    [({"adversarial": 0.0, "distortion": 0.0}, "generator"), ({"adversarial": 0.0}, ""), ({"distortion": 0.0}, "")],
)
def test_logits_teach_no_encoder_and_the_distortion_no_discriminator(fields, still):
    engine, drawn = linear(**fields)
    before = {role: engine.network(role).weight.detach().clone().requires_grad_() for role in ROLES}
    engine.turn(Fixed())
    losses = paper(before, Fixed().x, *drawn, distortion=0.3)
    for role in ("encoder", "discriminator"):  # whatever the generator pays for
        (gradient,) = torch.autograd.grad(losses[role], before[role], retain_graph=True)
        torch.testing.assert_close(engine.network(role).weight.grad, gradient)
    assert [role for role in ROLES if not engine.network(role).weight.grad.any()] == ([still] if still else [])


@pytest.mark.parametrize("augmentations", [[], [DiffAugment()]])
def test_samples_that_are_rebuilt_as_they_were_are_not_distorted(augmentations):
    engine, feed = table("vae-gan")
    critic, x = Critic(engine.network("discriminator"), augmentations), feed.next()["sample"]
    assert engine.game.distorted(critic(x, label=None), critic(x, label=None)).item() == 0
    assert engine.game.distorted(critic(x, label=None), critic(x.flip(3), label=None)).item() > 0


def test_a_discriminator_of_several_moves_has_the_others_before():
    engine, drawn = linear(discriminator_updates=3)
    engine.turn(Fixed())
    assert {role: engine.updates(role) for role in ROLES} == {"encoder": 1, "generator": 1, "discriminator": 3}
    assert len(drawn) == 6


def test_what_does_not_fit_is_said():
    for setting, told in [
        (
            "latent=uniform",
            "measures the divergence from N(0, I), not from uniform:size=100; set latent=normal:size=100",
        ),
        ("discriminator.network=patch-discriminator", "compares features, and 'patch-discriminator' shows none; set"),
        ("encoder.network=dcgan-generator", "cannot serve as encoder"),
    ]:
        with pytest.raises(RecipeError) as raised:
            compatibility.check(read_recipe("vae-gan", [setting]).game, Space((1, 32, 32)).signals, 1000, 16)
        assert told in str(raised.value), setting


def test_a_run_samples_encodes_and_reconstructs(tmp_path):
    rare = ["report=160", "samples=1k", "evaluation=1k", "checkpoint=1k", "evaluator.metrics=sliced-wasserstein"]
    settings = [
        *words("vae-gan-small"),
        "latent.size=4",
        "discriminator.norm=none",
        "regularizers=r1:every=2",
        "evaluator.count=40",
        *rare,
    ]
    run = zerosum.train("digits", "vae-gan-small", settings, images=320, out=tmp_path / "run", quiet=True)
    model = run.model
    assert model.verbs == ("generate", "encode", "reconstruct")
    x = torch.rand(5, 1, 8, 8) * 2 - 1
    z = model.encode(x)
    assert z.shape == (5, 4)
    torch.testing.assert_close(model({"latent": z})["sample"], model.reconstruct(x))
    assert run.sample(2).shape == (2, 1, 8, 8)
    assert {"encoder.rate", "generator.distortion", "discriminator.r1"} <= run.metrics[-1].keys()
