"""Runs side by side: what is one group, what may be averaged, and what is shown."""

import datetime
import json
import math
import re

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from tests.markup import whole
from tests.test_sample import make
from zerosum.cli.main import app
from zerosum.core import settings
from zerosum.core.errors import RunError
from zerosum.recipes import read_recipe
from zerosum.runs.evaluation.compare import Comparison
from zerosum.runs.evaluation.estimate import Estimate, write
from zerosum.runs.storage.directory import RunDirectory
from zerosum.runs.storage.record import RunRecord, flat
from zerosum.runs.view.charts import charts
from zerosum.runs.view.compare_page import _chart, write_page

MACHINE = {
    "processor": "Abacus", "accelerator": None, "device": "cpu", "threads": 2, "torch": "2.13.0", "precision": "fp32",
}  # fmt: skip
PROTOCOL = {"real": "held-out", "count": 180, "space": "data", "weights": "averaged"}


def write_run(path, recipe="mlp", *words, seed=0, values=((100, 3.0), (200, 1.0), (300, 2.0)), **options):
    """A run directory as a training leaves it; `values` are images and sliced Wasserstein distances."""
    machine, data = MACHINE | options.pop("machine", {}), {"source": "digits", "train": 100, "skip_bad": False}
    data |= {"fingerprint": f"held out by {seed}"} | options.pop("data", {})
    chosen = settings.assign(read_recipe(recipe), ["length=300", f"seed={seed}", *words])
    (path / "checkpoints" / "000000300").mkdir(parents=True)
    (path / "recipe.toml").write_text(settings.to_toml(chosen))
    (path / "environment.json").write_text(json.dumps({**machine, "data": data}))
    reached = options.pop("reached", 300)
    (path / "latest").write_text(f"{reached:09d}\n")
    seconds = options.pop("seconds", 10.0)
    manifest = {"manifest": {"seconds": seconds}}
    (path / "checkpoints" / "000000300" / "manifest.json").write_text(json.dumps(manifest))
    reports = [{"images": n, "seconds": seconds * n / reached} for n in (reached // 2, reached)]
    lines(path / "metrics.jsonl", [*reports, *options.pop("events", [])])
    protocol = PROTOCOL | options.pop("protocol", {}) | {"seed": seed}
    more = options.pop("line", {})
    lines(
        path / "evaluations.jsonl",
        [{"images": n, "metric": "sw", "value": value, "protocol": protocol, **more} for n, value in values],
    )
    assert not options
    return path


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def add(path, *rows):
    with (path / "evaluations.jsonl").open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def call(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments])


@pytest.fixture
def six(tmp_path):
    """Three seeds of two recipes."""
    found = []
    for recipe, shift in (("mlp", 0.0), ("dcgan", 5.0)):
        for seed, last in enumerate((2.0, 2.5, 4.0)):
            values = ((100, 3.0 + shift), (200, 1.0 + seed + shift), (300, last + shift))
            path = tmp_path / f"{recipe}-{seed}"
            found.append(write_run(path, recipe, seed=seed, values=values, seconds=10.0 + seed))
    return found


# ---------------------------------------------------------------------- numbers


def test_an_interval_is_students():
    values = [2.0, 2.5, 4.0, 3.2]
    found = Estimate.of(enumerate(values))
    expected = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected, rel=1e-12)
    assert found.mean == pytest.approx(2.925)
    pair = Estimate.of([(0, 1.0), (1, 3.0)])
    assert pair.half_width == pytest.approx(12.706204736, rel=1e-9)  # t(0.975, 1) * sqrt(2) / sqrt(2)


def test_one_seed_has_no_interval():
    found = Estimate.of([(7, 2.0)])
    assert (found.mean, found.half_width, found.low, found.high) == (2.0, None, 2.0, 2.0)
    assert Estimate.of([]) is None


def test_repeats_of_a_seed_are_no_further_evidence():
    found = Estimate.of([(0, 1.0), (0, 3.0), (1, 5.0)])
    assert found.values == {0: 2.0, 1: 5.0}
    assert found.mean == 3.5
    assert found.half_width == pytest.approx(12.706204736 * 1.5, rel=1e-9)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((0.123456,), "0.1235"),
        ((12345.6,), "12,346"),
        ((0.25, 0.27), "0.26 ± 0.13"),
        ((1000.0, 1200.0, 1400.0), "1,200 ± 497"),
        ((0.5, 0.5), "0.5000 ± 0.0000"),
        ((0.5, math.nan), "nan"),
        ((0.5, math.inf), "nan"),
    ],
)
def test_numbers_are_written_as_exactly_as_they_are_known(values, text):
    assert write(Estimate.of(enumerate(values))) == text


# ---------------------------------------------------------------------- groups


def test_seeds_are_grouped_and_recipes_are_not(six):
    found = Comparison.of([six[0], six[3], six[1], six[4], six[2], six[5]])
    assert [(group.recipe, group.seeds) for group in found.groups] == [("mlp", [0, 1, 2]), ("dcgan", [0, 1, 2])]
    (column,) = found.columns
    last, best = (found.groups[0].estimate(column, at) for at in ("last", "best"))
    assert last.values == {0: 2.0, 1: 2.5, 2: 4.0}
    assert best.values == {0: 1.0, 1: 2.0, 2: 3.0}
    assert best.half_width == pytest.approx(4.302652729911275 / math.sqrt(3), rel=1e-9)
    assert found.groups[1].estimate(column, "best").mean == 7.0
    assert found.groups[0].reached(column, "best") == [200, 200, 100]
    assert found.groups[0].clock("seconds").values == {0: 10.0, 1: 11.0, 2: 12.0}
    assert found.groups[0].clock("speed").values == {0: 30.0, 1: 300 / 11, 2: 25.0}
    assert found.notes == []


def test_the_same_directory_twice_is_one_run(six, monkeypatch):
    monkeypatch.chdir(six[0].parent)
    assert len(Comparison.of([six[0], "mlp-0", "./mlp-0/"]).groups[0].entries) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"words": ["batch=32"]},
        {"data": {"source": "mnist"}},
        {"data": {"train": 99}},
        {"data": {"skip_bad": True}},
        {"machine": {"precision": "bf16"}},
        {"reached": 200},
    ],
    ids=str,
)
def test_what_differs_by_more_than_the_seed_stands_apart(tmp_path, change):
    first = write_run(tmp_path / "a")
    other = write_run(tmp_path / "b", "mlp", *change.pop("words", []), seed=1, **change)
    assert len(Comparison.of([first, write_run(tmp_path / "c", seed=1)]).groups) == 1
    assert len(Comparison.of([first, other]).groups) == 2


def test_a_users_own_code_tells_runs_apart(tmp_path):
    paths = [write_run(tmp_path / name, seed=seed) for seed, name in enumerate("abc")]
    for path, text in zip(paths, ("x = 1", "x = 1", "x = 2"), strict=True):
        (path / "code").mkdir()
        (path / "code" / "mine.py").write_text(text)
    assert [group.seeds for group in Comparison.of(paths).groups] == [[0, 1], [2]]


def test_equal_seeds_on_other_data_stand_apart(tmp_path):
    paths = [write_run(tmp_path / "a"), write_run(tmp_path / "b", seed=1)]
    changed = write_run(tmp_path / "c", data={"fingerprint": "images were added"})
    again = write_run(tmp_path / "d")
    assert [len(group.entries) for group in Comparison.of([*paths, changed]).groups] == [2, 1]
    found = Comparison.of([*paths, again])
    assert [len(group.entries) for group in found.groups] == [3]
    assert found.notes == ["mlp: seed 0 comes 2 times; n counts seeds, not runs"]
    assert len(found.groups[0].estimate(found.columns[0], "last").values) == 2


def test_other_machines_share_metrics_but_not_seconds(tmp_path):
    paths = [write_run(tmp_path / "a"), write_run(tmp_path / "b", seed=1, machine={"accelerator": "H100"})]
    found = Comparison.of(paths)
    (group,) = found.groups
    assert group.clock("seconds") is None
    assert len(group.estimate(found.columns[0], "last").values) == 2
    assert found.notes == ["mlp: trained on 2 different machines; seconds are not averaged"]
    assert "machines differ" in call("compare", *paths).stdout
    assert "machine" in found.common
    assert "Abacus, 2 threads, fp32, torch 2.13.0 and H100, 2 threads" in found.common["machine"]


def test_only_differing_settings_are_told(tmp_path):
    words = ["discriminator.optimizer=adam:lr=0.001", "regularizers=r1:gamma=3"]
    paths = [write_run(tmp_path / "a", "mlp", words[0]), write_run(tmp_path / "b", "mlp", *words)]
    paths.append(write_run(tmp_path / "c", "mlp", "regularizers=r1:gamma=4", seed=9))
    found = Comparison.of(paths)
    assert found.differing == ["regularizers", "discriminator.optimizer.lr"]
    assert found.differences(found.groups[1]) == {"regularizers": "r1", "discriminator.optimizer.lr": "0.001"}
    pair = Comparison.of(paths[1:])
    assert pair.differences(pair.groups[0]) == {"discriminator.optimizer.lr": "0.001", "regularizers.r1.gamma": "3.0"}
    assert pair.apart(pair.groups[1]) == ["discriminator.optimizer.lr=0.0002", "regularizers.r1.gamma=4.0"][::-1]


def test_settings_of_other_recipes_come_after_those_of_one(tmp_path):
    paths = [write_run(tmp_path / "a"), write_run(tmp_path / "b", "mlp", "game.pack=2")]
    found = Comparison.of([*paths, write_run(tmp_path / "c", "dcgan")])
    assert found.differing[0] == "pack"
    assert "generator.network" in found.differing
    assert "recipe" not in found.differing  # it is the name of the row
    assert not any(key.startswith("generator.network.") for key in found.differing)


def test_settings_are_flat_text():
    rows = dict(
        flat(
            {
                "batch": 4,
                "when": datetime.date(2020, 1, 2),
                "stop_when": "fd<1: no part",
                "game": {"objective": "hinge", "generator": {"optimizer": "adam:lr=1,eps=2"}, "rules": []},
                "data": "images:size=auto",
            }
        )
    )
    assert rows == {
        "batch": 4,
        "when": "2020-01-02",
        "stop_when": "fd<1: no part",
        "objective": "hinge",
        "generator.optimizer": "adam",
        "generator.optimizer.lr": "1",
        "generator.optimizer.eps": "2",
        "rules": "none",
        "data": "images",
        "data.size": "auto",
    }


# ---------------------------------------------------------------------- protocols


def test_other_protocols_are_never_averaged_and_never_share_a_table(tmp_path):
    paths = [write_run(tmp_path / "a"), write_run(tmp_path / "b", seed=1, protocol={"count": 5000})]
    add(paths[1], {"images": 300, "metric": "fd", "value": 7.5, "protocol": PROTOCOL | {"count": 5000, "part": "fd"}})
    found = Comparison.of(paths)
    (group,) = found.groups
    assert [group.estimate(column, "last").values for column in found.columns] == [{0: 2.0}, {1: 2.0}, {1: 7.5}]
    heads = ["180 generated samples against held-out samples, averaged weights, space=data",
             "5,000 generated samples against held-out samples, averaged weights, space=data"]  # fmt: skip
    assert [(said, [column.metric for column in columns]) for said, columns in found.tables] == [
        (heads[0].removesuffix(", space=data"), ["sw"]),
        (heads[1].removesuffix(", space=data"), ["sw", "fd"]),
    ]
    said = "2 protocols measured these runs; numbers of two tables do not compare"
    assert found.notes == [said]
    done = call("compare", *paths)
    assert f"careful: {said}" in done.stderr
    first, second = done.stdout.split("5,000 generated samples")
    assert "fd" not in first
    assert "7.5 (n=1)" in second


def test_what_tells_two_protocols_apart_stands_in_their_headings(tmp_path):
    long = "to 8x8, bilinear, and so on for more than a line of any terminal"
    extractors = (
        {"extractor": "pca@1", "sha256": "1", "zerosum": "1"},
        {"extractor": "cnn@2", "sha256": "2", "zerosum": "2"},
    )
    paths = [write_run(tmp_path / f"{n}", protocol=one | {"rule": long[n:]}) for n, one in enumerate(extractors)]
    assert [said.partition(",")[0] for said, _ in Comparison.of(paths).tables] == ["through pca@1", "through cnn@2"]
    assert [said.rpartition(", ")[2] for said, _ in Comparison.of(paths).tables] == ["zerosum=1", "zerosum=2"]
    paths = [write_run(tmp_path / f"r{n}", protocol={"rule": long[n:]}) for n in range(2)]
    heading, _ = Comparison.of(paths).tables[0]
    assert heading.endswith(f"rule={long[:37]}...")


def test_two_parts_of_one_metric_are_two_columns(tmp_path):
    path = write_run(tmp_path / "a")
    add(path, *({"images": 300, "metric": "recall", "value": k / 10, "protocol": PROTOCOL | {"part": f"prdc:k={k}"}}
                for k in (3, 5)))  # fmt: skip
    found = Comparison.of([path])
    ((_, columns),) = found.tables
    assert [found.title(column) for column in columns] == ["sw", "recall [prdc:k=3]", "recall [prdc:k=5]"]


def test_the_seed_and_what_it_holds_out_are_no_other_protocol(tmp_path):
    paths = [write_run(tmp_path / f"{n}", seed=n, protocol={"data": f"held out by {n}"}) for n in range(3)]
    (column,) = Comparison.of(paths).columns
    assert json.loads(column.protocol) == PROTOCOL | {"data": "digits (100 training samples)"}
    foreign = write_run(tmp_path / "f", seed=7, protocol={"data": "elsewhere"})
    assert len(Comparison.of([*paths, foreign]).columns) == 2


def test_equal_metrics_on_other_data_stand_apart(tmp_path):
    paths = [write_run(tmp_path / "a", protocol={"data": "held out by 0"})]
    mnist = {"source": "mnist", "fingerprint": "m"}
    paths.append(write_run(tmp_path / "b", data=mnist, protocol={"data": "m"}))
    assert len(Comparison.of(paths).columns) == 2


@pytest.mark.parametrize(
    ("line", "protocol", "best"),
    [({}, {}, 1.0), ({"higher_is_better": True}, {}, 3.0), ({"higher_is_better": False}, {"part": "fd"}, 1.0)],
)
def test_best_goes_the_metrics_way(tmp_path, line, protocol, best):
    found = Comparison.of([write_run(tmp_path / "a", line=line, protocol=protocol)])
    assert found.groups[0].estimate(found.columns[0], "best").mean == best
    assert found.groups[0].estimate(found.columns[0], "last").mean == 2.0


def test_a_metric_with_no_good_end_has_no_best(tmp_path):
    found = Comparison.of([write_run(tmp_path / "a", protocol={"part": "ct"})])
    assert found.groups[0].estimate(found.columns[0], "best") is None
    assert found.better(found.columns[0]) is None


def test_numbers_that_are_not_finite_are_never_best(tmp_path):
    found = Comparison.of([write_run(tmp_path / "a", values=((100, math.nan), (200, 2.0), (300, math.nan)))])
    (group,), (column,) = found.groups, found.columns
    assert group.estimate(column, "best").mean == 2.0
    assert math.isnan(group.estimate(column, "last").mean)
    done = call("compare", tmp_path / "a", "--json")
    assert json.loads(done.stdout)["groups"][0]["metrics"][0]["last"]["mean"] is None  # JSON has no word for NaN


def test_a_later_line_replaces_one_of_the_same_clock_and_protocol(tmp_path):
    path = write_run(tmp_path / "a")
    add(path, {"images": 300, "metric": "sw", "value": 9.0, "protocol": PROTOCOL | {"seed": 4}})
    found = Comparison.of([path])
    assert found.groups[0].estimate(found.columns[0], "last").mean == 9.0


def test_a_seed_without_a_metric_is_told(tmp_path):
    paths = [write_run(tmp_path / "a"), write_run(tmp_path / "b", seed=1)]
    add(paths[0], {"images": 300, "metric": "fd", "value": 0.5, "protocol": PROTOCOL})
    found = Comparison.of([*paths, write_run(tmp_path / "c", "dcgan")], ["fd"])
    assert [found.quantity(group, found.columns[0], "last") for group in found.groups] == ["0.5 (n=1)", "-"]


def test_metrics_are_chosen_by_name(tmp_path):
    path = write_run(tmp_path / "a")
    add(path, {"images": 300, "metric": "fd", "value": 0.5, "protocol": PROTOCOL})
    assert [column.metric for column in Comparison.of([path]).columns] == ["sw", "fd"]
    assert [column.metric for column in Comparison.of([path], ["fd"]).columns] == ["fd"]
    with pytest.raises(RunError, match="--metric fdd: none of these runs has it; did you mean 'fd'"):
        Comparison.of([path], ["fdd"])


# ---------------------------------------------------------------------- states


def test_runs_that_are_not_finished_stand_alone_and_are_marked(tmp_path):
    whole = write_run(tmp_path / "a")
    broken = write_run(tmp_path / "b", seed=1, reached=200, values=((100, 3.0), (200, 1.0)))
    writing = write_run(tmp_path / "c", seed=2)
    failed = write_run(tmp_path / "d", seed=3, reached=100, events=[{"images": 150, "not_finite": "generator: loss"}])
    directory = RunDirectory(writing)
    directory.hold()
    try:
        found = Comparison.of([whole, broken, writing, failed])
        assert [group.first.state for group in found.groups] == ["finished", "interrupted", "training", "failed"]
        said = call("compare", whole, broken, writing)
        again = write_run(tmp_path / "e", seed=4, reached=200)
        assert len(Comparison.of([broken, again]).groups) == 2
    finally:
        directory.release()
    assert RunRecord.read(writing).state == "finished"
    assert f"careful: {broken} is interrupted: 200 images of 300; it stands alone" in said.stderr
    assert f"{writing} is still training" in said.stderr
    assert found.apart(found.groups[1]) == ["interrupted", "200 images"]
    assert list(found.common) == ["recipe", "data", "machine"]
    assert "ended by an error" in found.notes[-1]


def test_time_and_rules_end_a_run_too(tmp_path):
    lost = write_run(tmp_path / "a", "mlp", "length=9s", reached=120)  # its latest checkpoint is not there
    assert RunRecord.read(lost).state == "interrupted"
    path = write_run(tmp_path / "b", "mlp", "length=9s")
    assert RunRecord.read(path).state == "finished"
    assert RunRecord.read(write_run(tmp_path / "c", "mlp", "length=11s")).state == "interrupted"
    early = write_run(tmp_path / "d", "mlp", "length=900", events=[{"images": 300, "ended": "fd 0.9 < 1 after 300"}])
    assert RunRecord.read(early).state == "finished"


@pytest.mark.parametrize("file", ["recipe.toml", "environment.json"])
@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"\xff",
        b"[]",
        b"3",
        b'{"data": 3, "seed": 1}',
        b"seed = []",
        b'{"data": {"source": "x", "fingerprint": "y", "train": 1e400}}',
    ],
)
def test_runs_that_cannot_be_read_are_named_and_left_out(tmp_path, file, content):
    path, well = write_run(tmp_path / "a"), write_run(tmp_path / "b")
    (path / file).write_bytes(content)
    with pytest.raises(RunError, match=r"a: recipe.toml or environment.json is damaged"):
        Comparison.of([path])
    done = call("compare", path, well)
    assert done.exit_code == 0
    assert len([line for line in done.stderr.splitlines() if "is damaged" in line]) == 1
    assert "it is left out" in done.stderr
    assert "b  " in done.stdout
    done = call("compare", tmp_path, well)
    assert done.exit_code == 2
    assert "is not a run directory: it is a folder of runs; name one: " in done.stderr


def test_odd_facts_of_a_machine_keep_no_runs_from_being_compared(tmp_path):
    odd = write_run(tmp_path / "a", machine={"precision": ["bf16"], "threads": None, "processor": {"x": 1}},
                    data={"skip_bad": [1], "facts": {"shape": "CHW"}})  # fmt: skip
    assert call("compare", odd, write_run(tmp_path / "b")).exit_code == 0


def test_damaged_and_missing_logs_cost_their_numbers_alone(tmp_path):
    damaged, missing, well = (write_run(tmp_path / name, seed=seed) for seed, name in enumerate("abc"))
    add(damaged, {"images": 300, "metric": "fd", "value": "low", "protocol": PROTOCOL}, {"images": "x"})
    with (damaged / "metrics.jsonl").open("ab") as file:
        file.write(b'{\n[3]\n{"images": 300, "seconds": "many"}\n')
    for name in ("metrics.jsonl", "evaluations.jsonl"):
        (missing / name).unlink()
    done = call("compare", damaged, missing, well)
    assert done.exit_code == 0, done.stderr
    assert done.stderr.splitlines() == [
        f"careful: {damaged}: metrics.jsonl: 3 of 5 lines are damaged, and left out",
        f"careful: {damaged}: evaluations.jsonl: 2 of 5 lines are damaged, and left out",
        f"careful: {missing}: {missing / 'metrics.jsonl'} is missing; going on without it",
        f"careful: {missing}: {missing / 'evaluations.jsonl'} is missing; going on without it",
        f"careful: {missing}: nothing was measured yet, or its evaluations are lost",
    ]
    assert "2 ± 0 (n=2)" in done.stdout.replace("2.0000 ± 0.0000", "2 ± 0")


# ---------------------------------------------------------------------- shown


def test_three_seeds_of_two_recipes_are_two_rows(six):
    done = call("compare", *six)
    assert done.exit_code == 0, done.stderr
    common, runs, numbers = done.stdout.strip().split("\n\n")
    assert " ".join(common.split()) == (
        "digits (100 training samples); finished; 300 images; Abacus, 2 threads, fp32, torch 2.13.0"
    )
    head, *rows = runs.splitlines()
    assert head.split() == ["run", "seeds", "seconds", "images/s", "differs", "in"]
    first = [row for row in rows if "(n=3)" in row]
    assert [row.split()[0] for row in first] == ["mlp*", "dcgan*"]
    for row, recipe in zip(first, ("mlp", "dcgan"), strict=True):
        cells = [word.strip() for word in row.split("(n=3)")[1].split("  ") if word]
        assert cells == ["11.0 ± 2.5", "27.4 ± 6.2", recipe]
    assert sum(line.strip().startswith("and ") for line in rows) == 2  # more differs than a row shows
    lines = numbers.splitlines()[3:]
    assert numbers.startswith("180 generated samples against held-out samples, averaged weights")
    assert [line[-9:] for line in lines] == ["2.8 ± 2.6", "2.0 ± 2.5", "7.8 ± 2.6", "7.0 ± 2.5"]
    assert [line.split()[0] for line in lines[::2]] == ["mlp*", "dcgan*"]


def test_sizes_and_labels_are_told_first(tmp_path):
    facts = {"facts": {"shape": [3, 64, 64], "classes": 10}}
    paths = [
        write_run(tmp_path / "a", "dcgan", "batch=32", data=facts),
        write_run(tmp_path / "b", "dcgan", "generator.network.labels=embed", "data.size=32",
                  data={"facts": {"shape": [3, 32, 32], "classes": 5}}),
    ]  # fmt: skip
    found = Comparison.of(paths)
    assert found.differing[:4] == ["size", "classes", "data.size", "generator.network.labels"]
    assert found.apart(found.groups[1])[:4] == [
        "size=3x32x32",
        "classes=5",
        "data.size=32",
        "generator.network.labels=embed",
    ]
    assert found.apart(found.groups[0])[-1] == "batch=32"
    said = json.loads(call("compare", *paths, "--json").stdout)["groups"]
    assert said[0]["name"] == "a"
    assert said[0]["differs"]["size"] == "3x64x64"


def test_runs_are_named_by_what_tells_their_paths_apart(tmp_path):
    batches = {"x/run": 1, "y/run": 2, "of-1": 3, "of-2": 3, "deep/alone": 4, "1": 5, "2": 5, "of-3": 6, "of-4": 6}
    paths = []
    for seed, (place, batch) in enumerate(batches.items()):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        paths.append(write_run(tmp_path / place, "mlp", f"batch={batch}", seed=seed))
    names = list(Comparison.of(paths).names.values())
    assert names == ["x/run", "y/run", "of*", "alone", "1 and 1 more", "of* (2)"]


def test_lines_stay_within_100_columns_whatever_names_are_like(tmp_path):
    name = "a-name-that-is-far-longer-than-any-column-would-be-" * 3
    paths = [write_run(tmp_path / f"{name}{n}", *words, machine={"processor": name})
             for n, words in enumerate([("mlp",), ("dcgan", "batch=7"), ("wgan-gp",)])]  # fmt: skip
    for path in paths:
        add(path, *({"images": 300, "metric": f"m{n}-{name if n == 3 else ''}", "value": 10.0**n,
                     "protocol": PROTOCOL | {"part": name, "rule": name + str(path)}} for n in range(7)))  # fmt: skip
    done = call("compare", *paths)
    assert done.exit_code == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert "".join(line[:28].strip() for line in done.stdout.splitlines()).count(f"{name}0") >= 1
    assert json.loads(call("compare", *paths, "--json").stdout)["groups"][0]["name"] == f"{name}0"


def test_names_cannot_command_a_terminal(tmp_path):
    path = write_run(tmp_path / "a\x1b[31m[red]", values=())
    add(path, {"images": 300, "metric": "m\x1b[2J", "value": 1.0, "protocol": PROTOCOL})
    done = call("compare", path)
    assert "\x1b" not in done.stdout
    assert "\\x1b[31m[red]" in done.stdout


def test_one_point_alone_is_shown_where_it_is_asked_for(six):
    said = json.loads(call("compare", *six, "--at", "best", "--json").stdout)
    (cell,) = said["groups"][0]["metrics"]
    assert "last" not in cell
    assert cell["best"]["mean"] == 2.0
    assert cell["best"]["images"] == [200, 200, 100]
    assert cell["best"]["n"] == 3
    assert "last" in json.loads(call("compare", *six, "--at", "last", "--json").stdout)["groups"][0]["metrics"][0]
    assert "last" not in call("compare", *six, "--at", "best").stdout
    assert call("compare", *six, "--at", "first").exit_code == 2


def test_the_object_has_everything(six):
    said = json.loads(call("compare", *six, "--json").stdout)
    assert [group["recipe"] for group in said["groups"]] == ["mlp", "dcgan"]
    group = said["groups"][0]
    assert group["seeds"] == [0, 1, 2]
    assert group["data"] == "digits (100 training samples)"
    assert group["hardware"] == [MACHINE]
    assert group["seconds"]["mean"] == 11.0
    assert group["differs"]["generator.network"] == "mlp-generator"
    assert [run["seconds"] for run in group["runs"]] == [10.0, 11.0, 12.0]
    assert group["runs"][1]["run"] == str(six[1])
    assert group["metrics"][0]["protocol"] == PROTOCOL
    assert said["notes"] == []


def test_curves_have_bands_where_seeds_were_measured_together(six, tmp_path):
    found = Comparison.of(six[:3])
    (curve,) = _chart(found, found.columns[0]).curves
    assert list(curve.x) == [100, 200, 300]
    assert curve.y == pytest.approx([3.0, 2.0, 2.8333333])
    assert curve.high[1] - curve.y[1] == pytest.approx(4.302652729911275 / math.sqrt(3), rel=1e-9)
    assert curve.low[0] == curve.high[0] == 3.0
    apart = write_run(tmp_path / "x", seed=5, values=((111, 3.0), (222, 1.0)))
    curves = _chart(Comparison.of([*six[:2], apart]), found.columns[0]).curves
    assert [list(curve.x) for curve in curves] == [[100, 200, 300], [100, 200, 300], [111, 222]]
    assert all(curve.faint and curve.colour == 0 for curve in curves)
    assert charts([_chart(found, found.columns[0])]).count("<svg") == 1


def test_the_page_is_one_file_with_paired_samples(tmp_path):
    paths = [write_run(tmp_path / f"<{seed}>", seed=seed) for seed in range(2)]
    make(paths[0] / "model.safetensors")
    out = tmp_path / "pages" / "c.html"
    done = call("compare", *paths, "--html", out)
    assert done.exit_code == 0, done.stderr
    assert f"page: {out}" in done.stderr
    page = whole(out.read_text())
    assert page.count("data:image/png;base64,") == 1
    assert "&lt;0&gt; and 1 more, seed 0, 123 images" in page
    assert "has no model.safetensors yet" in page
    assert page.count("<svg") == 1
    assert "&lt;0&gt;" in page
    assert "<0>" not in page
    (tmp_path / "file").write_text("")
    done = call("compare", *paths, "--html", tmp_path / "file" / "c.html")
    assert done.exit_code == 2
    assert "choose another --html" in done.stderr


def test_metrics_that_do_not_fit_stand_below(tmp_path):
    path = write_run(tmp_path / "a")
    add(path, *({"images": 300, "metric": f"metric-of-name-{n}", "value": 1.0, "protocol": PROTOCOL} for n in range(9)))
    said = call("compare", path).stdout.splitlines()
    assert max(map(len, said)) <= 100
    heads = [line.replace("↓", "").split() for line in said if "↓" in line]
    assert [name for head in heads for name in head] == ["sw", *(f"metric-of-name-{n}" for n in range(9))]
    assert [len(head) for head in heads] == [5, 4, 1]


def test_the_page_has_a_table_for_each_protocol_and_the_best_is_bold(tmp_path):
    paths = [write_run(tmp_path / name, "mlp", f"batch={batch}", values=values)
             for name, batch, values in (("worse", 8, ((300, 3.0),)), ("better", 16, ((300, 2.0),)))]  # fmt: skip
    add(paths[0], {"images": 300, "metric": "fd", "value": 7.5, "protocol": PROTOCOL | {"count": 9}})
    page = whole(write_page(Comparison.of(paths), tmp_path / "c.html").read_text())
    tables = page.partition("<h2>Numbers")[2].partition("<h2>")[0].split('<p class="how">')[1:]
    assert [table.count("<tr>") for table in tables] == [3, 2]  # the second has no row without a number
    assert re.findall(r"<b>([^<]*)</b>", tables[0]) == ["2", "2"]
    assert "fd" not in tables[0]
    assert "<code>batch=16</code>" in page
