"""Runs: what a training writes, and what survives."""

import errno
import itertools
import json
import os
import re
import shlex
import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import zerosum
from tests.small import EAGER, words
from zerosum.core import settings
from zerosum.core.engine import Engine
from zerosum.core.errors import DataError, RecipeError, RunError, TrainingError
from zerosum.data import kept
from zerosum.games import image
from zerosum.latents import Truncated
from zerosum.recipes import read_recipe
from zerosum.runs.evaluation.evaluator import Evaluator
from zerosum.runs.storage import checkpoint
from zerosum.runs.storage.directory import RunDirectory
from zerosum.runs.storage.logs import TIMES
from zerosum.runs.storage.record import RunRecord
from zerosum.runs.storage.saved import load_model
from zerosum.runs.storage.trained import with_latent
from zerosum.runs.training import drawing, failures, moments, plan, rehearsal, saving, session, training
from zerosum.runs.training.decisions import decisions

MARKS = drawing.MARKS
RECIPES = ["dcgan", "mlp", "wgan-gp", "rpgan", "began", "stylegan2-ada", "gman"]  # test_recipes.py has them all


def short(path, name="dcgan", *settings, images=480, data="digits", **options):
    data = "ring8" if name == "mixture" else data
    return zerosum.train(
        data, recipe=name, settings=[*words(name), *EAGER, *settings], images=images, out=path, quiet=True, **options
    )


def contents(run):
    last = run.path / "checkpoints" / (run.path / "latest").read_text().strip()
    found = {path.name: path.read_bytes() for path in last.glob("*.safetensors")}
    found["generator"] = run.path.joinpath("model.safetensors").read_bytes()
    found["loss"] = (run.path / "loss.txt").read_text()
    found["metrics"] = [{k: v for k, v in line.items() if k not in TIMES} for line in run.metrics]
    found["evaluations"] = run.evaluations
    found |= {path.name: path.read_bytes() for path in (run.path / "samples").glob("*.png")}
    return found


def stop_at(monkeypatch, images, asked=True):
    """Make a training stop (or die) when its clock reaches a number of images."""
    turn = Engine.turn

    def turned(engine, feed):
        turn(engine, feed)
        if feed.position >= images:
            monkeypatch.setattr(Engine, "turn", turn)
            if not asked:
                raise ConnectionError("killed")
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Engine, "turn", turned)


def told(caught, words):
    """Whether a line beside an error begins with these words."""
    return any(note.startswith(words) for note in caught.value.__notes__)


def test_a_run_has_every_file(tmp_path):
    run = short(tmp_path / "run", images=1920)  # ends with a report
    names = {path.name for path in run.path.iterdir()} - {".lock"}
    assert names == {
        "recipe.toml", "environment.json", "metrics.jsonl", "evaluations.jsonl", "loss.txt", "samples", "checkpoints",
        "latest", "best", "best.safetensors", "model.safetensors", "report.html",
    }  # fmt: skip
    assert run.finished
    assert (run.path / "latest").read_text() == "000001920\n"
    assert {path.name for path in (run.path / "samples").iterdir()} == {
        "real.png", *(f"{images:09d}.png" for images in range(0, 1921, 128))
    }  # fmt: skip
    assert all("generator.adversarial" in line for line in run.metrics)
    line = run.metrics[0]
    assert line["images"] == 96
    assert {
        "discriminator.adversarial",
        "generator.adversarial",
        "real_logit",
        "seconds",
        "images_per_second",
    } <= line.keys()
    protocol = run.evaluations[-1]["protocol"]
    assert {name: protocol[name] for name in ("real", "count", "count_real", "seed", "weights")} == {
        "real": "held-out", "count": 40, "count_real": 180, "seed": 0, "weights": "averaged",
    }  # fmt: skip
    environment = json.loads((run.path / "environment.json").read_text())
    assert environment["torch"] == torch.__version__
    assert len(environment["data"]["fingerprint"]) == 64
    page = (run.path / "report.html").read_text()
    assert page.count("data:image/png;base64,") >= 5
    assert "<svg" in page
    assert "http" not in page


def test_images_train_in_what_is_faster_and_points_in_fp32_unless_told(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "computes_in_bf16", lambda device: True)
    trained = [short(tmp_path / "tie", "mlp", images=64)]
    measured = rehearsal.Measured("bf16", 0.1, None, 0, 1.5)
    monkeypatch.setattr(rehearsal.Rehearsal, "run", lambda one, among: replace(measured, precision=among[-1]))
    monkeypatch.setenv("ZEROSUM_CACHE", str(tmp_path / "cache"))
    trained += [short(tmp_path / name, name, images=64) for name in ("mlp", "mixture")]
    trained.append(short(tmp_path / "told", "mixture", "precision=bf16", images=64))
    found = [json.loads((run.path / "environment.json").read_text())["precision"] for run in trained]
    assert found == ["fp32", "bf16", "fp32", "bf16"]


def test_loss_txt_has_the_tutorials_format_and_the_epochs_means(tmp_path):
    run = short(tmp_path / "run", "mlp", "report=1", images="2epochs")
    lines = (run.path / "loss.txt").read_text().splitlines()
    assert len(lines) == 2
    assert all(re.fullmatch(r"\[\d/2\]: loss_d: \d+\.\d{3}, loss_g: \d+\.\d{3}", line) for line in lines)
    first = [line["discriminator.adversarial"] for line in run.metrics if line["images"] <= 1617 + 15]
    assert float(lines[0].split("loss_d: ")[1].split(",")[0]) == pytest.approx(np.mean(first), abs=6e-4)


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("asked", [True, False])
def test_an_interrupted_run_ends_like_an_uninterrupted_one(tmp_path, monkeypatch, name, asked):
    peace = short(tmp_path / "peace", name)
    stop_at(monkeypatch, 250, asked)
    if asked:
        assert not short(tmp_path / "war", name).finished
        assert (tmp_path / "war" / "report.html").exists()
    else:
        with pytest.raises(RunError, match="killed"):
            short(tmp_path / "war", name)
    war = zerosum.resume(tmp_path / "war", quiet=True)
    assert war.finished
    expected, found = contents(peace), contents(war)
    assert expected.keys() == found.keys()
    assert [key for key in expected if expected[key] != found[key]] == []


@pytest.mark.parametrize("quick", [2.0, 0.0])
def test_a_stopped_training_draws_once_more_where_that_is_quick(tmp_path, monkeypatch, quick):
    monkeypatch.setattr(drawing, "QUICK", quick)
    stop_at(monkeypatch, 250)
    run = short(tmp_path / "run", "mlp", "samples=400")
    assert not run.finished
    assert list(RunDirectory(run.path).pictures()) == ([0, 256] if quick else [0])


def test_a_run_that_died_before_its_first_checkpoint_starts_again(tmp_path, monkeypatch):
    peace = short(tmp_path / "peace", "mlp")
    stop_at(monkeypatch, 32, asked=False)
    with pytest.raises(RunError):
        short(tmp_path / "war", "mlp")
    assert contents(zerosum.resume(tmp_path / "war", quiet=True)) == contents(peace)


def test_a_run_that_died_right_after_its_last_checkpoint_is_completed(tmp_path, monkeypatch):
    peace = short(tmp_path / "peace", "mlp")

    def die(*_):
        raise ConnectionError("killed")

    with monkeypatch.context() as patch:
        settle = saving.Keeper.settle
        patch.setattr(
            saving.Keeper, "settle", lambda self, name, of: die() if int(name) == 480 else settle(self, name, of)
        )
        with pytest.raises(RunError, match="killed"):
            short(tmp_path / "war", "mlp")
    war = zerosum.resume(tmp_path / "war", quiet=True)
    assert war.finished
    assert contents(war) == contents(peace)
    assert (war.path / "report.html").exists()


def test_a_longer_run_continues_a_finished_one(tmp_path, capfd):
    before = contents(short(tmp_path / "run", "mlp", images=480))
    assert contents(zerosum.resume(tmp_path / "run")) == before
    said = " ".join(capfd.readouterr().err.split())
    assert "is finished (480 images done); train it longer with: " in said
    assert "--images 960" in said
    longer = zerosum.resume(tmp_path / "run", images=960)
    assert re.search(r"\ntrained for 0:0\d(, 0:\d\d of it evaluating)?, 0:\d\d in all; ", capfd.readouterr().err)
    assert (longer.path / "latest").read_text() == "000000960\n"
    whole = short(tmp_path / "whole", "mlp", images=960)
    assert contents(whole)["generator.weights.safetensors"] == contents(longer)["generator.weights.safetensors"]
    assert longer.recipe == whole.recipe


def test_a_run_cannot_be_made_shorter_than_what_is_done(tmp_path):
    short(tmp_path / "my run's", "mlp", images=40)  # 48, as batches are whole
    before = {path: path.read_bytes() for path in (tmp_path / "my run's").rglob("*") if path.is_file()}
    with pytest.raises(RunError, match=r"my run's cannot end after 32, as 48 images are done; nothing was changed\."):
        zerosum.resume(tmp_path / "my run's", images=32, quiet=True)
    with pytest.raises(RunError, match=r"cannot end after 0.001s, as \d+:\d\d of training are done"):
        zerosum.resume(tmp_path / "my run's", images="0.001s", quiet=True)
    for none in (0, "never"):
        with pytest.raises(RecipeError, match="length: a training of no images at all; give it a length, such as"):
            zerosum.resume(tmp_path / "my run's", images=none, quiet=True)
    assert {path: path.read_bytes() for path in before} == before
    assert zerosum.resume(tmp_path / "my run's", images=40, quiet=True).finished


def test_advice_names_a_run_as_a_shell_takes_it(tmp_path, capfd):
    run = short(tmp_path / "my run's", "mlp", images=48).path
    zerosum.resume(run)
    said = capfd.readouterr().err
    assert f"train it longer with: zerosum resume {shlex.quote(str(run))} --images 96" in said
    with pytest.raises(RunError) as caught:
        short(run, "mlp")
    assert str(caught.value).endswith(
        f"my run's exists; continue it with: zerosum resume {shlex.quote(str(run))}, or choose another place with --out"
    )


def test_a_training_of_nothing_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="length: a training of no images at all"):
        short(tmp_path / "run", "mlp", images=0)
    assert not (tmp_path / "run").exists()


def test_a_run_whose_schedule_ends_with_it_cannot_be_lengthened(tmp_path):
    short(tmp_path / "run", "mixture")
    with pytest.raises(RunError, match=r"length: 480 -> 960 .a schedule of this recipe ends with the run"):
        zerosum.resume(tmp_path / "run", images=960, quiet=True)


def test_a_run_measured_in_time_stops_by_the_clock(tmp_path):
    began = time.monotonic()
    run = short(tmp_path / "run", "mlp", images="1s")
    assert time.monotonic() - began < 20
    assert run.finished
    assert run.metrics[-1]["seconds"] == pytest.approx(1.0, abs=0.5)


def test_a_schedule_follows_the_clock_where_the_length_is_time_and_goes_on_from_the_saved_share(tmp_path, monkeypatch):
    turn, told = Engine.turn, []

    def turned(engine, feed):
        turn(engine, feed)
        if feed.position > 32:  # later than the trial
            rates = [
                seat.optimizer.param_groups[0]["lr"] / seat.player.optimizer.lr for seat in engine.learners.values()
            ]
            told.append((engine.share, *rates))
        if feed.position == 320:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Engine, "turn", turned)
    clock = itertools.count()
    monkeypatch.setattr(training.time, "monotonic", lambda: next(clock) / 100)  # each look takes 0.01 s
    settings = ["generator.schedule=linear", "discriminator.schedule=cosine:final=0.5", "evaluation=never"]
    assert not short(tmp_path / "run", "mlp", *settings, images="2s").finished
    stopped, before = told[-1][0], len(told)
    assert 0 < stopped < 1
    assert zerosum.resume(tmp_path / "run", quiet=True).finished
    shares = [share for share, *_ in told]
    assert stopped <= shares[before] < stopped + 0.2
    assert 0.9 < shares[-1] < 1
    assert shares == sorted(shares)
    for share, cosine, linear in told:
        assert linear == pytest.approx(1 - share, abs=1e-9)
        assert cosine == pytest.approx(0.75 + 0.25 * np.cos(np.pi * share), abs=1e-9)
    with pytest.raises(RunError, match=r"length: 2s -> 3s .a schedule of this recipe ends with the run"):
        zerosum.resume(tmp_path / "run", images="3s", quiet=True)


def test_a_changed_recipe_is_listed_and_refused(tmp_path, monkeypatch):
    stop_at(monkeypatch, 250)
    short(tmp_path / "run", "mlp")
    with pytest.raises(RunError, match=r"trained under another recipe:\n  batch: 16 -> 32"):
        zerosum.resume(tmp_path / "run", ["batch=32"], quiet=True)
    path = tmp_path / "run" / "recipe.toml"
    path.write_text(path.read_text().replace("batch = 16", "batch = 8"))
    with pytest.raises(RunError, match=r"recipe changed since the checkpoint was written:\n  batch: 16 -> 8"):
        zerosum.resume(tmp_path / "run", quiet=True)
    path.write_text(path.read_text().replace("batch = 8", "batch = 16"))
    assert zerosum.resume(tmp_path / "run", ["batch=16"], quiet=True).finished


def test_changed_data_are_refused(tmp_path, monkeypatch):
    images = np.random.default_rng(0).integers(0, 255, (40, 8, 8, 1), dtype=np.uint8)
    np.save(tmp_path / "data.npy", images)
    stop_at(monkeypatch, 250)
    short(tmp_path / "run", "mlp", data=tmp_path / "data.npy")
    np.save(tmp_path / "data.npy", 255 - images)
    with pytest.raises(RunError, match="the data changed since this run began"):
        zerosum.resume(tmp_path / "run", quiet=True)


def test_a_flipped_byte_falls_back_to_the_checkpoint_before(tmp_path, capfd):
    peace = short(tmp_path / "run", "mlp")
    before = contents(peace)
    newest = max((tmp_path / "run" / "checkpoints").iterdir())
    file = newest / "generator.weights.safetensors"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    run = zerosum.resume(tmp_path / "run")
    assert f"checkpoint {newest.name} is damaged: generator.weights.safetensors" in capfd.readouterr().err
    assert contents(run) == before


def test_a_directory_in_use_is_refused(tmp_path):
    run = short(tmp_path / "run", "mlp")
    directory = training.RunDirectory(run.path)
    directory.hold()
    try:
        with pytest.raises(RunError, match=rf"is in use by another training \(pid {os.getpid()} on .*\); wait until"):
            zerosum.resume(run.path, images=960, quiet=True)
        assert RunRecord.read(run.path).state == "training"
        directory.holder.write_text("pid 1 on x\x1b[2J")
        with pytest.raises(RunError, match="is in use by another training; wait until"):
            zerosum.resume(run.path, images=960, quiet=True)
    finally:
        directory.release()
    assert not directory.holder.exists()


def test_a_run_that_cannot_be_written_is_not_sent_to_another_place(tmp_path, monkeypatch):
    run = short(tmp_path / "run", "mlp")

    def refuse(path, *_, **__):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.write_text", refuse)
        with pytest.raises(RunError, match=r"cannot write .*make it writable, or resume a copy of the run$"):
            zerosum.resume(run.path, images=960, quiet=True)
    with RunDirectory(run.path).lock:  # which the attempt has left
        pass


def test_an_existing_place_is_refused_before_anything_happens(tmp_path):
    short(tmp_path / "run", "mlp")
    with pytest.raises(RunError, match=r"exists; continue it with: zerosum resume .*run, or choose another place"):
        short(tmp_path / "run", "mlp")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="exists and is not a run; choose another place with --out"):
        short(tmp_path / "other", "mlp")
    assert (tmp_path / "other" / "thesis.txt").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert short(tmp_path / "empty", "mlp").finished


def test_nothing_is_written_where_the_recipe_does_not_fit(tmp_path):
    with pytest.raises(RecipeError, match="gradient-penalty' with 'batchnorm'"):
        short(tmp_path / "run", "dcgan", "regularizers=gradient-penalty")
    with pytest.raises(DataError, match="nowhere"):
        short(tmp_path / "run", data="nowhere")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_explained_and_loses_nothing(tmp_path, monkeypatch):
    flush, full = checkpoint.flush, []

    def flushed(path, content):
        if full and ".writing" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        full.extend([1] if path.name == "manifest.json" else [])
        flush(path, content)

    monkeypatch.setattr(checkpoint, "flush", flushed)
    with pytest.raises(TrainingError, match=r"the disk is full .*make room") as caught:
        short(tmp_path / "run", "mlp")
    assert told(caught, "saved: everything up to 96 images; go on with: zerosum resume")
    assert told(caught, "report: ")
    page = (tmp_path / "run" / "report.html").read_text()
    assert ">ended by an error<" in page
    assert "192 images: ended by an error: [Errno 28] No space left on device" in page
    assert RunRecord.read(tmp_path / "run").state == "failed"
    monkeypatch.setattr(checkpoint, "flush", flush)
    assert contents(zerosum.resume(tmp_path / "run", quiet=True)) == contents(short(tmp_path / "peace", "mlp"))


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot write .*choose another place with --out"):
        short(tmp_path / "file" / "run", "mlp")


def test_a_report_that_cannot_be_written_hides_no_error(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(failures, "write_report", fail)
    monkeypatch.setattr(session.Training, "play", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError) as caught:
        short(tmp_path / "run", "mlp")
    assert told(caught, "report: it could not be written (")


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")]
)
def test_out_of_memory_is_explained(tmp_path, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(session.Training, "play", fail)
    with pytest.raises(TrainingError, match="out of memory; start again with a smaller batch=") as caught:
        short(tmp_path / "run", "mlp")
    assert told(caught, "nothing had been saved yet; begin again with: zerosum resume")
    assert (tmp_path / "run" / "report.html").exists()


def test_a_training_that_explodes_stops_and_keeps_the_last_good_checkpoint(tmp_path):
    with pytest.raises(TrainingError, match="not finite"):
        short(tmp_path / "run", "wgan-gp", "discriminator.optimizer=sgd:lr=1e18", "generator.optimizer=sgd:lr=1e18")
    for name in checkpoint.names(tmp_path / "run" / "checkpoints"):
        loaded = checkpoint.load(tmp_path / "run" / "checkpoints" / name)
        assert all(one.isfinite().all() for one in loaded.tensors["generator.weights"].values())


def test_training_in_a_thread_works_without_signals(tmp_path):
    done = []
    thread = threading.Thread(target=lambda: done.append(short(tmp_path / "run", "mlp", images=64)))
    thread.start()
    thread.join()
    assert done[0].finished


def test_only_the_last_checkpoints_and_the_best_stay(tmp_path):
    run = short(tmp_path / "run", "mlp", "keep=2", images=960)
    names = checkpoint.names(run.path / "checkpoints")
    best = (run.path / "best").read_text().strip()
    assert names[-2:] == ["000000864", "000000960"]
    assert set(names) == {*names[-2:], best}
    scores = {line["images"]: line["value"] for line in run.evaluations if line["metric"] == "fd"}
    judged = [images for images in (384, 768, 960) if images in scores]  # evaluated and saved at the same clock
    assert judged == [384, 768, 960]
    assert int(best) == min(judged, key=scores.get)


def test_a_slow_training_is_saved_by_the_clock_too(tmp_path, monkeypatch):
    """Saving at other times changes nothing, neither of a run nor of one that was killed and resumed."""
    slow = ["checkpoint=never", "keep=2", "evaluation=never", "samples=never", "autosave=2s"]
    peace = short(tmp_path / "peace", "mlp", *slow)
    save, saved = training.Training.save, []
    monkeypatch.setattr(training.Training, "save", lambda self: saved.append(self.feed.position) or save(self))
    clock = itertools.count()
    monkeypatch.setattr(training.time, "monotonic", lambda: next(clock) / 10)  # each look takes 0.1 s
    stop_at(monkeypatch, 400, asked=False)
    with pytest.raises(RunError, match="killed"):
        short(tmp_path / "war", "mlp", *slow)
    assert 2 < len(saved) < 6
    assert saved == sorted(set(saved))
    assert len(checkpoint.names(tmp_path / "war" / "checkpoints")) == 2
    war = zerosum.resume(tmp_path / "war", quiet=True)
    expected, found = contents(peace), contents(war)
    assert [key for key in expected if expected[key] != found[key]] == []


def test_old_recipes_are_saved_by_the_clock_as_new_ones():
    recipe = read_recipe("mlp")
    assert 'autosave = "5min"' in str(recipe)
    old = "\n".join(line for line in str(recipe).splitlines() if not line.startswith("autosave"))
    assert settings.from_toml(zerosum.Recipe, old) == recipe


def test_early_pictures_come_by_the_clock_and_take_a_small_share_of_it(tmp_path, monkeypatch):
    run = short(tmp_path / "run", "mlp", images=160)
    (run.path / "samples" / "000000000.png").unlink()
    monkeypatch.setattr(drawing, "MARKS", MARKS)
    artist = drawing.Drawing(training.RunDirectory(run.path), run.recipe, zerosum.open_data("digits"))
    drawn, cost, now = [], 0.5, 0.0
    monkeypatch.setattr(drawing.time, "monotonic", lambda: now)

    def draw(generator):
        nonlocal now
        drawn.append(now)
        now += cost

    artist.draw = draw
    artist.begin(moments.Moment(0, 0.0), lambda: None)
    assert drawn == [0.0]
    while now < 900:
        now += 0.25
        artist.by_the_clock(moments.Moment(16, now), lambda: None)
    assert drawn[1] == pytest.approx(cost / drawing.BUDGET, abs=1)  # 10 s would be too early for what it costs
    assert [round(at) for at in drawn[2:]] == [34, 60, 120, 300]


def test_without_samples_nothing_is_drawn_on_the_way(tmp_path):
    run = short(tmp_path / "run", "mlp", "samples=never", images=160)
    assert [path.name for path in (run.path / "samples").iterdir()] == ["000000160.png"]


def test_a_training_says_how_long_it_took_and_how_much_longer_evaluating_did(tmp_path, capfd):
    zerosum.train("digits", "mlp", [*words("mlp"), *EAGER], images="1s", out=tmp_path / "run")
    said = capfd.readouterr().err
    assert re.search(r"\ntrained for 0:\d\d(, 0:\d\d of it evaluating)?; evaluating the end\n", said)
    assert re.search(r"\nevaluating took 0:\d\d longer\n", said)


def test_samples_are_equal_for_equal_seeds_and_the_file_alone_is_enough(tmp_path):
    run = short(tmp_path / "run")
    first = run.sample(20, seed=3)
    assert first.shape == (20, 1, 8, 8)
    assert first.abs().max() <= 1
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "g.safetensors").write_bytes((run.path / "model.safetensors").read_bytes())
    generator = load_model(tmp_path / "alone" / "g.safetensors")
    assert torch.equal(generator.sample(20, seed=3), first)
    assert torch.equal(generator.sample(7, seed=3, start=11), first[11:18])
    assert not torch.equal(generator.sample(20, seed=4), first)
    assert generator.images == 480


def test_conditional_generators_draw_a_row_for_each_class(tmp_path):
    run = short(tmp_path / "run", "dcgan", "generator.labels=concat", "discriminator.labels=concat", images=160)
    for name in ("000000000", "000000160", "real"):
        with Image.open(run.path / "samples" / f"{name}.png") as picture:
            assert picture.size == (10 * (64 + 2) + 2, 10 * (64 + 2) + 2)
    assert run.model.labels(12).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert run.sample(3, label=7).shape == (3, 1, 8, 8)


def test_samples_of_linear_outputs_are_cut_to_what_a_picture_can_show(tmp_path):
    run = short(tmp_path / "run", "stylegan2", images=160)
    generator = run.model
    with torch.no_grad():
        generator.model.networks["generator"].synthesis.colours[0].bias.fill_(3.0)
    samples = generator.sample(20)
    assert samples.max() == 1
    assert samples.min() >= -1


def test_classes_can_be_shown_equally_often(tmp_path, monkeypatch):
    seen = []
    batch = image.real_batch
    monkeypatch.setattr(image, "real_batch", lambda feed, alter: seen.append(batch(feed, alter)) or seen[-1])
    short(tmp_path / "run", "dcgan", "balanced=true", images=480)
    counts = torch.cat([label for _, label in seen[-30:]]).bincount()  # after the rehearsal
    assert counts.tolist() == [48] * 10


def test_samples_can_come_of_another_latent_of_that_size(tmp_path):
    run = short(tmp_path / "run", images=160)
    narrow = with_latent(run.model, "truncated:threshold=0.01")
    assert narrow.latent == Truncated(size=100, threshold=0.01)
    assert 0 < narrow.sample(20).std(0).mean() < 0.1 * run.sample(20).std(0).mean()
    with pytest.raises(RunError, match=r"latents of 7 numbers, and this model takes 100"):
        with_latent(run.model, "normal:size=7")
    with pytest.raises(RunError, match=r"latents of 74 numbers"):
        with_latent(run.model, "infogan")


def test_what_was_decided_is_said_and_kept(tmp_path, capfd):
    labels = ["generator.labels=concat", "discriminator.labels=concat"]
    classes = "classes: 10 (0, 1, 2, 3, 4, ...); mlp "
    for name, labelled, uses in (
        ("plain", [], f"does not use them; {' '.join(labels)} would"),
        ("told", labels, "learns them"),
    ):
        run = zerosum.train("digits", "mlp", [*words("mlp"), *EAGER, *labelled], images=32, out=tmp_path / name)
        said = capfd.readouterr().err.splitlines()
        judged = "evaluated by: fd, kid, prdc, sliced-wasserstein; extractor digits-cnn-v1"
        decided = ["held out: 180 of 1,797 (held_out=0.1), to evaluate samples against", classes + uses, judged]
        assert json.loads((run.path / "environment.json").read_text())["decisions"] == decided
        first = next(number for number, line in enumerate(said) if line.startswith("training mlp on digits"))
        assert said[first + 1 : first + 4] == [f"  {line}" for line in decided]
        page = (run.path / "report.html").read_text()
        assert "Decided before training" in page
        assert "to evaluate samples against" in page
    stop = zerosum.resume(tmp_path / "told")
    assert stop.finished
    assert "learns them" not in capfd.readouterr().err


def test_points_without_classes_and_held_out_samples_have_less_decided():
    recipe = read_recipe("mixture", ["held_out=0"])
    data = zerosum.open_data("ring8", recipe.data)
    assert decisions(recipe, data, Evaluator(data, recipe.evaluator)) == [
        "held out: nothing; samples are compared with training samples",
        "evaluated by: sliced-wasserstein, modes; extractor values",
    ]


@pytest.mark.parametrize("count", [1, 2])
def test_that_so_few_images_cannot_be_measured_is_said_before_and_ends_nothing(tmp_path, capfd, count):
    pixels = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 1), dtype=np.uint8)
    run = zerosum.train(pixels, "mlp", [*words("mlp"), *EAGER], images=32, out=tmp_path / "run")
    told = capfd.readouterr().err
    assert run.finished
    assert "evaluated by: nothing; extractor" in told
    generated, real = count - 1, 1
    assert f"not measured, fd: needs 20 samples on each side; there are {generated} generated, {real} real" in told
    assert "failed" not in run.metrics[-1]["not_measured"]
    training = "there is 1 training sample;" if count == 1 else "2 training samples;"
    assert training in told


def test_what_would_judge_photographs_better_is_said():
    recipe = read_recipe("dcgan")
    data = zerosum.open_data(kept(np.random.default_rng(0).integers(0, 256, (60, 16, 16, 3), dtype=np.uint8)))
    lines = decisions(recipe, data, Evaluator(data, recipe.evaluator))
    assert lines[-2].endswith("extractor pca-53")
    assert lines[-1].endswith("for those of a network: pip install 'zerosum[features]'")


def test_labels_where_the_data_have_none_are_refused(tmp_path):
    with pytest.raises(RecipeError, match="label"):
        short(tmp_path / "run", "mixture", "generator.labels=concat", "discriminator.labels=concat")


def test_a_users_loss_is_kept_with_the_run(tmp_path, monkeypatch):
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from dataclasses import dataclass\nfrom typing import ClassVar\n\nfrom zerosum import Part, register\n\n\n"
        "@register('objective', 'squared-hinge')\n@dataclass(frozen=True)\nclass SquaredHinge(Part):\n"
        "    '''Hinge, squared.'''\n\n    pairs: ClassVar[bool] = False\n\n"
        "    def discriminator(self, real, fake):\n"
        "        return (1 - real).relu().square().mean() + (1 + fake).relu().square().mean()\n\n"
        "    def generator(self, fake, real=None):\n        return -fake.mean()\n"
    )
    stop_at(monkeypatch, 250)
    run = short(tmp_path / "run", "mlp", "objective=squared-hinge", use=[mine])
    assert (run.path / "code" / "mine.py").read_text() == mine.read_text()
    assert zerosum.resume(run.path, quiet=True).finished
    assert str(run.recipe.game.objective) == "squared-hinge"


@pytest.mark.parametrize("kind", ["missing", "text", "foreign"])
def test_what_is_no_generator_file_is_refused(tmp_path, kind):
    path = tmp_path / "g.safetensors"
    if kind == "text":
        path.write_text("hello")
    if kind == "foreign":
        from safetensors.torch import save_file

        save_file({"a": torch.ones(2)}, path)
    texts = {
        "missing": "there is no such file of weights",
        "text": "it has no header of safetensors",
        "foreign": "its metadata hold nothing from zerosum",
    }
    with pytest.raises(RunError, match=texts[kind]):
        load_model(path)
