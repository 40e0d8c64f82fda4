"""Pairs of images: which files belong together, what is said of those without a partner, and how a game is fed."""

import unicodedata
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from zerosum.core.engine import Engine
from zerosum.core.errors import DataError, RecipeError, ZerosumWarning
from zerosum.core.model import Model, Task
from zerosum.core.player import Player
from zerosum.core.registry import Part, parse
from zerosum.core.signals import Signal, Wiring
from zerosum.data import Feed, Preparation, open_data
from zerosum.networks import Glorot
from zerosum.optimizers import Adam, Constant
from zerosum.runs.evaluation.given import like

pytestmark = pytest.mark.filterwarnings("ignore:.* bad, and left out")  # most tests are of what is left

FILES = Preparation(pairs="files", held_out=0.0)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ZEROSUM_CACHE", str(tmp_path / "cache"))


def put(folder, shades, size=(8, 8), mode="L"):
    """Pictures of one grey level each, by their names."""
    for name, shade in shades.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((*size, 3) if mode == "RGB" else size, shade, np.uint8)).save(path)
    return folder


def shades(dataset, rows):
    """Grey levels of inputs and targets."""
    return [(int(a[0, 0, 0]), int(b[0, 0, 0])) for a, b in zip(dataset.inputs[rows], dataset.values[rows], strict=True)]


def test_images_of_one_name_in_two_folders_are_pairs(tmp_path):
    folder = put(tmp_path / "set", {"A/1.png": 1, "A/x/2.png": 2, "B/x/2.bmp": 12, "B/1.png": 11})
    found = open_data(folder, FILES)
    image = Signal("image", (1, 8, 8))
    assert found.signals == {"input": image, "target": image}
    assert shades(found, found.train) == [(1, 11), (2, 12)]
    assert found.classes == ()
    assert found.per_epoch == 2
    assert [found.of(name).values[0, 0, 0, 0] for name in ("input", "target")] == [1, 11]
    back = open_data(folder, FILES.replace(direction="BtoA"))
    assert shades(back, back.train) == [(11, 1), (12, 2)]
    assert len({found.fingerprint, back.fingerprint, found.of("input").fingerprint}) == 3
    assert open_data(folder).fingerprint != found.fingerprint
    assert found.notes[-2:] == ("pairs: images of one name in folders A and B", "pairs: A is the input, B the target")


@pytest.mark.parametrize(
    "names",
    [
        ("trainA/1", "trainB/1", "testA/1", "testB/1"),
        ("A/train/1", "B/train/1", "A/test/1", "B/test/1"),
        ("train/a/1", "train/b/1", "val/a/1", "val/b/1"),
    ],
)
def test_folders_say_which_pairs_are_held_out(tmp_path, names):
    folder = put(tmp_path / "set", {f"{name}.png": shade for shade, name in enumerate(names)})
    found = open_data(folder, FILES.replace(held_out=0.5))
    assert found.own_split
    assert shades(found, found.train) == [(0, 1)]
    assert shades(found, found.held_out) == [(2, 3)]


def side_by_side(folder, count, height=8, width=16):
    folder.mkdir()
    for shade in range(count):
        pixels = np.full((height, width), shade, np.uint8)
        pixels[:, width // 2 :] += 100
        Image.fromarray(pixels).save(folder / f"{shade}.png")
    return folder


def test_a_file_may_hold_both_images_side_by_side(tmp_path):
    folder = side_by_side(tmp_path / "set", 3)
    found = open_data(folder, FILES)
    assert found.shape == (1, 8, 8)
    assert shades(found, found.train) == [(0, 100), (1, 101), (2, 102)]
    assert "pairs: each file holds both, A in its left half and B in its right one" in found.notes
    small = open_data(folder, FILES.replace(size="4", channels="3", direction="BtoA"))
    assert small.shape == (3, 4, 4)
    assert shades(small, small.train) == [(100, 0), (101, 1), (102, 2)]
    again = open_data(folder, FILES)  # from the cache
    assert np.array_equal(again.inputs, found.inputs)
    assert again.fingerprint == found.fingerprint


def test_halves_are_cut_after_a_photograph_is_turned(tmp_path):
    (tmp_path / "set").mkdir()
    lying = np.repeat(np.array([[7], [7], [200], [200]], np.uint8), 2, axis=1)  # 4 high, 2 wide: turned it is 2 high
    image = Image.fromarray(lying)
    exif = image.getexif()
    exif[0x0112] = 8  # to be turned a quarter to the left
    image.save(tmp_path / "set/1.png", exif=exif)
    found = open_data(tmp_path / "set", FILES)
    assert shades(found, [0]) == [(7, 200)]


def test_other_shapes_than_two_squares_are_asked_for(tmp_path):
    folder = side_by_side(tmp_path / "set", 2, height=8, width=12)
    with pytest.raises(DataError, match=r"0\.png: is 8x12 .* is twice as wide as high; layout=halves takes any"):
        open_data(folder, FILES)
    found = open_data(folder, FILES.replace(pairs="files:layout=halves", size="own"))
    assert found.shape == (1, 8, 6)
    put(folder, {"odd.png": 9}, size=(8, 9))
    with pytest.raises(DataError, match=r"odd\.png: is 8x9 .* side by side is of an even width; mend or remove"):
        open_data(folder, FILES.replace(pairs="files:layout=halves"))


def test_rows_of_an_array_may_hold_both_images(tmp_path):
    both = np.arange(2 * 4 * 8, dtype=np.uint8).reshape(2, 4, 8)
    np.save(tmp_path / "x.npy", both)
    found = open_data(tmp_path / "x.npy", FILES)
    assert np.array_equal(found.inputs[..., 0], both[:, :, :4])
    assert np.array_equal(found.values[..., 0], both[:, :, 4:])
    (tmp_path / "set").mkdir()
    np.save(tmp_path / "set/1.npy", both[0])
    one = open_data(tmp_path / "set", FILES)
    assert np.array_equal(one.values[0, ..., 0], both[0, :, 4:])


def test_what_is_no_whole_pair_is_named_and_left_out_where_one_asks_for_it(tmp_path):
    names = {f"{side}/{number}.png": 10 * number for side in "AB" for number in range(5)}
    folder = put(tmp_path / "set", names | {"A/lone.png": 1, "B/other.png": 2, "B/0.bmp": 3})
    (folder / "A/1.png").write_bytes(b"no picture")
    put(folder, {"B/2.png": 5}, size=(8, 9))
    with pytest.raises(DataError) as error:
        open_data(folder, FILES)
    assert str(error.value).splitlines() == [
        "5 of 8 pairs are bad:",
        "  B/0.png: has the same name as B/0.bmp; only one can be in the pair",
        "  A/lone.png: has no partner of its name in B",
        "  B/other.png: has no partner of its name in A",
        "  A/1.png: is not an image in a format that zerosum reads",
        "  B/2.png: is 8x9 (height x width), and its partner A/2.png 8x8; both images of a pair have one size",
        "mend or remove such files, or leave them out with --skip-bad",
    ]
    found = open_data(folder, FILES.replace(size="8"), skip_bad=True)
    assert len(found.skipped) == 5
    assert shades(found, found.train) == [(0, 3), (30, 30), (40, 40)]


def test_few_bad_pairs_are_left_out_by_name(tmp_path):
    folder = put(tmp_path / "set", {f"{side}/{number}.png": number for side in "AB" for number in range(40)})
    (folder / "B/7.png").write_bytes(b"no picture")
    put(folder, {"A/lone.png": 1})
    warning = (
        r"^set: 2 of 41 pairs are bad, and left out:\n  A/lone.png: has no partner of its name in B\n"
        r"  B/7.png: is not an image in a format that zerosum reads$"
    )
    for _ in range(2):  # decoded, then from the cache
        with pytest.warns(ZerosumWarning, match=warning):
            found = open_data(folder, FILES)
        assert len(found) == 39
        assert [one.partition(":")[0] for one in found.skipped] == ["A/lone.png", "B/7.png"]
    put(folder, {"B/other.png": 1})
    with pytest.raises(DataError, match=r"(?s)^3 of 42 pairs are bad:\n  A/lone.*leave them out with --skip-bad$"):
        open_data(folder, FILES)


def test_names_are_equal_in_whichever_way_their_accents_are_written(tmp_path):
    names = [unicodedata.normalize(form, "f\u00fcr") for form in ("NFC", "NFD")]
    found = open_data(put(tmp_path / "set", {f"A/{names[0]}.png": 1, f"B/{names[1]}.png": 2}), FILES)
    assert shades(found, found.train) == [(1, 2)]


@pytest.mark.parametrize(
    ("names", "pairs", "told"),
    [
        (["A/1.png", "B/2.png"], "files", "set: no image of A has a partner of its name in B: A/1.png: has no partner"),
        (["A/1.png", "B/1.png", "2.png"], "files", "2.png: lies in neither of the folders A and B; mend or remove"),
        (["1.png"], "files:layout=folders", "there are no folders A and B, or trainA, trainB, testA and testB"),
        (["A/1.png"], "files", "1.png: is 8x8 (height x width), and a pair side by side is twice as wide as high"),
        (["testA/1.png", "testB/1.png"], "files", "no image is left to train on; its test part has all of them (1)"),
    ],
)
def test_what_holds_no_pairs_is_refused(tmp_path, names, pairs, told):
    folder = put(tmp_path / "set", dict.fromkeys(names, 1))
    with pytest.raises(DataError) as error:
        open_data(folder, FILES.replace(pairs=pairs))
    assert told in str(error.value)


def test_points_are_no_pairs(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((4, 2), np.float32))
    for source in ("ring8", tmp_path / "x.npy"):
        for pairs in ("files", "grey"):
            with pytest.raises(DataError, match=r"data\.pairs needs images, and these are points; leave it empty"):
                open_data(source, FILES.replace(pairs=pairs))


def test_settings_of_pairs_are_checked():
    with pytest.raises(RecipeError, match="there is no pairing 'file'; did you mean 'files'"):
        Preparation(pairs="file")
    with pytest.raises(
        RecipeError, match=r"pairs: pairing 'files': layout: 'rows' is not allowed; there is: auto, folders"
    ):
        Preparation(pairs="files:layout=rows")
    with pytest.raises(RecipeError, match="domains are sets without pairs, and pairs is set; leave one empty"):
        Preparation(pairs="files", domains=("auto",))
    made = Preparation(pairs="files:layout=halves", direction="BtoA", size="32")
    assert parse("preparation", str(made)) == made


def test_an_input_may_be_computed_from_its_image(tmp_path):
    folder = put(tmp_path / "set", {f"{name}.png": (200, 100, 50) for name in "xy"}, mode="RGB")
    found = open_data(folder, FILES.replace(pairs="grey"))
    assert found.signals == {"input": Signal("image", (1, 8, 8)), "target": Signal("image", (3, 8, 8))}
    assert (found.inputs == round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)).all()
    back = open_data(folder, FILES.replace(pairs="grey", direction="BtoA"))
    assert back.signals == {"input": Signal("image", (3, 8, 8)), "target": Signal("image", (1, 8, 8))}
    assert "pairs: A is computed from each image, B: grey" in found.notes


def test_both_images_of_a_pair_come_together_and_are_mirrored_alike(tmp_path):
    left = np.zeros((12, 2, 4), np.uint8)
    left[:, :, 0] = 20 * np.arange(12)[:, None] + 5
    np.save(tmp_path / "x.npy", np.concatenate([left, left + 1], axis=2))
    data = open_data(tmp_path / "x.npy", FILES.replace(pairs="files:layout=halves", size="own"))
    feed = Feed(data, 12, flip=True, seed=1)
    batch = feed.next()
    assert batch.keys() == {"input", "target"}
    assert torch.allclose(batch["target"] - batch["input"], torch.tensor(1 / 127.5), atol=1e-6)
    shown = batch["input"][:, 0, 0]
    assert 0 < (shown[:, 0] > -1).sum() < 12  # the bright column is left in some and right in others
    assert sorted(shown.amax(1).tolist()) == pytest.approx([(20 * n + 5) / 127.5 - 1 for n in range(12)])
    ranks = [Feed(data, 12, seed=1, rank=rank, world=2).next() for rank in range(2)]
    whole = Feed(data, 12, seed=1).next()
    assert all(torch.equal(torch.cat([one[name] for one in ranks]), whole[name]) for name in whole)


# ---------------------------------------------------------------------- a game that asks for pairs


@dataclass(frozen=True)
class Pixelwise(Part):
    """A network that sees one pixel at a time."""

    def build(self, inputs, outputs):
        return nn.Conv2d(inputs["input"].shape[0], outputs["target"].shape[0], 1)

    def traits(self):
        return frozenset({"translator"})


@dataclass(frozen=True)
class Regression(Part):
    """A translator that pays for every pixel by itself."""

    pack: ClassVar[int] = 1
    regularizers: ClassVar[tuple[Any, ...]] = ()
    roles: ClassVar[dict[str, frozenset[str]]] = {"generator": frozenset({"translator"})}

    generator: Player

    def players(self):
        return {"generator": self.generator}

    def networks(self, signals):
        given, wanted = {"input": signals["input"]}, {"target": signals["target"]}
        return {"generator": Wiring(given, wanted, ("generator",))}

    def step(self, feed, engine):
        G = engine.network("generator")
        batch = feed.next()
        engine.update("generator", l1=(G(batch["input"]) - batch["target"]).abs().mean())

    def model(self, networks, signals):
        G = networks["generator"]
        given, wanted = {"input": signals["input"]}, {"target": signals["target"]}
        task = Task("translate", given, wanted, lambda **given: G(given["input"]))
        return Model({"generator": G}, {"translate": task})


def test_a_game_learns_targets_from_inputs(tmp_path):
    folder = put(tmp_path / "set", {f"{side}/{n}.png": n * 20 + 40 * (side == "B") for side in "AB" for n in range(9)})
    data = open_data(folder, FILES)
    player = Player(Pixelwise(), Adam(lr=0.1), Constant(), Glorot())
    engine, feed = Engine(Regression(player), data.signals, total=1000), Feed(data, 9)

    def error():
        batch = Feed(data, 9).next()
        return float((engine.model().draw(9, input=batch["input"])["target"] - batch["target"]).abs().mean())

    before = error()
    for _ in range(30):
        engine.turn(feed)
    assert error() < 0.5 * before


def test_inputs_are_held_against_metrics_of_targets_where_their_channels_allow():
    grey = np.arange(8, dtype=np.uint8).reshape(2, 2, 2, 1)
    colours = like(grey, (2, 2, 3))
    assert colours.shape == (2, 2, 2, 3)
    assert all(np.array_equal(colours[..., [plane]], grey) for plane in range(3))
    assert np.array_equal(like(colours, (2, 2, 3)), colours)
    assert like(colours, (2, 2, 1)) is None
    assert like(colours, (2, 3, 3)) is None
