"""What a training will take: precision by measurement, memory and time before the first image; nothing of it trains."""

import dataclasses
import itertools
import json
import re
import sys
import time

import numpy as np
import pytest
import torch

import zerosum
from benchmarks import speed
from tests.small import DATA, EAGER, table, words
from zerosum.core import compatibility, usercode
from zerosum.core.errors import RecipeError, TrainingError
from zerosum.data import Feed, open_data
from zerosum.networks.space import Space
from zerosum.recipes import read_recipe
from zerosum.runs.storage import machine
from zerosum.runs.training import plan, rehearsal, session
from zerosum.runs.training import race as racing
from zerosum.runs.training.footprint import network_bytes
from zerosum.runs.training.race import is_clear, race, typical
from zerosum.runs.training.rehearsal import Measured, Rehearsal

GIB = 1 << 30
rehearsal_stopwatch = rehearsal.stopwatch  # before tests put theirs in its place


@pytest.fixture(scope="module")
def digits():
    return open_data("digits")


@pytest.fixture
def bf16_here(monkeypatch):
    monkeypatch.setattr(plan, "computes_in_bf16", lambda device: True)


class Stopwatch:
    """A clock that runs while turns are played: as long as their precision and batch say."""

    def __init__(self, monkeypatch, seconds):
        self.now, self.seconds, self.played = 0.0, seconds, []
        monkeypatch.setattr(rehearsal, "stopwatch", lambda device: lambda: self.now)
        monkeypatch.setattr(rehearsal.Engine, "turn", lambda engine, feed: self.turn(engine, feed))
        monkeypatch.setattr(
            rehearsal, "product", lambda precision, device, clock: 0.01 if precision == "fp32" else 0.005
        )

    def turn(self, engine, feed):
        due = all(seat.updates == 0 for seat in engine.learners.values())
        self.played.append((engine.precision, feed.batch, due))
        self.now += self.seconds(engine.precision, feed.batch, due)


def rehearsed(digits, name="dcgan", *settings, **options):
    recipe = read_recipe(name, [*words(name), *settings])
    feed = Feed(digits, 2)
    return recipe, plan.rehearse(recipe, digits.signals, feed, 1000, lambda text: None, **options)


# ---------------------------------------------------------------------- the race


@pytest.mark.parametrize(
    ("bf16", "chosen", "text"),
    [
        (0.5, "bf16", "bf16: 2.00 x fp32 by measurement"),
        (2.0, "fp32", "fp32: bf16 would be 0.50 x by measurement"),
        (0.97, "bf16", "bf16: 1.03 x fp32 by measurement"),
        (0.99, "fp32", "fp32: bf16 would be 1.01 x by measurement"),  # a tie
    ],
)
def test_the_faster_precision_is_taken_and_remembered(digits, monkeypatch, bf16_here, bf16, chosen, text):
    watch = Stopwatch(monkeypatch, lambda precision, batch, due: 1e-3 * batch * (bf16 if precision == "bf16" else 1))
    _, measured = rehearsed(digits, "dcgan", f"generator.lr={bf16}")
    assert (measured.precision, str(measured)) == (chosen, text)
    assert measured.seconds_per_image == pytest.approx(1e-3 * (bf16 if chosen == "bf16" else 1))
    assert watch.now < 2
    assert max(batch for _, batch, _ in watch.played) == 16  # the recipe's own
    played = len(watch.played)
    _, again = rehearsed(digits, "dcgan", f"generator.lr={bf16}", "seed=7", "length=5k")
    assert (str(again), len(watch.played)) == (f"{text}, remembered", played + 1)
    rehearsed(digits, "dcgan", f"generator.lr={bf16}", "batch=32")
    assert len(watch.played) > played + 2  # other shapes are measured anew


def test_measuring_ends_in_time_however_slow_a_turn_is(digits, monkeypatch, bf16_here):
    for number, seconds in enumerate((1e-4, 0.01, 0.05, 0.2, 0.3, 0.8)):
        watch = Stopwatch(monkeypatch, lambda precision, batch, due, s=seconds: s * batch)
        _, measured = rehearsed(digits, "dcgan", f"generator.lr={number + 11}")
        assert watch.now - 2 * seconds < 2.0, seconds  # beside the turn that proves the recipe
        assert measured.compared == ("matrix products" if seconds > 0.25 else "measurement")
    assert str(measured) == "bf16: 2.00 x fp32 by matrix products"


def test_what_a_cast_costs_does_not_decide_for_large_batches(digits, monkeypatch, bf16_here):
    """bf16 loses at the batches that there is time for, and wins at the recipe's own."""
    watch = Stopwatch(
        monkeypatch, lambda precision, batch, due: 0.02 * batch if precision == "fp32" else 0.1 + 0.005 * batch
    )
    _, measured = rehearsed(digits, "dcgan", "batch=64")
    assert max(batch for _, batch, _ in watch.played) == 16
    assert str(measured) == "bf16: 3.05 x fp32 by measurement"  # 1.28 against 0.42 seconds
    assert measured.seconds_per_image == pytest.approx(0.42 / 64)
    watch = Stopwatch(monkeypatch, lambda precision, batch, due: 0.2 * batch)
    _, measured = rehearsed(digits, "dcgan", "batch=64", "generator.lr=0.3")
    assert max(batch for _, batch, _ in watch.played) == 2
    assert measured.compared == "matrix products"  # two images say nothing about 64


def test_a_turn_that_takes_as_long_at_any_batch_is_expected_to(digits, monkeypatch, bf16_here):
    Stopwatch(monkeypatch, lambda precision, batch, due: 0.2)
    _, measured = rehearsed(digits, "dcgan", "batch=64", "generator.lr=0.7")
    assert measured.seconds_per_image == pytest.approx(0.2 / 64)


def test_on_a_busy_machine_one_thread_is_measured(monkeypatch):
    monkeypatch.setattr(racing, "STARVED", 0.8)
    before = torch.get_num_threads()
    with racing.one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
    began = time.perf_counter(), time.thread_time()
    time.sleep(0.02)
    assert racing.starved(torch.device("cpu"), *began)
    assert not racing.starved(torch.device("cuda"), *began)
    began = time.perf_counter() + 1, time.thread_time()  # more of its own than has passed
    assert not racing.starved(torch.device("cpu"), *began)


def test_points_and_what_cannot_be_compared_are_fp32(digits, monkeypatch):
    recipe = read_recipe("mixture")
    space = open_data("ring8").signals
    monkeypatch.setattr(plan, "computes_in_bf16", lambda device: True)
    assert plan.candidates(recipe, space, torch.device("cpu")) == ("fp32",)
    assert plan.candidates(recipe.replace(precision="bf16"), space, torch.device("cpu")) == ("bf16",)
    image = read_recipe("dcgan")
    space = digits.signals
    assert plan.candidates(image, space, torch.device("cpu")) == ("fp32", "bf16")
    monkeypatch.setattr(plan, "computes_in_bf16", lambda device: False)
    assert plan.candidates(image, space, torch.device("cpu")) == ("fp32",)


def test_a_precision_that_fails_is_left_aside_and_said(digits, monkeypatch, bf16_here):
    turn = rehearsal.Engine.turn

    def turned(engine, feed):
        if engine.precision == "bf16":
            raise NotImplementedError("no kernel for BFloat16\nmore words")
        turn(engine, feed)

    monkeypatch.setattr(racing, "STARVED", 0.0)
    monkeypatch.setattr(rehearsal.Engine, "turn", turned)
    _, measured = rehearsed(digits, "dcgan", "generator.lr=0.123")
    assert str(measured) == "fp32 (bf16 fails here: no kernel for BFloat16)"
    with monkeypatch.context() as patch:  # it may have been a shortage of memory, so it is tried again
        patch.setattr(rehearsal.Engine, "turn", turn)
        assert not rehearsed(digits, "dcgan", "generator.lr=0.123")[1].refused
    with pytest.raises(RecipeError, match="a trial turn on a few samples failed: NotImplementedError: no kernel"):
        rehearsed(digits, "dcgan", "precision=bf16")


def test_a_race_stops_where_it_is_clear_or_time_is_over():
    assert not is_clear({"a": [1, 1], "b": [2, 2]}, 2)
    assert is_clear({"a": [1] * 3, "b": [1.3] * 3}, 3)
    assert not is_clear({"a": [1] * 3, "b": [1.1] * 3}, 3)
    assert is_clear({"a": [1] * 8, "b": [1.1] * 8}, 8)
    assert not is_clear({"a": [1] * 8, "b": [1.01] * 8}, 8)
    steps = {"a": lambda: 1.0, "b": lambda: 1.0}
    assert len(race(steps, 1e9, itertools.count().__next__)["a"]) == racing.MOST
    assert race(steps, 0, itertools.count(0, 10).__next__) == {"a": [1.0], "b": [1.0]}
    assert 3 < len(race(steps, 200, itertools.count(0, 10).__next__)["b"]) < 12


def test_work_is_timed_and_not_waiting():
    """On a CPU other processes do not count; on a GPU this thread only waits."""
    assert rehearsal_stopwatch(torch.device("cpu")) is time.thread_time
    assert rehearsal_stopwatch(torch.device("cuda")) is time.perf_counter


def test_noise_that_only_slows_does_not_decide():
    noisy = [1.0, 9.0, 1.0, 1.01, 7.0, 1.0, 1.02, 1.0]
    assert typical(noisy) == pytest.approx(1.0)
    assert typical([3.0, 2.0]) == 2.0


def test_what_a_busy_machine_says_is_not_remembered(digits, monkeypatch, bf16_here):
    Stopwatch(monkeypatch, lambda precision, batch, due: 1e-3 * batch * (2 if precision == "bf16" else 1))
    monkeypatch.setattr(racing, "STARVED", 1e9)
    for _ in range(2):
        _, measured = rehearsed(digits, "dcgan", "generator.lr=0.321")
        assert str(measured) == "fp32: bf16 would be 0.50 x by measurement on a busy machine"
    monkeypatch.setattr(racing, "STARVED", 0.0)
    for text in ("by measurement", "by measurement, remembered"):
        _, measured = rehearsed(digits, "dcgan", "generator.lr=0.321")
        assert str(measured).endswith(text)


def test_what_a_turn_costs_beside_its_images_does_not_hide_the_recipes_own_batch(digits, monkeypatch, bf16_here):
    """Most of a turn on two images is no arithmetic: bf16 is slower there, and faster at the batch that is trained."""
    watch = Stopwatch(
        monkeypatch,
        lambda precision, batch, due: 0.03 + 0.02 + 2e-3 * batch if precision == "bf16" else 0.03 + 9e-3 * batch,
    )
    _, measured = rehearsed(digits, "dcgan", "generator.lr=0.322", "batch=64")
    assert measured.precision == "bf16"
    assert measured.ratio > 2  # 0.048 / 0.054 on two images
    assert watch.now < 2 + 0.05


# ---------------------------------------------------------------------- what is seldom, and what trains


def test_regularizers_that_come_seldom_count_by_their_share(digits, monkeypatch):
    Stopwatch(monkeypatch, lambda precision, batch, due: 1e-3 * batch * (9 if due else 1))
    changes = ("regularizers=r1:gamma=1,every=16", "discriminator.norm=none", "precision=fp32")
    _, measured = rehearsed(digits, "dcgan", *changes)
    assert measured.seconds_per_image == pytest.approx(1e-3 * (1 + 8 / 16))
    assert rehearsal.seldom_share(read_recipe("dcgan").game) == 0.0


def test_a_rehearsal_moves_no_weight_and_no_random_number():
    engine, feed = table("wgan-gp")
    before = {name: weight.clone() for name, weight in engine.network("generator").named_parameters()}
    torch.manual_seed(3)
    Rehearsal(engine, feed, 16).run(("fp32", "bf16"))
    drawn = torch.rand(3)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(3))
    for name, weight in engine.network("generator").named_parameters():
        assert torch.equal(weight, before[name]), name


def test_a_training_does_not_depend_on_its_rehearsal(tmp_path, monkeypatch):
    settings = [*words("mlp"), *EAGER, "precision=fp32", "evaluator.metrics=sliced-wasserstein"]
    runs = []
    monkeypatch.setattr(racing, "STARVED", 0.0)
    monkeypatch.setenv("ZEROSUM_CACHE", str(tmp_path / "empty"))
    for name in ("measured", "remembered"):
        runs.append(zerosum.train("digits", "mlp", settings, images=96, out=tmp_path / name, quiet=True))
    monkeypatch.setattr(racing, "MOST", 1)
    monkeypatch.setenv("ZEROSUM_CACHE", str(tmp_path / "cache"))
    runs.append(zerosum.train("digits", "mlp", settings, images=96, out=tmp_path / "measured otherwise", quiet=True))
    assert len({(run.path / "model.safetensors").read_bytes() for run in runs}) == 1
    told = [json.loads((run.path / "environment.json").read_text())["measured"] for run in runs]
    assert [one["compared"] for one in told] == ["measurement", "measurement, remembered", "measurement"]


def test_a_damaged_memory_is_measured_again(tmp_path):
    place = tmp_path / "deep" / "x.json"
    measured = Measured("fp32", 0.5, 7, 8, 1.2)
    plan.remember(place, json.dumps(dataclasses.asdict(measured)).encode())
    assert plan.recall(place) == measured
    for text in ("{", "[]", '{"precision": "fp32"}', "\xff"):
        place.write_bytes(text.encode("latin-1"))
        assert plan.recall(place) is None
    plan.remember(tmp_path / "deep" / "x.json" / "y.json", b"{}")  # cannot be written: only costs time


def test_what_uses_a_part_of_ones_own_is_not_remembered():
    class Mine(type(read_recipe("dcgan").game.objective)):
        pass

    game = read_recipe("dcgan").game
    assert not plan.has_own_parts(game)
    assert plan.has_own_parts(game.replace(objective=Mine()))


# ---------------------------------------------------------------------- memory and time


def test_memory_is_measured_from_small_batches(monkeypatch):
    engine, feed = table("dcgan")
    peaks = iter([5000, 5000, 9000, 30_000])
    monkeypatch.setattr(rehearsal, "SCRATCH", 0)
    monkeypatch.setattr(machine, "used", lambda device: 1000)
    monkeypatch.setattr(machine, "peak", lambda device: next(peaks) + 100 * feed.batch * 1000)
    monkeypatch.setattr(machine, "reset_peak", lambda device: None)
    rehearsed = Rehearsal(engine, feed, 16, before=400)
    rehearsed.play("fp32", 2)
    state = rehearsal.state_bytes(engine)
    assert rehearsed._footprint()[1] == max(0, 5000 + 200_000 - 1000 - state) // 2  # the first turn makes the state
    rehearsed.play("fp32", 2)
    assert rehearsed._footprint()[1] == (4000 + 200_000) // 2
    rehearsed.play("fp32", 8)
    fixed, per_image = rehearsed._footprint()
    assert per_image == (8000 + 800_000 - 4000 - 200_000) // 6
    assert fixed == max(state, 809_000 - 8 * per_image - 400)


def test_state_is_what_players_hold():
    engine, feed = table("mlp", "generator.average=none", "discriminator.average=none")
    engine.turn(feed)
    numbers = sum(weight.numel() for seat in engine.learners.values() for weight in seat.parameters)
    assert rehearsal.state_bytes(engine) == pytest.approx(4 * numbers * 4, rel=0.02)  # weights, gradients, two moments


def test_a_training_that_does_not_fit_is_refused_with_the_batch_that_does():
    recipe = read_recipe("dcgan", ["batch=64"])
    measured = Measured("fp32", 0.1, fixed=2 * GIB, per_image=GIB // 2)
    said = []
    with pytest.raises(RecipeError, match=r"needs about 34.0 GiB of memory at batch=64, and 16.0 GiB are free; ") as e:
        plan.check_memory(recipe, measured, 16 * GIB, said.append)
    assert str(e.value).endswith("batch=16 needs about 10.0 GiB")
    with pytest.raises(RecipeError, match=r"smaller size= .half the size needs about a quarter., or fewer channels"):
        plan.check_memory(recipe, measured, 2 * GIB, said.append)
    assert said == []
    plan.check_memory(recipe, measured, 33 * GIB, said.append)
    assert said == [
        "training needs about 34.0 GiB of memory at batch=64, and 33.0 GiB are free: that may not be enough; "
        "batch=32 needs about 18.0 GiB"
    ]
    plan.check_memory(recipe, measured, 100 * GIB, said.append)
    plan.check_memory(recipe, Measured("fp32", 0.1, None, 0), 1, said.append)
    assert len(said) == 1


def test_a_batch_that_fits_is_whole_packs():
    recipe = read_recipe("pacgan", ["batch=60", "pack=3"])
    measured = Measured("fp32", 0.1, fixed=0, per_image=GIB)
    assert plan.fitting(recipe, measured, 30 * GIB) == "batch=24 needs about 24.0 GiB"


def test_what_cannot_fit_is_refused_before_a_turn_is_tried(monkeypatch):
    space = Space((3, 128, 128), 512)
    recipe = read_recipe("stylegan2-ada")
    kept = compatibility.check(recipe.game, space.signals, 10**6, recipe.batch)
    assert 300 < kept / 2**20 < 600  # a turn was measured to take 943
    monkeypatch.setattr(machine, "free", lambda device: 20 * GIB)
    with pytest.raises(
        RecipeError, match=r"needs more than 28.\d GiB of memory at batch=64, and 20.0 GiB are free; "
    ) as e:
        plan.check_least(recipe, kept, torch.device("cpu"))
    assert str(e.value).endswith("batch=16 needs about 14.1 GiB")
    plan.check_least(recipe.replace(batch=32), kept, torch.device("cpu"))  # to be measured
    plain = read_recipe("dcgan")
    plan.check_least(plain, 39 * GIB // 64, torch.device("cpu"))  # in bf16 it may take half
    with pytest.raises(RecipeError, match="needs more than"):
        plan.check_least(plain.replace(precision="fp32"), 39 * GIB // 64, torch.device("cpu"))


def test_what_a_pass_keeps_is_counted(digits):
    """By hand: inputs of each layer, and what LeakyReLU and BatchNorm keep."""
    recipe = read_recipe("mlp", words("mlp"))
    kept = compatibility.check(recipe.game, digits.signals, 1000, 16)
    wider = read_recipe("mlp", [*words("mlp"), "discriminator.widths=32/16"])
    more = compatibility.check(wider.game, digits.signals, 1000, 16) - kept
    assert kept > 4 * (64 + 100)  # an image and a latent, float32
    assert more % (4 * 16) == 0
    assert 1 <= more // (4 * 16) <= 4  # 16 numbers more of a layer, kept by the layers on both sides


def test_networks_that_do_not_fit_are_refused_before_they_are_built(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "free", lambda device: 20 * GIB)
    monkeypatch.setattr(plan, "Engine", lambda *_, **__: pytest.fail("networks were built"))
    text = r"the networks alone need 745.\d GiB of .*, whatever the batch \(discriminator 0.\d GiB, generator 745.\d "
    with pytest.raises(RecipeError, match=text) as caught:
        zerosum.train("digits", "mlp", ["generator.widths=200000/200000"], out=tmp_path / "run", quiet=True)
    assert str(caught.value).endswith("and 20.0 GiB are free; set fewer channels or widths")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop:momentum=0.5"])
@pytest.mark.parametrize("name", ["mlp", "veegan", "gman"])
def test_networks_take_what_was_told(name, optimizer):
    optimizers = [f"generator.optimizer={optimizer}", "generator.average=ema"]
    engine, feed = table(name, *optimizers)
    engine.turn(feed)
    recipe = read_recipe(name, [*words(name), *optimizers])
    told = network_bytes(recipe.game, open_data(DATA.get(name, "digits")).signals)
    assert told.keys() == engine.modules.keys()
    assert sum(told.values()) == pytest.approx(rehearsal.state_bytes(engine), rel=0.02)


def test_an_allocator_that_fails_in_the_rehearsal_is_put_into_words(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 160 bytes")

    monkeypatch.setattr(Rehearsal, "play", fail)  # which also proves a recipe whose measurement is remembered
    with pytest.raises(TrainingError, match=r"^out of memory; start again with a smaller batch=, size= or channels$"):
        zerosum.train("digits", "mlp", words("mlp"), images=96, out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


FAILING = """
from dataclasses import dataclass
from typing import ClassVar
from zerosum import Part, register

calls = []

@register("objective", "failing")
@dataclass(frozen=True)
class Failing(Part):
    pairs: ClassVar[bool] = False
    after: int = 10
    def discriminator(self, real, fake):
        calls.append(0)
        return (fake - real).mean() * (1 / (len(calls) <= self.after))
    def generator(self, fake, real=None): return (-fake).mean()
"""


def test_a_part_that_fails_late_is_named_with_its_line(tmp_path, monkeypatch):
    """In the rehearsal after its first turn, and in the training, which leaves a run that says so."""
    file = tmp_path / "failing.py"
    file.write_text(FAILING)
    usercode.use(file)
    where = r"ZeroDivisionError: division by zero \(raised by objective 'failing' in .*failing.py, line 15\)(\n|$)"
    calls = next(module for name, module in sys.modules.items() if name.startswith("zerosum_use_failing_")).calls
    settings = [*words("mlp"), "objective=failing"]
    with pytest.raises(RecipeError, match=f"^a trial turn on a few samples failed: {where}"):
        zerosum.train("digits", "mlp", [*settings, "objective.after=2"], images=96, out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
    play = session.Training.play

    def begin(training, interrupt):
        calls[:] = [0] * 998
        return play(training, interrupt)

    calls.clear()
    monkeypatch.setattr(session.Training, "play", begin)
    with pytest.raises(TrainingError, match=f"^{where}") as caught:
        zerosum.train("digits", "mlp", [*settings, "objective.after=1000"], images=96, out=tmp_path / "run", quiet=True)
    assert caught.value.__notes__[-1] == f"report: {tmp_path / 'run' / 'report.html'}"
    assert "ended by an error: division by zero" in (tmp_path / "run" / "report.html").read_text()


def test_too_little_memory_ends_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "recall", lambda place: Measured("fp32", 0.1, 9 * GIB, GIB))
    monkeypatch.setattr(machine, "free", lambda device: 4 * GIB)
    with pytest.raises(RecipeError, match=r"needs about 25.0 GiB of memory at batch=16"):
        zerosum.train("digits", "mlp", words("mlp"), images=96, out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(machine._status("VmHWM") is None, reason="the system does not say")
def test_the_machine_knows_what_is_in_use():
    here = torch.device("cpu")
    machine.reset_peak(here)
    before = machine.used(here)
    size = 64 << 20
    array = np.ones(size, dtype=np.uint8)
    assert machine.used(here) - before == pytest.approx(size, rel=0.1)
    del array
    assert machine.used(here) - before == pytest.approx(0, abs=size / 8)
    assert machine.peak(here) - before == pytest.approx(size, rel=0.1)
    machine.reset_peak(here)
    assert machine.peak(here) - before == pytest.approx(0, abs=size / 8)
    assert machine.free(here) > size


def test_the_expected_time_is_told():
    measured = Measured("bf16", 0.001, None, 0, 1.314)
    told = "bf16: 1.31 x fp32 by measurement; about 1,000 images/s, 3:20 without evaluations"
    assert plan.expectation(measured, 200_000) == told
    assert plan.expectation(measured, None) == "bf16: 1.31 x fp32 by measurement; about 1,000 images/s"


def test_the_benchmark_tells_what_auto_chose_and_its_share_of_the_best(capsys, monkeypatch):
    monkeypatch.setattr(speed, "mnist", lambda: speed.arrays((256, 28, 28, 1)))
    speed.main(["--rounds", "1", "--seconds", "0.01", "--recipes", "mlp", "--only", "auto"])
    lines = capsys.readouterr().out.splitlines()
    assert re.match(
        r"auto mlp +fp32.*; took \d\.\d s; images/s fp32 .* \(expected [\d,]+\): [\d.]+ of the best", lines[1]
    )
    assert re.fullmatch(r"auto is within [\d.]+% of the best of fp32 and bf16 for all 1 recipes", lines[2])
