"""What a discriminator says of samples, when it is asked, and what regularizers and generators pay for it."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from tests.exchanges import exchange
from tests.small import table
from zerosum.core.memory import Memory
from zerosum.core.registry import Part
from zerosum.critic import (
    Answer,
    Critic,
    Exchange,
    Regularization,
    Scored,
    adapt,
    charge,
    distinguish,
    logits_of,
    pack,
    verdicts,
)
from zerosum.objectives import Hinge, Relativistic
from zerosum.selection import All, TopK

CRITIC = Critic(None)


class Recording(nn.Module):
    """A discriminator that keeps what it is called with; the logit is the sum of a sample, or of a pack."""

    def __init__(self):
        super().__init__()
        self.calls, self.weight = [], nn.Parameter(torch.ones(()))

    def forward(self, x, **beside):
        self.calls.append((x, beside))
        return self.weight * x.flatten(1).sum(1)


class Beside(nn.Bilinear):
    """A discriminator of samples beside a source."""

    def forward(self, x, source):
        return super().forward(x, source)


class Features(Recording):
    """The same in two steps; features are the numbers of a sample."""

    def features(self, x, **beside):
        self.calls.append((x, beside))
        return x.flatten(1)

    def logits(self, features, label=None):
        self.calls.append((features, {"label": label}))
        return self.weight * features.sum(1)


def said(*logits, x=None):
    """Samples of which a critic said this."""
    logits = torch.tensor(logits)
    scored = Scored(CRITIC, logits if x is None else x, {})
    scored._answer = Answer(logits, None, (logits,))
    return scored


# ---------------------------------------------------------------------- looks


def test_samples_are_augmented_in_order_and_then_packed_with_what_is_beside_them():
    D, x, label = Recording(), torch.arange(24.0).reshape(4, 2, 3), torch.tensor([7, 7, 5, 5])
    source = torch.arange(4.0)
    critic = Critic(D, [lambda x: x + 1, lambda x: 10 * x], 2)
    scored = critic(x, label=label, source=source, other=None)
    packed = (10 * (x + 1)).reshape(2, 4, 3)
    assert scored.logits.tolist() == packed.sum((1, 2)).tolist()
    assert scored.features is None
    assert scored.x is x
    ((shown, beside),) = D.calls
    assert torch.equal(shown, packed)
    told = {name: y if y is None else y.tolist() for name, y in beside.items()}
    assert told == {"label": [7, 5], "source": [0, 2], "other": None}


def test_packs_join_neighbours_along_channels():
    x = torch.randn(6, 2, 3)
    assert pack(x, 1) is x
    assert torch.equal(pack(x, 3), torch.stack([torch.cat(list(three)) for three in (x[:3], x[3:])]))


def test_a_discriminator_with_features_judges_them_beside_the_label_alone():
    D, x, label, source = Features(), torch.randn(4, 3), torch.arange(4), torch.randn(4)
    scored = Critic(D)(x, label=label, source=source)
    assert torch.equal(scored.features, x)
    assert torch.equal(scored.logits, x.sum(1))
    (shown, beside), (features, told) = D.calls
    assert shown is x
    assert list(beside) == ["label", "source"]
    assert torch.equal(beside["label"], label)
    assert torch.equal(beside["source"], source)
    assert features is scored.features
    assert list(told) == ["label"]
    assert torch.equal(told["label"], label)


def test_a_look_costs_nothing_until_it_is_asked_for_and_then_once():
    D = Recording()
    scored = Critic(D)(torch.randn(4, 3))
    assert D.calls == []
    assert scored.logits is scored.logits
    assert scored.features is None
    assert len(D.calls) == 1


def test_scores_are_float32_where_a_penalty_follows_them():
    D, x, source = Beside(8, 8, 1), torch.randn(4, 8), torch.randn(4, 8)
    exact = D(x, source)
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        coarse, precise = (Critic(nn.Linear(8, 1), precise=each)(x).logits for each in (False, True))
        low = Critic(D, precise=True)(x.bfloat16(), source=source.bfloat16()).logits
    assert (coarse.dtype, precise.dtype, low.dtype) == (torch.bfloat16, torch.float32, torch.float32)
    assert torch.equal(low, D(x.bfloat16().float(), source.bfloat16().float()))
    assert not torch.equal(low, exact)


def test_gradients_go_where_they_are_wanted():
    D, x = Recording(), torch.randn(4, 3, requires_grad=True)
    tracked = Critic(D)(x.bfloat16(), track=True)
    assert tracked.x.is_leaf
    assert tracked.x.requires_grad
    assert tracked.x.dtype == torch.float32
    (slope,) = torch.autograd.grad(tracked.logits.sum(), tracked.x)
    assert slope.tolist() == [[1, 1, 1]] * 4
    assert torch.equal(torch.autograd.grad(Critic(D)(x).logits.sum(), x)[0], slope)
    mute = Critic(D)(x, grad=False)
    assert not mute.logits.requires_grad
    with torch.no_grad():
        assert not Critic(D)(x).logits.requires_grad


def test_a_discriminator_that_has_moved_is_not_asked_about_samples_of_before():
    engine, feed = table("mlp", "discriminator.dropout=0")
    x = feed.next()["sample"]
    critic = Critic(engine.network("discriminator"))
    early, later, late = critic(x), critic(x), critic(x)
    before = early.logits
    fakes = engine.network("generator")(torch.randn(4, engine.game.latent.size))
    engine.update("generator", adversarial=fakes.mean())  # another player's move
    assert torch.equal(later.logits, before)
    assert engine.learners["discriminator"].optimizer.defaults["fused"]
    engine.update("discriminator", adversarial=critic(x).logits.mean())
    assert early.logits is before
    for name in ("logits", "features"):
        with pytest.raises(RuntimeError, match="has moved since it was shown these samples; show them again"):
            getattr(late, name)
    assert not torch.equal(critic(x).logits, before)


def test_weights_that_are_held_fixed_do_not_hide_a_move():
    D = nn.Sequential(nn.Linear(3, 3).requires_grad_(False), nn.Linear(3, 1))
    scored = Critic(D)(torch.randn(4, 3))
    with torch.no_grad():
        D[1].weight.add_(1)
    with pytest.raises(RuntimeError, match="has moved"):
        _ = scored.logits


def test_other_samples_are_judged_beside_what_real_and_generated_ones_share():
    D, label, x = Recording(), torch.tensor([3, 3, 1, 1]), torch.randn(4, 2)
    r = exchange("discriminator", None, D, x + 1, x + 2, label, pack=2, augmentations=[lambda x: 2 * x])
    assert torch.equal(r.logits(x), 2 * x.reshape(2, 4).sum(1))
    assert D.calls[0][1]["label"].tolist() == [3, 1]
    assert r.label is label
    critic = Critic(D)
    alone = Exchange("discriminator", critic, critic(x, label=None), critic(x, label=None))
    assert alone.label is None
    assert torch.equal(alone.logits(x), x.sum(1))


def test_single_samples_are_no_pairs():
    critic, x = Critic(Recording()), torch.randn(4, 2)
    r = Exchange("discriminator", critic, critic(x, label=None, latent=x), critic(x, label=None, latent=x + 1))
    with pytest.raises(ValueError, match="judges pairs, so a part cannot show it single samples; remove the regular"):
        r.logits(x)


# ---------------------------------------------------------------------- regularizers


@dataclass(frozen=True)
class Fixed(Part):
    """Costs what it is told, or what is generated."""

    name: Any = "fixed"
    player: str = "discriminator"
    every: int = 1
    tracks: frozenset = frozenset()
    cost: float | None = None

    def __call__(self, exchange):
        return exchange.fake.x.mean() if self.cost is None else torch.tensor(self.cost)


@dataclass(frozen=True)
class Counting(Fixed):
    """Costs how often it was called."""

    watched = ("calls",)

    def memory(self):
        return {"calls": torch.zeros(())}

    def __call__(self, exchange, memory):
        return memory["calls"].add_(1).clone()


@pytest.fixture
def engine():
    return table("mlp")[0]


def paid(regularization):
    """Costs of an exchange of nothing."""
    met = exchange("discriminator", real=torch.zeros(2, 3), fake=torch.ones(2, 3))
    return regularization(met.real, met.fake, None, None)


def due(engine, player, updates, *parts):
    engine.learners[player].updates = updates
    return Regularization(parts, player, engine)


def test_each_regularizer_comes_at_its_updates_and_counts_for_those_between(engine):
    parts = Fixed("always", cost=0.5), Fixed("third", every=3, cost=2.0), Fixed("fourth", every=4, cost=7.0)
    costs = [paid(due(engine, "discriminator", n, *parts)) for n in range(5)]
    assert [{name: value.item() for name, value in each.items()} for each in costs] == [
        {"always": 0.5, "third": 6, "fourth": 28},
        {"always": 0.5},
        {"always": 0.5},
        {"always": 0.5, "third": 6},
        {"always": 0.5, "fourth": 28},
    ]


def test_a_player_pays_what_is_its_own(engine):
    parts = Fixed("d"), Fixed("g", "generator"), Fixed("b", "both")
    for player, names in (("discriminator", ["d", "b"]), ("generator", ["g", "b"])):
        assert [part.name for part in due(engine, player, 0, *parts).due] == names
    several = SimpleNamespace(clock=0, updates={"discriminator-2": 3}.get, bind=lambda key, part: part)
    assert [part.name for part in Regularization(parts, "discriminator-2", several).due] == ["d", "b"]


def test_samples_are_tracked_where_a_regularizer_that_is_due_asks_for_it(engine):
    parts = Fixed("a", tracks=frozenset({"real"})), Fixed("b", every=2, tracks=frozenset({"real", "fake"}))
    assert due(engine, "discriminator", 2, *parts).tracks == {"real", "fake"}
    assert due(engine, "discriminator", 3, *parts).tracks == {"real"}
    assert due(engine, "generator", 2, *parts).tracks == frozenset()


def test_each_player_has_a_memory_of_its_own_and_all_of_it_is_watched_from_the_start(engine):
    part = Counting("counting", "both", every=2)
    assert paid(due(engine, "discriminator", 1, part)) == {}
    assert engine.memory["discriminator.counting"] == {"calls": 0}
    engine.game = SimpleNamespace(step=lambda feed, engine: None)
    engine.turn(SimpleNamespace(position=0))  # after a resume, too, nothing is missing from the curve
    assert engine.meter.take("report")["counting.calls"] == 0
    assert [paid(due(engine, "discriminator", n, part))["counting"].item() for n in (2, 4)] == [2, 4]
    assert paid(due(engine, "generator", 0, part))["counting"].item() == 2
    assert engine.memory == {"discriminator.counting": {"calls": 2}, "generator.counting": {"calls": 1}}
    assert isinstance(engine.memory["generator.counting"], Memory)


def test_against_several_discriminators_costs_are_their_mean_and_memory_moves_once(engine):
    exchanges = [exchange("generator", real=None, fake=torch.full((2, 3), value)) for value in (1.0, 2.0, 6.0)]
    met = [(each.real, each.fake) for each in exchanges]
    found = due(engine, "generator", 0, Fixed("f", "generator", 5), Counting("c", "generator", 5)).mean(met, None, None)
    assert {name: value.item() for name, value in found.items()} == {"f": 15, "c": 5}


# ---------------------------------------------------------------------- verdicts, charges, outcomes


def test_verdicts_are_means_spreads_and_the_share_of_pairs_that_are_ranked_right():
    real, fake = said(1.0, 3.0, 2.0, 6.0), said(2.0, 1.0, 2.0, -1.0)
    found = {name: value.item() for name, value in verdicts(real, fake, "-2").items()}
    assert found == pytest.approx({
        "real_logit-2": 3, "fake_logit-2": 1, "real_spread-2": 3.5**0.5, "fake_spread-2": 1.5**0.5,
        "pairwise_accuracy-2": 0.625,  # wrong, right, a draw, right
    })  # fmt: skip
    assert verdicts(real, said(0.0)).keys() == {"real_logit", "fake_logit", "real_spread", "fake_spread"}
    real.logits.requires_grad_()
    assert not any(value.requires_grad for value in verdicts(real, fake).values())


def test_several_judges_charge_each_by_the_mean_of_its_map():
    """The same logit everywhere costs as many times as much as there are judges, however large their maps are."""
    for scales in (1, 2, 3):
        sides = [8 >> scale for scale in range(scales)]
        maps = [tuple(torch.full((4, 1, side, side), logit) for side in sides) for logit in (0.5, -0.25)]
        real, fake = said(), said()
        real._answer, fake._answer = (Answer(logits_of(one), None, one) for one in maps)
        assert real.logits.numel() == (4 * 64 if scales == 1 else 4 * scales)
        assert distinguish(Hinge(), real, fake).item() == pytest.approx(scales * (0.5 + 0.75))
        assert charge(Hinge(), fake, real, All(), 0).item() == pytest.approx(scales * 0.25)
        some = charge(Relativistic("least-squares"), fake, real, TopK(share=0.5, until=0), 1)
        assert some.item() == pytest.approx(
            scales * Relativistic("least-squares").generator(*torch.tensor([-0.25, 0.5])).item()
        )


class Judges(nn.Module):
    """Two judges of one number each, behind one stage."""

    def __init__(self):
        super().__init__()
        self.weights = nn.Parameter(torch.tensor([2.0, 3.0]))

    def layers(self, x, label=None):
        return [[weight * x, (weight * x).square()[:, None]] for weight in self.weights]

    def forward(self, x, label=None):
        raise AssertionError("its layers say it all")


def test_a_network_of_several_judges_tells_its_maps_and_layers():
    x = torch.tensor([[1.0, 2.0], [3.0, -1.0]])
    scored = Critic(Judges())(x)
    assert [one.tolist() for one in scored.layers] == [(2 * x).tolist(), (3 * x).tolist()]
    assert [one.shape for one in scored.maps] == [(2, 1, 2), (2, 1, 2)]
    assert scored.logits.tolist() == [[10.0, 22.5], [20.0, 45.0]]  # means of squares
    assert scored.features is None
    assert Critic(nn.Linear(2, 1))(x).layers == ()


def test_a_generator_pays_for_the_selected_fakes_beside_their_own_partners():
    fake, real = torch.tensor([0.5, 3.0, -1.0, 2.0], requires_grad=True), torch.tensor([9.0, 1.0, 8.0, 5.0])
    f, r = said(), said()
    f._answer, r._answer = (Answer(one, None, (one,)) for one in (fake, real))
    half = TopK(share=0.5, until=1)  # the two best, 1 and 3
    assert charge(Hinge(), f, r, All(), 0).item() == -fake.mean().item()
    chosen = charge(Hinge(), f, r, half, 1)
    assert chosen.item() == -2.5
    assert torch.autograd.grad(chosen, fake)[0].tolist() == [0, -0.5, 0, -0.5]
    paired = charge(Relativistic("least-squares"), f, r, half, 1)
    assert paired.item() == pytest.approx(((3 - 1 - 1) ** 2 + (2 - 5 - 1) ** 2) / 2)
    assert charge(Hinge(), f, r, half, 0).item() == -fake.mean().item()  # the clock decides how many


def test_real_samples_are_looked_at_only_where_pairs_count():
    D, x = Recording(), torch.randn(4, 2)
    critic = Critic(D)
    charge(Hinge(), critic(x), critic(x), All(), 0)
    assert len(D.calls) == 1
    charge(Relativistic(), critic(x), critic(x), All(), 0)
    assert len(D.calls) == 3


@dataclass(frozen=True)
class Adapting(Part):
    """Follows the outcome of turns."""

    seen: list = field(default_factory=list)

    def adapt(self, outcome):
        self.seen.append((outcome, torch.is_grad_enabled()))


def test_what_adapts_sees_the_outcome_without_gradients():
    part, real = Adapting(), torch.zeros(2, requires_grad=True)
    adapt((part, Fixed()), real, torch.ones(2), batch=4, clock=64)
    ((outcome, grad),) = part.seen
    assert not grad
    assert not outcome.real.requires_grad
    assert (outcome.real.tolist(), outcome.fake.tolist(), outcome.batch, outcome.clock) == ([0, 0], [1, 1], 4, 64)
