"""The adversarial auto-encoder: its phases by hand, what becomes of latents, and which parts judge them."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

from tests import axes
from tests.small import Feed, open_data, table
from zerosum.core import compatibility
from zerosum.core.engine import Engine
from zerosum.core.errors import RecipeError
from zerosum.core.player import Player
from zerosum.core.registry import Part
from zerosum.games import AdversarialAutoencoder
from zerosum.latents import Normal
from zerosum.networks import Default
from zerosum.networks.space import Space
from zerosum.objectives import NonSaturating
from zerosum.optimizers import SGD, Constant
from zerosum.recipes import read_recipe

N, WIDE, K = 5, 3, 2  # samples, numbers of a sample, numbers of a latent
ROLES = "encoder", "decoder", "discriminator"
RATES = {"encoder": 0.05, "decoder": 0.1, "discriminator": 0.2}


class Linear(nn.Module):
    """Rows of weights; of a single row the result is a number."""

    def __init__(self, before, after):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before))

    def forward(self, x, label=None):
        return (x @ self.weight.T).squeeze(1) if len(self.weight) == 1 else x @ self.weight.T


@dataclass(frozen=True)
class Plain(Part):
    """A linear network of a role."""

    role: str
    kind, name = "network", "plain"

    def build(self, inputs, outputs):
        return Linear(*{"encoder": (WIDE, K), "decoder": (K, WIDE), "discriminator": (K, 1)}[self.role])

    def traits(self):
        return frozenset({{"decoder": "generator"}.get(self.role, self.role), "logits"})


class Points:
    """Points around (3, -1), drawn out along a slope."""

    def __init__(self, wide=2, count=128):
        self.wide, self.count, self.position = wide, count, 0
        self.random = torch.Generator().manual_seed(0)

    def next(self):
        self.position += self.count
        z = torch.randn(self.count, self.wide, generator=self.random)
        slope = torch.eye(self.wide) * 0.5
        slope[0] += 1
        return {"sample": z @ slope.T + torch.tensor([3.0, -1.0, 0.0][: self.wide])}


def linear(**fields):
    """An engine of linear players, and the latents that its first turn draws."""
    trio = {role: Player(Plain(role), SGD(lr=RATES[role]), Constant(), Default()) for role in ROLES}
    game = AdversarialAutoencoder(**trio, optimizer=SGD(lr=0.3), objective=NonSaturating(), latent=Normal(K), **fields)
    engine = Engine(game, Space((WIDE,)).signals)
    drawn, draw = [], engine.draw
    engine.draw = lambda prior, count: drawn.append(draw(prior, count)) or drawn[-1]
    return engine, drawn


def test_a_turn_is_the_phases_of_the_paper_one_after_the_other():
    engine, drawn = linear(reconstruction=0.5, adversarial=2.0)
    E, G, D = (engine.network(role).weight.detach().clone().requires_grad_() for role in ROLES)
    engine.turn(Points(WIDE, N))
    found = engine.meter.take("report")
    x = Points(WIDE, N).next()["sample"]

    lost = 0.5 * ((x - x @ E.T @ G.T) ** 2).sum(1).mean() / 2
    of_e, of_g = torch.autograd.grad(lost, (E, G))
    E, G = (E - 0.05 * of_e).detach().requires_grad_(), G - 0.1 * of_g
    told = softplus(-(drawn[0] @ D.T)).mean() + softplus(x @ E.T @ D.T).mean()
    D = D - 0.2 * torch.autograd.grad(told, D)[0]
    fooled = 2 * softplus(-(x @ E.T @ D.T)).mean()
    E = E - 0.3 * torch.autograd.grad(fooled, E)[0]

    for role, weight in zip(ROLES, (E, G, D), strict=True):
        torch.testing.assert_close(engine.network(role).weight, weight)
    expected = {"encoder.reconstruction": lost, "decoder.reconstruction": lost}
    expected |= {"discriminator.adversarial": told, "generator.adversarial": fooled}
    assert {name: found[name] for name in found if "." in name} == {
        name: pytest.approx(value.item(), rel=1e-5) for name, value in expected.items()
    }


def test_the_discriminator_learns_from_further_batches_and_the_others_from_one_each():
    engine, drawn = linear(discriminator_updates=3)
    engine.turn(feed := Points(WIDE, N))
    moves = {name: engine.updates(name) for name in engine.learners}
    assert moves == {"encoder": 1, "decoder": 1, "discriminator": 3, "generator": 1}
    assert feed.position == 3 * N
    assert len(drawn) == 3


def test_latents_of_samples_become_those_of_the_prior():
    quick = [*(f"{player}.lr=0.01" for player in ROLES), "optimizer.lr=0.01", "optimizer.beta1=0"]
    narrow = [
        "encoder.widths=32",
        "decoder.widths=32",
        "discriminator.widths=32/32",
        "discriminator.beta1=0",
        "latent.size=2",
    ]
    engine = Engine(read_recipe("aae", [*narrow, *quick]).game, Space((2,)).signals, total=100_000)
    feed = Points()
    while engine.clock < 150 * feed.count:
        engine.turn(feed)
    x = torch.cat([feed.next()["sample"] for _ in range(20)])
    model = engine.model()
    z = model.compute({"sample": x}, "encode")["latent"]
    assert z.mean(0).abs().max() < 0.2  # E x is (3, -1)
    torch.testing.assert_close(torch.cov(z.T), torch.eye(2), atol=0.25, rtol=0)
    again = model.compute({"sample": x}, "reconstruct")["sample"]
    assert (again - x).square().sum(1).mean() < 0.1 * x.var(0).sum()
    made = model.draw(2_000)["sample"]
    torch.testing.assert_close(made.mean(0), x.mean(0), atol=0.3, rtol=0)


def test_both_optimizers_of_the_encoder_are_part_of_the_state():
    engine, feed = table("aae-small")
    engine.turn(feed)
    tensors, _ = engine.state()
    assert tensors["encoder.optimizer"].keys() == tensors["generator.optimizer"].keys()
    assert not any(
        torch.equal(x, tensors["generator.optimizer"][name])
        for name, x in tensors["encoder.optimizer"].items()
        if x.numel() > 1
    )


@pytest.mark.parametrize("told", ["decoder.labels=concat", "discriminator.labels=projection"])
def test_classes_reach_the_network_that_asks_for_them(told):
    engine, feed = table("aae-small", told)
    decodes, seen = told.startswith("decoder"), []
    engine.network("discriminator").head.register_forward_hook(lambda module, given, output: seen.append(given[1]))
    engine.turn(feed)
    assert all(label.shape == (16,) for label in seen)
    model = engine.model()
    assert ("label" in model.task().inputs) == ("label" in model.task("reconstruct").inputs) == decodes
    given = {"latent": torch.zeros(2, 8)} | ({"label": torch.tensor([0, 1])} if decodes else {})
    first, second = model.compute(given)["sample"]
    assert torch.equal(first, second) != decodes


# ---------------------------------------------------------------------- what may judge latents


KINDS = {"objective": "objective", "regularizer": "regularizers", "augmentation": "augmentations"}
REFUSED = {  # each for its reason
    "needs 'autoencoder'": ["objective=began", "objective=ebgan", "regularizers=pulling-away"],
    "with 'encoder'": [f"regularizers={name}" for name in ("jacobian-clamping", "path-length", "zcr")]
    + ["regularizers=successive-consistency"],
    "needs 'classifier'": ["regularizers=auxiliary-classifier"],
    "needs 'codes'": ["regularizers=mutual-information"],
    "and here it sees latents; remove it": ["augmentations=ada", "augmentations=diffaugment"],
    "with 'autoencoder'": ["discriminator.network=began-discriminator"],
    "judges latents beside": [f"discriminator.network={name}-discriminator" for name in ("dagan", "joint-dcgan")]
    + ["discriminator.network=joint-mlp-discriminator"],
    "works on images, and these are points of 4 dimensions; use mlp-discriminator": [
        f"discriminator.network={name}-discriminator"
        for name in ("biggan", "dcgan", "multiscale", "patch", "r3gan", "resnet", "stargan", "stylegan2")
    ],
    "works on points of 1 dimension": ["discriminator.network=dirac-discriminator"],
}


def values():
    """Settings with each part that may stand in a slot of the game, one at a time."""
    for kind, field in KINDS.items():
        yield from ([f"{field}={axes.text(part)}"] for part in axes.registered(kind).values())
    yield from ([f"latent={axes.text(part)}"] for part in axes.registered("latent").values())
    for part in axes.registered("network").values():
        if "discriminator" in part().traits():
            yield [f"discriminator.network={axes.text(part)}"]
    yield ["regularizers=lecam:after=0+r1:every=2", "augmentations=flip", "objective=hinge"]


def outcome(words):
    """Faults that settings are refused for, or the numbers of a turn."""
    narrow = ["encoder.widths=8", "decoder.widths=8", "latent=normal:size=4", "batch=8"]
    recipe = read_recipe("aae-small", [*narrow, *words])
    dataset = open_data("digits")
    try:
        compatibility.check(recipe.game, dataset.signals, 1000, 8)
    except RecipeError as error:
        return error.faults
    engine, feed = Engine(recipe.game, dataset.signals, total=1000), Feed(dataset, 8)
    before = {name: [one.clone() for one in module.parameters()] for name, module in engine.modules.items()}
    engine.turn(feed)
    for name, module in engine.modules.items():
        assert any(not torch.equal(*pair) for pair in zip(before[name], module.parameters(), strict=True)), name
    return engine.meter.take("report")


def test_every_part_plays_or_is_refused_for_its_reason():
    played = {" ".join(words): outcome(words) for words in values()}
    refused = {words: " ".join(faults) for words, faults in played.items() if isinstance(faults, list)}
    reasons = {words.partition(":")[0]: told for words, told in refused.items()}
    assert {one for listed in REFUSED.values() for one in listed} == reasons.keys()
    assert [one for reason, listed in REFUSED.items() for one in listed if reason not in reasons[one]] == []
    assert len(played) - len(refused) > 25
    found = played["regularizers=lecam:after=0+r1:every=2 augmentations=flip objective=hinge"]
    assert {"discriminator.lecam", "discriminator.r1"} <= found.keys()


def test_augmentations_act_on_the_data_alone():
    assert "set crop.where=real, or remove it" in outcome(["augmentations=crop:where=both"])[0]
    assert "generator.adversarial" in outcome(["augmentations=crop:where=real"])
    game = read_recipe("aae").game
    with pytest.raises(RecipeError, match="one set of samples"):
        compatibility.check(game, dict.fromkeys("ab", Space((1, 8, 8)).signals["sample"]), 1000, 8)
