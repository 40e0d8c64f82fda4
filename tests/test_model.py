"""Generator files: every flipped bit is noticed, and what a stranger's file asks for is no more than it holds."""

import json
import random

import pytest
import torch
from safetensors.torch import save
from typer.testing import CliRunner

from zerosum.cli.main import app
from zerosum.core.errors import DamagedError, ZerosumWarning
from zerosum.core.space import Space
from zerosum.recipes import read_recipe
from zerosum.runs.storage import model, sealed
from zerosum.runs.storage.generator import Generator, load_generator, save_generator


def call(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments])


@pytest.fixture
def file(tmp_path):
    recipe = read_recipe("dcgan", ["generator.channels=4"])
    space = Space((1, 8, 8), 100)
    network = recipe.game.generator.network.build(*space.ports)
    save_generator(tmp_path / "g.safetensors", Generator(network, recipe, space, (), 1_000))
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
            load_generator(file)
    for changed in (content[:-1], content + b"x", content[: len(content) // 2]):
        file.write_bytes(changed)
        with pytest.raises(DamagedError):
            load_generator(file)
    file.write_bytes(content)
    load_generator(file)


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


def test_a_file_of_an_earlier_version_loads_with_a_note(file, tmp_path):
    about, weights, whole = sealed.read(file, model.About)
    assert whole
    samples = load_generator(file).sample(3)
    about = {key: value for key, value in about.items() if key != "sha256"} | {"format": model.UNSEALED}
    file.write_bytes(save(weights, {"zerosum": json.dumps(about)}))
    with pytest.warns(ZerosumWarning, match=r"g\.safetensors has no checksum, as it is of an earlier version"):
        assert torch.equal(load_generator(file).sample(3), samples)
    done = call("sample", file, "--count", 2, "--out", tmp_path / "s.npz")
    assert done.exit_code == 0
    assert "careful: " in done.stderr
    assert "has no checksum" in done.stderr
    file.write_bytes(save(weights, {"zerosum": json.dumps(about | {"format": model.FORMAT})}))
    with pytest.raises(DamagedError, match="is of the format 'zerosum-generator-2', which"):  # its seal was taken off
        load_generator(file)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"images": "many"}, "images: 'many' is not a whole number"),
        ({"space": {"shape": [1, 8], "latent": 100, "classes": 0}}, "its sizes do not fit each other"),
        ({"classes": ["a"]}, "its sizes do not fit each other"),
        ({"space": {"shape": [3, 8, 8], "latent": 100, "classes": 0}}, "its weights do not fit its own recipe"),
        ({"space": {"shape": [1, 8, 8], "latent": 3, "classes": 0}}, "its weights do not fit its own recipe"),
        ({"space": {"shape": [1, 8, 8], "latent": 100}}, "space.classes is missing"),
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
        load_generator(file)
    assert raised.value.exit_status == 2


def test_a_small_file_cannot_ask_for_a_large_network(file):
    about, weights, _ = sealed.read(file, model.About)
    about.pop("sha256")
    recipe = about["recipe"].replace("dcgan-generator:channels=4", "dcgan-generator:channels=900000")
    assert recipe != about["recipe"]
    file.write_bytes(sealed.pack(weights, {**about, "recipe": recipe}))
    with pytest.raises(DamagedError, match="its weights do not fit its own recipe"):
        load_generator(file)
