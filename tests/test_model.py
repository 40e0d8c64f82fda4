"""Model files: every flipped bit is noticed, and what a stranger's file asks for is no more than it holds."""

import json
import random
import re
from typing import Any

import pytest
import torch
from safetensors.torch import save
from typer.testing import CliRunner

from tests.small import trained, words
from zerosum.cli.main import app
from zerosum.core import settings
from zerosum.core.errors import DamagedError, RecipeError, RunError, ZerosumWarning
from zerosum.networks.space import Space
from zerosum.recipes import read_recipe
from zerosum.runs.storage import legacy, model, sealed
from zerosum.runs.storage.saved import load_model, save_model


def call(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments])


@pytest.fixture
def file(tmp_path):
    recipe = read_recipe("dcgan", ["generator.channels=4"])
    save_model(tmp_path / "g.safetensors", trained(recipe, Space((1, 8, 8)).signals))
    return tmp_path / "g.safetensors"


def flip(path, content, place, bit):
    path.write_bytes(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])


def test_any_flipped_bit_is_noticed(file):
    content = file.read_bytes()
    header = int.from_bytes(content[:8], "little")
    draw = random.Random(0)
    places = [*range(8), *draw.sample(range(8, 8 + header), 25), *draw.sample(range(8 + header, len(content)), 20)]
    places += range(content.index(b"sha256") - 4, content.index(b"sha256") + 80, 9)  # the seal itself, and its name
    for place in places:
        flip(file, content, place, draw.randrange(8))
        with pytest.raises(DamagedError):
            load_model(file)
    for changed in (content[:-1], content + b"x", content[: len(content) // 2]):
        file.write_bytes(changed)
        with pytest.raises(DamagedError):
            load_model(file)
    file.write_bytes(content)
    load_model(file)


@pytest.mark.parametrize("command", ["sample", "evaluate"])
def test_commands_name_a_damaged_file_in_one_sentence(file, command, tmp_path):
    content = file.read_bytes()
    flip(file, content, len(content) - 3, 5)
    options = ["--out", tmp_path / "s.npz"] if command == "sample" else ["--data", "digits", "--quiet"]
    done = call(command, file, *options)
    assert done.exit_code == 2
    assert done.stderr.splitlines() == [
        f"error: {file} is damaged, or not a file of weights that zerosum wrote: its sha256 is not that of its content"
    ]


def as_before(file, network="generator"):
    """What an earlier version wrote in the place of a file: one network, and sizes in the place of signals."""
    about, weights, whole = sealed.read(file, model.About)
    assert whole
    kept = ("recipe", "classes", "images", "shares", "rules", "units")
    space = {"shape": about["signals"]["sample"]["shape"], "latent": 100, "classes": 0}
    about = {"format": legacy.SEALED, "space": space, **{key: about[key] for key in kept}}
    before = f"{network}."
    return about, {key.removeprefix(before): one for key, one in weights.items() if key.startswith(before)}


@pytest.mark.parametrize("recipe", ["dcgan", "vae", "veegan"])
def test_a_file_that_held_one_network_does_what_that_can(recipe, tmp_path):
    file, chosen = tmp_path / "model.safetensors", read_recipe(recipe, words(recipe))
    save_model(file, trained(chosen, Space((2,) if recipe == "veegan" else (1, 8, 8)).signals))
    now = load_model(file)
    about, weights = as_before(file, "decoder" if recipe == "vae" else "generator")
    file.write_bytes(sealed.pack(weights, about))
    before = load_model(file)
    assert torch.equal(before.sample(3), now.sample(3))
    assert before.verbs == ("generate",)
    verbs = {"dcgan": ("generate",), "veegan": ("generate", "encode", "reconstruct")}
    assert now.verbs == verbs.get(recipe, ("generate", "encode", "reconstruct", "bound"))
    if recipe == "vae":
        with pytest.raises(RunError, match="this model cannot reconstruct; it can generate"):
            before.reconstruct(torch.zeros(1, 1, 8, 8))


def test_a_file_of_the_first_version_loads_with_a_note(file, tmp_path):
    samples = load_model(file).sample(3)
    about, weights = as_before(file)
    about |= {"format": legacy.UNSEALED}
    file.write_bytes(save(weights, {"zerosum": json.dumps(about)}))
    with pytest.warns(ZerosumWarning, match=r"g\.safetensors has no checksum, as it is of an earlier version"):
        assert torch.equal(load_model(file).sample(3), samples)
    done = call("sample", file, "--count", 2, "--out", tmp_path / "s.npz")
    assert done.exit_code == 0
    assert "careful: " in done.stderr
    assert "has no checksum" in done.stderr
    file.write_bytes(save(weights, {"zerosum": json.dumps(about | {"format": legacy.SEALED})}))
    with pytest.raises(DamagedError, match="is of the format 'zerosum-generator-2', which"):  # its seal was taken off
        load_model(file)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"images": "many"}, "images: 'many' is not a whole number"),
        ({"signals": {"sample": {"kind": "image", "shape": [1, 8], "classes": 0}}}, "its sizes do not fit each other"),
        ({"signals": {}}, "its sizes do not fit each other"),
        ({"classes": ["a"]}, "its sizes do not fit each other"),
        ({"signals": {"sample": {"kind": "image", "shape": [3, 8, 8], "classes": 0}}}, "do not fit its own recipe"),
        ({"signals": {"a": {"kind": "image", "shape": [1, 8, 8], "classes": 0}}}, "do not fit its own recipe"),
        ({"signals": {"sample": {"kind": "image", "shape": [1, 8, 8]}}}, "signals.sample.classes is missing"),
        ({"format": "zerosum-model-9"}, "is of the format 'zerosum-model-9', which this version does not read"),
        ({"format": legacy.SEALED}, "space: None is not a table"),
        ({"recipe": "batch = 3"}, "game is missing"),
        (
            {"units": {"names": [], "mean": [0, 0], "deviation": [1, 1], "low": [0, 0], "high": [1, 1]}},
            r"what it says of the units of its points is damaged \(they are of 2 columns\)",
        ),
    ],
)
def test_a_seal_around_what_does_not_fit_is_refused(file, change, fault):
    about, weights, _ = sealed.read(file, model.About)
    about.pop("sha256")
    file.write_bytes(sealed.pack(weights, {**about, **change}))
    with pytest.raises(Exception, match=fault) as raised:
        load_model(file)
    assert raised.value.exit_status == 2


def test_weights_of_a_network_that_no_task_needs_are_refused(file):
    about, weights, _ = sealed.read(file, model.About)
    about.pop("sha256")
    file.write_bytes(sealed.pack({**weights, "discriminator.bias": torch.zeros(1)}, about))
    with pytest.raises(DamagedError, match="the recipe has no place for weights of 'discriminator'"):
        load_model(file)
    file.write_bytes(sealed.pack({}, about))
    with pytest.raises(DamagedError, match="it lacks the networks of every task"):
        load_model(file)


def test_the_seal_of_a_file_cannot_be_taken_off(file):
    about, weights, _ = sealed.read(file, model.About)
    about.pop("sha256")
    file.write_bytes(save(weights, {"zerosum": json.dumps(about)}))
    with pytest.raises(DamagedError, match="is of the format 'zerosum-model-1', which has a checksum, but it has none"):
        load_model(file)


def test_parts_that_only_a_training_needs_need_not_be_there(file):
    samples = load_model(file).sample(3)
    about, weights, _ = sealed.read(file, model.About)
    about.pop("sha256")
    others = {"game": "image", "objective": "non-saturating", "latent": "normal", "network": "dcgan-generator"}
    for kind, name in others.items():
        recipe = re.sub(rf'(?m)^({"part" if kind == "game" else kind} = "){name}', r"\1mine", about["recipe"], count=1)
        assert recipe != about["recipe"], kind
        file.write_bytes(sealed.pack(weights, {**about, "recipe": recipe}))
        if kind == "objective":
            with pytest.warns(ZerosumWarning, match="there is no objective 'mine'"):
                there = load_model(file)
            assert torch.equal(there.sample(3), samples)
            assert "mine" in settings.to_toml(there.recipe)  # as it was
        else:
            with pytest.raises(RecipeError, match=rf"there is no {kind} 'mine'.*[\s\S]*give their file with --use"):
                load_model(file)
    with pytest.raises(RecipeError, match="there is no network 'mine'"):
        load_model(file, whole=True)


def test_a_small_file_cannot_ask_for_a_large_network(file):
    about, weights, _ = sealed.read(file, model.About)
    about.pop("sha256")
    recipe = about["recipe"].replace("dcgan-generator:channels=4", "dcgan-generator:channels=900000")
    assert recipe != about["recipe"]
    file.write_bytes(sealed.pack(weights, {**about, "recipe": recipe}))
    with pytest.raises(DamagedError, match="its weights do not fit its own recipe"):
        load_model(file)


def test_a_file_that_is_not_there_is_not_called_damaged(tmp_path):
    with pytest.raises(DamagedError, match="none: there is no such file of weights"):
        sealed.read(tmp_path / "none", dict[str, Any])


def test_a_seal_in_another_place_is_no_seal(tmp_path):
    about = {"zerosum": json.dumps({"images": 3, "sha256": "0" * 64})}
    (tmp_path / "g").write_bytes(save({"x": torch.zeros(2)}, about))
    with pytest.raises(DamagedError, match="its sha256 is not that of its content"):
        sealed.read(tmp_path / "g", dict[str, Any])


def test_weights_may_hold_the_bytes_of_a_seal(tmp_path):
    blank = torch.tensor(list(sealed._mark("0" * 64)), dtype=torch.uint8)
    (tmp_path / "g").write_bytes(sealed.pack({"odd": blank}, {"images": 3}))
    about, weights, whole = sealed.read(tmp_path / "g", dict[str, Any])
    assert whole
    assert about["images"] == 3
    assert torch.equal(weights["odd"], blank)
