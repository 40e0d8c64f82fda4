"""The engine: who moves, what stays, what is exact."""

import copy
import sys
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import softplus

from tests.small import table
from zerosum.core.engine import Engine
from zerosum.core.errors import RecipeError, TrainingError
from zerosum.core.gradients import skip_together
from zerosum.core.registry import Part
from zerosum.critic import Critic, Regularization

RECIPES = ["dcgan", "mlp", "wgan-gp", "rpgan", "mixture", "began", "acgan"]  # test_recipes.py trains them all


def weights(engine):
    kinds = "weights", "average", "optimizer"
    return {
        f"{group}.{key}": value.clone()
        for group, tensors in engine.state()[0].items()
        if group.rpartition(".")[2] in kinds
        for key, value in tensors.items()
    }


def assert_equal(before, after):
    assert before.keys() == after.keys()
    for key, value in before.items():
        assert torch.equal(value, after[key]), key


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("turns", [0, 1, 3])
def test_a_run_resumed_at_any_turn_equals_the_uninterrupted_one_bit_for_bit(name, turns):
    engine, feed = table(name)
    for _ in range(turns):
        engine.turn(feed)
    state, numbers = copy.deepcopy(engine.state())
    other, other_feed = table(name)
    other.load(state, numbers)
    other_feed.position = numbers["clock"]
    for _ in range(3):
        engine.turn(feed)
        torch.randn(7)  # somebody else draws random numbers in between
        other.turn(other_feed)
    assert_equal(weights(engine), weights(other))
    assert engine.meter.take("report") == other.meter.take("report")


@pytest.mark.parametrize("name", RECIPES)
def test_every_player_moves_and_no_move_changes_another_player(name, monkeypatch):
    engine, feed = table(name)
    update, moved = engine.update, []

    def watched(player, **losses):
        before = {other: copy.deepcopy(seat.parameters) for other, seat in engine.learners.items()}
        update(player, **losses)
        for other, seat in engine.learners.items():
            same = all(torch.equal(a, b) for a, b in zip(before[other], seat.parameters, strict=True))
            assert same == (other != player)
            assert other == player or all(one.grad is None for one in seat.parameters) or other in moved
        moved.append(player)

    monkeypatch.setattr(engine, "update", watched)
    engine.turn(feed)
    assert moved == ["discriminator"] * engine.game.discriminator_updates + ["generator"]


@pytest.mark.parametrize("name", RECIPES)
def test_seeds_differ_and_repeat(name):
    def after(seed):
        engine, feed = table(name, seed=seed)
        engine.turn(feed)
        return weights(engine)

    first = after(0)
    assert_equal(first, after(0))
    assert any(not torch.equal(value, first[key]) for key, value in after(1).items())


def test_an_evaluation_between_turns_changes_nothing():
    engine, feed = table("dcgan")
    other, other_feed = table("dcgan")
    for _ in range(3):
        engine.turn(feed)
        other.turn(other_feed)
        torch.manual_seed(5)
        other.model().draw(16)["sample"]
    assert_equal(weights(engine), weights(other))


@pytest.mark.parametrize("name", ["dcgan", "mlp", "wgan-gp"])
def test_a_loss_that_is_not_finite_stops_before_the_weights_change(name):
    engine, feed = table(name)
    engine.turn(feed)
    with torch.no_grad():
        real = feed.next()["sample"]
    before = weights(engine)
    bad = engine.network("discriminator")(real).mean() * float("nan")
    with pytest.raises(TrainingError, match=r"loss of the discriminator is not finite .*adversarial nan.*Lower discr"):
        engine.update("discriminator", adversarial=bad)
    assert_equal(before, weights(engine))


@pytest.mark.parametrize("bad", ["loss", "gradient"])
def test_a_fused_step_can_skip_itself_without_asking_the_host(bad):
    engine, feed = table("dcgan")
    engine.turn(feed)
    seat = engine.learners["discriminator"]
    before = weights(engine)
    engine.device = torch.device("meta")  # any device but the CPU: no host sync
    loss = engine.network("discriminator")(feed.next()["sample"]).mean()
    loss.backward(inputs=seat.parameters)
    if bad == "gradient":
        seat.parameters[-1].grad[0] = float("inf")
    engine._check("discriminator", loss * float("inf") if bad == "loss" else loss, {})
    seat.optimizer.step()
    after = weights(engine)
    learned = [key for key in before if "running" not in key and "num_batches" not in key]
    assert_equal({key: before[key] for key in learned}, {key: after[key] for key in learned})


def test_fused_steps_of_several_players_are_skipped_together():
    engine, feed = table("dcgan")
    engine.turn(feed)
    optimizers = [engine.learners[player].optimizer for player in ("discriminator", "generator")]
    for optimizer, bad in zip(optimizers, (0.0, 1.0), strict=True):
        optimizer.found_inf = torch.tensor(bad)
    skip_together(optimizers)
    before = {player: copy.deepcopy(learner.parameters) for player, learner in engine.learners.items()}
    for optimizer in optimizers:
        optimizer.step()
    for player, learner in engine.learners.items():
        assert all(torch.equal(a, b) for a, b in zip(before[player], learner.parameters, strict=True)), player


def test_the_ledger_raises_for_what_was_skipped():
    engine, feed = table("dcgan")
    engine.turn(feed)
    engine.meter.note("generator", torch.tensor(float("nan")), {"adversarial": torch.tensor(float("nan"))})
    with pytest.raises(TrainingError, match=r"not finite: generator.adversarial nan"):
        engine.meter.take("report")


@pytest.mark.parametrize("shared", [True, False])
def test_fakes_are_shared_between_the_moves_only_where_the_recipe_says_so(shared):
    engine, feed = table("dcgan", f"fresh_fakes={str(not shared).lower()}")
    calls = []
    engine.network("generator").register_forward_hook(lambda *_: calls.append(1))
    engine.turn(feed)
    assert len(calls) == (1 if shared else 2)


def test_shared_fakes_give_the_generator_the_gradient_of_fresh_ones_with_the_same_latents():
    torch.manual_seed(0)
    engine, feed = table("mlp", "discriminator.dropout=0", "fresh_fakes=false")
    other, other_feed = table("mlp", "discriminator.dropout=0", "fresh_fakes=true")
    latent = torch.randn(16, 100)

    @dataclass(frozen=True)
    class Fixed(Part):
        size: int = 100

        def __call__(self, count, device="cpu"):
            return latent

    for one in (engine, other):
        one.game = one.game.replace(latent=Fixed())
    for _ in range(3):
        engine.turn(feed)
        other.turn(other_feed)
    for a, b in zip(engine.learners["generator"].parameters, other.learners["generator"].parameters, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def test_lazy_regularizers_are_due_at_every_so_manieth_update():
    engine, feed = table("rpgan", "regularizers=r1:every=3+r2:every=2")
    seen = []
    for _ in range(7):
        seen.append([part.name for part in Regularization(engine.game.regularizers, "discriminator", engine).due])
        engine.turn(feed)
    assert seen == [["r1", "r2"], [], ["r2"], ["r1"], ["r2"], [], ["r1", "r2"]]


# ---------------------------------------------------------------------- memory

KEY = "discriminator.counting"


@dataclass(frozen=True)
class Counting(Part):
    """A regularizer that remembers, and all kinds of members."""

    every: int = 1
    name = "counting"
    player = "discriminator"
    tracks = frozenset()
    watched = ("mean",)

    def memory(self):
        return {"mean": torch.zeros(()), "calls": torch.zeros(())}

    def __call__(self, exchange, memory):
        memory["calls"] += 1
        memory["mean"].lerp_(exchange.fake.logits.mean().detach(), 0.1)
        return 0.1 * (exchange.fake.logits.mean() - memory["mean"]).square()

    @torch.no_grad()
    def adapt(self, outcome, memory):
        memory["calls"] += outcome

    def twice(self, x):
        return 2 * x

    @property
    def half(self):
        return self.every / 2


def counting(every=1):
    engine, feed = table("mlp")
    return Engine(engine.game.replace(regularizers=(Counting(every),)), engine.signals, total=100), feed


@pytest.mark.parametrize("every", [1, 3])
def test_memory_of_a_part_is_kept_and_exact(every):
    engine, feed = counting(every)
    assert engine.memory == {}  # before the first turn
    engine.turn(feed)
    state, numbers = copy.deepcopy(engine.state())
    assert state[f"memory.{KEY}"]["mean"] != 0
    other, other_feed = counting(every)
    other.load(state, numbers)
    other_feed.position = numbers["clock"]
    for _ in range(2):
        engine.turn(feed)
        other.turn(other_feed)
    assert engine.memory[KEY]["calls"] == {1: 3, 3: 1}[every]
    assert_equal(engine.memory[KEY], other.memory[KEY])
    assert_equal(weights(engine), weights(other))
    assert engine.meter.take("report") == other.meter.take("report")  # also of turns in which it was not asked


def test_memory_of_a_checkpoint_is_completed_by_what_a_part_starts_with():
    engine, feed = counting()
    engine.turn(feed)
    state, numbers = copy.deepcopy(engine.state())
    state[f"memory.{KEY}"] = {"mean": torch.tensor(3.0)}
    other, _ = counting()
    other.load(state, numbers)
    bound = other.bind(KEY, other.game.regularizers[0])
    assert bound.memory is other.memory[KEY]
    assert {name: float(value) for name, value in bound.memory.items()} == {"mean": 3, "calls": 0}
    assert other.bind(KEY, other.game.regularizers[0]) is bound
    bound.memory["mean"].fill_(4)
    assert state[f"memory.{KEY}"]["mean"] == 3  # a copy
    assert other.state()[0][f"memory.{KEY}"]["mean"] == 4


def test_a_checkpoint_from_before_a_memory_lets_it_begin_anew():
    engine, feed = counting()
    state, numbers = copy.deepcopy(engine.state())
    for _ in range(2):
        engine.turn(feed)
    after, memory = weights(engine), engine.memory[KEY]
    engine.load(state, numbers)
    feed.position = numbers["clock"]
    for _ in range(2):
        engine.turn(feed)
    assert_equal(after, weights(engine))
    assert_equal(memory, engine.memory[KEY])
    assert engine.memory[KEY]["calls"] == 2


def test_a_bound_part_gets_its_memory_only_where_it_takes_it():
    engine, _ = counting()
    part = Counting(every=3)
    bound = engine.bind("x", part)
    bound.adapt(5)
    assert engine.memory["x"]["calls"] == 5
    assert bound.twice(4) == 8
    assert (bound.every, bound.half, bound.name, bound.player) == (3, 1.5, "counting", "discriminator")
    assert engine.bind("y", part).memory["calls"] == 0  # one of its own for each key
    assert not hasattr(bound, "reward")
    again = copy.deepcopy(bound)
    again.adapt(1)
    assert (again.memory["calls"], bound.memory["calls"]) == (6, 5)
    plain = engine.game.objective
    assert engine.bind("z", plain) is plain
    assert engine.memory.keys() == {"x", "y"}


@pytest.mark.parametrize("wrong", ["table", "none"])
def test_what_is_watched_is_a_number_of_the_memory(wrong):
    @dataclass(frozen=True)
    class Watching(Part):
        kind, name = "regularizer", "watching"
        watched: tuple[str, ...] = (wrong,)

        def memory(self):
            return {"table": torch.ones(2), "mean": torch.zeros(1)}

    engine, feed = table("mlp")
    engine.bind("watching", Watching())
    expected = rf"regularizer 'watching': watched names '{wrong}'; numbers of its memory are: mean"
    with pytest.raises(RecipeError, match=expected):
        engine.turn(feed)
    engine.bind("watching", Watching(watched=("mean",)))
    engine.turn(feed)
    assert engine.meter.take("report")["watching.mean"] == 0


def test_a_part_may_need_sizes_for_its_memory():
    @dataclass(frozen=True)
    class Sized(Part):
        def memory(self, rows, columns):
            return {"table": torch.ones(rows, columns)}

    engine, _ = table("mlp")
    assert engine.bind("sized", Sized(), 2, 3).memory["table"].shape == (2, 3)


def test_what_comes_seldom_counts_as_much_as_what_comes_always():
    @dataclass(frozen=True)
    class Tenth(Part):
        every = 3
        name = "tenth"
        player = "generator"
        tracks = frozenset()

        def __call__(self, exchange):
            return exchange.fake.logits.sum() * 0 + 0.1

    engine, feed = table("mlp")
    engine = Engine(engine.game.replace(regularizers=(Tenth(),)), engine.signals)
    found = []
    for _ in range(4):
        engine.turn(feed)
        found.append(engine.meter.take("report").get("generator.tenth"))
    assert found == [pytest.approx(0.3), None, None, pytest.approx(0.3)]


# ---------------------------------------------------------------------- several players at once


def duel():
    """An engine whose networks do not draw random numbers, and the losses of both players at one batch."""
    engine, feed = table("mlp", "discriminator.dropout=0", "generator.lr=0.01", "discriminator.lr=0.01")
    real, latent = feed.next()["sample"], torch.randn(16, 100, generator=torch.Generator().manual_seed(3))

    def losses(G, D):
        fake = G(latent)
        charge = softplus(-D(real)).mean() + softplus(D(fake)).mean()
        return {"discriminator": {"adversarial": charge}, "generator": {"adversarial": softplus(-D(fake)).mean()}}

    return engine, losses


def gradients(engine, player):
    return torch.cat([weight.grad.flatten() for weight in engine.learners[player].parameters])


@pytest.mark.parametrize("order", [("generator", "discriminator"), ("discriminator", "generator")])
def test_players_that_move_together_take_gradients_at_the_weights_as_they_were(order):
    engine, losses = duel()
    nets = engine.networks("generator", "discriminator")
    G, D = (copy.deepcopy(net) for net in nets)
    by_hand = {}
    for player, net in {"generator": G, "discriminator": D}.items():
        found = torch.autograd.grad(losses(G, D)[player]["adversarial"], tuple(net.parameters()))
        by_hand[player] = torch.cat([gradient.flatten() for gradient in found])
    before, paid = weights(engine), losses(*nets)
    engine.move({player: paid[player] for player in order})
    for player in order:
        torch.testing.assert_close(gradients(engine, player), by_hand[player], rtol=1e-5, atol=1e-8)
        assert engine.updates(player) == 1
        assert any(not torch.equal(value, before[key]) for key, value in weights(engine).items() if player in key)
    report = engine.meter.take("report")
    for player in order:
        assert report[f"{player}.adversarial"] == pytest.approx(paid[player]["adversarial"].item(), rel=1e-6)
        assert report[f"{player}_gradient"] == pytest.approx(by_hand[player].norm().item(), rel=1e-5)

    alternating, losses = duel()
    for player in order:
        alternating.update(player, **losses(*alternating.networks("generator", "discriminator"))[player])
    first, second = order
    assert torch.equal(gradients(alternating, first), gradients(engine, first))
    gap = (gradients(alternating, second) - by_hand[second]).norm() / by_hand[second].norm()
    assert gap > 0.01  # it met the other as that had become


def test_where_one_of_several_players_would_fail_none_moves():
    engine, losses = duel()
    before, paid = weights(engine), losses(*engine.networks("generator", "discriminator"))
    paid["generator"]["extra"] = paid["generator"]["adversarial"] * float("inf")
    with pytest.raises(TrainingError, match=r"loss of the generator is not finite .*extra inf"):
        engine.move(paid)
    assert_equal(before, weights(engine))
    assert engine.updates("discriminator") == engine.updates("generator") == 0
    assert not engine.meter.has("report")


# ---------------------------------------------------------------------- weights that have moved

OPTIMIZERS = ["adam", "adamw", "sgd", "rmsprop"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_gradient_through_weights_that_have_moved_is_refused(optimizer):
    engine, feed = table("mlp", f"discriminator.optimizer={optimizer}")
    if optimizer == "adam":
        assert engine.learners["discriminator"].optimizer.defaults["fused"]  # it does not say that weights changed
    G, D = engine.networks("generator", "discriminator")
    fake = G(torch.randn(16, 100))
    before, late = D(fake).mean(), D(fake.detach()).mean()
    engine.update("discriminator", adversarial=D(feed.next()["sample"]).mean())
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        engine.update("generator", adversarial=before)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        engine.update("discriminator", adversarial=late)
    engine.update("generator", adversarial=D(fake).mean())  # shown to it as it is


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_scores_are_computed_once_and_refused_once_the_discriminator_moved(optimizer):
    engine, feed = table("mlp", f"discriminator.optimizer={optimizer}")
    real, calls = feed.next()["sample"], []
    D = engine.network("discriminator")
    D.register_forward_hook(lambda *_: calls.append(1))
    critic = Critic(D)
    asked, late = critic(real), critic(real)
    logits = asked.logits
    assert asked.logits is logits
    engine.update("discriminator", adversarial=logits.mean())
    assert asked.logits is logits
    for name in ("logits", "features"):
        with pytest.raises(RuntimeError, match="has moved since it was shown these samples; show them again"):
            getattr(late, name)
    assert not torch.equal(critic(real).logits, logits)


@pytest.mark.parametrize("name", ["dcgan", "mlp", "rpgan", "wgan-gp"])
def test_bf16_trains_both_players_and_penalties_stay_float32(name):
    engine, feed = table(name, precision="bf16")
    exact, exact_feed = table(name)
    before = weights(engine)
    for one, its_feed in ((engine, feed), (exact, exact_feed)):
        one.turn(its_feed)
    after = weights(engine)
    changed = {key.partition(".")[0] for key in before if not torch.equal(before[key], after[key])}
    assert changed == {"generator", "discriminator"}
    assert all(value.dtype != torch.bfloat16 for value in after.values())
    means, true = engine.meter.take("report"), exact.meter.take("report")
    for key, value in true.items():
        assert means[key] == pytest.approx(value, rel=0.05, abs=0.02), key
    if name == "rpgan":  # on real images, before any update: bf16 would be off by a hundred times more
        assert means["discriminator.r1"] == pytest.approx(true["discriminator.r1"], rel=1e-5)


def test_bf16_generator_receives_the_gradient_of_its_current_opponent():
    engine, feed = table("dcgan", "fresh_fakes=true", precision="bf16")
    engine.turn(feed)
    for parameter in engine.learners["generator"].parameters:
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0


def test_schedules_and_clock_drive_the_learning_rate():
    engine, feed = table("mlp", "generator.schedule=linear")
    engine.turn(feed)
    engine.turn(feed)  # rate at 16 of 10,000 images
    rate = engine.learners["generator"].optimizer.param_groups[0]["lr"]
    assert rate == pytest.approx(2e-4 * (1 - 16 / 10_000), rel=1e-6)
    assert engine.learners["discriminator"].optimizer.param_groups[0]["lr"] == 2e-4


def test_rules_hold_after_every_update():
    engine, feed = table("wgan")
    engine.turn(feed)
    assert max(float(one.detach().abs().max()) for one in engine.learners["discriminator"].parameters) <= 0.01
    assert max(float(one.detach().abs().max()) for one in engine.learners["generator"].parameters) > 0.01


def test_the_skip_of_a_single_player_stays_its_own():
    alone, never = SimpleNamespace(found_inf=torch.tensor(1.0)), SimpleNamespace()
    before = alone.found_inf
    skip_together([alone, never])
    assert alone.found_inf is before
    assert not hasattr(never, "found_inf")


def test_the_horizon_is_the_length_or_what_the_pace_leads_to():
    engine, _ = table("mlp")
    cases = [(1000, 0.5, 1000), (1000, None, 1000), (None, None, None), (None, 0.25, 400), (None, 0.0, sys.maxsize)]
    for engine.total, engine.share, horizon in cases:
        engine.clock = 100
        assert engine.horizon == horizon
    engine.clock, engine.share = 0, 0.25
    assert engine.horizon == sys.maxsize
