"""When a training ends before its length."""

import pytest

import zerosum
from tests.small import EAGER, words
from zerosum.core.engine import Engine
from zerosum.core.errors import RecipeError, RunError
from zerosum.core.values import Length
from zerosum.recipes import read_recipe
from zerosum.runs.storage.logs import TIMES
from zerosum.runs.training import stopping

MLP = read_recipe("mlp")


def short(path, *settings, images=480):
    return zerosum.train("digits", "mlp", [*words("mlp"), *EAGER, *settings], images=images, out=path, quiet=True)


def evaluations(*values, metric="fd", every=100, **more):
    return [{"images": every * (i + 1), "metric": metric, "value": value, **more} for i, value in enumerate(values)]


def reason(words, reports=(), judged=(), followed="fd", per_epoch=50):
    recipe = read_recipe("mlp", words)
    return stopping.reason(recipe, list(reports), list(judged), per_epoch, followed)


@pytest.mark.parametrize("text", ["fd<1.5", " fd < 1.5 ", "fd<1.50"])
def test_a_condition_is_read(text):
    condition = stopping.read(text)
    assert (condition.name, condition.sign, condition.limit) == ("fd", "<", 1.5)
    assert str(condition) == "fd<1.5"


def test_names_may_have_dots_and_dashes_and_numbers_exponents():
    assert stopping.read("generator.adversarial>-2e-3") == stopping.Condition("generator.adversarial", ">", -2e-3)
    assert stopping.read("sliced-wasserstein<.2").name == "sliced-wasserstein"
    assert stopping.read("  ") is None


NO_CONDITIONS = ["fd", "fd<", "<1", "fd<=1", "fd=1", "fd<one", "fd<nan", "fd<inf", "fd<1 or x<2", "1<fd", "f()<1"]


@pytest.mark.parametrize("text", NO_CONDITIONS)
def test_what_is_no_condition_is_refused(text):
    with pytest.raises(RecipeError, match=r"is not a condition; write NAME<NUMBER or NAME>NUMBER, such as fd<1.0"):
        stopping.read(text)


NAN = float("nan")


@pytest.mark.parametrize(
    ("sign", "value", "met"),
    [
        *[("<", 0.9, True), ("<", 1.0, False), ("<", 1.1, False), ("<", NAN, False)],
        *[(">", 0.9, False), (">", 1.0, False), (">", 1.1, True), (">", NAN, False)],
    ],
)
def test_a_limit_has_to_be_passed(sign, value, met):
    assert stopping.Condition("fd", sign, 1.0).met(value) is met


def test_the_first_evaluation_that_passes_is_the_reason_and_stays_it():
    lines = evaluations(3.0, 0.9, 2.0, 0.5)
    assert reason(["stop_when=fd<1"], judged=lines[:1]) is None
    assert reason(["stop_when=fd<1"], judged=lines[:2]) == "fd 0.9 < 1 after 200 images"
    assert reason(["stop_when=fd<1"], judged=lines) == "fd 0.9 < 1 after 200 images"
    assert reason(["stop_when=fd>2.5"], judged=lines) == "fd 3 > 2.5 after 100 images"


def test_a_number_of_the_reports_will_do():
    reports = [
        {"images": 10, "pairwise_accuracy": 0.7},
        {"images": 15, "ended": "x"},
        {"images": 20, "pairwise_accuracy": 0.995},
    ]
    assert reason(["stop_when=pairwise_accuracy>0.99"], reports) == "pairwise_accuracy 0.995 > 0.99 after 20 images"
    assert reason(["stop_when=pairwise_accuracy>0.999"], reports) is None


def test_a_number_that_an_evaluation_left_out_ends_nothing():
    reports = [{"images": 10, "pairwise_accuracy": 0.7}]
    assert reason(["stop_when=kid<1"], reports) is None
    assert reason(["stop_when=kid<1"], reports, evaluations(1.0, metric="fd")) is None
    later = [*evaluations(1.0, metric="fd"), {"images": 300, "metric": "kid", "value": 0.5}]
    assert reason(["stop_when=kid<1"], reports, later) == "kid 0.5 < 1 after 300 images"


def test_patience_counts_from_the_best_value():
    lines = evaluations(3.0, 2.0, 2.5, 2.0, 2.1)  # the best at 200 images; an equal value is no improvement
    assert reason(["patience=200"], judged=lines[:3]) is None
    assert reason(["patience=200"], judged=lines[:4]) == "fd has not improved on 2 for 200 images, at 400"
    assert reason(["patience=200"], judged=lines) == "fd has not improved on 2 for 200 images, at 400"
    assert reason(["patience=300"], judged=lines[:4]) is None
    assert reason(["patience=4epochs"], judged=lines[:4]) is not None  # of 50 images
    assert reason(["patience=5epochs"], judged=lines[:4]) is None


def test_patience_follows_the_metric_of_best_in_its_direction():
    lines = evaluations(0.1, 0.3, 0.2, 0.25, metric="recall", higher_is_better=True)
    other = evaluations(1.0, 2.0, 3.0, 4.0)
    assert reason(["patience=200"], judged=[*other, *lines], followed="recall") == (
        "recall has not improved on 0.3 for 200 images, at 400"
    )
    assert reason(["patience=200"], judged=[*other, *lines[:3]], followed="recall") is None
    assert reason([], judged=other) is None


def test_values_that_are_not_numbers_are_no_improvement():
    lines = evaluations(float("nan"), 2.0, float("nan"), 1.0)
    assert reason(["patience=300"], judged=lines) is None
    assert reason(["patience=200"], judged=evaluations(2.0, float("nan"), float("nan"))) is not None


def test_the_earlier_of_two_causes_counts():
    lines = evaluations(3.0, 3.0, 3.0, 0.5)
    assert reason(["patience=200", "stop_when=fd<1"], judged=lines).startswith("fd has not improved on 3")
    assert reason(["patience=900", "stop_when=fd<1"], judged=lines).startswith("fd 0.5 < 1")


REFUSED = {
    "bad condition": (["stop_when=fd"], "'fd' is not a condition"),
    "nothing measured": (["stop_when=epoch>3", "evaluation=never", "report=never"], "nothing is measured on the way"),
    "patience in time": (["patience=5min"], "patience=5min: it is counted in images or epochs"),
    "patience without evaluations": (["patience=1k", "evaluation=never"], "patience: nothing is evaluated on the way"),
    "two": (["stop_when=fd", "patience=5min"], "is not a condition.*\n.*counted in images"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_rules_that_cannot_work_are_refused_before_the_first_image(tmp_path, name):
    settings, text = REFUSED[name]
    with pytest.raises(RecipeError, match=text):
        short(tmp_path / "run", *settings)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_no_turn_and_no_metric_of_the_run_gives_is_refused_before_the_first_image(tmp_path):
    with pytest.raises(
        RecipeError, match=r"no number will be called 'generator.adversaria'; did you mean 'generator.adv"
    ):
        short(tmp_path / "run", "stop_when=generator.adversaria<1")
    for metrics, name, nearest in (
        ("", "fdd", "did you mean 'fd'"),
        ("evaluator.metrics=fd", "path-length", "there is: "),
    ):
        with pytest.raises(RecipeError, match=f"no number will be called '{name}'; {nearest}"):
            short(tmp_path / "run", f"stop_when={name}<1", *filter(None, [metrics]))
    assert list(tmp_path.iterdir()) == []
    for known in ("generator.adversarial", "generator_gradient", "copying", "epoch", "kid"):
        stopping.check(MLP.replace(stop_when=f"{known}<1"), ["kid"], ["generator.adversarial", "generator_gradient"])


def test_a_run_ends_when_its_condition_is_met_and_says_so(tmp_path):
    run = short(tmp_path / "run", "stop_when=images>150")
    assert run.finished
    assert (run.path / "latest").read_text() == "000000192\n"
    ends = [line for line in run.metrics if "ended" in line]
    assert [line["ended"] for line in ends] == ["images 192 > 150 after 192 images"]
    assert run.evaluations[-1]["images"] == 192  # the last state is judged and drawn as that of any finished run
    assert (run.path / "samples" / "000000192.png").exists()
    assert (run.path / "report.html").exists()


def contents(run):
    found = [[{k: v for k, v in line.items() if k not in TIMES} for line in run.metrics], run.evaluations]
    return found, (run.path / "model.safetensors").read_bytes()


def test_a_run_that_ended_stays_ended_until_its_rule_is_changed(tmp_path, capfd):
    run = short(tmp_path / "run", "stop_when=images>150")
    before = contents(run)
    again = zerosum.resume(run.path)
    assert again.finished
    assert contents(again) == before
    said = " ".join(capfd.readouterr().err.split())
    assert "is finished (images 192 > 150 after 192 images); train it further with: zerosum resume" in said
    assert "stop_when= patience=never" in said
    more = zerosum.resume(run.path, ["stop_when=images>300"], quiet=True)
    assert (more.path / "latest").read_text() == "000000384\n"
    assert [line["ended"][:10] for line in more.metrics if "ended" in line] == ["images 192", "images 384"]
    whole = zerosum.resume(run.path, ["stop_when="], quiet=True)
    assert (whole.path / "latest").read_text() == "000000480\n"
    assert whole.recipe.stop_when == ""
    peace = short(tmp_path / "peace")
    name = "generator.weights.safetensors"
    assert (whole.path / "checkpoints" / "000000480" / name).read_bytes() == (
        peace.path / "checkpoints" / "000000480" / name
    ).read_bytes()


def test_a_run_killed_before_it_ended_ends_at_the_same_place(tmp_path, monkeypatch):
    peace = short(tmp_path / "peace", "stop_when=images>250", "checkpoint=64")
    turn = Engine.turn

    def die(engine, feed):
        turn(engine, feed)
        if feed.position >= 240:
            monkeypatch.setattr(Engine, "turn", turn)
            raise ConnectionError("killed")

    monkeypatch.setattr(Engine, "turn", die)
    with pytest.raises(RunError, match="killed"):
        short(tmp_path / "war", "stop_when=images>250", "checkpoint=64")
    war = zerosum.resume(tmp_path / "war", quiet=True)
    assert war.finished
    assert contents(war) == contents(peace)
    assert (war.path / "latest").read_text() == "000000288\n"


def test_patience_ends_a_run(tmp_path):
    run = short(tmp_path / "run", "patience=1", "generator.lr=1e-12", images=960)  # it cannot improve for long
    last = run.evaluations[-1]["images"]
    assert run.finished
    assert last < 960
    assert "has not improved on" in next(line["ended"] for line in run.metrics if "ended" in line)


def test_of_a_recipe_only_what_decides_its_end_may_change(tmp_path):
    assert {"length", "on_nan", "stop_when", "patience", "autosave"} == stopping.FREE
    before, after = MLP, MLP.replace(stop_when="fd<1", patience=Length(5), on_nan="rollback", batch=7)
    assert stopping.as_free(before, after) == after.replace(batch=before.batch)
    run = short(tmp_path / "run", "stop_when=images>150")
    with pytest.raises(RunError, match=r"another recipe:\n  batch: 16 -> 8\n"):
        zerosum.resume(run.path, ["stop_when=", "batch=8"], quiet=True)
