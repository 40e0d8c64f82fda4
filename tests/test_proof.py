"""Metrics are proven before the first image, left out in words where they cannot be measured, and end no training."""

import json
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch

import zerosum
from tests.small import EAGER, words
from zerosum.core import registry, usercode
from zerosum.core.errors import RecipeError
from zerosum.core.registry import Part, register, registered
from zerosum.core.settings import assign
from zerosum.data import Dataset, Preparation, open_data
from zerosum.metrics.evidence import Measure, Metric, Samples
from zerosum.metrics.suite import FD
from zerosum.recipes import EvaluatorPart
from zerosum.runs.evaluation.evaluate import evaluate, weights_of
from zerosum.runs.evaluation.evaluator import Evaluator
from zerosum.runs.evaluation.proof import prove
from zerosum.runs.evaluation.result_cache import code
from zerosum.runs.evaluation.usual import everything
from zerosum.runs.storage.saved import load_model


def evaluator(dataset, *settings):
    return Evaluator(dataset, assign(EvaluatorPart(), list(settings)))


@pytest.fixture(scope="module")
def digits():
    return open_data("digits")


@pytest.fixture
def own():
    """Registers a metric for the time of a test."""
    names = []

    def put(call, least=2):
        @register("metric", f"own-{len(names)}")
        @dataclass(frozen=True)
        class Own(Metric):
            """One of the user's own."""

            better: ClassVar[dict] = {"own": True}
            __call__ = call

        Own.least = least
        names.append(Own.name)
        return Own.name

    yield put
    for name in names:
        registry._registry["metric"].pop(name)


def test_metrics_that_cannot_be_measured_are_refused_before_the_first_image(tmp_path):
    with pytest.raises(RecipeError) as error:
        zerosum.train(
            "digits", "mlp", ["evaluator.metrics=modes+fd+kid:form=subsets"], out=tmp_path / "run", quiet=True
        )
    assert str(error.value).splitlines() == [
        "evaluator.metrics: metric 'modes' needs a mixture whose modes are known; see zerosum ls data",
        "evaluator.metrics: metric 'kid' needs 1,000 samples on each side; there are 1,617 generated, 180 real",
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("metric", "held_out", "extractor", "lacking"), [
    ("ct", 0.005, "auto", "needs 20 held-out samples; there are 9"),
    ("ct", 0.0, "auto", "needs held-out samples; train with held_out=0.1"),
    ("classes", 0.1, "pixels", "needs class probabilities; name an extractor that knows classes"),
    ("stacked-modes", 0.1, "auto", "needs an extractor that knows combinations"),
    ("prdc:k=300", 0.1, "auto", "needs 301 samples on each side; there are 1,617 generated, 180 real"),
])  # fmt: skip
def test_what_is_lacking_is_known_from_data_and_extractor_alone(metric, held_out, extractor, lacking):
    ours = evaluator(open_data("digits", Preparation(held_out=held_out)), f"metrics={metric}", f"extractor={extractor}")
    with pytest.raises(RecipeError, match=lacking):
        prove(ours, 2500, conditional=True)
    assert "real" not in vars(ours)  # nothing was extracted for it


def test_every_shipped_metric_that_is_proven_gives_numbers(digits):
    ours = evaluator(
        digits, "extractor=digits-cnn", "metrics=fd+kid+prdc+classes+ct+path-length+authenticity+duplicates"
    )
    prove(ours, 100, conditional=True)
    labels = torch.arange(100) % 10
    fake = ours.see(torch.randint(256, (100, 8, 8, 1), dtype=torch.uint8), labels)
    found = ours.attempt(fake, decode=lambda z: z[:, :64], latent=lambda count: torch.randn(count, 64))
    assert found.omitted == {}
    assert all(np.isfinite(one.value) for one in found)


def test_a_metric_of_the_users_is_called_once_before_the_first_image(digits, own):
    names = [
        own(lambda self, evidence: {"own": Measure(1 / 0)}),
        own(lambda self, evidence: 3.0),
        own(lambda self, evidence: {"own": 3.0}),
        own(lambda self, evidence: {"other": Measure(1.0)}),
        own(lambda self, evidence: {"own": Measure(float("nan"))}),
        own(lambda self, evidence: {"own": Measure(float(len(evidence.fake)))}, least=100),
    ]
    with pytest.raises(RecipeError) as error:
        prove(evaluator(digits, f"metrics={'+'.join(names)}"), 2500, conditional=False)
    faults = str(error.value).splitlines()
    assert len(faults) == 5
    assert faults.pop(2).endswith("'own-2' failed (it gave dict of float; a dict from name to Measure is needed)")
    assert f"metric 'own-0' failed (ZeroDivisionError: division by zero) in {__file__}, line" in faults[0]
    assert faults[1].endswith("'own-1' failed (it gave float; a dict from name to Measure is needed)")
    assert faults[2].endswith(
        "'own-3' failed (it gave other, and its `better` does not say in which direction that is good)"
    )
    assert faults[3].endswith("'own-4' failed (own came out as nan)")


def test_an_evaluation_that_fails_is_noted_and_the_training_goes_on(tmp_path, monkeypatch):
    def fail(self, evidence):
        raise ValueError("no luck today")

    monkeypatch.setattr(FD, "__call__", fail)
    settings = [*words("mlp"), *EAGER, "evaluator.metrics=fd+sliced-wasserstein", "evaluation=64", "checkpoint=64"]
    run = zerosum.train("digits", "mlp", settings, images=192, out=tmp_path / "run", quiet=True)
    assert run.finished
    assert {line["metric"] for line in run.evaluations} == {"sliced-wasserstein"}
    notes = [line["not_measured"] for line in run.metrics if "not_measured" in line]
    assert notes == ["fd: failed (no luck today)"]  # once, as it stays the same
    assert (run.path / "best").read_text() == (run.path / "latest").read_text() == "000000192\n"  # fd is not there
    assert "not measured: fd: failed (no luck today)" in (run.path / "report.html").read_text()


def test_an_evaluation_that_fails_whole_is_noted_too(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError("weights are gone")

    monkeypatch.setattr(Evaluator, "attempt", fail)
    settings = [*words("mlp"), *EAGER, "patience=64", "stop_when=fd<1", "evaluation=64"]
    run = zerosum.train("digits", "mlp", settings, images=128, out=tmp_path / "run", quiet=True)
    assert run.finished
    assert run.evaluations == []
    notes = [line["not_measured"] for line in run.metrics if "not_measured" in line]
    assert notes == ["evaluation: failed (OSError: weights are gone)"]


# ---------------------------------------------------------------------- few samples


def few(count, kind, seed=0):
    """A tiny set of images: random ones, all equal, of two kinds, or labelled by one class."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    if kind == "constant":
        values[:] = 77
    if kind == "black and white":
        values[:] = (rng.integers(0, 2, (count, 1, 1, 1)) * 255).astype(np.uint8)
    every, held_out = np.arange(count), np.arange(count)[: count // 3]
    labels = np.zeros(count, np.int64) if kind == "one class" else None
    classes = ("one",) if labels is not None else ()
    return Dataset(kind, values, labels, classes, np.setdiff1d(every, held_out), held_out, f"{kind}{count}{seed}")


@pytest.mark.parametrize("kind", ["random", "constant", "black and white", "one class"])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 24])
def test_of_any_few_samples_every_metric_gives_a_finite_number_or_words(count, kind):
    ours = evaluator(few(count, kind), "extractor=pixels")
    ours.metrics = everything()
    for fakes in {1, 2, 3, 5, 24}:
        fake = ours.see(torch.from_numpy(few(fakes, kind, seed=1).values))
        for given in (fake, ours.real):
            found = ours.attempt(given)
            measured = {one.protocol["part"].partition(":")[0] for one in found}
            assert measured | found.omitted.keys() == registered("metric").keys() - {"usual"}
            for one in found:
                numbers = [one.value, one.floor, one.floor_spread, one.baseline, one.equal]
                assert np.isfinite([number for number in numbers if number is not None]).all(), one
            assert not [reason for reason in found.omitted.values() if "Error" in reason or "\n" in reason]
            if min(len(given), len(ours.real)) < 20:
                assert {"fd", "kid", "prdc"} <= found.omitted.keys()


def test_features_that_are_no_numbers_are_said(digits):
    ours = evaluator(digits, "metrics=fd+kid+prdc+duplicates+critic+authenticity+mifid-distance")
    seen = ours.real
    broken = Samples(seen.values, seen.labels, seen.features * torch.where(torch.arange(64) > 60, torch.nan, 1.0), None)
    found = ours.attempt(broken)
    assert list(found) == []
    assert found.omitted["fd"] == "failed (frechet_distance: some numbers of fake are not finite)"
    assert found.omitted.keys() == {"fd", "kid", "prdc", "duplicates", "critic", "authenticity", "mifid-distance"}


def test_the_command_says_what_it_left_out_a_line_each(tmp_path):
    from typer.testing import CliRunner

    from zerosum.cli.main import app

    for name, count in (("a", 3), ("b", 2)):
        np.save(tmp_path / f"{name}.npy", few(count, "random").values)
    places = [str(tmp_path / "a.npy"), "--data", str(tmp_path / "b.npy")]
    told = CliRunner().invoke(app, ["evaluate", *places, "--metrics", "all"])
    assert told.exit_code == 0, told.stderr
    lines = [line for line in told.stderr.splitlines() if line.startswith("left out, ")]
    assert any(
        line.startswith("left out, there are 3 generated, 2 real: ") and "fd" in line and "(needs 20 samples" in line
        for line in lines
    )
    shown = json.loads(CliRunner().invoke(app, ["evaluate", *places, "--metrics", "all", "--json"]).stdout)
    assert all(sum(name in line for line in lines) for name in shown["omitted"])
    assert {one["metric"] for one in shown["results"]} == {"sliced-wasserstein", "duplicates"}
    refused = CliRunner().invoke(app, ["evaluate", *places, "--metrics", "fd"])
    assert refused.exit_code == 2
    assert "error: metric 'fd' needs 20 samples on each side; there are 3 generated, 2 real" in refused.stderr


# ---------------------------------------------------------------------- what numbers depend on


def test_kept_numbers_depend_on_the_code_and_version_of_a_metric(tmp_path, monkeypatch):
    def metric(text, name="own-file"):
        path = tmp_path / "own.py"
        path.write_text(text)
        usercode.use(path)
        return registry._registry["metric"].pop(name)()

    text = """
from dataclasses import dataclass
from zerosum import register
from zerosum.metrics.evidence import Measure, Metric

@register("metric", "own-file")
@dataclass(frozen=True)
class Own(Metric):
    '''Own.'''

    better = {"own": True}

    def __call__(self, evidence):
        return {"own": Measure(1.0)}
"""
    first = metric(text)
    changed = metric(text.replace("1.0", "2.0"))
    assert str(first) == str(changed)
    assert code(first) != code(changed)
    before = code(FD())
    assert before != code(first)
    monkeypatch.setattr(FD, "version", 2)
    assert code(FD()) != before
    assert issubclass(FD, Part)


def test_a_run_without_an_average_is_judged_as_what_it_is(tmp_path):
    settings = [*words("mlp"), *EAGER, "generator.average=none", "evaluator.metrics=sliced-wasserstein"]
    run = zerosum.train("digits", "mlp", settings, images=64, out=tmp_path / "run", quiet=True)
    assert run.evaluations[-1]["protocol"]["weights"] == "last"
    assert evaluate(run.path, metrics="sliced-wasserstein", count=40)[0].protocol["weights"] == "last"
    assert weights_of(load_model(run.path / "model.safetensors")) == "last"
