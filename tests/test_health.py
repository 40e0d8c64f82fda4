"""The health monitor: what a report measures, what each symptom sees, and what it does not."""

import copy
import dataclasses
import json
import re
from collections import Counter

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import zerosum
from tests.exchanges import exchange
from tests.small import EAGER, table, words
from zerosum.core import compatibility, settings
from zerosum.core.errors import RunError
from zerosum.core.gradients import excerpt, total_norm
from zerosum.critic import verdicts
from zerosum.data import Dataset, open_data
from zerosum.recipes import read_recipe
from zerosum.runs import health
from zerosum.runs.health import advice, diagnostics, symptoms
from zerosum.runs.health import history as history_module
from zerosum.runs.health.history import History

DCGAN = read_recipe("dcgan")


def arrays(values, held_out=0):
    everything = np.arange(len(values))
    cut = len(values) - held_out
    return Dataset("array", values, None, (), everything[:cut], everything[cut:], "0" * 64)


def random_images(count, side=8, seed=0, held_out=0):
    values = np.random.default_rng(seed).integers(0, 256, (count, side, side, 1), dtype=np.uint8)
    return arrays(values, held_out)


# ---------------------------------------------------------------------- what the engine notes


def test_verdicts_are_the_share_of_pairs_in_the_right_order_whatever_the_level():
    real = torch.tensor([[1.0], [2.0], [5.0], [-1.0]])
    fake = torch.tensor([[0.0], [3.0], [5.0], [-4.0]])  # right, wrong, equal, right
    for shift in (0.0, -100.0):
        met = exchange("discriminator", real=real, fake=fake, logits=(real + shift, fake + shift))
        found = {name: float(value) for name, value in verdicts(met.real, met.fake).items()}
        assert found["real_logit"] == pytest.approx(1.75 + shift)
        assert found["fake_logit"] == pytest.approx(1.0 + shift)
        assert found["pairwise_accuracy"] == pytest.approx(2.5 / 4)
        assert found["real_spread"] == pytest.approx(np.std([1, 2, 5, -1]), rel=1e-4)
        assert found["fake_spread"] == pytest.approx(np.std([0, 3, 5, -4]), rel=1e-4)


def test_verdicts_are_those_of_the_discriminators_updates_alone():
    engine, feed = table("mlp", "discriminator_updates=2", "generator_updates=3")
    engine.turn(feed)
    assert engine.meter.counts["report/pairwise_accuracy"] == 2
    assert engine.meter.counts["report/real_spread"] == engine.meter.counts["report/fake_logit"] == 2


def test_each_of_several_discriminators_has_its_own_verdicts():
    engine, feed = table("gman")
    engine.turn(feed)
    found = engine.meter.take("report")
    names = {
        f"{name}-{number}" for name in ("pairwise_accuracy", "real_spread", "fake_spread") for number in range(1, 6)
    }
    assert names <= found.keys()
    assert {"discriminator-1_gradient", "discriminator-5_step", "generator_step"} <= found.keys()


def test_a_step_is_the_change_of_weights_by_the_first_update_after_a_report():
    engine, feed = table("mlp")
    seat = engine.learners["generator"]
    wide = [one for one in seat.parameters if one.dim() > 1]
    before = [one.detach().clone() for one in wide]
    engine.turn(feed)
    change = sum(float((a - b).detach().square().sum()) for a, b in zip(before, wide, strict=True)) ** 0.5
    size = sum(float(one.square().sum()) for one in before) ** 0.5
    engine.turn(feed)  # of a second update nothing is noted
    found = engine.meter.take("report")
    assert found["generator_step"] == pytest.approx(change / size, rel=0.2)  # by a sample of the weights
    assert engine.meter.counts.get("report/generator_step") is None
    engine.turn(feed)
    assert engine.meter.counts["report/generator_step"] == 1


def test_an_excerpt_takes_some_numbers_of_each_matrix():
    big, small, vector = torch.randn(40, 50), torch.randn(2, 3), torch.randn(7)
    found = excerpt([big, small, vector])
    assert len(found) == 64 + 6
    assert torch.equal(found[64:], small.flatten())
    assert found[1] == big.flatten()[2000 // 64]
    assert torch.equal(excerpt([vector]), vector)
    big.zero_()
    assert found[:64].abs().sum() > 0  # a copy


def test_the_norm_is_that_of_all_gradients_together():
    weights = [torch.zeros(3, requires_grad=True), torch.zeros(2, 2, requires_grad=True), torch.zeros(1)]
    weights[0].grad, weights[1].grad = torch.tensor([1.0, 2.0, 2.0]), torch.full((2, 2), 2.0)
    assert float(total_norm(weights)) == pytest.approx(5.0)
    exact = torch.zeros(2, dtype=torch.float64)
    exact.grad = torch.tensor([3.0, 4.0], dtype=torch.float64)
    assert torch.equal(total_norm([exact]), torch.tensor(5.0))  # in float32, as all numbers of the meter


# ---------------------------------------------------------------------- what a report measures


def test_the_spread_is_the_root_of_the_mean_squared_distance_of_two_rows():
    rows = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]])
    squares = [25.0, 1.0, 18.0]  # of the three pairs
    assert diagnostics.spread(rows) == pytest.approx((np.mean(squares) / 2) ** 0.5)


def test_the_nearest_of_the_others():
    assert diagnostics.nearest(torch.tensor([[0.0], [3.0], [4.0], [10.0]])).tolist() == [3.0, 1.0, 1.0, 6.0]


def test_surely_is_the_probability_of_more_minus_that_of_less():
    assert diagnostics.surely(torch.tensor([1.0, 2.0]), torch.tensor([0.0])) == 1
    assert diagnostics.surely(torch.tensor([1.0, 2.0]), torch.tensor([1.5, 3.0])) == pytest.approx((1 - 3) / 4)
    assert diagnostics.surely(torch.tensor([[1.0]]), torch.tensor([1.0])) == 0


def test_duplicates_among_fakes_are_seen_by_the_distance_of_real_neighbours():
    data = random_images(64)
    own = diagnostics.Diagnostics(data, 16)
    real = torch.rand(16, 64) * 2 - 1
    different = own.compare(real, torch.rand(12, 64) * 2 - 1)
    assert different["duplicates"] == 0
    assert different["nearness"] == pytest.approx(1, abs=0.2)
    fake = torch.rand(12, 64) * 2 - 1
    fake[3:6] = fake[0] + 1e-3  # four that are nearly the same
    found = own.compare(real, fake)
    assert found["duplicates"] == pytest.approx(4 / 12)
    collapsed = own.compare(real, fake[:1] + 0.01 * torch.randn(12, 64))
    assert collapsed["duplicates"] == 1
    assert collapsed["fake_distance"] == pytest.approx(0.01 * 2**0.5, rel=0.2)
    assert collapsed["real_distance"] == pytest.approx((2 / 3) ** 0.5, rel=0.1)  # uniform over [-1, 1]


def test_copies_of_training_images_are_told_from_others():
    data = random_images(200, held_out=60)
    own = diagnostics.Diagnostics(data, 16)
    train = torch.from_numpy(data.values[data.train[:30]]).float().flatten(1) / 127.5 - 1
    new = torch.from_numpy(data.values[data.held_out[:30]]).float().flatten(1) / 127.5 - 1
    assert own.compare(new, train)["copying"] < 1e-3
    assert own.compare(train, new)["copying"] == pytest.approx(1, abs=0.1)
    assert 0.05 < own.compare(train, train + 0.1 * torch.randn_like(train))["copying"] < 0.5


def test_what_cannot_be_compared_is_left_out():
    one = diagnostics.Diagnostics(arrays(np.full((50, 4, 4, 1), 7, np.uint8)), 16)
    found = one.compare(torch.zeros(16, 16), torch.randn(16, 16))
    assert found.keys() == {"real_distance", "fake_distance"}
    own = diagnostics.Diagnostics(random_images(64, 4), 16)
    assert own.compare(torch.zeros(1, 16), torch.randn(16, 16)) == {}
    assert own.compare(torch.randn(16, 16), torch.full((16, 16), float("nan"))) == {}
    repeated = torch.rand(5, 16).repeat(4, 1)  # a small set comes round in a batch
    assert own.compare(repeated, torch.rand(16, 16) * 2 - 1)["duplicates"] == 0


def test_large_images_are_averaged_down_and_cut_to_what_a_pixel_can_be():
    batch = torch.full((2, 3, 64, 48), 5.0)
    batch[0] = -1
    rows = diagnostics.flat(batch)
    assert rows.shape == (2, 3 * 32 * 32)
    assert rows[1].max() == 1
    assert rows[0].min() == -1
    assert diagnostics.flat(torch.randn(2, 1, 8, 8)).shape == (2, 64)
    assert diagnostics.flat(torch.full((2, 2), 5.0)).max() == 5  # points
    big = diagnostics.Diagnostics(random_images(10, 64), 4)
    assert big.reference.shape == (10, 1024)
    assert big.usual > 0


def test_a_discriminator_that_knows_its_images_by_heart_is_seen():
    engine, feed = table("mlp", "discriminator.dropout=0")
    data = open_data("digits")
    own = diagnostics.Diagnostics(data, 64)
    engine.turn(feed)
    assert abs(own.overfitting(engine)["overfitting"]) < 0.5

    known = {tuple(row) for row in data.values[data.train].reshape(len(data.train), -1).tolist()}

    class ByHeart(torch.nn.Module):
        def forward(self, x, label=None):
            pixels = (x.flatten(1) + 1).mul(127.5).round().int().tolist()
            return torch.tensor([float(tuple(row) in known) for row in pixels])

    engine.modules["discriminator"] = ByHeart()
    assert own.overfitting(engine)["overfitting"] == 1
    few = diagnostics.Diagnostics(dataclasses.replace(data, held_out=data.held_out[:15]), 64)
    assert "overfitting" not in few.look(engine)


LOOKED_AT = ["dcgan", "mlp", "gman", "veegan", "dagan-small", "pacgan", "acgan", "stylegan2", "cyclegan"]
LOOKED_AT += ["pix2pix"]


@pytest.mark.parametrize("name", LOOKED_AT)
def test_a_look_changes_nothing(name):
    engine, feed = table(name)
    other, other_feed = table(name)
    from tests.small import DATA, words

    dataset = open_data(DATA.get(name, "digits"), read_recipe(name, words(name)).data)
    own = diagnostics.Diagnostics(dataset, 16, engine.game.pack)
    for _ in range(2):
        engine.turn(feed)
        other.turn(other_feed)
        before = torch.random.get_rng_state()
        found = own.look(engine)
        assert torch.equal(before, torch.random.get_rng_state())
    assert {"real_distance", "fake_distance", "duplicates"} <= found.keys()
    assert any(key.startswith("overfitting") for key in found)
    for name, module in engine.modules.items():
        state, expected = module.state_dict(), other.network(name).state_dict()
        assert all(torch.equal(value, expected[key]) for key, value in state.items())
    assert engine.meter.take("report") == other.meter.take("report")


def test_facts_of_data():
    images = np.zeros((30, 4, 4, 1), np.uint8)
    assert health.facts(arrays(images)) == {
        "shape": [1, 4, 4], "classes": 0, "looked_at": 30, "distinct": 1, "spread": 0.0,
    }  # fmt: skip
    images[:10] = 255
    images[0, 0] = 9
    found = health.facts(arrays(images, held_out=5))
    assert (found["looked_at"], found["distinct"]) == (25, 3)
    assert found["spread"] == pytest.approx(np.std(images[:25].reshape(25, -1) / 255, axis=0).mean())
    many = health.facts(random_images(700, 2))  # more than are looked at at once
    assert (many["looked_at"], many["distinct"]) == (700, 700)
    assert many["spread"] == pytest.approx(np.std(random_images(700, 2).values / 255, axis=0).mean())
    points = health.facts(open_data("ring8"))
    assert points["distinct"] == points["looked_at"] == 2_000
    assert points["shape"] == [2]


# ---------------------------------------------------------------------- a history


def reports(count=12, every=5_000, start=1, **values):
    """Reports with numbers that are constant, listed, or given by the number of the report."""
    lines = []
    for place in range(count):
        line = {"images": every * (place + start), "images_per_second": 1.0}
        for name, value in values.items():
            key = name.replace("__", ".")
            found = value(place) if callable(value) else value[place] if isinstance(value, list) else value
            if found is not None:
                line[key] = found
        lines.append(line)
    return lines


def history(lines, recipe=DCGAN, judged=(), **facts):
    return History(recipe, {"facts": facts} if facts else {}, lines, list(judged))


def names(*args, **more):
    return [one.name for one in health.examine(history(*args, **more))]


def test_a_course_gives_numbers_by_report():
    lines = reports(4, a=[1.0, None, 3.0, 4.0])
    lines.insert(2, {"images": 10_000, "rollback": 1, "not_finite": "x"})
    own = history(lines)
    assert own.images == 20_000
    assert own.first("a") == 1
    assert own.first("b") is None
    assert own.all("a") == [(5_000, 1.0), (15_000, 3.0), (20_000, 4.0)]
    assert own.last("a", 2) == [3.0, 4.0]
    assert own.last("a", 4) == []
    assert own.recent("a") == [3.0, 4.0]
    assert own.recent("a", 3) == [1.0, 3.0, 4.0]
    assert history([]).images == 0


def test_recent_means_the_last_window_and_two_reports_at_the_least():
    assert history(reports(1, every=20_000, a=1.0)).recent("a") == []
    assert history(reports(2, every=20_000, a=1.0)).recent("a") == [1.0, 1.0]
    assert history(reports(9, every=1_000, a=1.0)).recent("a") == []  # so early nothing is said
    assert history(reports(30, every=1_000, a=lambda i: float(i))).recent("a") == [float(i) for i in range(20, 30)]


def test_several_discriminators_count_by_their_mean():
    lines = [
        {
            "images": 5,
            "pairwise_accuracy-1": 0.5,
            "pairwise_accuracy-2": 1.0,
            "discriminator-1_step": 2.0,
            "discriminator-2_step": 4.0,
        }
    ]
    own = history(lines)
    assert own.all("pairwise_accuracy") == [(5, 0.75)]
    assert own.all("discriminator_step") == [(5, 3.0)]
    assert own.all("step") == []
    assert history([{"images": 5, "pairwise_accuracy": float("nan")}]).all("pairwise_accuracy") == []


def test_players_and_sets_of_translations_count_as_those_of_other_games():
    line = {
        "images": 5,
        "generators_step": 0.3,
        "discriminators.adversarial-a": 1.0,
        "discriminators.adversarial-b": 2.0,
    }
    own = history([line | {"overfitting-a": 0.5, "overfitting-b": 0.7, "change-a_to_b": 9.0}])
    assert own.all("generator_step") == [(5, 0.3)]
    assert own.all("discriminator.adversarial") == [(5, 1.5)]
    assert own.all("overfitting") == [(5, 0.6)]
    assert own.all("change-a_to_b") == [(5, 9.0)]
    assert history([{"images": 5, "translator_gradient": 2.0}]).all("generator_gradient") == [(5, 2.0)]


@pytest.mark.parametrize(("recipe", "option"), [("cyclegan", "generators.lr"), ("stargan", "translator.lr")])
def test_advice_names_players_as_the_game_does(recipe, option):
    lines = reports(4, **HEALTHY | {"generator_step": None, f"{option.partition('.')[0]}_step": 0.24})
    found = health.examine(history(lines, read_recipe(recipe), train=100))
    assert {one.name: one.advice for one in found}["learning-rate-too-high"].startswith(f"{option}=")


# ---------------------------------------------------------------------- symptoms

HEALTHY = {
    "pairwise_accuracy": 0.8, "discriminator__adversarial": 1.2, "generator__adversarial": 0.8,
    "discriminator_gradient": 0.4,
    "generator_gradient": 0.2, "discriminator_step": 0.006, "generator_step": 0.004, "real_distance": 0.77,
    "fake_distance": 0.7, "duplicates": 0.0, "nearness": 1.0, "copying": 1.7, "overfitting": 0.05,
}  # fmt: skip
WINS = {"pairwise_accuracy": 0.995, "discriminator__adversarial": 0.02}
FLAT = {"real_spread": [1.0, 0.9, 0.01, 0.01]}
ADA = read_recipe("dcgan", ["augmentations=ada"])
CYCLE = {"cycle_error-there": 1.0, "constant_error-there": 50.0, "change-there": 40.0, "hidden-there": 0.0}
STILL = CYCLE | {"change-there": 1.0}
SWINGING = [0.9, 0.4, 0.95, 0.5, 0.9, 0.3, 0.9, 0.35]

SICK = {  # what differs from a healthy history, and what does not yet suffice
    "learning-rate-too-high": ({"generator_step": [0.14, 0.01]}, {"generator_step": [0.1, 0.01]}),
    "learning-rate-too-high ": ({"discriminator_step": 0.14}, {"discriminator_step": 0.1}),
    "exploding-gradients": (
        {"generator_gradient": [0.2, 1.0, 50.0, 60.0]},
        {"generator_gradient": [1e-4, 1.0, 30.0, 60.0]},
    ),
    "exploding-gradients ": (
        {"discriminator_gradient": [0.4, 1.0, 50.0, 60.0]},
        {"discriminator_gradient": [0.4, 1.0, 30.0, 60.0]},
    ),
    "vanishing-gradients": (
        {"generator_gradient": [0.2, 0.1, 1e-4, 1e-5]},
        {"generator_gradient": [0.2, 0.1, 4e-4, 1e-5]},
    ),
    "generator-frozen": ({"generator_step": [0.1, 0.1, 1e-9, 0.0]}, {"generator_step": [0.1, 0.1, 1e-6, 0.0]}),
    "discriminator-loses": ({"discriminator_step": 0.0}, {"discriminator_step": 1e-6}),
    "discriminator-loses ": ({"pairwise_accuracy": [0.9, 0.5, 0.2, 0.1]}, {"pairwise_accuracy": [0.9, 0.5, 0.4, 0.1]}),
    "discriminator-wins": (WINS, WINS | {"pairwise_accuracy": [0.999, 0.999, 0.98, 0.999]}),
    "discriminator-wins ": (WINS, WINS | {"discriminator__adversarial": 0.04}),
    "discriminator-collapse": (
        FLAT | {"pairwise_accuracy": [0.9, 0.7, 0.45, 0.55]},
        FLAT | {"pairwise_accuracy": [0.9, 0.5, 0.5, 0.65]},
    ),
    "discriminator-collapse ": (
        {"pairwise_accuracy": 0.5, "real_spread": [0.5, 1.0, 0.01, 0.01]},
        {"pairwise_accuracy": 0.5, "real_spread": [0.5, 1.0, 0.03, 0.01]},
    ),
    "oscillation": ({"pairwise_accuracy": SWINGING}, {"pairwise_accuracy": [0.7, 0.5, 0.75, 0.5, 0.7, 0.5, 0.75, 0.5]}),
    "mode-collapse": ({"duplicates": [0.0, 0.2, 0.6, 0.7]}, {"duplicates": [0.0, 0.2, 0.4, 0.7]}),
    "mode-collapse ": ({"duplicates": [0.9] * 24}, {"duplicates": [0.9] * 19}),  # it may have begun so
    "posterior-collapse": ({"encoder__rate": [9.0, 1.0, 0.09, 0.01]}, {"encoder__rate": [9.0, 1.0, 0.11, 0.01]}),
    "condition-ignored": ({"condition": [0.5, 0.1, 0.01, 0.0]}, {"condition": [0.5, 0.01, 0.03, 0.0]}),
    "averaged-blur": ({"contrast": [0.9, 0.9, 0.5, 0.35]}, {"contrast": [0.1, 0.1, 0.6, 0.35]}),
    "identity-mapping": (
        STILL | {"change-there": [9.0, 9.0, 2.4, 0.1]},
        STILL | {"change-there": [0.1, 0.1, 2.6, 0.1]},
    ),
    "identity-mapping ": (
        STILL | {"pairwise_accuracy": [0.5, 0.5, 0.76, 0.9]},
        STILL | {"pairwise_accuracy": [0.9, 0.9, 0.74, 0.9]},
    ),
    "steganography": (CYCLE | {"hidden-there": [0.0, 0.0, 0.11, 0.9]}, CYCLE | {"hidden-there": [0.9, 0.9, 0.09, 0.9]}),
    "memorisation": ({"copying": 0.3}, {"copying": [1.0, 1.0, 0.5, 0.3]}),
    "overfitting": ({"overfitting": 0.6}, {"overfitting": [0.1, 0.4, 0.6, 0.6]}),
}


def length(values):
    return max((len(value) for value in values.values() if isinstance(value, list)), default=4)


@pytest.mark.parametrize("name", SICK)
def test_a_symptom_is_seen_beyond_its_limit_and_not_before(name):
    sick, well = SICK[name]
    assert names(reports(length(sick), **HEALTHY | sick)) == [name.strip()]
    assert names(reports(length(well), **HEALTHY | well)) == []


def test_on_points_a_game_may_end_with_an_even_discriminator():
    lines = reports(4, **HEALTHY | FLAT | {"pairwise_accuracy": 0.5})
    assert names(lines, shape=[2]) == []
    assert names(lines, shape=[1, 8, 8]) == ["discriminator-collapse"]


def test_a_healthy_course_has_no_finding_at_any_time():
    lines = reports(12, **HEALTHY)
    assert health.replay(history(lines, looked_at=1_617, distinct=1_617, shape=[1, 8, 8])) == []


def test_what_lasts_for_a_moment_is_no_finding():
    lines = reports(
        6, **HEALTHY | {"duplicates": [0.0, 0.0, 0.9, 0.0, 0.0, 0.9], "pairwise_accuracy": [0.8, 0.1, 0.8, 1, 0.1, 0.8]}
    )
    assert health.replay(history(lines)) == []


@pytest.mark.parametrize("name", ["wgan", "wgan-gp", "began", "ebgan"])
def test_critics_and_autoencoders_may_always_be_right(name):
    lines = reports(
        12, **HEALTHY | {"pairwise_accuracy": 1.0, "discriminator__adversarial": lambda place: -0.5 * place}
    )
    lines = [{**line, "real_logit": 1e3 * line["images"], "fake_logit": -1e3} for line in lines]
    assert names(lines, read_recipe(name)) == []


def test_auto_encoders_may_reconstruct_fakes_better():
    lines = reports(12, **HEALTHY | {"pairwise_accuracy": 0.1})
    assert names(lines, read_recipe("began")) == []
    assert names(lines, read_recipe("wgan-gp")) == ["discriminator-loses"]


def test_a_discriminator_that_loses_under_a_penalty_gets_a_lighter_one():
    (found,) = health.examine(history(reports(12, **HEALTHY | {"pairwise_accuracy": 0.1}), read_recipe("dragan")))
    assert found.advice.startswith("dragan.weight=1, or discriminator_updates=2")


def test_evaluations_tell_of_collapse_and_of_copies():
    lines = reports(4, **HEALTHY)

    def judged(**values):
        floors = {"precision": 0.8, "recall": 0.7}
        return [
            {"images": 20_000, "metric": name.replace("_", "-"), "value": value, "floor": floors.get(name, 0.0)}
            for name, value in values.items()
        ]

    assert names(lines, judged=judged(precision=0.6, recall=0.05)) == ["mode-collapse"]
    assert names(lines[:1], judged=judged(precision=0.6, recall=0.05)) == []  # too early to say
    assert names(lines, judged=judged(precision=0.6, recall=0.09)) == []
    assert names(lines, judged=judged(precision=0.3, recall=0.0)) == []  # bad samples, not few
    assert names(lines, judged=judged(label_kl=1.2)) == ["mode-collapse"]
    assert names(lines, judged=judged(label_kl=0.8)) == []
    assert names(lines, judged=judged(ct=-9.0, ct_pixels=-6.0)) == ["memorisation"]
    assert names(lines, judged=judged(ct=-9.0, ct_pixels=-4.0)) == []  # blurred samples are near in one of them
    late = judged(label_kl=1.2) + judged(label_kl=0.2)
    assert names(lines, judged=late) == []


@pytest.mark.parametrize("sign", [1, -1])
def test_samples_that_were_better_before_are_a_decline(sign):
    lines = reports(4, **HEALTHY)

    def judged(*values):
        scale = {"floor": sign * 80.0, "baseline": sign * 250.0, "higher_is_better": sign < 0}
        return [
            {"images": 10_000 * n, "metric": "fd", "value": sign * value, **scale} for n, value in enumerate(values, 1)
        ]

    assert names(lines, judged=judged(290.0, 350.0)) == ["decline"]
    assert names(lines, judged=judged(290.0, 320.0)) == []  # less than a quarter of 170
    assert names(lines, judged=judged(350.0, 290.0)) == []  # it got better
    assert names(lines, judged=judged(100.0, 200.0, 110.0)) == []  # it came back
    (found,) = health.examine(history(lines, judged=judged(290.0, 353.6)))
    assert found.seen == f"fd {sign * 354} at 20,000 images, {sign * 290} at 10,000"
    assert "best.safetensors, which is kept" in found.advice


RUNNING = [(0.9, "adaptive", True), (0.8, "adaptive", False), (1.0, "fixed", False)]


@pytest.mark.parametrize(("p", "control", "found"), RUNNING)
def test_an_adaptive_augmentation_that_runs_away(p, control, found):
    recipe = settings.assign(ADA, [f"augmentations=ada:control={control}"])
    assert names(reports(4, **HEALTHY, ada__p=p), recipe) == (["ada-runs-away"] if found else [])


DATA = {
    "one": ({"looked_at": 50, "distinct": 1}, ["one-image-repeated"]),
    "fifty": ({"looked_at": 50, "distinct": 50}, ["few-images"]),
    "enough": ({"looked_at": 500, "distinct": 500}, []),
    "doubles": ({"looked_at": 4_000, "distinct": 1_900}, ["repeated-images"]),
    "some doubles": ({"looked_at": 4_000, "distinct": 2_100}, []),
    "points": ({"looked_at": 4_000, "distinct": 1, "shape": [1]}, []),
    "few and doubled": ({"looked_at": 4_000, "distinct": 40}, ["few-images", "repeated-images"]),
}


@pytest.mark.parametrize("name", DATA)
def test_data_that_cannot_teach(name):
    facts, expected = DATA[name]
    assert names(reports(1, **HEALTHY), **facts) == expected


def test_a_number_that_was_not_finite_is_remembered():
    lines = reports(3, **HEALTHY)
    event = {"images": 15_000, "not_finite": "the loss of the generator is not finite after 16,000 images (x). Lower"}
    found = health.examine(history([*lines, event]))
    assert [(one.name, one.severity) for one in found] == [("not-finite", "error")]
    assert found[0].seen == "the loss of the generator is not finite after 16,000 images (x)"
    twice = health.examine(history([*lines, event, {**event, "rollback": 1}]))
    assert twice[0].seen.endswith("(x) (2 times)")


def test_numbers_on_a_line_may_come_to_rest():
    lines = reports(4, **HEALTHY | {"generator_step": 0.0})
    assert names(lines, shape=[2]) == ["generator-frozen"]
    assert names(lines, shape=[1]) == []
    assert names([*lines, {"images": 30_000, "not_finite": "x"}], shape=[1]) == ["not-finite"]


def test_findings_say_numbers_meaning_and_options():
    found = health.examine(history(reports(4, **HEALTHY | {"generator_step": 0.5})))[0]
    assert str(found) == (
        "learning-rate-too-high: one update moved the generator's weights by 50% of their size, at 5,000 images; the "
        "weights are thrown about, and what the start gave them is lost at once. Try generator.lr=4e-06"
    )
    assert "1.4% of its loss at chance is left" in health.examine(history(reports(4, **HEALTHY | WINS)))[0].seen
    text = health.lines([found, dataclasses.replace(found, name="gone", since=5_000, until=30_000)])
    assert text[0] == "warning: learning-rate-too-high since 20,000 images"
    assert text[3] == "  try:   generator.lr=4e-06"
    assert text[4] == "warning: gone from 5,000 to 30,000 images"
    assert len(text) == 7


# ---------------------------------------------------------------------- advice


ADVISED = ["dcgan", "wgan-gp", "rpgan", "sngan-small", "began", "acgan", "stylegan2-ada-small", "gman"]


@pytest.mark.parametrize("name", ADVISED)
def test_every_option_that_is_advised_is_one_that_the_recipe_takes(name):
    recipe, data = read_recipe(name), open_data("digits")
    facts = {"shape": list(data.shape), "classes": len(data.classes), "looked_at": 50, "distinct": 50}
    own = history(reports(4, **HEALTHY | WINS), recipe, **facts)
    own.data["train"] = 1_617
    options = [*advice.penalty(own), advice.slower(own, 4), "augmentations=diffaugment", "pack=2", "objective=hinge"]
    offered = advice.offer(own, *options).split(", or ")
    assert advice.slower(own, 4) in offered
    for option in offered:
        changed = settings.assign(recipe, option.split())
        compatibility.check(changed.game, data.signals, 200_000, changed.batch)
        assert changed != recipe


@pytest.mark.parametrize(
    ("recipe", "words", "offered"),
    [
        ("r3gan-small", ["generator.output=tanh"], True),
        ("stylegan2-small", [], True),
        ("r3gan-small", [], False),  # it has it
        ("r3gan", [], False),  # linear, on photographs
        ("dcgan", [], False),  # no choice
    ],
)
def test_a_generator_without_gradients_is_offered_an_end_that_pixels_come_back_from(recipe, words, offered):
    lines = reports(4, **HEALTHY | {"generator_gradient": [0.2, 0.1, 1e-5, 0.0]})
    found = {one.name: one.advice for one in health.examine(history(lines, read_recipe(recipe, words)))}
    assert ("generator.output=tanh-inward" in found["vanishing-gradients"].split(", or ")) == offered


def test_advice_leaves_out_what_does_not_fit_or_change_anything():
    own = history([], DCGAN, shape=[1, 32, 32], classes=10)
    plain = history([], read_recipe("acgan"), shape=[1, 32, 32], classes=10)
    assert (
        advice.offer(own, "objective=non-saturating", "objective=hinge", "more data") == "objective=hinge, or more data"
    )
    assert advice.offer(plain, "pack=2", "nonsense=1") == "another recipe"
    assert advice.penalty(own) == ("discriminator.norm=none regularizers=r1:gamma=1",)  # batch norm has to go
    assert advice.penalty(history([], read_recipe("wgan-gp"))) == ("gradient-penalty.weight=100",)
    assert advice.weighed(history([], read_recipe("dragan")), 0.1) == ("dragan.weight=1",)
    assert advice.weighed(own, 0.1) == ()
    assert advice.slower(own, 4, ("generator",)) == "generator.lr=5e-05"


BOUNDS = {  # least loss, loss of equal logits of 0
    "non-saturating": (0.0, 2 * np.log(2)),
    "minimax": (0.0, 2 * np.log(2)),
    "hinge": (0.0, 2.0),
    "relativistic": (0.0, np.log(2)),
    "wasserstein": None,
}


@pytest.mark.parametrize("name", BOUNDS)
def test_what_a_discriminator_can_lose(name):
    found = advice.bounds(read_recipe("dcgan", [f"objective={name}"]).game)
    assert found == (None if BOUNDS[name] is None else pytest.approx(BOUNDS[name], abs=1e-6))


def test_smoothed_targets_leave_a_loss_that_nobody_can_avoid():
    least, chance = advice.bounds(read_recipe("dcgan", ["objective=non-saturating:real_target=0.9"]).game)
    entropy = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    assert entropy <= least < 1.3 * entropy  # of a coarse search
    assert chance == pytest.approx(2 * np.log(2))


def test_auto_encoders_and_objectives_with_a_memory_have_no_bounds():
    assert advice.bounds(read_recipe("began").game) is None
    assert advice.bounds(read_recipe("ebgan").game) is None


def test_swings_run_from_turning_point_to_turning_point():
    assert advice.swings([0.0, 0.2, 0.5, 0.4, 0.1, 0.9]) == pytest.approx([0.5, 0.4, 0.8])
    assert advice.swings([1.0, 1.0, 1.0]) == [0.0]
    assert advice.swings([]) == []


# ---------------------------------------------------------------------- the monitor


def test_since_and_until_are_clocks_of_reports():
    shares = [0.0, 0.0, 0.9, 0.9, 0.9, 0.0, 0.0, 0.9, 0.9, 0.9]
    lines = reports(10, **HEALTHY | {"duplicates": shares})
    found = health.replay(history(lines))
    assert [(one.name, one.since, one.until) for one in found] == [
        ("mode-collapse", 45_000, None),
        ("mode-collapse", 20_000, 30_000),
    ]
    assert all("findings" not in line for line in lines)  # a replay leaves the files' lines alone


def test_an_evaluation_counts_from_the_next_report_and_at_the_end():
    judged = [{"images": images, "metric": "label-kl", "value": 2.0} for images in (15_000, 30_000)]
    found = health.replay(history(reports(6, **HEALTHY), judged=judged))
    assert [(one.name, one.since, one.until) for one in found] == [("mode-collapse", 20_000, None)]
    late = health.replay(history(reports(6, **HEALTHY), judged=judged[1:]))
    assert [(one.name, one.since, one.until) for one in late] == [("mode-collapse", 30_000, None)]


def test_an_event_does_not_end_what_lasts():
    lines = reports(6, **HEALTHY | {"duplicates": [0.0, 0.0, 0.9, 0.9, 0.9, 0.9]})
    lines.insert(5, {"images": 27_000, "ended": "x"})
    assert [one.since for one in health.replay(history(lines))] == [20_000]


def test_a_player_without_a_gradient_rests_for_another_reason():
    dead = {"discriminator_step": 0.0, "discriminator_gradient": [0.5, 0.1, 1e-5, 0.0]}
    assert names(reports(4, **HEALTHY | WINS | dead)) == ["discriminator-wins"]
    dead = {"generator_step": 0.0, "generator_gradient": [0.5, 0.1, 1e-5, 0.0]}
    assert names(reports(4, **HEALTHY | dead)) == ["vanishing-gradients"]


def test_a_live_monitor_and_a_replay_agree():
    shares = [0.0, 0.0, 0.9, 0.9, 0.9, 0.0, 0.0, 0.9, 0.9, 0.9]
    lines, live = [], []
    for line in reports(10, **HEALTHY | {"duplicates": shares}):
        lines.append(line)
        live += [(one.name, one.since) for one in health.note(history(lines)) if one.since == line["images"]]
    assert live == [("mode-collapse", 20_000), ("mode-collapse", 45_000)]
    assert [line["images"] for line in lines if "findings" in line] == [20_000, 25_000, 45_000, 50_000]
    assert "90% of samples have a near duplicate" in lines[3]["findings"]["mode-collapse"]
    again = health.replay(history(copy.deepcopy(lines)))
    assert sorted(one.since for one in again) == [20_000, 45_000]


def short(path, *more, data="digits", images=480, name="mlp", quiet=True):
    return zerosum.train(data, name, [*words(name), *EAGER, *more], images=images, out=path, quiet=quiet)


LIVE = {
    "learning-rate-too-high": ["generator.lr=0.2", "discriminator.lr=0.2"],
    "discriminator-loses": ["discriminator.lr=1e-12"],
    "generator-frozen": ["generator.lr=1e-12"],
}


@pytest.mark.parametrize("name", LIVE)
def test_a_deliberate_failure_is_said_once_written_and_found_by_the_doctor(tmp_path, name, capfd):
    run = short(tmp_path / "run", *LIVE[name], quiet=False)
    said = " ".join(capfd.readouterr().err.split())
    assert said.count(f"{name}: ") == 1
    assert [line for line in run.metrics if name in line.get("findings", {})]
    found = health.diagnose(run.path)
    assert [one.name for one in found] == [name]
    assert found[0].until is None
    done = CliRunner().invoke(doctor_app(), ["doctor", str(run.path)])
    assert done.exit_code == 0
    assert f"{name} since {found[0].since:,} images" in done.stdout
    assert f"try:   {found[0].advice}" in done.stdout


def doctor_app():
    from zerosum.cli.main import app

    return app


def test_latents_that_cost_too_much_say_nothing():
    settings = ["beta=100", "encoder.lr=0.01", "batch=200"]
    engine, feed = table("vae", *settings)
    lines = []
    while feed.position < 15_000:
        engine.turn(feed)
        if feed.position % 5_000 == 0:
            lines.append({"images": feed.position, "images_per_second": 1.0, **engine.meter.take("report")})
    (found,) = health.examine(history(lines, read_recipe("vae", settings)))
    assert found.name == "posterior-collapse"
    assert found.seen.startswith("the latents of a sample carry 0.0")
    assert found.advice == "beta=1, or a decoder with fewer layers"
    light = read_recipe("vae", ["likelihood=gaussian", "beta=0.1"])
    assert names(reports(4, encoder__rate=0.05), light) == []  # it costs a tenth of what it is
    own = history(reports(4, encoder__rate=0.005), light)
    assert health.examine(own)[0].advice == "beta=0.01, or deviation=0.05, or a decoder with fewer layers"
    assert names(reports(4, encoder__rate=0.0), read_recipe("vae", ["beta=0"])) == []


@pytest.mark.parametrize(("which", "name"), [([3], "one-image-repeated"), (range(50), "few-images")])
def test_data_that_cannot_teach_are_said(tmp_path, which, name):
    digits = open_data("digits")
    np.save(tmp_path / "data.npy", digits.values[list(which)].repeat(60 // len(which), axis=0))
    run = short(tmp_path / "run", data=tmp_path / "data.npy", images=192)
    assert [one.name for one in health.diagnose(run.path)] == [name]


def test_what_waits_for_images_sees_nothing_before_and_the_doctor_says_that_it_waits():
    whole = reports(4, **HEALTHY)
    assert health.early(history(whole)) is None
    told = health.early(history(whole[:1]))
    assert told.startswith("too early to judge: 5,000 of the 10,000 images that exploding-gradients, vanishing-")
    assert "1 of the 2 reports that" in health.early(history(whole[-1:]))
    assert health.early(history(whole[:1], shape=[1])) is None  # two numbers on a line may rest
    waiting = {symptom.name for symptom in symptoms.SYMPTOMS if symptom.needs}
    assert all(f"{name}," in told or f"{name} need" in told for name in waiting)
    for name, (sick, _) in SICK.items():
        if name.strip() in waiting - {"discriminator-loses"}:  # which also sees at once that nothing moves
            count = min(12, *(len(values) for values in sick.values() if isinstance(values, list)), 12)
            assert name.strip() not in names(reports(count, every=9_000 // count, **HEALTHY | sick))


def test_a_healthy_run_has_no_finding_and_the_doctor_says_so(tmp_path):
    run = short(tmp_path / "run", name="rpgan", images=960)
    assert not any("findings" in line for line in run.metrics)
    done = CliRunner().invoke(doctor_app(), ["doctor", str(run.path), "--json"])
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert found.pop("early").startswith("too early to judge: 960 of the 10,000 images that exploding-gradients, ")
    assert found == {"run": str(run.path), "images": 960, "healthy": None, "findings": []}
    plain = CliRunner().invoke(doctor_app(), ["doctor", str(run.path)])
    assert plain.stdout == ""
    assert "too early to judge: 960 of the 10,000 images that" in plain.stderr
    assert re.search(r", [a-z-]+ need; nothing is wrong so far", plain.stderr)
    assert "Nothing is wrong so far, and it is too early to judge" in (run.path / "report.html").read_text()
    numbers = {"pairwise_accuracy", "real_spread", "generator_gradient", "discriminator_step", *diagnostics.NUMBERS}
    assert numbers <= run.metrics[0].keys()


def test_the_doctor_needs_nothing_but_the_lines(tmp_path):
    run = short(tmp_path / "run", images=192)
    path = run.path / "metrics.jsonl"
    lines = reports(4, **HEALTHY | WINS)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"images": 25000, "corr')  # cut off
    done = CliRunner().invoke(doctor_app(), ["doctor", str(run.path), "--json"])
    found = json.loads(done.stdout)
    assert not found["healthy"]
    assert [(one["name"], one["severity"], one["since"], one["until"]) for one in found["findings"]] == [
        ("discriminator-wins", "warning", 10_000, None)
    ]
    path.write_text("")
    empty = CliRunner().invoke(doctor_app(), ["doctor", str(run.path)])
    assert "nothing has been reported yet" in empty.stderr


def test_the_doctor_refuses_what_is_no_run(tmp_path):
    with pytest.raises(RunError, match="is not a run directory"):
        health.diagnose(tmp_path)
    done = CliRunner().invoke(doctor_app(), ["doctor", str(tmp_path)])
    assert done.exit_code == 2
    assert "is not a run directory" in done.stderr


def test_every_symptom_has_a_name_of_its_own_and_a_test():
    listed = [one.name for one in symptoms.SYMPTOMS]
    assert len(listed) == len(set(listed))
    tested = {name.strip() for name in SICK} | {"not-finite", "ada-runs-away", "decline"}
    tested |= {name for _, found in DATA.values() for name in found}
    assert set(listed) == tested


def test_each_report_reads_what_is_new_alone(tmp_path, monkeypatch):
    read = []
    value = history_module._value
    monkeypatch.setattr(history_module, "_value", lambda line, name: read.append(line["images"]) or value(line, name))
    short(tmp_path / "run", images=96 * 8)
    times = Counter(read)
    assert len(times) >= 8
    assert max(times.values()) <= 2 * min(times.values())  # however many reports came before and after
