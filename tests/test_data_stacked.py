"""Stacked MNIST: fixed triples of digits as colours, found and refused as mnist is."""

import os

import numpy as np
import pytest

from tests.test_data_named import put, tiny_mnist
from zerosum.core.errors import DataError
from zerosum.data import Preparation, names, open_data
from zerosum.data import named as named_module
from zerosum.data import stacked as stacked_module

REAL = os.environ.get("ZEROSUM_DATA", "")


@pytest.fixture(autouse=True)
def _own_place(tmp_path, monkeypatch):
    monkeypatch.setenv("ZEROSUM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ZEROSUM_DATA", raising=False)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder with ten digits, of which few triples are made."""
    put(tmp_path / "root" / "mnist", tiny_mnist())
    monkeypatch.setattr(stacked_module, "IMAGES", 3000)
    return tmp_path / "root"


def test_it_has_a_line():
    assert names()["stacked-mnist"].startswith("128,000 triples")


def test_every_colour_is_a_digit_of_either_part(root):
    found, digits = open_data("stacked-mnist", data_root=root), open_data("mnist", data_root=root)
    assert found.name == "stacked-mnist"
    assert (found.values.dtype, found.values.shape, found.shape) == (np.uint8, (3000, 28, 28, 3), (3, 28, 28))
    known = {digits.values[index, ..., 0].tobytes(): index for index in range(10)}
    triples = np.array([[known[image[..., colour].tobytes()] for colour in range(3)] for image in found.values])
    counts = np.stack([np.bincount(triples[:, colour], minlength=10) for colour in range(3)])
    assert counts.min() > 230  # 300 each; four standard deviations are 66
    assert counts.max() < 370
    assert len(np.unique(triples @ [100, 10, 1])) == pytest.approx(
        1000 * (1 - np.exp(-3)), abs=35
    )  # colours independent


def test_it_has_no_labels_and_a_tenth_is_held_out(root):
    found = open_data("stacked-mnist", data_root=root)
    assert found.labels is None
    assert found.classes == ()
    assert (len(found.train), len(found.held_out)) == (2700, 300)
    assert not np.intersect1d(found.train, found.held_out).size
    assert len(open_data("stacked-mnist", Preparation(held_out=0.2), data_root=root).held_out) == 600


def test_the_triples_are_fixed_and_the_seed_draws_the_split_alone(root, tmp_path):
    one = open_data("stacked-mnist", data_root=root, seed=0)
    other = open_data("stacked-mnist", data_root=root, seed=1, cache=tmp_path / "elsewhere")
    assert np.array_equal(one.values, other.values)
    assert not np.array_equal(one.held_out, other.held_out)


def test_it_is_made_once(root, monkeypatch):
    one = open_data("stacked-mnist", data_root=root)
    assert isinstance(one.values, np.memmap)
    monkeypatch.setattr(stacked_module, "_contents", None)
    assert open_data("stacked-mnist", data_root=root).fingerprint == one.fingerprint


def test_other_digits_are_another_set(root, tmp_path):
    one = open_data("stacked-mnist", data_root=root)
    files = tiny_mnist()
    first, second = "train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"
    assert files[first] != files[second]
    put(
        tmp_path / "other" / "mnist",
        files | {first: files[second], "train-labels-idx1-ubyte.gz": files["t10k-labels-idx1-ubyte.gz"]},
    )
    assert open_data("stacked-mnist", data_root=tmp_path / "other").fingerprint != one.fingerprint


def test_without_mnist_the_error_says_where_to_put_it(tmp_path, monkeypatch):
    monkeypatch.setitem(named_module.URLS, "mnist", (tmp_path / "gone").as_uri() + "/")
    with pytest.raises(DataError, match=r"mnist: is not in .*root/mnist or .*cannot be fetched") as caught:
        open_data("stacked-mnist", data_root=tmp_path / "root")
    assert "FOLDER/mnist/ and name FOLDER with --data-root or $ZEROSUM_DATA" in str(caught.value)


@pytest.mark.skipif(not REAL, reason="ZEROSUM_DATA is not set")
def test_the_real_set(tmp_path):
    found = open_data("stacked-mnist", data_root=REAL)
    assert found.values.shape == (128_000, 28, 28, 3)
    assert (len(found.train), len(found.held_out)) == (115_200, 12_800)
    assert found.values[:2000].mean() == pytest.approx(33.3, abs=1)  # as mnist is, in every colour
    assert found.fingerprint == "226f326082825c8b2a856805d23a569b14e21a19776592f1df5423dba5d23f5a"
