"""The benchmark on toys: its table of methods is sound, results are kept at once and found again, floors are right."""

import json
import math

import numpy as np
import pytest

from benchmarks import toys
from zerosum.core import compatibility
from zerosum.core.errors import RecipeError, TrainingError
from zerosum.core.values import Length
from zerosum.data import open_data
from zerosum.data.mixtures import MIXTURES

TINY = ("length=512", "batch=64", "generator.widths=8", "discriminator.widths=8")


@pytest.fixture(scope="module")
def data():
    return {name: open_data(toy.data) for name, toy in toys.TOYS.items()}


def test_every_method_fits_its_toys(data):
    for toy, method, _ in toys.chosen(list(toys.TOYS), list(toys.METHODS), 1):
        made = toys.recipe(toy, method)
        total = made.length.samples(90_000)
        compatibility.check(made.game, data[toy].signals, total, made.batch)
        assert (made.recipe, made.batch) == (method, 128)


def test_methods_differ_and_toys_are_the_same_for_all():
    jobs = toys.chosen(["ring", "imbalance"], list(toys.METHODS), 1)
    assert len({(toy, toys.fingerprint(toys.recipe(toy, name))) for toy, name, _ in jobs}) == len(jobs)
    for toy, name, _ in jobs:
        made = toys.recipe(toy, name)
        game = made.game
        if toy == "ring":
            assert made.length == Length(3000 * 128), name
            continue
        assert made.length == Length(600 * 128), name
        assert (game.generator_updates, game.discriminator_updates, game.latent.size) == (5, 1, 8), name
        assert game.generator.network.widths == game.discriminator.network.widths == (64, 64, 64), name
        assert game.generator.schedule.name == "constant", name
        assert game.generator.average.name == "none", name


def test_settings_reach_the_parts():
    game = toys.recipe("grid", "relativistic-r1-r2").game
    assert game.objective.name == "relativistic"
    assert [(one.name, one.gamma) for one in game.regularizers] == [("r1", 0.02), ("r2", 0.02)]
    assert (game.discriminator.optimizer.beta1, game.discriminator.optimizer.beta2) == (0.0, 0.99)
    game = toys.recipe("imbalance", "relativistic-r1-r2").game
    assert [(one.name, one.gamma) for one in game.regularizers] == [("r1", 1.0), ("r2", 1.0)]
    assert (game.generator.optimizer.beta1, game.generator.optimizer.beta2) == (0.5, 0.999)
    assert toys.recipe("imbalance", "non-saturating").game.regularizers == ()
    assert toys.recipe("ring", "wasserstein-gp").game.discriminator_updates == 5
    assert toys.recipe("imbalance", "wasserstein-gp").game.discriminator_updates == 1
    assert toys.recipe("imbalance", "pacgan-4").game.pack == 4
    assert toys.recipe("imbalance", "unrolled-5").game.depth == 5
    network = toys.recipe("imbalance", "minibatch").game.discriminator.network
    assert (network.minibatch, network.kernels) == ("discrimination", 16)


@pytest.mark.parametrize("toy", ["ring", "grid", "imbalance"])
def test_the_floor_is_what_numpy_says(toy):
    mixture = MIXTURES[toys.TOYS[toy].data]
    modes, found = len(mixture.centres), []
    for seed in range(40):
        points = mixture.sample(seed, 2500).astype(np.float64)
        distance = np.linalg.norm(points[:, None] - mixture.centres, axis=2)
        share = np.bincount(distance.argmin(1), minlength=modes) / 2500
        found += [((distance.min(1) < 3 * mixture.spread).mean(), (share * np.log(share * modes)).sum())]
    floor = toys.floor(toy)
    assert floor["modes"] == modes
    assert floor["high_quality"] == pytest.approx(np.mean(found, axis=0)[0], abs=1e-9)
    assert floor["reverse_kl"] == pytest.approx(np.mean(found, axis=0)[1], abs=1e-9)
    assert floor["high_quality"] == pytest.approx(1 - math.exp(-4.5), abs=2e-3)
    assert floor["reverse_kl"] == pytest.approx((modes - 1) / 5000, rel=0.2)


def test_results_are_kept_at_once_and_found_again(tmp_path, monkeypatch):
    path, jobs = tmp_path / "results" / "toys.jsonl", [("ring", "pacgan-4", 0), ("ring", "least-squares", 1)]
    first = toys.bench(jobs[:1], path, words=TINY)
    assert [json.loads(line) for line in path.read_text().splitlines()] == first
    assert {"toy": "ring", "method": "pacgan-4", "seed": 0, "measurements": 1}.items() <= first[0].items()
    assert 0 <= first[0]["high_quality"] <= 1

    path.write_text(path.read_text() + '{"toy": "ring", "meth')  # killed while it wrote
    play, asked = toys.play, []
    monkeypatch.setattr(toys, "play", lambda job, words: asked.append(job) or play(job, words))
    both = toys.bench(jobs, path, words=TINY)
    assert asked == jobs[1:]
    assert both[0] == first[0]
    assert [(line["method"], line["seed"]) for line in both] == [("pacgan-4", 0), ("least-squares", 1)]
    assert toys.bench(jobs, path, words=TINY) == both
    assert asked == jobs[1:]

    toys.bench(jobs[:1], path, words=(*TINY, "generator.lr=3e-4"))  # other settings: the line does not count
    assert asked == [*jobs[1:], jobs[0]]


def test_a_result_depends_on_the_seed_alone():
    def found(seed):
        line = toys.play(("ring", "hinge", seed), TINY)
        return [line[name] for name in ("modes", "high_quality", "reverse_kl", "last_modes")]

    assert found(1) == found(1)
    assert found(1) != found(2)


def test_the_imbalance_is_measured_in_its_second_half():
    line = toys.play(("imbalance", "hinge", 0), (*TINY, "length=7680"))  # 120 turns
    assert line["measurements"] == 3  # after turns 80, 100, 120
    assert 0 <= line["reverse_kl"] <= math.log(8)


def test_a_broken_training_is_a_result(monkeypatch):
    def broken(*_):
        raise TrainingError("the loss is not finite")

    monkeypatch.setattr(toys, "moments", broken)
    line = toys.play(("ring", "hinge", 0))
    assert line["failed"] == "the loss is not finite"
    assert "the loss is not finite" in toys.summary(line)
    assert "| hinge | failed | failed | failed | failed |" in toys.table([line])


def test_the_table_and_what_must_hold():
    def line(toy, method, seed, modes, quality, divergence):
        return {"toy": toy, "method": method, "seed": seed, "modes": modes, "high_quality": quality,
                "reverse_kl": divergence, "last_modes": 7, "seconds": 3.0}  # fmt: skip

    lines = [
        line("grid", "relativistic-r1-r2", 1, 25, 0.949, 0.002),
        line("grid", "relativistic-r1-r2", 0, 25, 0.964, 0.25),
        line("grid", "relativistic-r1-r2", 2, 24, 0.97, 0.002),
        line("imbalance", "minibatch", 0, 7.4, 0.6, 0.29),
        line("imbalance", "minibatch", 1, 7.4, 0.6, 0.31),
        line("imbalance", "hinge", 0, 0.5, 0.1, 1.6),
    ]
    text = toys.table(lines)
    assert "| relativistic-r1-r2 | 25, 25, 24 | 96.4, 94.9, 97.0 | 0.25, 0.0020, 0.0020 | 7, 7, 7 |" in text
    assert f"| *perfect sampler* | 25 | 98.9 | {toys.floor('grid')['reverse_kl']:.4f} | 25 |" in text
    assert "| grid | relativistic-r1-r2 | 25 of 25 modes, high quality at least 95 % | 1 of 3 |" in text
    assert "| imbalance | minibatch | at least 7 of 8 modes, reverse KL below 0.3 | 1 of 2 |" in text
    assert "| imbalance | hinge | collapses: reverse KL above 1.5 | 1 of 1 |" in text
    assert "### ring" not in text
    assert text.index("| hinge |") < text.index("| minibatch |")


def test_only_what_exists_can_be_chosen():
    with pytest.raises(SystemExit, match="there is no 'rings'; toys are ring, grid, imbalance"):
        toys.chosen(["rings"], ["hinge"], 1)
    with pytest.raises(SystemExit, match="there is no 'wgan'"):
        toys.chosen(["ring"], ["wgan"], 1)
    assert toys.chosen(["grid"], ["must"], 2) == [("grid", "relativistic-r1-r2", 0), ("grid", "relativistic-r1-r2", 1)]
    assert ("imbalance", "veegan", 0) not in toys.chosen(["imbalance"], list(toys.METHODS), 1)


def test_a_game_that_cannot_follow_a_toy_is_refused():
    with pytest.raises(RecipeError, match="generator_updates"):
        toys.recipe("imbalance", "gman-3")
