"""`hf:` sets from local folders, and the message where the library is missing."""

import io
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

from zerosum.core.errors import DataError
from zerosum.data import open_data


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ZEROSUM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ZEROSUM_DATA", raising=False)


@pytest.fixture
def library():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("datasets")


def png(value):
    file = io.BytesIO()
    Image.new("L", (4, 4), value).save(file, "PNG")
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
    with pytest.raises(DataError, match="has no column of images; there is text, year"):
        open_data(f"hf:{tmp_path / 'texts'}")


def test_folder_that_the_library_cannot_load(tmp_path, library):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"hf:.*empty: cannot be loaded \(\w+: "):
        open_data(f"hf:{tmp_path / 'empty'}")
