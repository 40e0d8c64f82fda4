"""The image game: what reaches the discriminator, who is paid for what, and how often."""

import ast
import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from tests.small import table
from zerosum import games
from zerosum.core.engine import Engine
from zerosum.core.registry import Part
from zerosum.critic import Exchange, pack
from zerosum.data import Feed, open_data
from zerosum.networks.space import Space
from zerosum.recipes import read_recipe
from zerosum.selection import TopK


@dataclass(frozen=True)
class Moved(Part):
    """Adds a number, or puts a number in place of everything."""

    kind = "augmentation"
    name = "moved"
    where: str = "both"
    by: float = 1.0
    blank: bool = False

    def __call__(self, images):
        return 0 * images + self.by if self.blank else images + self.by


@dataclass(frozen=True)
class Spy(Part):
    """A regularizer that keeps what it was shown."""

    kind = "regularizer"
    name = "spy"
    player: ClassVar[str] = "both"
    tracks: ClassVar[frozenset[str]] = frozenset()
    every: ClassVar[int] = 1
    seen: ClassVar[list[Exchange]] = []

    def __call__(self, exchange):
        self.seen.append(exchange)
        return torch.zeros(())


def played(*words, name="dcgan", turns=1, **changes):
    """Exchanges of some turns of a small recipe with changed fields, and its engine."""
    Spy.seen.clear()
    engine, feed = table(name, *words)
    engine = Engine(engine.game.replace(regularizers=(Spy(),), **changes), engine.signals, total=1000)
    for _ in range(turns):
        engine.turn(feed)
    return list(Spy.seen), engine


def generator_gradient(engine) -> Tensor:
    return torch.cat([one.grad.flatten() for one in engine.learners["generator"].parameters])


def test_where_both_players_see_one_constant_image_neither_learns_of_the_other():
    exchanges, engine = played("discriminator.norm=none", augmentations=(Moved(blank=True),))
    judged = exchanges[0]
    assert torch.equal(judged.real.logits, judged.fake.logits)
    assert generator_gradient(engine).abs().max() == 0
    engine, feed = table("dcgan", "discriminator.norm=none")
    engine = Engine(engine.game.replace(augmentations=(Moved(blank=True),)), engine.signals, total=1000)
    with torch.no_grad():  # logits 0 everywhere: the loss is 2 ln 2
        for weight in engine.network("discriminator").parameters():
            weight.zero_()
    engine.turn(feed)
    assert engine.meter.take("report")["discriminator.adversarial"] == pytest.approx(2 * math.log(2), rel=1e-6)


def test_an_augmentation_of_both_is_seen_by_the_discriminator_alone():
    exchanges, _ = played("discriminator.norm=none", augmentations=(Moved(by=0.5),))
    plain, _ = played("discriminator.norm=none")
    judged = exchanges[0]
    assert torch.equal(judged.real.x, plain[0].real.x)
    D = table("dcgan", "discriminator.norm=none")[0].network("discriminator")  # as it began
    with torch.no_grad():
        torch.testing.assert_close(judged.real.logits.detach(), D(judged.real.x + 0.5))
        torch.testing.assert_close(judged.fake.logits.detach(), D(judged.fake.x + 0.5))
    assert not torch.allclose(judged.real.logits, plain[0].real.logits)


def test_an_augmentation_of_real_images_changes_the_data_and_nothing_else():
    exchanges, _ = played(augmentations=(Moved(where="real", by=0.25),))
    plain, _ = played()
    for ours, theirs in zip(exchanges, plain, strict=True):
        torch.testing.assert_close(ours.real.x, theirs.real.x + 0.25)
        assert torch.equal(ours.latent, theirs.latent)


@pytest.mark.parametrize(("where", "mean"), [("real", 1.0), ("both", 0.0)])
def test_only_an_augmentation_of_real_samples_alone_leaks_into_what_is_made(where, mean):
    recipe = read_recipe("mixture", ["batch=64", "generator.widths=32/32", "discriminator.widths=32/32"])
    dataset = open_data("ring8", recipe.data)
    game = recipe.game.replace(augmentations=(Moved(where=where, by=1.0),))
    engine, feed = Engine(game, Space((2,), 2).signals, total=64 * 700), Feed(dataset, 64)
    for _ in range(700):
        engine.turn(feed)
    found = engine.model().draw(2000)["sample"].mean(0)
    assert (found - mean).abs().max() < 0.25


@pytest.mark.parametrize("updates", [(1, 1), (3, 1), (1, 2), (2, 3)])
@pytest.mark.parametrize("fresh", [True, False])
def test_each_player_moves_as_often_as_it_is_told_and_sees_fresh_latents(updates, fresh):
    words = f"discriminator_updates={updates[0]}", f"generator_updates={updates[1]}", f"fresh_fakes={fresh}".lower()
    exchanges, engine = played(*words, turns=2)
    assert [r.player for r in exchanges] == (["discriminator"] * updates[0] + ["generator"] * updates[1]) * 2
    reals = [r.real.x for r in exchanges if r.player == "discriminator"]
    assert not any(torch.equal(a, b) for i, a in enumerate(reals) for b in reals[:i])
    latents = {r.latent.sum().item() for r in exchanges}
    assert len(latents) == (sum(updates) - (not fresh)) * 2
    assert all(not r.fake.x.requires_grad for r in exchanges if r.player == "discriminator")
    assert engine.clock == 16 * updates[0] * 2


def test_packs_join_neighbours_along_channels_and_get_one_logit():
    x = torch.arange(2 * 3 * 2 * 2.0).reshape(6, 1, 2, 2)
    assert pack(x, 1) is x
    joined = pack(x, 3)
    assert joined.shape == (2, 3, 2, 2)
    assert all(torch.equal(joined[i, j], x[3 * i + j, 0]) for i in range(2) for j in range(3))
    exchanges, engine = played("pack=4")
    assert {len(r.fake.logits) for r in exchanges} == {4}
    assert {len(r.fake.x) for r in exchanges} == {16}
    single = table("dcgan")[0]
    shapes, packed = (
        [weight.shape for weight in one.network("discriminator").parameters()] for one in (single, engine)
    )
    assert packed[0][1] == 4 * shapes[0][1]
    assert packed[1:] == shapes[1:]
    made = [[weight.shape for weight in one.network("generator").parameters()] for one in (single, engine)]
    assert made[0] == made[1]


def test_the_generator_learns_from_the_selected_fakes_alone():
    half = TopK(share=0.5, until=0)
    exchanges, engine = played("generator.norm=none", "discriminator.norm=none", selection=half)
    logits = exchanges[1].fake.logits.detach()
    chosen = logits.topk(8).values
    expected = torch.nn.functional.softplus(-chosen).mean().item()
    assert engine.meter.take("report")["generator.adversarial"] == pytest.approx(expected, rel=1e-5)
    exchanges, engine = played("objective=relativistic", "discriminator.norm=none", selection=half)
    made, D = exchanges[1], engine.network("discriminator")
    fake, chosen = made.fake.logits.detach(), made.fake.logits.topk(8).indices
    with torch.no_grad():
        margin = fake[chosen] - D(made.real.x)[chosen]
    expected = torch.nn.functional.softplus(-margin).mean().item()
    assert engine.meter.take("report")["generator.adversarial"] == pytest.approx(expected, rel=1e-4)


def test_the_weight_of_the_objective_is_the_generators_alone():
    loss = {}
    for weight in (0.0, 0.5, 1.0):
        _, engine = played(adversarial=weight)
        loss[weight] = engine.meter.take("report")
        assert (generator_gradient(engine).abs().max() > 0) == (weight > 0)
    assert loss[0.0]["generator.adversarial"] == 0
    assert loss[0.5]["generator.adversarial"] == pytest.approx(loss[1.0]["generator.adversarial"] / 2, rel=1e-6)
    assert loss[0.5]["discriminator.adversarial"] == loss[1.0]["discriminator.adversarial"]


@pytest.mark.parametrize("where", ["real", "both"])
def test_what_adapts_sees_the_last_real_batch_and_the_generators_fakes(where):
    @dataclass(frozen=True)
    class Follower(Moved):
        name = "follower"
        by: float = 0.0

        def memory(self):
            return {"real": torch.zeros(16), "fake": torch.zeros(16)}

        def __call__(self, images, memory):
            return images

        def adapt(self, outcome, memory):
            memory["real"].copy_(outcome.real)
            memory["fake"].copy_(outcome.fake)

    exchanges, engine = played("discriminator_updates=2", augmentations=(Follower(where),))
    assert torch.equal(engine.memory["follower"]["real"], exchanges[1].real.logits)
    assert torch.equal(engine.memory["follower"]["fake"], exchanges[2].fake.logits)
    assert not torch.equal(exchanges[0].real.logits, exchanges[1].real.logits)


@pytest.mark.parametrize("file", sorted(Path(games.__file__).parent.glob("*.py")), ids=lambda file: file.stem)
def test_a_game_is_read_at_a_glance(file):
    """A file has at most 150 lines, a step at most 31: it shows its losses, and nothing else."""
    text = file.read_text()
    assert len(text.splitlines()) <= 150
    steps = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef) and node.name == "step"]
    assert all(step.end_lineno - step.lineno < 31 for step in steps)
    assert all("engine.update(" in ast.unparse(step) or "engine.move(" in ast.unparse(step) for step in steps)


@pytest.mark.parametrize("recipe", ["dcgan", "pacgan", "gman-small"])
def test_scores_are_logits_of_real_samples_by_discriminator(recipe):
    engine, feed = table(recipe)
    networks, x, game = {name: one.eval() for name, one in engine.modules.items()}, feed.next()["sample"], engine.game
    scores = game.scores(networks, {"sample": x})
    assert scores.keys() == game.players().keys() - {"generator"}
    for name, logits in scores.items():
        assert len(logits) == len(x) // game.pack
        assert torch.equal(logits, networks[name](pack(x, game.pack)))
