"""Points: tables with and without names, series, their units, and their way through a training."""

import numpy as np
import pytest
import torch

from tests.small import words
from zerosum.core.errors import DataError, ZerosumWarning
from zerosum.data import Preparation, Units, open_data
from zerosum.runs.evaluation.evaluate import evaluate
from zerosum.runs.training import session
from zerosum.runs.view import pictures
from zerosum.runs.view.sample import draft, write

RANDOM = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ZEROSUM_CACHE", str(tmp_path / "cache"))


def csv(path, *lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_csv_with_a_header_is_standardised_by_its_training_rows(tmp_path):
    path = csv(tmp_path / "people.csv", "height (cm),age", "180,30", '"160",50', "170,40", " 150 ,6e1")
    found = open_data(path, Preparation(held_out=0.25))
    assert found.units.names == ("height (cm)", "age")
    assert np.allclose(found.values[found.train].mean(0), 0, atol=1e-6)
    assert np.allclose(found.values[found.train].std(0), 1, atol=1e-6)
    assert np.allclose(found.units.outward(found.values), [[180, 30], [160, 50], [170, 40], [150, 60]])
    assert found.notes == (
        "table: 4 rows of 2 columns (height (cm), age); the first row names the columns",
        "scale: each column minus its mean, over its standard deviation, both of the training points; samples are "
        "given back in the data's own units",
    )
    plain = open_data(path, Preparation(standardise=False))
    assert plain.values.tolist() == [[180, 30], [160, 50], [170, 40], [150, 60]]
    assert plain.fingerprint != open_data(path).fingerprint


@pytest.mark.parametrize(
    ("name", "lines", "columns"),
    [
        ("a.csv", ["1,2", "3,4"], ("1", "2")),
        ("a.csv", ["a;b;c", "1;2;3"], ("a", "b", "c")),
        ("a.tsv", ["a\tb", "1\t2", "", "3\t4"], ("a", "b")),
        ("a.csv", ["year,2019", "1,2"], ("year", "2019")),
        ("a.csv", ["7", "8"], ("1",)),
    ],
)
def test_delimiters_and_headers(tmp_path, name, lines, columns):
    found = open_data(csv(tmp_path / name, *lines))
    assert found.units.names == columns
    assert found.shape == (len(columns),)


def test_decimal_commas_where_semicolons_part_the_cells(tmp_path):
    path = csv(tmp_path / "messung.csv", "x.y;z", "1,5;-2", "-0,25;3e2")
    found = open_data(path, Preparation(standardise=False))
    assert (found.units.names, found.values.tolist()) == (("x.y", "z"), [[1.5, -2], [-0.25, 300]])
    assert found.notes[0].endswith("the first row names the columns; commas are decimal points")
    csv(path, "1,5;2,5;3,5", "4;5;6")
    assert open_data(path, Preparation(standardise=False)).values.tolist() == [[1.5, 2.5, 3.5], [4, 5, 6]]
    csv(path, "a;b", "1;2", "1;2,5")
    assert open_data(path, Preparation(standardise=False)).values.tolist() == [[1, 2], [1, 2.5]]
    csv(path, "a;b", "1,5;1.234")  # thousands, or a decimal point
    with pytest.raises(DataError, match=r"'b' \('1\.234' in row 2\)"):
        open_data(path)


def test_columns_that_are_no_numbers_are_named_and_can_be_dropped(tmp_path):
    path = csv(tmp_path / "people.csv", "name,age,town,x", "Ann,30,Ulm,1", "Bob,,Bonn,2", "Cid,9,Kiel,nan")
    with pytest.raises(DataError) as error:
        open_data(path)
    assert "'name' ('Ann' in row 2), 'town' ('Ulm' in row 2), 'age' (nothing in row 3), 'x' ('nan' in row 4); " in str(
        error.value
    )
    assert str(error.value).endswith("turn words into numbers")  # no column would be left
    with pytest.raises(DataError, match=r"or leave the columns out with data.drop=x/1/3/2, a setting of `train` "):
        open_data(csv(path, "name,age,town,x,y", "Ann,30,Ulm,1,1", "Bob,,Bonn,2,2"), Preparation(drop=("x",)))
    csv(path, "name,age,town", "Ann,30,Ulm", "Bob,31,Bonn")
    assert open_data(path, Preparation(drop=("name", "3"))).units.names == ("age",)
    with pytest.raises(DataError, match="drop: there is no column 'nam'; did you mean 'name'"):
        open_data(path, Preparation(drop=("nam",)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"a,b\n", "has names of columns but no rows"),
        (b"1,2\n3\n", "row 2 and the first row differ in their number of cells: 1 and 2"),
        (b"a,b\n1_0,2\n3,4\n", "'a' .'1_0' in row 2.; fill or remove"),
        (b"\xff\xfe1\x00,\x002\x00", "is not UTF-8 text"),
        (b'a,b\n"' + b"x" * 200_000, "cannot be read as a table"),
    ],
)
def test_damaged_tables_are_refused(tmp_path, content, message):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_data(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("array", "shape"),
    [
        (RANDOM.standard_normal(9), (1,)),
        (RANDOM.standard_normal((9, 30)), (30,)),
        (RANDOM.integers(0, 9, (9, 12)), (12,)),
        (RANDOM.standard_normal((9, 20, 2)), (40,)),
    ],
)
def test_rank_decides_what_is_a_table(tmp_path, array, shape):
    np.save(tmp_path / "a.npy", array)
    found = open_data(tmp_path / "a.npy")
    assert found.shape == shape
    assert open_data(tmp_path / "a.npy", Preparation(size="8"), fits=lambda *_: True).size == "8"
    assert any(
        f"is read as 9 points of {shape[0]} number{'s' * (shape[0] > 1)}; data.arrays=images reads it as images" in x
        for x in found.notes
    )


def test_series_and_images_by_choice(tmp_path):
    np.save(tmp_path / "a.npy", RANDOM.random((9, 20, 2)))
    assert open_data(tmp_path / "a.npy", Preparation(arrays="images")).shape == (1, 64, 64)
    np.save(tmp_path / "a.npy", RANDOM.random((9, 8, 8)))
    assert open_data(tmp_path / "a.npy").shape == (1, 8, 8)
    assert open_data(tmp_path / "a.npy", Preparation(arrays="points")).shape == (64,)


def test_a_constant_column_and_large_numbers_come_back(tmp_path):
    path = csv(tmp_path / "a.csv", *(f"5,{1_700_000_000 + i}" for i in range(20)))
    found = open_data(path)
    assert not found.values[:, 0].any()
    assert np.rint(found.units.outward(found.values)[:, 1]).tolist() == [1_700_000_000 + i for i in range(20)]


def test_units_survive_json_and_refuse_nonsense():
    units = Units.of(RANDOM.standard_normal((9, 2)), ("a", "b"), standardised=True)
    assert Units.read(units.facts()) == units
    for wrong in ({"names": ["a"]}, {"mean": [1]}, {"low": [1, float("nan")]}, {"high": None}):
        with pytest.raises((TypeError, ValueError)):
            Units.read({**units.facts(), **wrong})


def test_pictures_lie_on_the_range_of_the_data():
    units = Units.of(np.array([[1000.0, -1], [3000, 5]]), (), standardised=True)
    shown = pictures.picture(torch.tensor([[1000.0, -1], [3000, 5]]), units=units)
    dark = np.argwhere(shown[..., 0] == 0)
    assert shown.shape == (512, 512, 1)
    assert dark[:, 0].min() in range(16, 32)  # the larger second coordinate is at the top right, within the margin
    assert dark[:, 1].max() in range(480, 496)
    many = Units.of(RANDOM.standard_normal((50, 9)) + 7, (), standardised=True)
    strips = pictures.picture(torch.from_numpy(RANDOM.standard_normal((50, 9)) + 7), units=many)
    assert (strips < 255).any(0).any(1).sum() > 0.9 * strips.shape[1]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    place = tmp_path_factory.mktemp("table")
    table = np.column_stack([RANDOM.normal(1000, 50, 200), RANDOM.normal(0, 1e-3, 200), RANDOM.integers(0, 9, 200)])
    lines = ["mass,drift,count", *(",".join(f"{x:.6g}" for x in row) for row in table)]
    sets = ["batch=16", "evaluation=64", "samples=64", "checkpoint=64", "evaluator.count=20", *words("mixture")]
    run = session.train(csv(place / "cells.csv", *lines), "mixture", sets, images=64, out=place / "run", quiet=True)
    return place, table, run


def test_a_table_trains_samples_and_is_judged_in_its_own_units(trained):
    place, table, run = trained
    points = run.sample(400).numpy()
    assert points.shape == (400, 3)
    assert (np.abs(points.mean(0) - table.mean(0)) < 20 * table.std(0)).all()
    assert points[:, 0].std() > 0.5  # of networks' units it would be below
    write(draft(run.path, count=5), place / "s.csv")
    rows = (place / "s.csv").read_text().splitlines()
    assert rows[0] == "mass,drift,count"
    assert np.allclose(np.array([row.split(",") for row in rows[1:]], float), run.sample(5), rtol=1e-6)
    write(draft(run.path, count=400), place / "s.npz")
    write(draft(run.path, count=400), place / "s.png")
    assert np.allclose(np.load(place / "s.npz")["points"], points)
    resumed = session.resume(run.path, quiet=True)
    assert resumed.finished
    own = evaluate(place / "s.npz", data=place / "cells.csv", metrics="sliced-wasserstein")
    same = evaluate(place / "cells.csv", data=place / "cells.csv", metrics="sliced-wasserstein")
    assert same[0].value < 0.3 * own[0].value


def test_samples_are_judged_against_a_table_as_their_run_prepared_it(trained):
    place, _, _ = trained
    lines = (place / "cells.csv").read_text().splitlines()
    other = csv(place / "named.csv", "name," + lines[0], *(f"cell {n},{line}" for n, line in enumerate(lines[1:])))
    settings = ["batch=16", "evaluation=64", "samples=64", "checkpoint=64", "evaluator.count=20", *words("mixture")]
    named = session.train(other, "mixture", [*settings, "data.drop=name"], images=64, out=place / "named", quiet=True)
    write(draft(named.path, count=50), place / "named-samples.csv")
    with pytest.raises(
        DataError, match=r"data.drop=1, a setting of `train` \(`zerosum evaluate --data RUN` does as its run did"
    ):
        evaluate(place / "named-samples.csv", data=other)
    judged = evaluate(place / "named-samples.csv", data=named.path, metrics="sliced-wasserstein")
    bare = evaluate(place / "named-samples.csv", data=place / "cells.csv", metrics="sliced-wasserstein")
    assert (judged[0].value, judged[0].floor) == (bare[0].value, bare[0].floor)
    other.write_text("\n".join(other.read_text().splitlines()[:-1]))
    with pytest.warns(ZerosumWarning, match="named.csv holds other data than .*named was trained on"):
        evaluate(place / "named-samples.csv", data=named.path, metrics="sliced-wasserstein")


def test_a_run_directory_is_no_data(trained):
    _, _, run = trained
    with pytest.raises(
        DataError, match=r"run' is a run directory, not data; name what it was trained on, or .*samples, its pictures"
    ):
        open_data(run.path)
    assert open_data(run.path / "samples").is_image
