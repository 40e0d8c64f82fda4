"""npz, npy, idx and CIFAR files."""

import gzip
import io
import os
import pickle
import struct
import tarfile

import numpy as np
import pytest

from zerosum.core.errors import DataError
from zerosum.data import Preparation, open_data

RANDOM = np.random.default_rng(0)
RGB = RANDOM.integers(0, 256, (6, 5, 5, 3), dtype=np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ZEROSUM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ZEROSUM_DATA", raising=False)


def npz(tmp_path, **arrays):
    path = tmp_path / "set.npz"
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("key", ["images", "x_train", "x", "arr_0", "pictures"])
@pytest.mark.parametrize("label_key", ["labels", "y_train", "y"])
def test_npz_keys(tmp_path, key, label_key):
    found = open_data(npz(tmp_path, **{key: RGB, label_key: LABELS}))
    assert np.array_equal(found.values, RGB)
    assert found.labels.tolist() == LABELS.tolist()
    assert found.classes == ("0", "1", "2")
    assert found.name == "set"


def test_npz_labels_that_are_names_are_read_as_from_python(tmp_path):
    names = np.array(["ox 10", "ox 2", "ant"] * 2)
    found = open_data(npz(tmp_path, images=RGB, labels=names))
    given = open_data((RGB, names))
    assert found.classes == given.classes == ("ant", "ox 2", "ox 10")
    assert found.labels.tolist() == given.labels.tolist() == [2, 1, 0] * 2
    ordered = open_data(npz(tmp_path, images=RGB, labels=names, classes=np.array(["ox 2", "ant", "ox 10"])))
    assert (ordered.classes, ordered.labels.tolist()) == (("ox 2", "ant", "ox 10"), [2, 0, 1] * 2)


def test_npy_and_shapes(tmp_path):
    path = tmp_path / "set.npy"
    for array, expected in [
        (RGB, RGB),
        (RGB[..., 0], RGB[..., :1]),
        (RGB[..., :1], RGB[..., :1]),
        (RGB.transpose(0, 3, 1, 2), RGB),
    ]:
        np.save(path, array)
        assert np.array_equal(open_data(path).values, expected)


def test_colour_is_made_grey_and_rgba_is_composited_where_asked(tmp_path):
    rgba = np.concatenate([RGB, np.zeros((6, 5, 5, 1), dtype=np.uint8)], axis=3)
    assert np.array_equal(open_data(npz(tmp_path, images=rgba)).values, rgba)
    assert (open_data(npz(tmp_path, images=rgba), Preparation(channels="3")).values == 255).all()
    assert open_data(npz(tmp_path, images=RGB), Preparation(channels="1", size="3x4")).values.shape == (6, 3, 4, 1)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([True, False]), [255, 0]),
        (np.array([0, 257, 65535], dtype=np.uint16), [0, 1, 255]),
        (np.array([0, 0.5, 1], dtype=np.float64), [0, 128, 255]),
        (np.array([-1, 0, 1], dtype=np.float32), [0, 128, 255]),
        (np.array([0.25, 0.5], dtype=np.float16), [64, 128]),
        (np.array([-0.0002, 1.0003], dtype=np.float32), [0, 255]),
        (np.array([0, 100, 200], dtype=np.int64), [0, 100, 200]),
        (np.array([0, 99.6, 255], dtype=np.float64), [0, 100, 255]),
        (np.array([0, 2048, 4000], dtype=np.int32), [0, 128, 249]),
        (np.array([0, 1], dtype=np.int64), [0, 255]),
    ],
)
def test_types_and_ranges(tmp_path, values, expected):
    found = open_data(npz(tmp_path, images=values.reshape(1, 1, -1)), Preparation(size=f"1x{len(values)}"))
    assert found.values.ravel().tolist() == expected


IMAGE = np.zeros((4, 3, 3), dtype=np.float32)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": IMAGE + 300}, r"array 'images': floats from 300 to 300; .* set data.range=0\.\.300, or"),
        ({"images": IMAGE - 1.01}, r"floats from -1.01 to -1.01; this does not tell what is black and what is white"),
        ({"images": IMAGE + 1.01}, r"floats from 1.01 to 1.01; this does not tell"),
        ({"images": IMAGE + np.nan}, r"array 'images': holds NaN"),
        ({"images": IMAGE.astype(np.int32) + 16}, r"whole numbers from 16 to 16; .* set data.range=0\.\.16, or"),
        ({"images": IMAGE.astype(np.int32) - 5}, r"whole numbers from -5 to -5"),
        (
            {"images": IMAGE.astype(complex)},
            r"holds values of type complex128; whole numbers, floats and bool are read",
        ),
        (
            {"images": np.zeros((4, 5, 5, 7, 2), np.uint8)},
            r"shape 4x5x5x7x2 is not a set of images; allowed are \[N, H, W\]",
        ),
        ({"images": IMAGE[:0]}, r"array 'images' is empty"),
        ({"images": np.array(3.0)}, r"array 'images' is a single number"),
        ({"images": np.array([None, "x"])}, r"holds Python objects, which could run code"),
        ({"a": RGB, "b": RGB}, r"which array holds the images\? Name it 'images'; found a, b"),
        (
            {"images": RGB, "labels": LABELS[:4]},
            r"labels must be 6 whole numbers or names, one per image; found int64 4",
        ),
        ({"images": RGB, "labels": LABELS / 2}, r"labels must be 6 whole numbers.*found float64 6"),
        ({"images": RGB, "labels": np.array([b"a"] * 6)}, r"type \|S1; whole numbers, floats, bool and text are read"),
        ({"images": RGB, "labels": np.array(["a", ""] * 3)}, r"some labels are empty; each must name a class"),
        (
            {"images": RGB, "labels": np.array(["a", "b"] * 3), "classes": np.array(["a", "c"])},
            r"set.npz: labels name 'b', which 'classes' lacks",
        ),
        ({"images": RGB, "labels": LABELS - 1}, r"labels from -1 to 1; they must count classes from 0"),
        ({"x": np.full((9, 2), np.inf)}, r"array 'x': holds NaN or infinity"),
    ],
)
def test_refused_arrays(tmp_path, arrays, message):
    with pytest.raises(DataError, match=message):
        open_data(npz(tmp_path, **arrays))


def test_damaged_npz_is_named(tmp_path):
    path = npz(tmp_path, images=RGB)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"set.npz: (is damaged or not a NumPy file|holds Python objects)"):
        open_data(path)


def test_two_dimensional_floats_are_points(tmp_path):
    points = RANDOM.standard_normal((50, 2))
    found = open_data(npz(tmp_path, x=points), Preparation(standardise=False))
    assert not found.is_image
    assert found.shape == (2,)
    assert found.values.dtype == np.float32
    assert np.array_equal(found.values, points.astype(np.float32))
    assert len(found.held_out) == 5


def idx(path, array):
    data = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


GREY = RANDOM.integers(0, 256, (9, 7, 7), dtype=np.uint8)


@pytest.mark.parametrize("end", ["", ".gz"])
def test_idx_file_with_labels_beside_it(tmp_path, end):
    idx(tmp_path / f"my-labels-idx1-ubyte{end}", np.arange(9, dtype=np.uint8) % 3)
    found = open_data(idx(tmp_path / f"my-images-idx3-ubyte{end}", GREY))
    assert np.array_equal(found.values[..., 0], GREY)
    assert found.labels.tolist() == [0, 1, 2] * 3
    assert found.num_classes == 3


def test_idx_file_alone_is_unlabelled(tmp_path):
    found = open_data(idx(tmp_path / "images.idx", GREY))
    assert found.labels is None
    assert len(found.train) == 8


def test_folder_of_idx_files_holds_its_t10k_part_out(tmp_path):
    for part, images in (("train", GREY[:6]), ("t10k", GREY[6:])):
        idx(tmp_path / "own" / f"{part}-images-idx3-ubyte", images)
        idx(tmp_path / "own" / f"{part}-labels-idx1-ubyte", np.zeros(len(images), dtype=np.uint8))
    found = open_data(tmp_path / "own")
    assert found.train.tolist() == [0, 1, 2, 3, 4, 5]
    assert found.held_out.tolist() == [6, 7, 8]


def test_truncated_idx_says_how_much_is_missing(tmp_path):
    path = idx(tmp_path / "my-images-idx3-ubyte", GREY)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="is truncated or damaged; 441 bytes are announced, 440 are there"):
        open_data(path)


def test_truncated_gzip_is_damaged(tmp_path):
    path = idx(tmp_path / "my-images-idx3-ubyte.gz", GREY)
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(DataError, match=r"my-images-idx3-ubyte.gz: is damaged"):
        open_data(path)


def test_labels_of_another_number_are_refused(tmp_path):
    idx(tmp_path / "my-labels-idx1-ubyte", np.zeros(8, dtype=np.uint8))
    with pytest.raises(DataError, match="9 images but 8 labels beside them"):
        open_data(idx(tmp_path / "my-images-idx3-ubyte", GREY))


def test_labels_of_one_of_two_idx_files_are_refused(tmp_path):
    for part in ("train", "t10k"):
        idx(tmp_path / "own" / f"{part}-images-idx3-ubyte", GREY)
    idx(tmp_path / "own" / "train-labels-idx1-ubyte", np.zeros(9, dtype=np.uint8))
    with pytest.raises(DataError, match="t10k-images-idx3-ubyte has no labels file beside it, and the other has"):
        open_data(tmp_path / "own")


PLANES = RANDOM.integers(0, 256, (12, 3072), dtype=np.uint8)
TEN = np.arange(12, dtype=np.uint8) % 10


def cifar_files(form):
    """Six batches of two images each."""
    for number in range(6):
        rows, labels = PLANES[2 * number : 2 * number + 2], TEN[2 * number : 2 * number + 2]
        name = f"data_batch_{number + 1}" if number < 5 else "test_batch"
        if form == "binary":
            yield f"{name}.bin", np.concatenate([labels[:, None], rows], axis=1).tobytes()
        else:
            yield name, pickle.dumps({b"data": rows, b"labels": labels.tolist(), b"batch_label": b"x"}, protocol=2)


def cifar(root, form, packed):
    short = "bin" if form == "binary" else "py"
    files = dict(cifar_files(form))
    if packed:
        root.mkdir(parents=True, exist_ok=True)
        path = root / f"cifar-10-{form}.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name, data in files.items():
                member = tarfile.TarInfo(f"cifar-10-batches-{short}/{name}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        return path
    path = root / f"cifar-10-batches-{short}"
    path.mkdir(parents=True)
    for name, data in files.items():
        (path / name).write_bytes(data)
    return path


@pytest.mark.parametrize("form", ["binary", "python"])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("below", ["", "cifar10"])
def test_cifar_forms(tmp_path, form, packed, below):
    path = cifar(tmp_path / "root" / below, form, packed)
    for found in (open_data("cifar10", data_root=tmp_path / "root"), open_data(path)):
        assert found.shape == (3, 32, 32)
        assert np.array_equal(found.values.transpose(0, 3, 1, 2).reshape(12, -1), PLANES)
        assert found.labels.tolist() == TEN.tolist()
        assert found.classes[9] == "truck"
        assert found.held_out.tolist() == [10, 11]


def test_incomplete_cifar_names_what_is_missing(tmp_path):
    path = cifar(tmp_path, "binary", packed=False)
    (path / "data_batch_3.bin").unlink()
    with pytest.raises(DataError, match=r"data_batch_3.bin is missing; unpack the archive again"):
        open_data(path)


def test_truncated_cifar_batch_is_named(tmp_path):
    path = cifar(tmp_path, "binary", packed=False)
    (path / "test_batch.bin").write_bytes(b"\0" * 3074)
    with pytest.raises(DataError, match=r"test_batch.bin: is truncated"):
        open_data(path)
    (path / "test_batch.bin").write_bytes(b"\x0b" * 3073)
    with pytest.raises(DataError, match=r"holds labels outside 0\.\.9"):
        open_data(path)


class Evil:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (self.target,)


def test_malicious_pickle_is_refused_and_does_not_run(tmp_path):
    path = cifar(tmp_path, "python", packed=False)
    blob = pickle.dumps({b"data": Evil(str(tmp_path / "ran")), b"labels": []}, protocol=2)
    (path / "data_batch_2").write_bytes(blob)
    with pytest.raises(DataError, match=r"asks for (posix|nt).mkdir; it could run code and is refused"):
        open_data(path)
    assert not (tmp_path / "ran").exists()


def test_damaged_pickle_is_named(tmp_path):
    path = cifar(tmp_path, "python", packed=False)
    (path / "data_batch_2").write_bytes(b"\x80\x02}q\x00")
    with pytest.raises(DataError, match=r"data_batch_2: is damaged"):
        open_data(path)
