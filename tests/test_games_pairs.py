"""The game over pairs of images of one class: which pairs, who sees what, who moves, and what is saved."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from zerosum import latents, networks
from zerosum.augmentations import DiffAugment, Flip, Shift
from zerosum.core import compatibility
from zerosum.core.average import ExponentialAverage
from zerosum.core.engine import Engine
from zerosum.core.errors import RecipeError
from zerosum.core.player import Player
from zerosum.core.registry import registered
from zerosum.critic import Exchange, Regularization
from zerosum.data import Feed, open_data
from zerosum.games import PairsGame
from zerosum.games.pairs import another_of_class, distinct, repeated
from zerosum.networks import DAGANDiscriminator, DAGANGenerator, DCGANDiscriminator, DCGANGenerator
from zerosum.networks.space import Space
from zerosum.objectives import Hinge, Relativistic, Wasserstein
from zerosum.optimizers import Adam, Constant
from zerosum.recipes import Recipe, read_recipe
from zerosum.regularizers import (
    ALR,
    CR,
    DRAGAN,
    R1,
    R2,
    ZCR,
    FeatureMatching,
    GradientPenalty,
    JacobianClamping,
    LeCam,
    SuccessiveConsistency,
)
from zerosum.runs.storage.saved import load_model, save_model
from zerosum.runs.storage.trained import TrainedModel
from zerosum.runs.view.sample import draft, write

ADAM = Adam(lr=1e-3, beta1=0.0, beta2=0.9)
SPACE = Space((1, 8, 8), 5, 10)


@pytest.fixture(autouse=True)
def _settings():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def player(network, **others):
    return Player(network, ADAM, Constant(), networks.Normal(0.02), **others)


def make_game(**changes):
    start = {
        "generator": player(DAGANGenerator(channels=8, bank=40), average=ExponentialAverage(half_life=100, ramp=0)),
        "discriminator": player(DAGANDiscriminator(channels=8)),
        "objective": Wasserstein(),
        "latent": latents.Normal(5),
        "regularizers": (GradientPenalty(),),
        "discriminator_updates": 2,
    }
    return PairsGame(**start | changes)


@pytest.fixture(scope="module")
def digits():
    return open_data("digits", read_recipe("dcgan").data)


class Known:
    """Batches of images of one grey level each, the number of the image, and their classes."""

    def __init__(self, *batches):
        self.batches, self.position, self.turn = batches, 0, 0

    def next(self):
        numbers, label = (torch.tensor(row) for row in self.batches[self.turn % len(self.batches)])
        self.turn += 1
        self.position += len(numbers)
        return {"sample": (numbers / 127.5 - 1)[:, None, None, None].repeat(1, 1, 8, 8), "label": label}


def numbers(images):
    return ((images[:, 0, 0, 0] + 1) * 127.5).round().long().tolist()


def paired(engine, feed):
    source, partner, label = engine.game.pair(feed, engine, [])
    return list(zip(numbers(source), numbers(partner), label.tolist(), strict=True))


def record(monkeypatch):
    """Exchanges of all updates, as they are before the update."""
    exchanges, costs = [], Regularization.__call__

    def called(due, real, fake, generator, latent):
        exchanges.append(Exchange(due.role, real.critic, real, fake, generator, latent, due.clock))
        return costs(due, real, fake, generator, latent)

    monkeypatch.setattr(Regularization, "__call__", called)
    return exchanges


def state(engine):
    return {
        f"{group}.{key}": value.clone()
        for group, tensors in engine.state()[0].items()
        for key, value in tensors.items()
    }


def assert_equal(one, other):
    assert one.keys() == other.keys()
    assert [key for key, value in one.items() if not torch.equal(value, other[key])] == []


# ---------------------------------------------------------------------------- which pairs


def test_real_pairs_are_two_images_of_one_class_and_each_image_is_once_in_either_place():
    label = [0, 1, 0, 2, 1, 0, 2, 0, 1, 2]
    engine = Engine(make_game(), SPACE.signals)
    rows = paired(engine, Known((range(20, 30), label)))
    assert [row[0] for row in rows] == list(range(20, 30))
    assert sorted(row[1] for row in rows) == list(range(20, 30))
    for source, partner, kind in rows:
        assert source != partner
        assert label[source - 20] == label[partner - 20] == kind
    assert engine.meter.take("report")["paired"] == 1


def test_every_other_image_of_the_class_is_as_likely_a_partner():
    label = torch.tensor([3, 3, 1, 3, 1, 3])
    chosen = torch.stack([another_of_class(label) for _ in range(3000)])
    for place, others in [(0, [1, 3, 5]), (3, [0, 1, 5]), (2, [4]), (4, [2])]:
        counts = chosen[:, place].bincount(minlength=6)
        assert counts.sum() == counts[others].sum() == 3000
        assert (counts[others] / 3000 - 1 / len(others)).abs().max() < 0.04  # deviation 0.009


def test_an_image_alone_in_its_batch_is_paired_with_an_earlier_one_of_its_class():
    feed = Known(([1, 2, 3, 4], [5, 5, 6, 6]), ([7, 8, 9, 10], [5, 6, 2, 2]))
    engine = Engine(make_game(), SPACE.signals)
    paired(engine, feed)
    partners = {}
    for _ in range(40):
        feed.turn, other = 1, copy.deepcopy(engine)
        rows = paired(other, feed)
        assert [row[0] for row in rows] == [7, 8, 9, 10]
        assert [row[2] for row in rows] == [5, 6, 2, 2]
        assert [row[1] for row in rows][2:] == [10, 9]
        for source, partner, _kind in rows:
            partners.setdefault(source, set()).add(partner)
    assert partners == {7: {1, 2}, 8: {3, 4}, 9: {10}, 10: {9}}


def test_an_image_without_a_partner_is_left_out_and_others_count_again():
    feed = Known(([1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 0, 3, 0, 4]))
    engine = Engine(make_game(), SPACE.signals)
    rows = paired(engine, feed)
    assert [row[0] for row in rows] == [1, 4, 6, 1, 4, 6, 1]
    assert rows[:3] == rows[3:6]
    assert all(source != partner and {source, partner} <= {1, 4, 6} and kind == 0 for source, partner, kind in rows)
    assert engine.meter.take("report")["paired"] == pytest.approx(3 / 7)
    rows = paired(engine, feed)  # its own copy, from the time before, is no partner
    assert {row[0] for row in rows} == {1, 4, 6}


def test_a_copy_is_no_partner():
    """A balanced feed repeats the only image of a class; one that meets its copy looks for another."""
    engine = Engine(make_game(), SPACE.signals)
    for _ in range(20):
        rows = paired(engine, Known(([9, 9, 9, 2, 3], [1, 1, 1, 0, 0])))
        assert rows == [(2, 3, 0), (3, 2, 0)] * 2 + [(2, 3, 0)]
    for _ in range(20):
        rows = paired(engine, Known(([9, 9, 9, 8], [1, 1, 1, 1])))
        assert {row[:2] for row in rows} <= {(9, 8), (8, 9)}
        assert rows[0][:2] == (9, 8)


def test_without_any_pair_a_batch_stays_as_it_is():
    engine = Engine(make_game(), SPACE.signals)
    rows = paired(engine, Known(([1, 2, 3], [0, 1, 2])))
    assert rows == [(1, 1, 0), (2, 2, 1), (3, 3, 2)]
    assert engine.meter.take("report")["paired"] == 0
    rows = paired(engine, Known(([4, 5, 6], [0, 1, 2])))  # the bank has met the classes
    assert rows == [(4, 1, 0), (5, 2, 1), (6, 3, 2)]


def test_helpers():
    a, b = torch.zeros(3, 1, 2, 2), torch.zeros(3, 1, 2, 2)
    b[1, 0, 1, 0] = 1e-7
    assert distinct(a, b).tolist() == [False, True, False]
    assert repeated(torch.tensor([False, True, True, False, True])).tolist() == [1, 2, 4, 1, 2]
    assert repeated(torch.tensor([False, False])).tolist() == [0, 1]
    assert repeated(torch.tensor([True, True, True])).tolist() == [0, 1, 2]


# ---------------------------------------------------------------------------- who sees what


def test_the_discriminator_judges_partner_and_fake_beside_the_same_source(monkeypatch):
    engine, exchanges = Engine(make_game(), SPACE.signals), record(monkeypatch)
    engine.turn(Known((range(12), [0, 1] * 6), (range(12, 24), [2, 3] * 6)))
    first, second, made = exchanges
    assert [r.player for r in exchanges] == ["discriminator", "discriminator", "generator"]
    assert set(numbers(first.real.given["source"])) == set(range(12))
    for r in exchanges:
        source = r.real.given["source"]
        assert r.fake.given["source"] is source
        assert not torch.equal(r.real.x, source)
        assert distinct(r.real.x, source).all()
        assert [int(n) % 2 for n in numbers(r.real.x)] == [int(n) % 2 for n in numbers(source)]  # of the same class
        assert r.fake.x.shape == source.shape
    assert not first.fake.x.requires_grad
    assert made.fake.x.requires_grad
    assert torch.equal(made.real.given["source"], second.real.given["source"])  # the last batch
    assert not torch.equal(made.latent, second.latent)


def test_logits_and_fakes_are_those_of_the_networks_at_the_source(monkeypatch):
    game = make_game(regularizers=(), discriminator_updates=1)
    engine, exchanges = Engine(game, SPACE.signals), record(monkeypatch)
    before = {name: copy.deepcopy(engine.network(name)) for name in ("generator", "discriminator")}
    engine.turn(Known((range(12), [0, 1] * 6)))
    first, made = exchanges
    source = first.fake.given["source"]
    D, G = before["discriminator"], before["generator"]
    torch.testing.assert_close(first.real.logits, D(first.real.x, None, source))
    torch.testing.assert_close(first.fake.x, G(first.latent, None, source))
    torch.testing.assert_close(first.fake.logits, D(first.fake.x, None, source))
    moved = engine.network("discriminator")
    assert torch.equal(made.fake.logits, moved(made.fake.x, None, source))
    assert not torch.allclose(made.fake.logits, D(made.fake.x, None, source), atol=1e-5)
    means = engine.meter.take("report")
    expected = first.fake.logits.mean() - first.real.logits.mean()
    assert means["discriminator.adversarial"] == pytest.approx(expected.item(), abs=1e-6)
    assert means["generator.adversarial"] == pytest.approx(-made.fake.logits.mean().item(), abs=1e-6)


class Linear(nn.Module):
    """s = w.x + v.source, a discriminator of nothing but its forward."""

    def __init__(self):
        super().__init__()
        self.w, self.v = nn.Parameter(torch.randn(64) / 4), nn.Parameter(torch.randn(64) * 5)

    def forward(self, x, label=None, source=None):
        return x.flatten(1) @ self.w + source.flatten(1) @ self.v


def test_the_gradient_penalty_holds_the_slope_along_the_sample_alone():
    engine = Engine(make_game(discriminator_updates=1), SPACE.signals)
    net = engine.modules["discriminator"] = Linear()
    norm = net.w.detach().norm()
    engine.learners["discriminator"].parameters = list(net.parameters())
    engine.learners["discriminator"].optimizer = torch.optim.SGD(net.parameters(), lr=0.0)
    engine.turn(Known((range(12), [0, 1] * 6)))
    expected = 10 * (norm - 1).square().item()
    assert expected > 1
    assert engine.meter.take("report")["discriminator.gradient-penalty"] == pytest.approx(expected, rel=1e-4)
    assert net.w.grad.abs().max() > 1e-2
    assert net.v.grad.abs().max() < 1e-5  # one source beside real and fake: alone it tells nothing


def test_augmentations_change_real_images_before_they_are_paired_or_samples_alone(monkeypatch):
    engine, exchanges = (
        Engine(make_game(augmentations=(Shift(pixels=3, fill=1.0),)), SPACE.signals),
        record(monkeypatch),
    )
    engine.turn(Known((range(12), [0, 1] * 6)))
    assert (exchanges[0].real.x == 1).flatten(1).any(1).float().mean() > 0.5
    assert (exchanges[0].real.given["source"] == 1).flatten(1).any(1).float().mean() > 0.5
    exchanges.clear()
    engine = Engine(make_game(augmentations=(Shift(pixels=3, fill=1.0, where="both"),)), SPACE.signals)
    seen = []
    engine.network("discriminator").body.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    engine.turn(Known((range(12), [0, 1] * 6)))
    for pair in seen[:2]:  # the first look at real pairs, and at fake ones
        assert (pair[:, 0] == 1).flatten(1).any(1).float().mean() > 0.5
        assert torch.equal(pair[:, 1:], exchanges[0].real.given["source"])


# ---------------------------------------------------------------------------- who moves, and what is exact


@pytest.mark.parametrize("turns", [0, 1, 3])
def test_a_resumed_game_equals_the_uninterrupted_one_bit_for_bit(digits, turns):
    def table():
        return Engine(make_game(regularizers=(GradientPenalty(), LeCam())), SPACE.signals), Feed(digits, 24)

    engine, feed = table()
    for _ in range(turns):
        engine.turn(feed)
    tensors, counts = copy.deepcopy(engine.state())
    other, other_feed = table()
    other.load(tensors, counts)
    other_feed.position = counts["clock"]
    for _ in range(3):
        engine.turn(feed)
        torch.randn(7)
        other.turn(other_feed)
    assert_equal(state(engine), state(other))
    assert engine.meter.take("report") == other.meter.take("report")
    latent, label = torch.randn(9, 5), torch.arange(9)
    assert torch.equal(*(one.model()({"latent": latent, "label": label})["sample"] for one in (engine, other)))


def test_only_the_player_whose_move_it_is_moves(digits, monkeypatch):
    engine, feed = Engine(make_game(discriminator_updates=3), SPACE.signals), Feed(digits, 24)
    update, moved = engine.update, []

    def watched(name, **losses):
        before = {other: copy.deepcopy(seat.parameters) for other, seat in engine.learners.items()}
        update(name, **losses)
        for other, seat in engine.learners.items():
            pairs = list(zip(before[other], seat.parameters, strict=True))
            changed = [not torch.equal(a, b) for a, b in pairs if a.ndim > 1 or other != name]  # a bias need not
            assert all(changed) if other == name else not any(changed)
        moved.append(name)

    monkeypatch.setattr(engine, "update", watched)
    engine.turn(feed)
    assert moved == ["discriminator"] * 3 + ["generator"]
    assert feed.position == 3 * 24
    assert engine.network("generator").bank.seen.sum() == 3 * 24


PARTS = [R1(), R2(), DRAGAN(), LeCam(after=0), CR(), ALR(limit=1e-3), ZCR(), FeatureMatching(), JacobianClamping()]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_regularizers_work_on_pairs(digits, part):
    engine, feed = Engine(make_game(regularizers=(part,)), SPACE.signals), Feed(digits, 16)
    compatibility.check(engine.game, SPACE.signals, 1000, 16)
    for _ in range(2):
        engine.turn(feed)
    found = {key: value for key, value in engine.meter.take("report").items() if key.endswith(part.name)}
    assert found
    assert all(np.isfinite(value) for value in found.values())
    assert any(value != 0 for value in found.values())


def test_regularizers_call_the_generator_from_the_sources_of_the_exchange(monkeypatch, digits):
    engine, exchanges = Engine(make_game(), SPACE.signals), record(monkeypatch)
    engine.turn(Feed(digits, 16))
    r = exchanges[-1]
    expected = engine.network("generator")(r.latent, r.label, r.fake.given["source"])
    assert torch.equal(r.generator(r.latent, r.label), expected)
    with pytest.raises(ValueError, match="samples start from images, so a part cannot call its generator for another"):
        r.generator(r.latent, r.label.clone())
    engine, feed = Engine(make_game(regularizers=(SuccessiveConsistency(),)), SPACE.signals), Feed(digits, 16)
    engine.turn(feed)
    with pytest.raises(ValueError, match="samples start from images"):  # of the turn before
        engine.turn(feed)


@pytest.mark.parametrize("changes", [
    {"objective": Relativistic(), "regularizers": (R1(), R2())},
    {"objective": Hinge(), "augmentations": (Flip(), DiffAugment())},
    {"selection": registered("selection")["top-k"](until=0)},
], ids=["relativistic", "augmented", "selected"])  # fmt: skip
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_other_parts_and_bf16(digits, changes, precision):
    engine, feed = Engine(make_game(**changes), SPACE.signals, precision=precision), Feed(digits, 24)
    compatibility.check(engine.game, SPACE.signals, 1000, 24)
    before = state(engine)
    for _ in range(2):
        engine.turn(feed)
    assert all(np.isfinite(value) for value in engine.meter.take("report").values())
    weights = [key for key in before if ".weights." in key and key.endswith(".weight")]
    after = state(engine)
    assert weights
    assert all(not torch.equal(before[key], after[key]) for key in weights)
    assert all(value.dtype != torch.bfloat16 for value in after.values())


# ---------------------------------------------------------------------------- what does not fit


def faults(game, space, batch=16):
    with pytest.raises(RecipeError) as raised:
        compatibility.check(game, space.signals, 1000, batch)
    return raised.value.faults


def test_data_without_labels_are_refused():
    (fault,) = faults(make_game(), Space((1, 8, 8), 5))
    assert fault.startswith("game 'pairs' needs 'labels': it pairs images of one class, and these data have no classes")
    assert "sort the images into one sub-folder a class" in fault
    engine = Engine(make_game(), SPACE.signals)

    class Unlabelled(Known):
        def next(self):
            return {"sample": super().next()["sample"]}

    with pytest.raises(RecipeError, match="game 'pairs' needs 'labels'"):
        engine.turn(Unlabelled((range(4), [0] * 4)))


def test_networks_of_other_games_are_refused():
    found = faults(make_game(discriminator=player(DCGANDiscriminator(norm="layer", labels="concat"))), SPACE)
    assert any("discriminator.network: 'dcgan-discriminator' cannot serve as pairs" in fault for fault in found)
    found = faults(make_game(generator=player(DCGANGenerator())), SPACE)
    assert any("generator.network: 'dcgan-generator' cannot serve as source" in fault for fault in found)


def test_packs_and_batch_norm_under_a_penalty_are_refused():
    (fault,) = faults(make_game(pack=2), SPACE)
    assert fault.startswith("pack=2 with 'pairs': a pack gets one logit")
    (fault,) = faults(make_game(discriminator=player(DAGANDiscriminator(channels=4, norm="batch"))), SPACE)
    assert "'gradient-penalty' with 'batchnorm'" in fault


@pytest.mark.parametrize("space", [SPACE, Space((3, 28, 28), 5, 3), Space((1, 64, 64), 5, 2)], ids=str)
def test_what_fits_is_accepted(space):
    for game in (make_game(), make_game(generator=player(DAGANGenerator(norm="none")))):
        assert compatibility.check(game, space.signals, 1000, 16) > 4 * space.values


# ---------------------------------------------------------------------------- what is saved


@pytest.fixture(scope="module")
def trained(digits):
    engine, feed = Engine(make_game(), SPACE.signals, seed=3), Feed(digits, 32)
    for _ in range(6):
        engine.turn(feed)
    return engine


@pytest.fixture(scope="module")
def file(trained, digits, tmp_path_factory):
    path = tmp_path_factory.mktemp("pairs") / "model.safetensors"
    recipe = Recipe(recipe="pairs", game=trained.game)
    save_model(path, TrainedModel(trained.model(), recipe, SPACE.signals, digits.classes, trained.clock))
    return path


def test_the_generator_file_samples_alone_and_equally(file, trained):
    one, two = load_model(file), load_model(file)
    first = one.sample(40, seed=3)
    assert first.shape == (40, 1, 8, 8)
    assert first.abs().max() <= 1
    assert torch.equal(two.sample(40, seed=3), first)
    assert not torch.equal(one.sample(40, seed=4), first)
    assert torch.equal(one.sample(7, seed=3, start=11), first[11:18])
    latent, label = trained.game.latent(20, "cpu"), torch.arange(20) % 10
    here = trained.model()({"latent": latent, "label": label})["sample"]
    torch.testing.assert_close(one.decode(latent, label), here, rtol=1e-5, atol=1e-5)
    assert first.std(0).mean() > 1e-3


def test_the_average_keeps_the_bank_that_training_filled(file, trained):
    live, averaged = trained.network("generator").bank, trained.averages["generator"].bank
    for bank in (averaged, load_model(file).model.networks["generator"].bank):
        assert torch.equal(bank.images, live.images)
        assert torch.equal(bank.seen, live.seen)
    assert live.seen.min() >= 4  # all full
    assert live.seen.sum() == 6 * 2 * 32


def test_the_file_holds_real_images_of_each_class(file, digits):
    """As the documentation warns."""
    bank = load_model(file).model.networks["generator"].bank
    rows = {image.tobytes(): int(label) for image, label in zip(digits.values, digits.labels, strict=True)}
    assert [rows[image.numpy().tobytes()] for image in bank.images] == [k for k in range(10) for _ in range(4)]
    for cls in (PairsGame, DAGANGenerator):
        assert "CONTAIN" in cls.__doc__
        assert "TRAINING IMAGES" in cls.__doc__


def test_the_class_that_is_asked_for_is_that_of_the_source(file, digits, tmp_path):
    generator = load_model(file)
    assert generator.conditional
    assert generator.labels(12).tolist() == [*range(10), 0, 1]
    rows = {image.tobytes(): int(label) for image, label in zip(digits.values, digits.labels, strict=True)}
    sources = []
    encoder = generator.model.networks["generator"].encoder
    encoder[0].register_forward_pre_hook(lambda _, given: sources.append(given[0]))
    generator.sample(30, label=7)
    given = torch.cat(sources)[:30]  # chunks are filled up
    pixels = ((given + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    assert [rows[image.numpy().tobytes()] for image in pixels] == [7] * 30
    assert len({image.numpy().tobytes() for image in pixels}) == 4
    with np.load(write(draft(file, count=5, label="7"), tmp_path / "seven.npz")) as found:
        assert found["images"].shape == (5, 8, 8, 1)
        assert found["labels"].tolist() == [7] * 5


def test_a_recipe_of_it_is_a_value():
    game = make_game()
    assert game == make_game()
    assert dataclasses.replace(game, discriminator_updates=7) != game
    assert registered("game")["pairs"] is PairsGame
