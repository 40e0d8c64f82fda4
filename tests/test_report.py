"""report.html: what stands in it, and what is drawn."""

import json
import math
import re
import time

import numpy as np
import pytest
from PIL import Image

from tests.test_compare import add, lines, write_run
from zerosum.runs import health
from zerosum.runs.charts import Chart, Curve, svg, thin
from zerosum.runs.directory import RunDirectory
from zerosum.runs.health import Finding
from zerosum.runs.report import learning_charts, metric_charts, write_report

PROTOCOL = {"real": "held-out", "count": 180, "seed": 0}


@pytest.fixture
def run(tmp_path):
    path = write_run(tmp_path / "<run>", "dcgan", "batch=32")
    (path / "samples").mkdir()
    for images in range(100, 2_100, 100):
        Image.new("L", (4, 4)).save(path / "samples" / f"{images:09d}.png")
    rows = [
        {
            "images": n, "epoch": n / 100, "seconds": n / 10, "images_per_second": 10.0, "real_logit": 1.0,
            "discriminator.adversarial": 0.5, "discriminator.r1": 0.1, "generator.adversarial": 0.7, "ada.p": 0.2,
        }
        for n in (100, 200)
    ]  # fmt: skip
    lines(path / "metrics.jsonl", rows)
    return RunDirectory(path)


def page(run):
    return write_report(run).read_text()


def test_it_is_one_file_without_addresses(run):
    text = page(run)
    assert "<title>&lt;run&gt;</title>" in text
    assert "<p>200 images, 2 epochs, 20 seconds.</p>" in text
    assert text.count("data:image/png;base64,") == 12  # of 20
    assert "100 images</figcaption>" in text
    assert "2,000 images</figcaption>" in text
    assert not re.search(r"""(src|href)=(?!["']?(data:|#))""", text)
    assert "http" not in text.replace("http://www.w3.org/", "")
    assert "batch = 32" in text
    assert "held out by 0" in text


def test_settings_that_were_changed_stand_beside_those_of_the_recipe(run):
    text = page(run)
    assert "<tr><td>batch</td><td>64</td><td>32</td></tr>" in text
    assert "<tr><td>length</td><td>200k</td><td>300</td></tr>" in text
    assert "<td>seed</td>" not in text
    file = run.path / "recipe.toml"
    file.write_text(file.read_text().replace('recipe = "dcgan"', 'recipe = "mine"'))
    assert "<h2>Settings" not in page(run)


def test_a_metric_stands_beside_its_best_its_floor_and_its_baseline(run):
    values = {100: 3.0, 200: 1.5, 300: 2.0}
    rows = [{"images": n, "metric": "fd<", "value": value, "protocol": PROTOCOL} for n, value in values.items()]
    lines(run.evaluations, [row | {"floor": 0.25, "baseline": 9.5, "spread": 0.125} for row in rows])
    add(run.path, {"images": 300, "metric": "recall", "value": 0.5, "protocol": PROTOCOL, "higher_is_better": True,
                   "warning": "few <samples>"})  # fmt: skip
    near = {"images": 300, "metric": "ct", "value": -2.0, "protocol": PROTOCOL | {"part": "ct"}, "floor": 0.0}
    add(run.path, near)
    text = page(run)
    expected = (
        "<td>fd&lt;</td><td>2 ± 0.12 <small>at 300</small></td><td>1.5 <small>at 200</small></td>"
        "<td>0.25</td><td>9.5</td><td>lower is better</td><td><small></small></td>"
    )
    assert expected in text
    assert "<td>higher is better</td><td><small>few &lt;samples&gt;</small></td>" in text
    assert (
        "<td>ct</td><td>-2 <small>at 300</small></td><td></td><td>0</td><td></td><td>near its floor is better" in text
    )
    assert "<summary>5 numbers</summary>" in text


def test_the_best_of_a_metric_is_of_its_last_protocol(run):
    other = PROTOCOL | {"count": 5}
    lines(run.evaluations, [
        {"images": 100, "metric": "fd", "value": 0.1, "protocol": other},
        {"images": 100, "metric": "fd", "value": 3.0, "protocol": PROTOCOL},
        {"images": 200, "metric": "fd", "value": 4.0, "protocol": PROTOCOL},
    ])  # fmt: skip
    assert "<td>3 <small>at 100</small></td>" in page(run)


def test_charts_of_metrics_have_levels_and_a_curve_for_each_protocol():
    def row(images, value, **more):
        return {"images": images, "metric": "fd", "value": value, "protocol": PROTOCOL, **more}

    rows = [row(1, 5.0), row(2, 4.0, floor=0.5, baseline=2.0), {**row(2, 7.0), "metric": "kid"}]
    fd, kid = metric_charts(rows)
    assert fd.title == "fd (lower is better)"
    assert fd.levels == {"floor": 0.5, "baseline": 2.0}
    assert [(curve.name, curve.x, curve.y) for curve in fd.curves] == [("fd", [1, 2], [5.0, 4.0])]
    assert kid.levels == {}
    (two,) = metric_charts([*rows[:2], {**row(2, 9.0), "protocol": PROTOCOL | {"count": 9}}])
    assert [(curve.name, curve.y) for curve in two.curves] == [
        ("fd, protocol 1", [5.0, 4.0]),
        ("fd, protocol 2", [9.0]),
    ]


def test_what_players_log_is_drawn_by_kind():
    names = {
        "real_logit": "logits",
        "fake_logit-2": "logits",
        "generator_moved": "gradients and steps",
        "generator.gradient_norm": "gradients and steps",
        "discriminator-2.r1": "losses of the discriminator",
        "generator.adversarial": "losses of the generator",
        "reconstructor.reconstruction": "losses of other players",
        "fake_distance": "distances within a batch",
        "overfitting-2": "signs of collapse, copying, overfitting",
        "ada.p": "what parts remember",
        "something": "other numbers",
        "images_per_second": "speed",
    }
    line = dict.fromkeys(names, 1.5) | {"images": 10, "epoch": 1.0, "seconds": 2.0, "ended": "fd<1", "flag": True}
    charts = learning_charts([line, {"images": 20, "something": 3}])
    assert {curve.name: chart.title for chart in charts for curve in chart.curves} == names
    assert charts[-1].title == "speed"
    (other,) = [curve for chart in charts for curve in chart.curves if curve.name == "something"]
    assert (other.x, other.y) == ([10, 20], [1.5, 3])


def test_events_are_told(run):
    rows = [{"images": 1500, "not_finite": "generator: <loss>", "rollback": 1}, {"images": 9000, "ended": "fd 0.9 < 1"}]
    run.metrics.write_text(run.metrics.read_text() + "".join(json.dumps(row) + "\n" for row in rows))
    text = page(run)
    assert "<p>1,500 images: not finite: generator: &lt;loss&gt;</p>" in text
    assert "<p>9,000 images: ended early: fd 0.9 &lt; 1</p>" in text


def test_findings_of_the_monitor_come_first(run, monkeypatch):
    lasting = Finding("<collapse>", "error", 1500, "duplicates 0.9", "fakes are alike", "regularizers=r1")
    monkeypatch.setattr(health, "examine", lambda course: [lasting] if course.images == 200 else [])
    found = [{"images": n, "findings": {"winning": f"gap <{n}>", "<collapse>": "again"}} for n in (110, 150)]
    lines(run.metrics, [*found, {"images": 200}])
    text = page(run)
    assert text.index("<h2>Health") < text.index("<h2>Samples")
    told = "<td>duplicates 0.9</td><td>fakes are alike</td><td>regularizers=r1</td>"
    assert f"<td>&lt;collapse&gt;</td><td>error</td><td>since 1,500 images</td>{told}" in text
    assert "<td>winning</td><td>over</td><td>last at 150 images</td><td>gap &lt;150&gt;</td><td></td>" in text
    assert "again" not in text


def test_a_run_in_which_nothing_was_found_says_so(run):
    assert "<p>Nothing was found.</p>" in page(run)
    file = run.path / "recipe.toml"
    file.write_text(file.read_text().replace("batch = 32", "batch = 32\nbtach = 3"))  # parts may be gone
    assert "<h2>Health" not in page(run)


def test_a_run_without_a_line_has_a_report(run):
    run.metrics.write_text("")
    run.evaluations.write_text("")
    for file in run.samples.iterdir():
        file.unlink()
    text = page(run)
    assert "<p>0 images, 0 epochs, 0 seconds.</p>" in text
    assert "<h2>Samples" not in text
    assert "<svg" not in text


def test_equal_runs_have_equal_reports(run):
    assert page(run) == page(run)


# ---------------------------------------------------------------------- charts


def drawn(chart, monkeypatch):
    """The matplotlib frame of a chart."""
    from matplotlib.figure import Figure

    seen = []
    subplots = Figure.subplots
    monkeypatch.setattr(Figure, "subplots", lambda *a, **k: seen.append(subplots(*a, **k)) or seen[-1])
    text = svg([chart])
    return seen[-1][0, 0], text


def test_a_chart_shows_curves_bands_and_levels(monkeypatch):
    chart = Chart("fd", [Curve("a", [1, 2], [3.0, 4.0], [2.0, 3.5], [4.0, 5.5])], {"floor": 2.5, "baseline": 6.0})
    frame, text = drawn(chart, monkeypatch)
    curve, floor, baseline = frame.lines
    assert curve.get_xydata().tolist() == [[1, 3], [2, 4]]
    assert (floor.get_linestyle(), baseline.get_linestyle()) == (":", "--")
    assert floor.get_ydata() == [2.5, 2.5]
    (band,) = frame.collections
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices}
    assert corners == {(1, 2), (1, 4), (2, 3.5), (2, 5.5)}
    assert [one.get_text() for one in frame.get_legend().get_texts()] == ["a", "floor 2.5", "baseline 6"]
    assert ">baseline 6<" in text  # text stays text
    assert text.startswith("<svg")
    assert frame.get_yscale() == "linear"


@pytest.mark.parametrize(
    ("values", "level", "scale"),
    [((1.0, 31.0), {}, "log"), ((1.0, 29.0), {}, "linear"), ((1.0, 2.0), {"floor": 0.01}, "log"),
     ((-1.0, 99.0), {}, "linear"), ((math.nan, 5.0, math.inf), {}, "linear")],
)  # fmt: skip
def test_values_over_decades_get_a_logarithmic_axis(monkeypatch, values, level, scale):
    frame, _ = drawn(Chart("a", [Curve("a", range(len(values)), values)], level), monkeypatch)
    assert frame.get_yscale() == scale


def test_curves_of_a_group_look_alike_and_are_named_once(monkeypatch):
    curves = [
        Curve("a", [1, 2], [1.0, 2.0], colour=3, faint=True),
        Curve("a", [1, 3], [2.0, 2.0], colour=3, faint=True),
    ]
    frame, _ = drawn(Chart("fd", [*curves, Curve("b", [1, 2], [3.0, 3.0], colour=13)]), monkeypatch)
    assert {line.get_color() for line in frame.lines} == {"C3"}
    assert [one.get_text() for one in frame.get_legend().get_texts()] == ["a", "b"]
    assert frame.lines[0].get_linewidth() < frame.lines[2].get_linewidth()


def test_long_curves_are_thinned_and_keep_their_ends():
    values = list(range(12_345))
    found = thin(values)
    assert len(found) == 1000
    assert (found[0], found[-1]) == (0, 12_344)
    assert set(np.diff(found)) <= {12, 13}
    assert thin(values[:1000]) == values[:1000]
    assert svg([Chart("nothing", [Curve("a", [], [])])]) == ""


def test_it_is_fast(run):
    clocks = [{"images": n, "epoch": 1.0, "seconds": float(n)} for n in range(4000)]
    lines(run.metrics, [clock | {f"generator.{k}": clock["images"] / 7 for k in range(8)} for clock in clocks])
    point = {"value": 1.0, "protocol": PROTOCOL}
    lines(run.evaluations, [{"images": n, "metric": f"m{k}", **point} for n in range(100) for k in range(8)])
    write_report(run)
    began = time.process_time()
    write_report(run)
    assert time.process_time() - began < 3  # half a second where nothing else runs
    assert run.report.stat().st_size < 1_000_000
