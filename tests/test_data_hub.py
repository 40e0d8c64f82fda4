"""`hf:` sets from local folders and from a stand-in for the library; limits; the message where it is missing."""

import io
import os
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from zerosum.core.errors import DataError
from zerosum.data import decode, limits, open_data, pixels

pytestmark = pytest.mark.filterwarnings("ignore:.* bad, and left out")  # most tests are of what is left


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ZEROSUM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ZEROSUM_DATA", raising=False)


@pytest.fixture
def library():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("datasets")


def png(value, side=4):
    file = io.BytesIO()
    Image.new("L", (side, side), value).save(file, "PNG")
    return file.getvalue()


def test_missing_library_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"hf:owner/name: needs the library datasets; pip install 'zerosum\[hub\]'"):
        open_data("hf:owner/name")


def test_local_parquet_with_features(tmp_path, library):
    features = library.Features({"image": library.Image(), "label": library.ClassLabel(names=["cat", "dog"])})
    root = tmp_path / "pets"
    root.mkdir()
    for part, values in (("train", [1, 2, 3]), ("test", [4])):
        rows = {"image": [{"bytes": png(value), "path": None} for value in values], "label": [v % 2 for v in values]}
        library.Dataset.from_dict(rows, features=features).to_parquet(root / f"{part}-00000.parquet")
    found = open_data(f"hf:{root}")
    assert found.values[:, 0, 0, 0].tolist() == [1, 2, 3, 4]
    assert found.classes == ("cat", "dog")
    assert found.labels.tolist() == [1, 0, 1, 0]
    assert found.train.tolist() == [0, 1, 2]
    assert found.held_out.tolist() == [3]
    assert open_data(f"hf:{root}").fingerprint == found.fingerprint


def test_local_parquet_without_features(tmp_path, library):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    cells = pa.array([{"bytes": png(value), "path": "x.png"} for value in (7, 8)])
    (tmp_path / "plain").mkdir()
    parquet.write_table(pa.table({"picture": cells, "label": [0, 2]}), tmp_path / "plain" / "data.parquet")
    found = open_data(f"hf:{tmp_path / 'plain'}")
    assert found.values[:, 0, 0, 0].tolist() == [7, 8]
    assert found.classes == ("0", "2")
    assert found.labels.tolist() == [0, 1]


def test_local_image_folder(tmp_path, library):
    for name, value in {"train/a/1.png": 1, "train/b/2.png": 2, "test/b/3.png": 3}.items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(png(value))
    found = open_data(f"hf:{tmp_path / 'folder'}")
    assert np.sort(found.values[:, 0, 0, 0]).tolist() == [1, 2, 3]
    assert found.classes == ("a", "b")
    assert found.values[found.held_out][:, 0, 0, 0].tolist() == [3]


def test_bad_cell_is_named(tmp_path, library):
    features = library.Features({"image": library.Image()})
    (tmp_path / "pets").mkdir()
    rows = {"image": [{"bytes": png(1), "path": None}, {"bytes": b"text", "path": None}]}
    library.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "pets" / "train.parquet")
    with pytest.raises(DataError, match=r"train/000000001: is not an image .*--skip-bad"):
        open_data(f"hf:{tmp_path / 'pets'}")
    assert len(open_data(f"hf:{tmp_path / 'pets'}", skip_bad=True)) == 1


def test_set_without_images_lists_its_columns(tmp_path, library):
    (tmp_path / "texts").mkdir()
    library.Dataset.from_dict({"text": ["a"], "year": [1]}).to_parquet(tmp_path / "texts" / "train.parquet")
    with pytest.raises(DataError, match="has no column of images; its columns are text, year"):
        open_data(f"hf:{tmp_path / 'texts'}")


def test_folder_that_the_library_cannot_load(tmp_path, library):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"hf:.*empty: cannot be loaded \(\w+: "):
        open_data(f"hf:{tmp_path / 'empty'}")


class Table:
    """What is used of the library's tables."""

    def __init__(self, kinds, rows, fetched):
        self.features, self._rows, self._fingerprint = kinds, rows, str(hash(repr((rows, fetched))))
        self.info = SimpleNamespace(download_size=fetched, dataset_size=None)

    def __len__(self):
        return len(self._rows)

    def __getitem__(self, key):
        return [row[key] for row in self._rows]

    def __iter__(self):
        yield from self._rows

    def cast_column(self, *_):
        return self

    def select_columns(self, _):
        return self


class Image_:
    """A kind of column that is called `Image`."""

    def __init__(self, decode=True):
        pass


Image_.__name__ = "Image"
WHOLE = SimpleNamespace(dtype="int64")


@pytest.fixture
def fetch(monkeypatch):
    """Open a set of these parts, each a list of rows, as the library would load them from so many bytes."""

    def open_(fetched=1000, **parts):
        kinds = {key: Image_() if key.startswith("image") else WHOLE for key in parts["train"][0]}
        tables = {part: Table(kinds, rows, fetched) for part, rows in parts.items()}
        fake = SimpleNamespace(load_dataset=lambda path: tables, Image=Image_)
        monkeypatch.setitem(sys.modules, "datasets", fake)
        return open_data("hf:owner/name", skip_bad=True)

    return open_


def cell(data=None, path=None):
    return {"bytes": data, "path": path}


def test_what_unpacks_to_too_much_is_refused(fetch, monkeypatch):
    monkeypatch.setattr(limits, "HARMLESS", 1 << 16)
    rows = [{"image": cell(png(1))}]
    assert len(fetch(train=rows * 128)) == 128
    with pytest.raises(DataError, match=r"^hf:owner/name: has 300 bytes and would unpack to 66,048 or more, over 200"):
        fetch(300, train=rows * 129)
    assert len(fetch(331, train=rows * 129)) == 129
    large = png(1, side=300)
    with pytest.raises(DataError, match=r"hf:owner/name: has 300 bytes .* decompression bomb"):
        fetch(300, train=[{"image": cell(large + bytes(1 << 15))}] * 2)


def test_large_files_and_many_pixels_are_bad_images(fetch, monkeypatch):
    monkeypatch.setattr(decode, "LARGEST_FILE", 5000)
    monkeypatch.setattr(pixels, "LARGEST_PIXELS", 10_000)
    bad = [{"image": cell(png(1) + bytes(5000))}, {"image": cell(png(1, side=101))}]
    found = fetch(train=[{"image": cell(png(1))}, *bad])
    assert found.skipped == (
        "train/000000001: is larger than 5,000 bytes",
        "train/000000002: has 101x101 pixels, more than 10,000",
    )


def test_cells_that_name_files_are_read_as_files_of_a_folder_are(fetch, tmp_path):
    (tmp_path / "1.png").write_bytes(png(7))
    os.mkfifo(tmp_path / "pipe")
    paths = ["1.png", "nowhere.png", "pipe"]
    found = fetch(train=[{"image": cell(path=str(tmp_path / name))} for name in paths] + [{"image": None}])
    assert found.values[:, 0, 0, 0].tolist() == [7]
    reasons = [fault.partition(": ")[2] for fault in found.skipped]
    assert reasons[0].startswith("cannot be read (No such file")
    assert reasons[1:] == ["cannot be read (it is not a regular file)", "is empty"]


@pytest.mark.parametrize(
    ("labels", "line"),
    [
        ([0, -1], "labels: column 'label' is not used; not all of its values are whole numbers from 0 to 100,000"),
        ([0, 1 << 53], "labels: column 'label' is not used; not all of its values are whole numbers from 0 to 100,000"),
        ([0, None], "labels: column 'label' is not used; not all of its values are whole numbers from 0 to 100,000"),
    ],
)
def test_labels_that_are_not_used_are_said(fetch, labels, line):
    found = fetch(train=[{"image": cell(png(1)), "label": label} for label in labels])
    assert found.labels is None
    assert line in found.notes


def test_a_second_column_of_images_is_said(fetch):
    rows = [{"image": cell(png(1)), "image_b": cell(png(2))}]
    assert "left out: images of 'image_b'; those of 'image' are used" in fetch(train=rows).notes


def test_a_set_without_rows_is_said(fetch, monkeypatch):
    monkeypatch.setattr(Table, "__len__", lambda _: 0)
    with pytest.raises(DataError, match="hf:owner/name: its split 'train' is empty"):
        fetch(train=[{"image": cell(png(1))}])


def test_a_set_that_breaks_off_is_said(fetch, monkeypatch):
    def broken(self):
        yield self._rows[0]
        raise ValueError("column\nof damaged rows")

    monkeypatch.setattr(Table, "__iter__", broken)
    with pytest.raises(DataError, match=r"^hf:owner/name: cannot be read \(ValueError: column\)$"):
        fetch(train=[{"image": cell(png(1))}])
