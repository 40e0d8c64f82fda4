"""Starting with the weights of another run or of a generator file."""

import json
import shlex
import shutil

import pytest
import torch

import zerosum
from tests.small import EAGER, words
from tests.test_sample import call
from zerosum.core.errors import RunError
from zerosum.runs.storage import checkpoint
from zerosum.runs.storage.directory import RunDirectory
from zerosum.runs.training import session, starting, training

SMALL = [*words("mlp"), *EAGER, "evaluator.metrics=sliced-wasserstein", "precision=fp32"]
CODE = 'from pathlib import Path\nPath(__file__).with_name("executed").touch()\n'


def train(out, *settings, recipe="mlp", images=96, **options):
    return zerosum.train("digits", recipe, [*SMALL, *settings], images=images, out=out, quiet=True, **options)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run, with code of a stranger beside it."""
    path = train(tmp_path_factory.mktemp("first") / "run", images=128).path
    (path / "code").mkdir()
    (path / "code" / "x.py").write_text(CODE)
    return path


def first(path):
    """Tensors of the checkpoint that a run begins with."""
    return checkpoint.load(path / "checkpoints" / "000000000")


def last(path):
    return checkpoint.load_latest(path / "checkpoints", pytest.fail)


def test_a_new_run_starts_with_the_weights_of_both_players(run, tmp_path, capsys):
    before = last(run)
    new = zerosum.train(settings=["discriminator.lr=1e-4"], start_from=run, images=96, out=tmp_path / "new")
    said = " ".join(capsys.readouterr().err.split())
    assert f"starting from {run} at 128 images; optimizers and the clock begin anew discriminator: all" in said
    assert "generator: all" in said
    begun = first(new.path)
    for group in ("generator.weights", "generator.average", "discriminator.weights"):
        assert begun.tensors[group].keys() == before.tensors[group].keys()
        assert all(torch.equal(begun.tensors[group][key], value) for key, value in before.tensors[group].items())
    assert begun.tensors["generator.optimizer"] == {}
    assert begun.manifest["clock"] == 0
    assert new.recipe == session.fill_in(RunDirectory(run).recipe(), ["discriminator.lr=1e-4"], 96, None)
    environment = json.loads((new.path / "environment.json").read_text())
    assert environment["data"]["source"] == "digits"
    assert environment["from"]["path"] == str(run)
    assert environment["from"]["images"] == 128
    assert len(environment["from"]["sha256"]) == 64
    assert new.metrics[-1]["images"] == 96
    assert not (run / "code" / "executed").exists()


def test_a_file_gives_the_generator_alone(run, tmp_path, capsys):
    (tmp_path / "g.safetensors").write_bytes((run / "model.safetensors").read_bytes())
    new = zerosum.train("digits", start_from=tmp_path / "g.safetensors", images=96, out=tmp_path / "new")
    assert "discriminator begins anew: " in capsys.readouterr().err
    begun, average = (
        first(new.path),
        zerosum.load_model(tmp_path / "g.safetensors").model.networks["generator"].state_dict(),
    )
    for group in ("generator.weights", "generator.average"):
        assert all(torch.equal(begun.tensors[group][key], value) for key, value in average.items())
    assert not torch.equal(
        next(iter(begun.tensors["discriminator.weights"].values())),
        next(iter(last(run).tensors["discriminator.weights"].values())),
    )


def test_what_does_not_fit_begins_anew_and_is_named(run, tmp_path, capsys):
    source = starting.find_start(run, pytest.fail)
    settings = ["generator.labels=concat", "discriminator.labels=projection"]
    new = train(tmp_path / "new", *settings, start_from=run)
    made = zerosum.load_model(new.path / "model.safetensors")
    plan = source.plan(new.recipe, made.signals, made.classes)
    assert "the classes differ" not in plan
    others = source.plan(new.recipe, made.signals, [f"digit {number}" for number in range(10)])
    assert "the classes differ, and weights belong to their numbers: there '0', '1'" in others
    generator = next(line for line in plan.splitlines() if line.strip().startswith("generator"))
    assert "tensors; anew: " in generator
    assert "[16, 110] (there [16, 100])" in generator  # the latent beside ten classes
    begun, before = first(new.path).tensors["generator.weights"], last(run).tensors["generator.weights"]
    same = [key for key, value in before.items() if begun[key].shape == value.shape]
    assert 0 < len(same) < len(before)
    assert all(torch.equal(begun[key], before[key]) for key in same)


def test_where_nothing_fits_no_run_is_made(run, tmp_path):
    with pytest.raises(
        RunError, match=r"none of its weights fit this recipe on these data:\n  discriminator: 1 of 6 tensors"
    ):
        train(tmp_path / "new", "generator.widths=24/24", "discriminator.widths=24/24", "size=4", start_from=run)
    assert not (tmp_path / "new").exists()
    with pytest.raises(RunError, match=r"--from nowhere: there is no such run or model file"):
        train(tmp_path / "new", start_from="nowhere")
    empty = shutil.copytree(run, tmp_path / "empty")
    shutil.rmtree(empty / "checkpoints")
    with pytest.raises(RunError, match=r"--from .*empty: this run has no checkpoint yet"):
        train(tmp_path / "new", start_from=empty)


def test_a_checkpoint_of_another_shape_is_refused_in_words(run, tmp_path):
    strange = shutil.copytree(run, tmp_path / "strange")
    manifest = strange / "checkpoints" / last(strange).name / "manifest.json"
    manifest.write_bytes(checkpoint._sealed({"files": {}}))
    with pytest.raises(RunError, match=r"none of its weights fit"):
        train(tmp_path / "new", start_from=strange)


def test_a_run_that_started_from_another_resumes_bit_for_bit(run, tmp_path, monkeypatch):
    whole = train(tmp_path / "whole", start_from=run)
    source = shutil.copytree(run, tmp_path / "source")

    def stop(self, interrupt):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training.Training, "play", stop)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "killed", start_from=source)
    shutil.rmtree(source)  # it is needed no more
    resumed = zerosum.resume(tmp_path / "killed", quiet=True)
    assert resumed.finished
    a, b = last(whole.path), last(resumed.path)
    assert a.name == b.name == "000000096"
    for group, named in a.tensors.items():
        assert all(torch.equal(b.tensors[group][key], value) for key, value in named.items())
    shutil.rmtree(resumed.path / "checkpoints")
    with pytest.raises(RunError, match=r"ended before it took its weights from .*source; remove it"):
        zerosum.resume(resumed.path, quiet=True)


def test_resume_under_other_settings_offers_the_command_that_works(run, tmp_path):
    shutil.rmtree(run / "code")
    for words_, offered in (
        (["generator.lr=1e-4"], f"zerosum train --from {run} generator.lr=1e-4"),
        (["batch=8", "--images", "96"], f"zerosum train --from {run} batch=8 --images 96"),
    ):
        done = call("resume", run, *words_)
        assert done.exit_code == 2
        assert f"start a new run with its weights: {offered}" in done.stderr
        command = shlex.split(done.stderr.partition("weights: ")[2])
    done = call(*command[1:], "--out", tmp_path / "new", "--json")
    assert done.exit_code == 0, done.stderr
    assert zerosum.Run(tmp_path / "new").recipe.batch == 8


def test_resume_with_added_images_offers_it_too(run, tmp_path):
    moved = shutil.copytree(run, tmp_path / "my run", ignore=shutil.ignore_patterns("code"))
    place = moved / "environment.json"
    place.write_text(place.read_text().replace('"fingerprint": "', '"fingerprint": "x'))
    done = call("resume", moved, "patience=2", "--images", "2k")
    assert done.exit_code == 2
    assert f"start a new run with its weights: zerosum train --from '{moved}' patience=2 length=2k" in done.stderr
    edited = moved / "recipe.toml"
    edited.write_text(edited.read_text().replace("batch = 16", "batch = 8"))
    place.write_text(place.read_text().replace('"fingerprint": "x', '"fingerprint": "'))
    assert (
        f"restore recipe.toml, or start a new run with its weights: zerosum train --from '{moved}'"
        in call("resume", moved).stderr
    )
    with_code = shutil.copytree(run, tmp_path / "other")
    (with_code / "code").mkdir()
    (with_code / "code" / "x.py").write_text("")
    assert starting.offer(with_code).endswith(f"--from {with_code} --use {with_code}/code/x.py")
