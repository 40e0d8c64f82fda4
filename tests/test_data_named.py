"""Sets with a name: where they are found, how they are fetched, what they hold."""

import gzip
import hashlib
import os
import struct
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from zerosum.core.errors import DataError
from zerosum.data import Preparation, names, open_data
from zerosum.data import named as named_module

REAL = os.environ.get("ZEROSUM_DATA", "")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ZEROSUM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ZEROSUM_DATA", raising=False)
    return tmp_path / "cache"


def test_every_name_has_a_line():
    assert list(names()) == sorted(names())
    assert {
        "cifar10",
        "digits",
        "dirac",
        "fashion-mnist",
        "grid25",
        "mnist",
        "ring8",
        "stacked-mnist",
    } <= names().keys()
    assert all(about and "\n" not in about for about in names().values())


def test_unknown_name_offers_the_nearest():
    with pytest.raises(DataError, match=r"'mnits' is not a file or folder, nor a named set; did you mean 'mnist'\?"):
        open_data("mnits")
    with pytest.raises(DataError, match=r"'/no/where' is not a file or folder, .*there is no 'no' in /$"):
        open_data("/no/where")


def test_unknown_kind_of_file_says_what_is_read(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match=r"notes.txt: cannot be read as data; zerosum reads folders of images, zip"):
        open_data(tmp_path / "notes.txt")


def test_digits():
    found = open_data("digits")
    assert found.values.shape == (1797, 8, 8, 1)
    assert (found.values.min(), found.values.max()) == (0, 255)
    assert found.classes == tuple("0123456789")
    assert found.labels[:5].tolist() == [0, 1, 2, 3, 4]
    assert len(found.held_out) == 180
    assert np.array_equal(np.sort(np.concatenate([found.train, found.held_out])), np.arange(1797))


def test_the_seed_and_the_share_make_the_split():
    one, same, other = (open_data("digits", seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(one.held_out, same.held_out)
    assert one.fingerprint == same.fingerprint
    assert not np.array_equal(one.held_out, other.held_out)
    assert one.fingerprint != other.fingerprint
    assert len(open_data("digits", Preparation(held_out=0)).held_out) == 0
    with pytest.raises(DataError, match="digits: held_out=1 leaves no image to train on"):
        open_data("digits", Preparation(held_out=1))


@pytest.mark.parametrize(
    ("name", "modes", "spread"), [("ring8", 8, 0.01), ("ring8-wide", 8, 0.05), ("grid25", 25, 0.0177)]
)
def test_mixtures(name, modes, spread):
    found = open_data(name, seed=3)
    assert found.values.shape == (100_000, 2)
    assert found.values.dtype == np.float32
    assert found.labels is None
    assert found.shape == (2,)
    assert found.centres.shape == (modes, 2)
    assert found.spread == pytest.approx(spread, rel=2e-3)
    offsets = found.values[:, None] - found.centres
    nearest = (offsets**2).sum(axis=2).argmin(axis=1)
    around = offsets[np.arange(len(offsets)), nearest]
    assert around.std() == pytest.approx(spread, rel=0.01)
    assert np.bincount(nearest).min() > 0.9 * 100_000 / modes
    assert np.array_equal(open_data(name, seed=3).values, found.values)
    assert not np.array_equal(open_data(name, seed=4).values, found.values)


def test_mixtures_stand_where_the_papers_put_them():
    ring = open_data("ring8").centres
    assert np.allclose(np.linalg.norm(ring, axis=1), 1)
    grid = open_data("grid25").centres
    assert sorted({round(float(x) * 2.828) for x in grid[:, 0]}) == [-4, -2, 0, 2, 4]
    assert len({tuple(row) for row in grid.tolist()}) == 25


def idx(array):
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def tiny_mnist():
    """The four files of a set of 7 + 3 images, gzipped, by name."""
    images = np.arange(10 * 28 * 28, dtype=np.uint32).reshape(10, 28, 28).astype(np.uint8)
    labels = np.arange(10, dtype=np.uint8) % 7
    parts = {"train": slice(0, 7), "t10k": slice(7, 10)}
    files = {}
    for part, rows in parts.items():
        files[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(idx(images[rows]))
        files[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(idx(labels[rows]))
    return files


def put(folder, files):
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_data_root_then_variable_then_cache(tmp_path, monkeypatch, cache, name):
    put(tmp_path / "one" / name, tiny_mnist())
    found = open_data(name, data_root=tmp_path / "one")
    assert found.train.tolist() == list(range(7))
    assert found.held_out.tolist() == [7, 8, 9]
    assert found.labels.tolist() == [0, 1, 2, 3, 4, 5, 6, 0, 1, 2]
    monkeypatch.setenv("ZEROSUM_DATA", str(tmp_path / "one"))
    assert len(open_data(name)) == 10
    monkeypatch.delenv("ZEROSUM_DATA")
    put(cache / "sets" / name, tiny_mnist())
    assert len(open_data(name)) == 10


def test_unpacked_files_are_found_too(tmp_path):
    files = {name.removesuffix(".gz"): gzip.decompress(data) for name, data in tiny_mnist().items()}
    put(tmp_path / "root" / "mnist", files)
    assert len(open_data("mnist", data_root=tmp_path / "root")) == 10


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def served(tmp_path, monkeypatch):
    files = tiny_mnist()
    put(tmp_path / "served", files)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(tmp_path / "served")))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setitem(named_module.URLS, "mnist", f"http://127.0.0.1:{server.server_port}/")
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    monkeypatch.setitem(named_module.HASHES, "mnist", hashes)
    yield tmp_path / "served"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_set_is_fetched_once_into_the_cache(served, cache):
    heard = []
    assert len(open_data("mnist", report=lambda *word: heard.append(word))) == 10
    size = (served / "t10k-images-idx3-ubyte.gz").stat().st_size
    assert ("downloading t10k-images-idx3-ubyte.gz", size, size) in heard
    for file in served.iterdir():
        file.unlink()
    assert len(open_data("mnist")) == 10
    assert sorted(file.suffix for file in (cache / "sets" / "mnist").iterdir()) == [".gz"] * 4


def test_wrong_sha256_is_an_error_and_leaves_nothing(served, cache):
    (served / "train-images-idx3-ubyte.gz").write_bytes(b"something else")
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.gz: has sha256 \w{64}, expected \w{64}; it was not"):
        open_data("mnist")
    assert list((cache / "sets" / "mnist").iterdir()) == []


def test_no_network_says_where_it_looked_and_what_to_do(tmp_path, monkeypatch, cache):
    monkeypatch.setitem(named_module.URLS, "mnist", (tmp_path / "gone").as_uri() + "/")
    with pytest.raises(
        DataError, match=r"mnist: is not in .*root/mnist or .*sets/mnist, and file:.*cannot be"
    ) as caught:
        open_data("mnist", data_root=tmp_path / "root")
    assert "t10k-labels-idx1-ubyte.gz" in str(caught.value)
    assert "FOLDER/mnist/ and name FOLDER with --data-root or $ZEROSUM_DATA" in str(caught.value)
    assert list((cache / "sets" / "mnist").iterdir()) == []


def test_cifar_without_network_names_its_archive(tmp_path, monkeypatch):
    monkeypatch.setitem(named_module.URLS, "cifar10", (tmp_path / "gone").as_uri() + "/")
    with pytest.raises(DataError, match=r"Put cifar-10-python.tar.gz into FOLDER/cifar10/"):
        open_data("cifar10")


@pytest.mark.skipif(not REAL, reason="ZEROSUM_DATA is not set")
@pytest.mark.parametrize(("name", "first"), [("mnist", [5, 0, 4, 1, 9]), ("fashion-mnist", [9, 0, 0, 3, 0])])
def test_real_set(name, first):
    found = open_data(name, data_root=REAL)
    assert found.shape == (1, 28, 28)
    assert np.array_equal(found.train, np.arange(60_000))
    assert np.array_equal(found.held_out, np.arange(60_000, 70_000))
    assert found.labels[:5].tolist() == first
    assert np.bincount(found.labels).sum() == 70_000
    assert found.num_classes == 10
