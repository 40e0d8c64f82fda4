"""The command line, as a person or a script meets it."""

import importlib.metadata
import json
import re
import signal
import subprocess
import sys
import tomllib

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

import zerosum
from tests.advice import foreign
from tests.small import EAGER, words
from zerosum.cli.main import app
from zerosum.core.errors import RecipeError
from zerosum.core.registry import field_types
from zerosum.recipes import Recipe
from zerosum.runs.training import training

SMALL = [*words("mlp"), *EAGER]


def call(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "run"
    return zerosum.train("digits", "mlp", SMALL, images=480, out=path, quiet=True).path


def test_help_imports_no_torch():
    program = (
        "import sys\nfrom zerosum.cli.main import app\n"
        "try:\n    app(['train', '--help'])\nexcept SystemExit:\n    pass\n"
        "assert not {'torch', 'numpy', 'PIL', 'sklearn', 'matplotlib'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_importing_zerosum_imports_no_torch():
    program = "import sys, zerosum\ndir(zerosum)\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_package_is_the_command():
    """`python -m zerosum` says and returns what `zerosum` does."""
    done = subprocess.run([sys.executable, "-m", "zerosum", "show", "hinged"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "hinge" in done.stderr


def test_public_names_are_sorted_and_exist():
    assert zerosum.__all__ == sorted(zerosum.__all__)
    for name in zerosum.__all__:
        assert getattr(zerosum, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'tarin'"):
        _ = zerosum.tarin


def test_train_prints_where_everything_is(tmp_path):
    done = call("train", "digits", "--recipe", "mlp", *SMALL, "--images", 160, "--out", tmp_path / "run", "--json")
    assert done.exit_code == 0
    said = json.loads(done.stdout)
    assert said["run"] == str(tmp_path / "run")
    assert said["metrics"]["images"] == 160
    assert said["evaluation"]["metric"] == "sliced-wasserstein"
    for line in ("samples:", "report:", "model:"):
        assert f"{line} " in done.stderr
    assert "training mlp on digits (1,617 x 8x8 images with 1 channel) for 160" in done.stderr


def test_sample_writes_arrays_grids_and_files(run, tmp_path):
    assert call("sample", run, "--count", 10, "--out", tmp_path / "s.npz").exit_code == 0
    with np.load(tmp_path / "s.npz") as arrays:
        assert arrays.files == ["images"]
        images = arrays["images"]
    assert images.shape == (10, 8, 8, 1)
    assert images.dtype == np.uint8
    assert call("sample", run, "--count", 10, "--out", tmp_path / "s.png").exit_code == 0
    with Image.open(tmp_path / "s.png") as grid:
        assert grid.size == (4 * 66 + 2, 3 * 66 + 2)
    assert call("sample", run / "model.safetensors", "--count", 10, "--out", f"{tmp_path}/files/").exit_code == 0
    files = sorted((tmp_path / "files").iterdir())
    assert len(files) == 10
    with Image.open(files[3]) as image:
        assert np.array_equal(np.asarray(image), images[3, :, :, 0])


def test_sample_writes_labels_where_there_are_classes(tmp_path):
    settings = ["generator.labels=concat", "discriminator.labels=concat"]
    path = zerosum.train("digits", "mlp", [*SMALL, *settings], images=64, out=tmp_path / "run", quiet=True).path
    assert call("sample", path, "--count", 25, "--out", tmp_path / "s.npz").exit_code == 0
    with np.load(tmp_path / "s.npz") as arrays:
        assert arrays["labels"].dtype == np.int64
        assert np.bincount(arrays["labels"]).tolist() == [3] * 5 + [2] * 5
    assert call("sample", path, "--label", "7", "--count", 5, "--out", f"{tmp_path}/seven/").exit_code == 0
    assert len(list((tmp_path / "seven" / "7").iterdir())) == 5
    done = call("sample", path, "--label", "11")
    assert done.exit_code == 2
    assert "there is no class '11'" in done.stderr


def test_points_are_sampled_as_points(tmp_path):
    path = zerosum.train(
        "ring8", "mixture", [*words("mixture"), *EAGER], images=64, out=tmp_path / "run", quiet=True
    ).path
    assert call("sample", path, "--count", 7, "--out", tmp_path / "s.npz").exit_code == 0
    with np.load(tmp_path / "s.npz") as arrays:
        assert arrays["points"].shape == (7, 2)


def test_ls_lists_everything_and_show_explains_it(tmp_path):
    everything = json.loads(call("ls", "--json").stdout)
    assert {"recipe", "objective", "regularizer", "network", "optimizer", "data"} <= everything.keys()
    assert {"digits", "mnist", "fashion-mnist", "cifar10", "ring8", "grid25"} <= everything["data"].keys()
    assert all(text for parts in everything.values() for text in parts.values())
    assert list(json.loads(call("ls", "objectives", "--json").stdout)) == ["objective"]
    for parts in (set(parts) for kind, parts in everything.items()):
        for name in parts:
            done = call("show", name)
            assert done.exit_code == 0, name
            assert name in done.stdout
            assert "MISSING" not in done.stdout, name
    shown = call("show", "joint").stdout
    assert "reconstructor = (player: chosen by a recipe)  # turns samples into latents" in shown
    assert "augmentations = none  # what happens" in shown
    assert "\n# VEEGAN, Srivastava et al. 2017" in shown
    assert "\n# Their latents have 254 numbers" in call("show", "veegan").stdout
    shown = call("show", "wgan-gp").stdout
    assert "discriminator_updates = 5  # discriminator updates for each turn of the generator" in shown
    assert "gradient-penalty:weight=10.0" in shown
    assert "gamma = 10.0  #" in call("show", "r1").stdout


def test_a_users_twelve_lines_are_trained_and_listed(tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text(
        '''from dataclasses import dataclass
from typing import ClassVar
from zerosum import Part, register

@register("objective", "exponential")
@dataclass(frozen=True)
class Exponential(Part):
    """Exponential loss, for a test."""
    pairs: ClassVar[bool] = False
    def discriminator(self, real, fake): return (-real).exp().mean() + fake.exp().mean()
    def generator(self, fake, real=None): return (-fake).exp().mean()
'''
    )
    assert len(mine.read_text().splitlines()) <= 12
    assert "exponential" in json.loads(call("ls", "objective", "--use", mine, "--json").stdout)["objective"]
    out = tmp_path / "run"
    arguments = [
        "digits",
        "--recipe",
        "mlp",
        "objective=exponential",
        *SMALL,
        "--use",
        mine,
        "--images",
        96,
        "--out",
        out,
    ]
    assert call("train", *arguments, "--quiet").exit_code == 0
    assert 'objective = "exponential"' in (out / "recipe.toml").read_text()
    assert call("sample", out, "--out", tmp_path / "s.png").exit_code == 0


def test_a_recipe_file_is_a_recipe(run, tmp_path):
    out = tmp_path / "again"
    done = call("train", "digits", "--recipe", run / "recipe.toml", "--out", out, "--quiet")
    assert done.exit_code == 0
    assert (out / "recipe.toml").read_text() == (run / "recipe.toml").read_text()
    assert (out / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()


def test_a_recipe_file_or_a_run_is_shown_as_a_named_recipe_is(run, tmp_path):
    for place in (run / "recipe.toml", run):
        shown = call("show", place).stdout
        assert shown.startswith(f"# recipe mlp, as {place} has it\n")
        assert tomllib.loads(shown) == tomllib.loads((run / "recipe.toml").read_text())
        assert "batch = 16  # real images in each update of the discriminator" in shown
    wrong = tmp_path / "wrong.toml"
    wrong.write_text((run / "recipe.toml").read_text().replace("batch = 16", "batch = 0"))
    for place, fault in ((wrong, "batch: 0 must be at least 1"), (tmp_path / "none.toml", "none.toml")):
        shown, trained = call("show", place), call("train", "--recipe", place, "--out", tmp_path / "new")
        assert shown.exit_code == trained.exit_code == 2
        assert fault in shown.stderr
        assert shown.stderr == trained.stderr


def test_report_is_written_again(run):
    (run / "report.html").unlink()
    assert call("report", run).exit_code == 0
    assert (run / "report.html").exists()


@pytest.fixture
def corrupt(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", (16, 16)).save(folder / "good.png")
    (folder / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n but then nothing")
    return folder


WRONG = {
    "unknown command": (["trian"], "No such command 'trian'"),
    "unknown option": (["train", "--imags", "5k"], "--imags"),
    "unknown recipe": (["train", "--recipe", "dcgam"], "there is no recipe 'dcgam'; did you mean 'dcgan'?"),
    "misspelt field": (["train", "discriminator.lrr=1"], "there is no field 'discriminator.lrr'; did you mean"),
    "value out of range": (["train", "batch=-4"], "batch: -4 must be at least 1"),
    "several faults at once": (["train", "batch=0", "objective=hing"], "did you mean 'hinge'"),
    "missing data": (["train", "digit"], "digits"),
    "two data": (["train", "digits", "mnist"], "'digits' and 'mnist' cannot both be the data"),
    "bad length": (["train", "--images", "many"], "is not a length; write 200k"),
    "two lengths": (["train", "--images", "5k", "--minutes", "1"], "exclude each other"),
    "size that cannot be wired": (["train", "size=30"], "30"),
    "penalty with batch norm": (["train", "regularizers=gradient-penalty"], "discriminator.norm=layer"),
    "networks swapped": (["train", "generator.network=dcgan-discriminator"], "cannot serve as generator"),
    "unknown device": (["train", "--device", "tpu9"], "device 'tpu9' cannot be used here"),
    "device of another name": (["train", "--device", "gpu"], "(there is: auto, cpu, cuda, mps, xpu)"),
    "no device": (["train", "--device", ""], "device '' cannot be used here"),
    "an option twice": (["train", "--from", "a", "--from=b"], "--from is given twice; give it once"),
    "an option by both names": (["sample", "run", "-n", "3", "--count", "4"], "--count is given twice"),
    "no metrics": (["evaluate", "run", "--metrics", ""], "--metrics is empty; name some, or leave it out"),
    "no run": (["resume", "nowhere"], "nowhere is not a run directory"),
    "no value": (["train", "--out", "--images", "300"], "--out lacks its value: '--images' follows; --out=--images"),
    "no number": (["sample", "run", "--interpolate", "-o", "a.gif"], "--interpolate lacks its value: '-o' follows"),
    "dotted field": (["train", "digits", "genrator.chanels=8"], "did you mean 'generator.channels'?"),
    "a folder": (["sample", "."], ". is neither a run directory nor a model file"),
    "no generator": (["sample", "nowhere"], "nowhere: there is no such run or model file"),
    "no file to use": (["train", "--use", "none.py"], "--use none.py: there is no such Python file"),
    "unknown kind": (["ls", "optimiser"], "did you mean 'optimizer'"),
    "no recipe file": (["show", "none.toml"], "none.toml"),
    "unknown name": (["show", "wgangp"], "did you mean 'wgan-gp'"),
    "schedule after the end": (["train", "generator.schedule=linear:start=5k", "--images", "4k"], "generator.schedule"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_command_exits_2_with_one_helpful_message(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, text = WRONG[name]
    done = call(*arguments)
    assert done.exit_code == 2, done.stderr
    assert text in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["sample", "report", "doctor", "resume", "compare", "show", "train --from"])
def test_a_place_that_is_no_run_is_told_apart(run, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place in ("my photos/cats", "empty", "runs/a", "runs/b", "other"):
        (tmp_path / place).mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "my photos" / "cats" / "1.jpg")
    (tmp_path / "other" / "thesis.txt").touch()
    for name in ("a", "b"):
        (tmp_path / "runs" / name / "recipe.toml").touch()
    told = {
        "my photos": "my photos is {}: it is a folder of images; `zerosum train 'my photos'` trains on it",
        "empty": "empty is {}: it is empty; `zerosum train --out empty` makes one",
        "runs": "runs is {}: it is a folder of runs; name one: runs/a, runs/b",
        "other": "other is {}: it has no recipe.toml",
    }
    for place, text in told.items():
        done = call(*command.split(), place)
        takes_files = command in ("sample", "train --from")
        wanted = "neither a run directory nor a model file" if takes_files else "not a run directory"
        assert done.exit_code == 2
        assert text.format(wanted) in " ".join(done.stderr.split())


def test_a_run_is_not_resumed_without_images_that_turned_bad(corrupt, tmp_path):
    bad = (corrupt / "bad.png").read_bytes()
    Image.new("RGB", (16, 16), "red").save(corrupt / "bad.png")
    done = call("train", corrupt, "--recipe", "mlp", *SMALL, "--images", 32, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.stderr
    (corrupt / "bad.png").write_bytes(bad)
    done = call("resume", tmp_path / "run", "--images", 64)
    assert done.exit_code == 2
    assert "the data changed since this run began: bad.png: is" in done.stderr
    assert f"zerosum train --from {tmp_path / 'run'} length=64 --skip-bad" in done.stderr
    assert not foreign("resume", done.stderr)


def test_a_corrupt_image_is_named_and_can_be_skipped(corrupt, tmp_path):
    done = call("train", corrupt, "--recipe", "mlp", *SMALL, "--images", 32, "--out", tmp_path / "run")
    assert done.exit_code == 2
    assert "bad.png" in done.stderr
    assert "--skip-bad" in done.stderr
    assert not (tmp_path / "run").exists()
    done = call("train", corrupt, "--recipe", "mlp", *SMALL, "--images", 32, "--out", tmp_path / "run", "--skip-bad")
    assert done.exit_code == 0, done.stderr
    assert "1 of 2 images is bad, and left out:\n  bad.png: is not an image" in done.stderr


def test_resume_under_a_changed_recipe_and_in_a_used_directory(run):
    done = call("resume", run, "batch=32")
    assert done.exit_code == 2
    assert "batch: 16 -> 32" in done.stderr
    directory = training.RunDirectory(run)
    directory.hold()
    try:
        done = call("resume", run, "--images", "960")
    finally:
        directory.release()
    assert done.exit_code == 2
    assert "is in use by another training (pid " in done.stderr
    assert not foreign("resume", done.stderr)


def test_samples_cannot_be_written_in_an_unknown_form(run, tmp_path):
    done = call("sample", run, "--out", tmp_path / "s.jpg")
    assert done.exit_code == 2
    assert "use FILE.npz, FILE.png or FOLDER/" in done.stderr


def test_a_failure_at_run_time_exits_1(tmp_path):
    explode = ["discriminator.optimizer=sgd:lr=1e18", "generator.optimizer=sgd:lr=1e18"]
    done = call(
        "train", "--recipe", "wgan", "discriminator.rules=none", *explode, "--images", 2000, "--out", tmp_path / "run"
    )
    assert done.exit_code == 1
    assert "not finite" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_interrupted_command_exits_0_and_prints_how_to_go_on(tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "zerosum.cli.main", "train", "--recipe", "mlp", *SMALL, "--images", "100M"]
    process = subprocess.Popen([*command, "--out", str(out)], stderr=subprocess.PIPE, text=True)
    while not (out / "latest").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGHUP)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert f"all saved; go on with: zerosum resume {out}" in " ".join(said.split())
    assert (out / "report.html").exists()


@pytest.mark.skipif(
    not {"stop_when", "on_nan"} <= field_types(Recipe).keys(), reason="recipes have no stop_when and on_nan"
)
def test_when_to_stop_and_what_follows_nan_are_settings_of_the_recipe(tmp_path):
    done = call(
        "train", "--recipe", "mlp", *SMALL, "--images", 100_000, "--out", tmp_path / "run",
        "--stop-when", "sliced-wasserstein<1000", "--on-nan", "rollback",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    text = (tmp_path / "run" / "recipe.toml").read_text()
    assert 'stop_when = "sliced-wasserstein<1000"' in text
    assert 'on_nan = "rollback"' in text
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert 128 <= last["images"] < 1000  # the first evaluation
    wrong = call("train", "--recipe", "mlp", "--on-nan", "pray", "--out", tmp_path / "other")
    assert wrong.exit_code == 2
    assert "on_nan: 'pray' is not allowed; there is: rollback, stop" in wrong.stderr


def test_every_command_is_listed_and_explained():
    listed = call("--help").stdout
    names = [command.name for command in app.registered_commands]
    assert names[:2] == ["train", "resume"]
    assert {"sample", "report", "compare", "ls", "show"} <= set(names)
    assert len(names) == len(set(names))
    for name in names:
        assert f"  {name} " in listed
        assert call(name, "--help").exit_code == 0


SHARED = {
    "--device",
    "--threads",
    "--data",
    "--seed",
    "--out",
    "--quiet",
    "--json",
    "--use",
    "--data-root",
    "--skip-bad",
}


def test_an_option_means_the_same_everywhere_and_its_help_tells_of_its_own_command():
    commands = typer.main.get_command(app).commands
    options = [(name, option) for name, command in commands.items() for option in command.params]
    for word in SHARED:
        having = {name: option for name, option in options if word in option.opts}
        assert len({(*one.opts, one.multiple, getattr(one, "is_flag", False)) for one in having.values()}) == 1, word
        told = rf"\bfor (?:{'|'.join(commands)})\b|\b(?:{'|'.join(commands)}):"
        assert not [one.help for one in having.values() if re.search(told, one.help)]
        assert word not in ("--device", "--threads") or {"train", "resume", "sample", "evaluate"} <= having.keys()


def test_the_version_and_short_help():
    assert call("--version").stdout == f"zerosum {importlib.metadata.version('zerosum')}\n"
    for name in [command.name for command in app.registered_commands]:
        assert call(name, "-h").stdout == call(name, "--help").stdout != ""
    assert call("-h").exit_code == 0


@pytest.mark.parametrize("command", ["resume", "sample", "evaluate"])
def test_an_unknown_device_is_refused_alike(run, command):
    done = call(command, run, "--device", "tpu9")
    assert done.exit_code == 2
    assert "error: device 'tpu9' cannot be used here (" in done.stderr


def test_the_module_can_be_run():
    done = subprocess.run([sys.executable, "-m", "zerosum.cli.main", "ls", "data"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "digits" in done.stdout


def test_answers_are_json_that_every_reader_takes(capsys):
    from zerosum.cli.command import answer

    answer({"a": [1.5, float("nan")], "b": {"c": float("-inf"), "d": (None, True, "nan")}})
    assert capsys.readouterr().out == '{"a": [1.5, null], "b": {"c": null, "d": [null, true, "nan"]}}\n'


def test_words_are_told_apart(tmp_path, monkeypatch):
    from zerosum.cli.training import split_words

    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd=name").mkdir()
    (tmp_path / "size=64").mkdir()
    assert split_words(["a=1", "mnist", "b=2"]) == ("mnist", ["a=1", "b=2"])
    assert split_words(["size=64"]) == (None, ["size=64"])  # what lies here does not turn a setting into data
    for place in ("./odd=name", "odd=name/"):
        assert split_words([place, "b=2", "widths=16/16"]) == (place, ["b=2", "widths=16/16"])
    assert split_words([]) == (None, [])
    with pytest.raises(RecipeError, match="cannot both be the data"):
        split_words(["a", "b"])
