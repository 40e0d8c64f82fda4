"""The judge: splits, floors and baselines, its cache, what it refuses, and that it disturbs nothing."""

import dataclasses

import numpy as np
import pytest
import torch

from zerosum.core.errors import RecipeError
from zerosum.core.registry import parse, registered
from zerosum.core.settings import assign
from zerosum.data import Dataset, Preparation, open_data
from zerosum.metrics import ClassPCAGaussian, frechet_distance
from zerosum.metrics.suite import FD, KID
from zerosum.recipes import EvaluatorPart
from zerosum.runs.evaluation.evaluator import Evaluator
from zerosum.runs.evaluation.result import Result, Results, doubt


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ZEROSUM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "results"


@pytest.fixture(scope="module")
def digits():
    return open_data("digits")


def evaluator(dataset, *words, seed=0):
    return Evaluator(dataset, assign(EvaluatorPart(), list(words)), seed=seed)


def copies(dataset, indices):
    return torch.from_numpy(dataset.values[indices]), torch.from_numpy(dataset.labels[indices])


def values(results):
    return {result.metric: result.value for result in results}


def test_the_usual_numbers_of_digits(digits):
    found = evaluator(digits).evaluate(evaluator(digits).see(*copies(digits, digits.train[:300])))
    assert [one.metric for one in found] == [
        "fd", "kid", "precision", "recall", "density", "coverage", "sliced-wasserstein",
    ]  # fmt: skip
    assert evaluator(digits).best == "fd"
    assert [one.higher_is_better for one in found] == [False, False, True, True, True, True, False]


def test_fd_is_that_of_features_and_the_floor_that_of_training_images(digits):
    ours = evaluator(digits, "metrics=fd")
    fake = ours.see(*copies(digits, digits.train[100:350]))
    (result,) = ours.evaluate(fake)
    everything = ours.see(*copies(digits, digits.held_out)).features
    assert result.value == pytest.approx(frechet_distance(everything, fake.features), rel=1e-9)
    order = np.random.default_rng(0).permutation(digits.train)[:250]
    floor = frechet_distance(everything, ours.see(*copies(digits, order)).features)
    first, *more = ours.worth._draws(FD(), 250)  # against the same held-out images
    assert frechet_distance(first.real.features, first.fake.features) == pytest.approx(floor, rel=1e-6)
    several = [floor, *(frechet_distance(everything, one.fake.features) for one in more)]
    assert result.floor == pytest.approx(np.mean(several), rel=1e-6)
    assert result.floor_spread == pytest.approx(np.std(several), rel=1e-6)
    assert result.value == pytest.approx(result.floor, rel=0.5)
    assert result.baseline > 2 * result.floor


def test_a_protocol_says_what_was_compared(digits):
    ours = evaluator(digits, "metrics=kid+prdc:k=3", "split=train", seed=4)
    result = ours.evaluate(ours.see(*copies(digits, digits.held_out)), weights="last")[0]
    protocol = result.protocol
    assert protocol["part"] == "kid:form=full,most=10000"
    assert protocol["extractor"].startswith("digits-cnn-v1@")
    assert len(protocol["sha256"]) == 64
    assert (protocol["count"], protocol["count_real"], protocol["real"]) == (180, 1617, "train")
    assert (protocol["seed"], protocol["weights"], protocol["rounding"]) == (4, "last", "256 levels, to the nearest")
    assert protocol["data"] == digits.fingerprint
    line = result.line()
    named = {"metric", "value", "higher_is_better", "floor", "floor_spread", "baseline", "protocol"}
    assert named == set(line) - {"warning"}


def test_equal_sets_are_judged_equal_and_others_are_not(digits):
    ours = evaluator(digits, "split=all", "metrics=fd+prdc+duplicates+sliced-wasserstein")
    same = values(ours.evaluate(ours.real))
    assert same["fd"] == pytest.approx(0, abs=1e-6)
    assert same["precision"] == same["recall"] == same["coverage"] == 1
    assert same["sliced-wasserstein"] == 0
    one = values(ours.evaluate(ours.see(*copies(digits, np.full(400, digits.train[0])))))
    assert one["duplicates"] == 1
    assert one["recall"] == 0
    assert one["fd"] > 10


def test_judging_neither_reads_nor_moves_the_randomness(digits):
    state = torch.get_rng_state()
    ours = evaluator(digits, "metrics=fd+fd-infinity+kid+critic+ct+prdc+inception-score")
    first = values(ours.evaluate(ours.see(*copies(digits, digits.train[:300]))))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    again = evaluator(digits, "metrics=fd+fd-infinity+kid+critic+ct+prdc+inception-score")
    second = values(again.evaluate(again.see(*copies(digits, digits.train[:300]))))
    assert second == pytest.approx(first, rel=1e-12, abs=1e-12)  # linear algebra on threads may differ in the last bits


def test_what_depends_on_the_data_alone_is_measured_once(digits, cache, monkeypatch):
    ours = evaluator(digits, "metrics=fd")
    fake = ours.see(*copies(digits, digits.train[:200]))
    first = ours.evaluate(fake)
    files = {path.name: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert len(files) == 4  # features of both parts, floor, baseline
    second = evaluator(digits, "metrics=fd")
    monkeypatch.setattr(Evaluator, "see", lambda *_: pytest.fail("looked at real samples again"))
    assert second.evaluate(fake) == first
    assert {path.name: path.stat().st_mtime_ns for path in cache.iterdir()} == files


@pytest.mark.parametrize("change", ["fingerprint", "seed", "extractor", "count", "metric"])
def test_the_cache_knows_what_it_depends_on(digits, cache, change):
    ours = evaluator(digits, "metrics=kid")
    fake = ours.see(*copies(digits, digits.train[:200]))
    ours.evaluate(fake)
    before = {path.name for path in cache.iterdir()}
    dataset = dataclasses.replace(digits, fingerprint="f" * 64) if change == "fingerprint" else digits
    words = {"extractor": ["metrics=kid", "extractor=pixels"], "metric": ["metrics=kid:most=90"]}
    other = evaluator(dataset, *words.get(change, ["metrics=kid"]), seed=1 if change == "seed" else 0)
    count = 150 if change == "count" else 200
    other.evaluate(other.see(*copies(digits, digits.train[:count])))
    assert {path.name for path in cache.iterdir()} > before


def test_a_damaged_cache_is_measured_again(digits, cache):
    ours = evaluator(digits, "metrics=fd")
    fake = ours.see(*copies(digits, digits.train[:200]))
    first = ours.evaluate(fake)
    for path in cache.iterdir():
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert evaluator(digits, "metrics=fd").evaluate(fake) == first
    for path in cache.glob("*.json"):
        path.write_text('["fd"]')
    assert evaluator(digits, "metrics=fd").evaluate(fake) == first


def test_a_value_stands_where_its_equal_fails(digits, monkeypatch):
    ours = evaluator(digits, "metrics=fd")
    fake = ours.see(*copies(digits, digits.train[:200]))
    monkeypatch.setattr(type(ours), "_equal", lambda *_: 1 / 0)
    (result,) = ours.evaluate(fake)
    assert result.value > 0
    assert result.floor is None
    assert "floor and baseline failed (ZeroDivisionError" in result.warning


def test_copies_are_flagged_and_held_out_images_are_not(digits):
    ours = evaluator(digits, "metrics=ct+authenticity+mifid-distance")
    held_out = values(ours.evaluate(ours.see(*copies(digits, digits.held_out))))
    taken = ours.evaluate(ours.see(*copies(digits, digits.train[:180])))
    copied = values(taken)
    assert -3 < held_out["ct"] < 3
    assert -3 < held_out["ct-pixels"] < 3
    assert copied["ct"] < -6
    assert copied["ct-pixels"] < -6
    assert copied["authenticity"] == copied["mifid-distance"] == 0
    assert [result.warning is not None for result in taken] == [True, True, False, False]  # both CT scores
    floors = {result.metric: result.floor for result in taken}
    assert -3 < floors["ct"] < 3
    assert 35 < floors["authenticity"] < 80


def test_classes_of_conditional_samples(digits):
    ours = evaluator(digits, "metrics=classes")
    images, labels = copies(digits, digits.train)
    right = values(ours.evaluate(ours.see(images, labels)))
    wrong = values(ours.evaluate(ours.see(images, (labels + 1) % 10)))
    assert right["accuracy"] > 0.97
    assert wrong["accuracy"] < 0.03
    assert right["classes"] == right["classes-half"] == 10
    assert right["label-kl"] < 0.02
    assert "accuracy" not in values(ours.evaluate(ours.see(images)))
    fives = values(ours.evaluate(ours.see(images[labels == 5], labels[labels == 5])))
    assert fives["classes-half"] == 1
    assert fives["label-kl"] == pytest.approx(np.log(10), abs=0.3)


def test_domain_accuracy_is_that_of_a_classifier_of_training_features(digits):
    ours = evaluator(digits, "metrics=domain-accuracy")
    images, labels = copies(digits, digits.held_out[:100])
    asked = (labels + 1) % 10
    (right,) = ours.evaluate(ours.see(images, labels))
    (wrong,) = ours.evaluate(ours.see(images, asked), trivial=lambda: {"as it is": images})
    assert right.value > 0.95
    assert 0.9 < right.floor <= 1  # of real images that are held out
    assert right.baseline is None
    assert wrong.value == wrong.baseline < 0.05
    assert ours.attempt(ours.see(images)).omitted == {
        "domain-accuracy": "needs samples that were asked to be of a class"
    }


def test_points_are_judged_by_their_modes():
    ring = open_data("ring8")
    ours = evaluator(ring)
    found = values(ours.evaluate(ours.see(torch.from_numpy(ring.values[ring.train[:2500]]))))
    assert list(found) == ["sliced-wasserstein", "modes", "high-quality", "reverse-kl"]
    assert found["modes"] == 8
    assert 0.98 < found["high-quality"] < 0.995
    assert ours.best == "sliced-wasserstein"


def test_a_metric_that_lacks_something_says_what(digits):
    ours = evaluator(digits, "metrics=modes+path-length+stacked-modes+kid:form=subsets")
    with pytest.raises(RecipeError) as error:
        ours.evaluate(ours.see(*copies(digits, digits.train[:100])))
    assert str(error.value).splitlines() == [
        "metric 'modes' needs a mixture whose modes are known; see zerosum ls data",
        "metric 'path-length' needs a generator; samples alone have no latents",
        "metric 'stacked-modes' needs an extractor that knows combinations, such as stacked; "
        "`classes` counts single ones",
        "metric 'kid' needs 1,000 samples on each side; there are 100 generated, 180 real",
    ]


def test_without_held_out_samples_there_is_no_such_split():
    everything = open_data("digits", Preparation(held_out=0))
    assert evaluator(everything).split == "half"
    with pytest.raises(RecipeError, match=r"digits has no held-out samples; train with held_out"):
        evaluator(everything, "split=held-out")
    ours = evaluator(everything, "metrics=ct")
    fake = ours.see(*copies(everything, everything.train[:100]))
    with pytest.raises(RecipeError, match=r"metric 'ct' needs held-out samples; train with held_out=0.1"):
        ours.evaluate(fake)


def test_pairs_are_judged_by_those_that_were_held_out_however_few():
    few = open_data("digits", Preparation(held_out=0.002, pairs="blur"))
    part = assign(EvaluatorPart(), ["metrics=similarity"])
    assert Evaluator(few, part, verb="pairs").split == "held-out"
    assert Evaluator(few, part, verb="translate").split == "half"


def test_of_the_usual_metrics_those_that_apply_are_taken_and_best_must_be_one_of_them():
    few = open_data("digits", Preparation(held_out=0.002))
    assert evaluator(few).split == "half"
    half = evaluator(few, "metrics=fd").evaluate(evaluator(few).see(*copies(few, few.train[:800])))[0].floor
    assert 0 < half < 1  # half of the training set against the other; four held-out images are 79 from all of it
    ours = evaluator(few, "split=held-out")
    assert len(few.held_out) == 4
    assert "recall" not in values(ours.evaluate(ours.see(*copies(few, few.train[:30]))))
    with pytest.raises(RecipeError, match=r"evaluator.best=fid: no metric gives that number; did you mean 'fd'"):
        evaluator(few, "best=fid")


@pytest.mark.parametrize("name", sorted(registered("metric")))
def test_every_metric_names_its_numbers_and_prints(name):
    part = parse("metric", name)
    assert parse("metric", str(part)) == part
    assert part.better or name == "usual"
    assert all(known in (True, False, None) for known in part.better.values())
    assert part.looks_at in ("samples", "training")


def counts(result):
    names = ("real", "count", "count_real", "count_floor", "count_floor_real")
    return tuple(result.protocol.get(name) for name in names)


def test_value_floor_and_baseline_are_measured_at_equal_counts():
    """Whatever there is: held-out samples enough, too few, none; the counts stand in the protocol."""
    expected = {0.1: ("held-out", 1617, 180, None, None), 0.02: ("half of all", 898, 899, None, None)}
    for held_out, told in expected.items():
        few = open_data("digits", Preparation(held_out=held_out))
        ours = evaluator(few, "metrics=fd+classes", "count=5000")
        fake = ours.see(*ClassPCAGaussian.fit(ours.others.values, ours.others.labels).sample(ours.count(5000), seed=7))
        fd = ours.evaluate(fake)[0]
        assert counts(fd) == told
        assert fd.equal is None
        assert fd.floor < min(fd.value, fd.baseline)
        assert fd.warning.endswith("no better than the baseline") == (fd.value > fd.baseline)


def test_where_the_value_is_of_other_counts_it_is_measured_again_at_those_of_the_floor(digits):
    ours = evaluator(digits, "metrics=fd", "split=train")
    fake = ours.see(*copies(digits, np.sort(np.concatenate([digits.train[::2], digits.held_out]))))
    (result,) = ours.evaluate(fake)
    assert counts(result) == ("train", 989, 1617, 898, 899)
    pool = torch.cat([ours.real.features, ours.others.features])
    assert result.equal == pytest.approx(frechet_distance(pool[:899], fake.features[:898]), rel=1e-9)
    assert result.floor == pytest.approx(frechet_distance(pool[:899], pool[899:]), rel=1e-9)
    everything = evaluator(digits, "metrics=fd", "split=all")
    (same,) = everything.evaluate(everything.real)
    assert same.value == pytest.approx(0, abs=1e-6)
    assert same.equal < 0.01 < same.floor
    assert "look for copies" in same.warning


def photographs(count, side=16):
    """Smooth random colour pictures: what they show is in no classifier."""
    coarse = np.random.default_rng(0).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    values = coarse.repeat(side // 4, 1).repeat(side // 4, 2)
    every = np.arange(count)
    held_out = every[::10]
    return Dataset("photos", values, None, (), np.setdiff1d(every, held_out), held_out, f"{count:064d}")


@pytest.mark.parametrize("count", [60, 100, 400])
def test_of_few_pictures_the_floor_is_the_best_and_the_baseline_the_worst_or_it_is_said(count):
    ours = evaluator(photographs(count), "metrics=fd+kid+prdc+sliced-wasserstein")
    found = ours.evaluate(ours.see(torch.from_numpy(photographs(count).values[: ours.count(2500)])))
    assert counts(found[0])[:3] == ("half of all", count // 2, count // 2)
    for one in found:
        assert np.isfinite([one.value, one.floor, one.floor_spread, one.baseline]).all(), one
        sign = 1 if one.higher_is_better else -1
        in_order = sign * one.floor >= sign * one.baseline
        assert in_order or "the baseline is better than real samples here" in one.warning
    kid = next(one for one in found if one.metric == "kid")
    assert kid.floor == 0 < kid.floor_spread


def test_doubts_about_the_order_of_value_floor_and_baseline():
    def told(value, floor, baseline, higher=False, spread=None, equal=None):
        return doubt(Result("fd", value, None, higher, floor, baseline, None, {}, spread, equal))

    assert told(2.0, 1.0, 5.0) == told(4.0, 5.0, 1.0, higher=True) == []
    assert told(2.0, None, 5.0) == told(2.0, 1.0, None) == told(9.0, 1.0, 5.0, higher=None) == []
    assert "the baseline is better than real samples" in told(60.0, 270.0, 50.0)[0]
    assert "the value is better than that of real samples" in told(32.0, 65.0, 70.0)[0]
    assert told(32.0, 65.0, 70.0, spread=20.0) == told(32.0, 65.0, 70.0, equal=66.0) == []  # within the scatter
    assert doubt(Result("accuracy", 1.0, None, True, 0.9, None, None, {}), surpassing=True) == []
    assert told(6.0, 1.0, 5.0) == told(0.2, 0.9, 0.5, higher=True) == ["no better than the baseline"]


def test_kid_of_features_without_a_scale_does_not_depend_on_it(digits):
    ours = evaluator(digits, "metrics=kid", "extractor=pixels", "split=all")
    part = ours.real.first(200)
    (result,) = ours.evaluate(part)
    large = dataclasses.replace(part, features=part.features * 1000 + 5000)
    real = dataclasses.replace(ours.real, features=ours.real.features * 1000 + 5000)
    evidence = dataclasses.replace(ours.evidence(large), real=real)
    assert KID()(evidence)["kid"].value == pytest.approx(result.value, rel=1e-6)
    assert -1 < result.value < 0.1
    assert result.floor == 0 < result.floor_spread < 0.1


def test_nothing_is_extracted_where_no_metric_needs_it(digits, monkeypatch):
    values, labels = copies(digits, digits.train[:300])
    both = evaluator(digits, "metrics=sliced-wasserstein+fd")
    wanted = next(one for one in both.evaluate(both.see(values, labels)) if one.metric == "sliced-wasserstein")
    alone = evaluator(digits, "metrics=sliced-wasserstein")
    monkeypatch.setattr(type(alone.extractor), "__call__", None)
    (result,) = alone.evaluate(alone.see(values, labels))
    assert (result.value, result.floor) == (wanted.value, wanted.floor)
    assert result.baseline == wanted.baseline


def test_a_reason_is_told_once_with_all_metrics_that_it_is_of():
    def result(metric, *warnings):
        return Result(metric, 1.0, None, False, None, None, None, {}).warned([*warnings])

    worse, few = "no better than the baseline", "90 samples, and the distance is biased upwards below about 10,000"
    found = Results(
        [result("fd", few, worse), result("kid", worse), result("is", "90 samples, and the score grows"), result("x")],
        {
            "ct": "needs 63 samples on each side; there are 45 generated, 45 real",
            "fd-infinity": "needs 5,000 samples on each side; there are 45 generated, 45 real",
            "lpips": "needs 63 samples on each side; there are 45 generated, 45 real",
            "classes": "needs class probabilities; name an extractor that knows classes",
            "modes": "needs 63 held-out samples; there are 12",
        },
    )
    assert found.cautions() == [
        "there are 90 samples: fd (the distance is biased upwards below about 10,000), is (the score grows)",
        "fd, kid: no better than the baseline",
    ]
    assert found.left_out() == [
        "there are 45 generated, 45 real: ct, lpips (needs 63 samples on each side), "
        "fd-infinity (needs 5,000 samples on each side)",
        "classes: needs class probabilities; name an extractor that knows classes",
        "modes: needs 63 held-out samples; there are 12",
    ]
