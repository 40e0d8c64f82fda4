"""report.html: what stands in it, what is drawn, and that it stays small and whole whatever the run holds."""

import base64
import io
import json
import math
import re
import time

import numpy as np
import pytest
from PIL import Image

from tests.markup import Structure, whole
from tests.small import table, words
from tests.test_compare import add, lines, write_run
from zerosum.recipes import read_recipe
from zerosum.runs import health
from zerosum.runs.evaluation.verdict import method, verdict
from zerosum.runs.health import Finding, diagnostics_of_pairs, diagnostics_of_translations
from zerosum.runs.health.diagnostics import NUMBERS
from zerosum.runs.storage.directory import RunDirectory
from zerosum.runs.storage.run import Run
from zerosum.runs.storage.trained import TrainedModel
from zerosum.runs.view.charts import Chart, Curve, axis, brief, charts, thin
from zerosum.runs.view.curves import OTHERS, groups, learning_charts, metric_charts
from zerosum.runs.view.gallery import gallery, history
from zerosum.runs.view.page import text
from zerosum.runs.view.report import write_report

PROTOCOL = {"real": "held-out", "count": 180, "seed": 0}


def page(run):
    """The page of a run, which is always one whole file that needs nothing else."""
    return whole(write_report(run).read_text())


def reports(*clocks, **more):
    """Lines of metrics.jsonl as an engine leaves them."""
    return [
        {
            "images": n, "epoch": n / 100, "seconds": n / 10, "images_per_second": 10.0, "real_logit": 1.0,
            "discriminator.adversarial": 0.5, "discriminator.r1": 0.1, "generator.adversarial": 0.7, "ada.p": 0.2,
            "discriminator_gradient": 1.0, "generator_gradient": 2.0, **more,
        }
        for n in clocks
    ]  # fmt: skip


@pytest.fixture
def run(tmp_path):
    path = write_run(tmp_path / "<run>", "dcgan", "batch=32")
    (path / "samples").mkdir()
    for images in range(0, 2_000, 100):
        Image.new("L", (4, 4), images % 251).save(path / "samples" / f"{images:09d}.png")
    lines(path / "metrics.jsonl", reports(100, 200))
    return RunDirectory(path)


# ---------------------------------------------------------------------- the page


def test_it_says_what_was_trained_how_far_and_how_it_ended(run):
    written = page(run)
    assert "<title>&lt;run&gt;</title>" in written
    assert '<span class="state good">finished</span>' in written
    assert '<p class="lead">dcgan on digits: 100 training images</p>' in written
    for big, small in (("300", "images seen<small>of 300"), ("2", "epochs<small>seed 0"), ("0:20", "of training"),
                       ("15", "images per second"), ("fp32", "precision<small>cpu, 2 threads")):  # fmt: skip
        assert f"<li><b>{big}</b>{small}" in written
    assert "batch = 32" in written
    assert "<td>training samples</td><td>100</td>" in written
    assert "<td>held out by 0</td>" in written
    assert "{&quot;" not in written.partition("numbers with their protocols")[0]  # no raw JSON


@pytest.mark.parametrize(
    ("reached", "events", "pill", "first"),
    [(300, [], "good", "--images 600"), (200, [], "warn", ""), (300, [{"images": 250, "ended": "fd < 1"}], "good", ""),
     (200, [{"images": 250, "not_finite": "loss"}], "bad", "on_nan=rollback"),
     (200, [{"images": 250, "error": "disk"}], "bad", "")],
)  # fmt: skip
def test_it_says_how_to_go_on_from_where_it_ended(tmp_path, reached, events, pill, first):
    path = write_run(tmp_path / "a run", reached=reached, events=events)
    assert "<pre>zerosum sample" not in page(RunDirectory(path))
    (path / "model.safetensors").write_text("")
    written = page(RunDirectory(path))
    assert f'<span class="state {pill}">' in written
    place = text(f"'{path}'")
    resume = re.search(r"<pre>(zerosum resume [^<]*)</pre>", written)[1]
    assert resume.startswith(f"zerosum resume {place}")
    assert resume.endswith(first)
    for verb in ("sample", "evaluate", "doctor", "compare"):
        assert f"<pre>zerosum {verb} {place}" in written


def test_a_training_that_writes_its_own_report_is_not_under_way(run):
    run.hold()
    try:
        assert ">finished<" in page(run)
        assert ">training<" in page(RunDirectory(run.path))
    finally:
        run.release()


def test_settings_that_were_changed_stand_beside_those_of_the_recipe(run):
    written = page(run)
    assert "<tr><td>batch</td><td>64</td><td>32</td></tr>" in written
    assert "<tr><td>length</td><td>200k</td><td>300</td></tr>" in written
    assert "<td>seed</td>" not in written
    file = run.path / "recipe.toml"
    file.write_text(file.read_text().replace('recipe = "dcgan"', 'recipe = "<mine>"'))
    assert "The recipe &lt;mine&gt; is not in the registry" in page(run)


def test_events_are_told(run):
    rows = [{"images": 1500, "not_finite": "generator: <loss>", "rollback": 1}, {"images": 9000, "ended": "fd 0.9 < 1"}]
    run.metrics.write_text(run.metrics.read_text() + "".join(json.dumps(row) + "\n" for row in rows))
    written = page(run)
    assert "<p>1,500 images: not finite: generator: &lt;loss&gt;</p>" in written
    assert "<p>9,000 images: ended early: fd 0.9 &lt; 1</p>" in written


def test_findings_of_the_monitor_come_first(run, monkeypatch):
    lasting = Finding("<collapse>", "error", 1500, "duplicates 0.9", "fakes are alike", "regularizers=r1")
    monkeypatch.setattr(health, "examine", lambda history: [lasting] if history.images == 200 else [])
    found = [{"images": n, "findings": {"winning": f"gap <{n}>", "<collapse>": "seen twice"}} for n in (110, 150)]
    lines(run.metrics, [*found, {"images": 200}])
    written = page(run)
    assert written.index("&lt;collapse&gt;") < written.index("<h2>Samples")
    assert "<small>error since 1,500 images</small></h3><p>duplicates 0.9; fakes are alike.</p>" in written
    assert "<b>Try</b> regularizers=r1" in written
    assert "<td>winning</td><td>last at 150 images</td><td>gap &lt;150&gt;</td>" in written
    assert "seen twice" not in written
    assert "nothing wrong" not in written
    monkeypatch.undo()
    lines(run.metrics, reports(100, 200))
    assert "Nothing is wrong so far, and it is too early to judge: 200 of the 10,000 images" in page(run)


def test_control_characters_and_markup_are_shown_and_never_alive():
    assert text("<b>\x1b[31m\x00 a\u202eb\ud800&") == "&lt;b&gt;\\x1b[31m\\x00 a\\u202eb\\ud800&amp;"
    assert text("Ünï 日本 👩\u200d🔬\n") == "Ünï 日本 👩\u200d🔬\n"


# ---------------------------------------------------------------------- damage


def test_a_run_without_a_line_has_a_report(run):
    run.metrics.write_text("")
    run.evaluations.write_text("")
    for file in run.samples.iterdir():
        file.unlink()
    written = page(run)
    assert "<li><b>0</b>images seen" in written
    for head in ("Samples", "Metrics", "Learning"):
        assert f"<h2>{head}" not in written


@pytest.mark.parametrize("name", ["recipe.toml", "environment.json", "metrics.jsonl", "evaluations.jsonl"])
@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe{", b'{"data": 3, "images": "x"}\n', b"[1, 2]\n3\n", b'recipe = ["a"]', None]
)
def test_damaged_files_cost_their_part_of_the_page_alone(run, name, content):
    if content is None:
        (run.path / name).unlink()
    else:
        (run.path / name).write_bytes(content)
    written = page(run)
    assert "Traceback" not in written
    assert "<h2>Samples" in written
    if name in ("recipe.toml", "environment.json") and content in (b"\xff\xfe{", None):
        assert f'<p class="careful">{name} cannot be read' in written


def test_lines_of_another_shape_are_left_out(run):
    line = {"images": 300, "metric": "fd", "protocol": PROTOCOL}
    add(
        run.path,
        line | {"value": "high"},
        {"images": 1},
        line | {"value": 1.0, "floor": "low"},
        line | {"value": math.nan},
    )
    rows = [{"images": "x", "fake_logit": 1.0}, {"images": 400, "fake_logit": [1]}, {"images": 500, "seconds": "later"}]
    run.metrics.write_text(run.metrics.read_text() + "".join(json.dumps(row) + "\n" for row in rows))
    written = page(run)
    assert "This is not a finite number." in written
    assert "fake_logit" not in written
    assert "<li><b>400</b>images seen" in written


def test_it_is_fast_and_bounded(run):
    clocks = [{"images": n, "epoch": 1.0, "seconds": float(n)} for n in range(2000)]
    lines(run.metrics, [clock | {f"generator.{k}": clock["images"] / 7 for k in range(8)} for clock in clocks])
    point = {"value": 1.0, "protocol": PROTOCOL}
    lines(run.evaluations, [{"images": n, "metric": f"m{k}", **point} for n in range(100) for k in range(8)])
    began = time.process_time()
    written = page(run)
    assert time.process_time() - began < 3  # half a second where nothing else runs
    assert len(written) < 600_000
    assert page(run) == written


def test_a_first_report_is_told_in_numbers(run):
    lines(run.metrics, reports(100))
    written = page(run)
    assert '<div class="chart">' not in written.partition("<h2>Learning")[2].partition("<h2>")[0]
    assert "<td>discriminator.r1</td><td>0.1</td>" in written


# ---------------------------------------------------------------------- in a notebook


def test_a_run_is_a_card_with_its_last_samples_and_numbers(run):
    Image.new("L", (4, 4)).save(run.samples / "real.png")
    card = Run(run.path)._repr_html_()
    Structure(card)
    assert "&lt;run&gt;</b>" in card
    assert "dcgan on digits: 100 training images" in card
    assert "finished, 300 images in 20 s" in card
    assert "sw 2" in card
    assert re.findall(r"<figcaption[^>]*>([^<]*)<", card) == ["real", "1,900 images"]
    (run.path / "recipe.toml").unlink()
    (run.path / "environment.json").write_text("{")
    assert "recipe.toml cannot be read" in Run(run.path)._repr_html_()


@pytest.mark.parametrize("recipe", ["mlp", "mixture"])
def test_a_generator_is_a_card_with_samples_of_one_seed(recipe, tmp_path):
    engine, _ = table(recipe)
    generator = TrainedModel(engine.model(), read_recipe(recipe, words(recipe)), engine.signals, (), 123)
    card = generator._repr_html_()
    Structure(card)
    assert ("images of 8 x 8" if recipe == "mlp" else "points of 2 numbers") in card
    assert "trained on 123 images" in card
    assert card.count("<img") == 1
    assert card == generator._repr_html_()


# ---------------------------------------------------------------------- samples


def test_all_samples_are_in_the_slider_beside_real_ones(run):
    (run.samples / "notes.png").write_text("not ours")
    assert "<b>Real</b>" not in page(run)
    Image.new("L", (4, 4)).save(run.samples / "real.png")
    written = page(run)
    assert written.count("data:image/png;base64,") == 21
    assert written.index("<b>Real</b>") < written.index("<b>Generated</b>")
    assert 'data-said="before the first image"' in written
    assert "<output>1,900 images</output>" in written  # the last is what is seen without a script
    assert 'min="0" max="19" value="19"' in written
    assert "cannot be shown" not in written


def test_pictures_stay_within_a_budget(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (3, 100, 100, 3), np.uint8)
    for number in range(30):
        Image.fromarray(noise[number % 3]).save(tmp_path / f"{number:09d}.png", compress_level=0)
    faults = []
    shown = history(sorted(tmp_path.iterdir()), 60_000, faults)
    assert not faults
    assert [images for images, _ in shown][:: len(shown) - 1] == [0, 29]
    assert 40_000 < sum(len(content) for _, content in shown) < 66_000  # base64 comes on top
    assert {content[:4] for _, content in shown} == {b"RIFF"}


def test_sheets_of_many_classes_are_cut_and_broken_ones_named(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000_000)
    run = RunDirectory(tmp_path)
    run.samples.mkdir()
    Image.new("L", (660, 9_900)).save(run.picture(100))
    run.picture(200).write_bytes(b"\x89PNG\r\n\x1a\n broken")
    Image.new("1", (4_000, 4_000)).save(run.picture(300))
    Image.new("1", (5_000, 5_000)).save(run.picture(400))
    shown, faults = gallery(run)
    assert shown.count("<img") == 1
    assert len(shown) < 100_000
    assert sorted(fault.split()[0] for fault in faults) == ["000000200.png", "000000300.png", "000000400.png"]
    content = base64.b64decode(shown.partition("base64,")[2].partition('"')[0])
    assert Image.open(io.BytesIO(content)).size == (660, 1600)


# ---------------------------------------------------------------------- metrics


def test_a_metric_stands_beside_its_best_its_floor_and_its_baseline(run):
    values = {100: 3.0, 200: 1.5, 300: 2.0}
    rows = [{"images": n, "metric": "fd<", "value": value, "protocol": PROTOCOL} for n, value in values.items()]
    lines(run.evaluations, [row | {"floor": 0.25, "baseline": 9.5, "spread": 0.125} for row in rows])
    add(run.path, {"images": 300, "metric": "recall", "value": 0.5, "protocol": PROTOCOL, "higher_is_better": True,
                   "warning": "few <samples>; no better than the baseline"})  # fmt: skip
    written = page(run)
    assert '<h3>fd&lt;<small>lower is better</small></h3><div class="value">2 <small>± 0.12</small></div>' in written
    assert "<small>at 300 images; best 1.5 at 200</small>" in written
    assert 'floor 0.25</span><span class="right" style="left:80.0%">baseline 9.5</span>' in written
    assert '<p class="verdict">81% of the way from the baseline to real samples.</p>' in written
    assert '<p class="aside">few &lt;samples&gt;</p>' in written
    assert "Measured 180 generated samples against held-out samples, seed 0." in written
    assert "4 numbers with their protocols" in written


def test_metrics_of_other_protocols_stand_apart(run):
    other = PROTOCOL | {"count": 5}
    lines(run.evaluations, [
        {"images": 100, "metric": "fd", "value": 0.1, "protocol": other},
        {"images": 100, "metric": "fd", "value": 3.0, "protocol": PROTOCOL},
        {"images": 200, "metric": "fd", "value": 4.0, "protocol": PROTOCOL},
        {"images": 200, "metric": "kid", "value": 4.0, "protocol": other},
    ])  # fmt: skip
    written = page(run)
    assert "best 3 at 100" in written
    assert written.count("<small>Measured ") == 2


@pytest.mark.parametrize(
    ("value", "floor", "baseline", "higher", "tone", "said"),
    [
        (1.0, 1.0, 11.0, False, "good", "As good as real samples"),
        (0.5, 1.0, 11.0, False, "good", "As good as real samples"),
        (3.0, 1.0, 11.0, False, "good", "80% of the way"),
        (10.0, 1.0, 11.0, False, "warn", "10% of the way"),
        (12.0, 1.0, 11.0, False, "bad", "No better than the baseline"),
        (0.8, 0.9, 0.4, True, "good", "80% of the way"),
        (0.3, 0.9, 0.4, True, "bad", "No better than the baseline"),
        (32.0, 270.0, 50.0, False, "warn", "cannot tell"),
        (2.0, 2.5, None, False, "good", "As good as real samples"),
        (3.0, 2.5, None, False, "", ""),
        (3.0, 2.5, None, None, "", "0.5 away from its floor"),
        (3.0, None, None, False, "", ""),
    ],
)
def test_a_verdict_reads_floor_and_baseline(value, floor, baseline, higher, tone, said):
    line = {"value": value, "floor": floor, "baseline": baseline, "higher_is_better": higher, "protocol": {}}
    found = verdict(line)
    assert found[0] == tone
    assert said in found[1]
    assert bool(said) == bool(found[1])


def test_a_protocol_is_said_in_words():
    protocol = {"part": "fd", "extractor": "pca@12", "real": "train", "count": 2500, "count_real": 1800, "seed": 3,
                "weights": "averaged", "sha256": "12", "size": "64x64"}  # fmt: skip
    told = (
        "through pca@12, 2,500 generated samples against 1,800 training samples, size 64x64, seed 3, averaged weights"
    )
    assert method(protocol) == told
    assert method({}) == ""


# ---------------------------------------------------------------------- charts


def test_charts_of_metrics_have_levels_and_a_curve_for_each_protocol():
    def row(images, value, **more):
        return {"images": images, "metric": "fd", "value": value, "protocol": PROTOCOL, **more}

    rows = [row(1, 5.0), row(2, 4.0, floor=0.5, baseline=2.0), {**row(2, 7.0), "metric": "kid"}]
    fd, kid = metric_charts(rows)
    assert charts([kid]) == ""  # a single number is no curve
    assert (fd.title, fd.note) == ("fd", "lower is better")
    assert fd.levels == {"floor": 0.5, "baseline": 2.0}
    assert [(curve.name, curve.x, curve.y) for curve in fd.curves] == [("fd", [1, 2], [5.0, 4.0])]
    (two,) = metric_charts([*rows[:2], {**row(2, 9.0), "protocol": PROTOCOL | {"count": 9}}])
    assert [(curve.name, curve.y) for curve in two.curves] == [
        ("fd, protocol 1", [5.0, 4.0]),
        ("fd, protocol 2", [9.0]),
    ]


@pytest.fixture(scope="module")
def logged():
    """Names that trainings of very different recipes write into their logs."""
    found = {*NUMBERS, *diagnostics_of_pairs.NUMBERS, "images_per_second"}
    found |= {f"{name}-{key}" for name in diagnostics_of_translations.NUMBERS for key in ("a_to_b", "b_to_a")}
    for name in (
        "stylegan2-ada-small",
        "began-small",
        "dagan-small",
        "gman-small",
        "veegan",
        "wgan-gp",
        "cyclegan-small",
    ):
        engine, feed = table(name)
        engine.turn(feed)
        found |= engine.meter.take("report").keys()
    return sorted(found)


def test_every_number_that_is_logged_has_a_chart_with_a_title(logged):
    charts = {curve.name: chart for chart in learning_charts([dict.fromkeys(logged, 1.0) | {"images": 1}])
              for curve in chart.curves}  # fmt: skip
    assert sorted(charts) == logged
    assert not [name for name, chart in charts.items() if chart.title == OTHERS.title]
    assert charts["reconstructor.reconstruction"].title == "Losses of the reconstructor"
    assert charts["discriminator-2.adversarial"].title == "Losses of the discriminator"
    assert charts["reconstructor_gradient"].title == "Gradient norms"
    assert charts["ada.p"].title == charts["began.k"].title == "What parts remember"
    titles = [group.title for group in groups(logged)]
    assert [title for title in titles if title not in {chart.title for chart in charts.values()}] == [OTHERS.title]


def test_what_is_unknown_is_drawn_too():
    line = {"images": 10, "epoch": 1.0, "seconds": 2.0, "ended": "fd<1", "flag": True, "mine\n": 1.5}
    (chart,) = learning_charts([line, {"images": 20, "mine\n": 3}])
    assert chart.title == "Other numbers"
    assert [(one.name, one.x, one.y) for one in chart.curves] == [("mine\n", [10, 20], [1.5, 3])]


def test_a_chart_shows_curves_bands_and_levels():
    chart = Chart("fd<", [Curve("a", [1, 2], [3.0, 4.0], [2.0, 3.5], [4.0, 5.5])], {"floor": 2.5, "baseline": 6.0})
    drawn = charts([chart])
    across, up = axis([1, 2], 46, 334, logarithmic=False), axis([2.0, 6.0], 156, 8)
    there = f"M{across(1):.1f} {up(3):.1f}L{across(2):.1f} {up(4):.1f}"
    assert f'<path class="curve c0" d="{there}" data-v="[[1,3],[2,4]]"/>' in drawn
    corners = [(1, 4), (2, 5.5), (2, 3.5), (1, 2)]
    band = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in corners)
    assert f'<polygon class="band c0" points="{band}"/>' in drawn
    assert f'<line class="level l0" x1="46" x2="334" y1="{up(2.5):.1f}" y2="{up(2.5):.1f}"/>' in drawn
    assert "<i></i>a <output>4</output>" in drawn
    assert "<i></i>baseline <span>6</span>" in drawn
    assert "<b>fd&lt;</b>" in drawn
    assert charts([Chart("nothing", [Curve("a", [], [])]), Chart("nan", [Curve("a", [1], [math.nan])])]) == ""


def test_what_is_not_finite_is_a_gap():
    drawn = charts([Chart("a", [Curve("a", range(5), [1.0, 2.0, math.nan, 3.0, math.inf])])])
    assert re.sub(r"[\d. ]+", "", re.search(r' d="([^"]*)"', drawn)[1]) == "MLM"
    assert 'data-v="[[0,1],[1,2],[3,3]]"' in drawn


@pytest.mark.parametrize(
    ("values", "log", "ticks"),
    [((1.0, 31.0), True, ["1", "2", "5", "10", "20"]), ((1.0, 29.0), False, ["0", "5", "10", "15", "20", "25", "30"]),
     ((0.01, 2.0), True, ["0.01", "0.1", "1"]), ((-1.0, 99.0), False, ["0", "20", "40", "60", "80", "100"]),
     ((5.0, 5.0), False, ["4.6", "4.8", "5", "5.2", "5.4"]), ((0.0, 0.0), False, ["-1", "-0.5", "0", "0.5", "1"]),
     ((1e-9, 1e9), True, ["1e-09", "1e-06", "0.001", "1", "1k", "1M", "1G"])],
)  # fmt: skip
def test_an_axis_has_round_ticks_and_is_logarithmic_over_decades(values, log, ticks):
    found = axis(values, 0.0, 100.0)
    assert found.log == log
    assert [brief(tick) for tick in found.ticks] == ticks
    assert found.start <= found(min(values)) <= found(max(values)) <= found.end


def test_curves_of_a_group_look_alike_and_are_named_once():
    curves = [
        Curve("a", [1, 2], [1.0, 2.0], colour=3, faint=True),
        Curve("a", [1, 3], [2.0, 2.0], colour=3, faint=True),
    ]
    drawn = charts([Chart("fd", [*curves, Curve("b", [1, 2], [3.0, 3.0], colour=11)])])
    assert drawn.count('class="curve c3 faint"') == 2
    assert drawn.count('class="curve c3 d1"') == 1  # the colours came round, so it is dashed
    assert re.findall(r"<i></i>(\w) ", drawn) == ["a", "b"]


def test_long_curves_are_thinned_and_keep_their_ends():
    values = list(range(12_345))
    found = thin(values)
    assert len(found) == 400
    assert (found[0], found[-1]) == (0, 12_344)
    assert set(np.diff(found)) <= {30, 31}
    assert thin(values[:400]) == values[:400]
