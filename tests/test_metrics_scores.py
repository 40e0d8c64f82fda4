"""Scores of a classifier: golden values, closed forms, what must not look good."""

import math

import numpy as np
import pytest
import torch

from zerosum.metrics.scores import (
    accuracy_by_class,
    class_accuracy,
    class_coverage,
    inception_score,
    label_divergence,
)

GOLDEN = {  # torch-fidelity 0.4.0: (splits, seed) to (mean, std)
    (10, None): (3.8154444032524366, 0.1887041140967735),
    (10, 2020): (3.783774250173335, 0.1835527621416202),
    (1, 2020): (3.8655264605913975, 0.0),
}


def logits():
    return torch.from_numpy(np.random.RandomState(9).randn(1003, 10) * 3)


@pytest.mark.parametrize(("splits", "seed"), GOLDEN)
def test_inception_score_equals_torch_fidelity(splits, seed):
    mean, std = inception_score(logits(), splits, seed)
    assert mean == pytest.approx(GOLDEN[splits, seed][0], rel=1e-9)
    assert std == pytest.approx(GOLDEN[splits, seed][1], rel=1e-9, abs=1e-12)


def test_the_usual_settings_are_ten_parts_shuffled_by_2020():
    assert inception_score(logits()) == inception_score(logits(), 10, 2020)
    assert inception_score(logits(), 10, 7) != inception_score(logits(), 10, 2020)


def test_logarithms_of_probabilities_are_logits():
    probabilities = logits().softmax(1)
    assert inception_score(probabilities.log())[0] == pytest.approx(GOLDEN[10, 2020][0], rel=1e-9)
    assert inception_score(probabilities.float().log())[0] == pytest.approx(GOLDEN[10, 2020][0], rel=1e-6)


def test_adding_a_constant_to_a_row_of_logits_changes_nothing():
    shifted = logits() + torch.linspace(-800, 800, 1003)[:, None]
    assert inception_score(shifted) == pytest.approx(inception_score(logits()), rel=1e-9)


@pytest.mark.parametrize("low", [-1e4, -math.inf])
def test_sure_and_even_reaches_the_number_of_classes(low):
    sure = torch.full((40, 10), low).scatter_(1, (torch.arange(40) % 10)[:, None], 0.0)
    assert inception_score(sure, 1) == pytest.approx((10, 0), rel=1e-12)
    assert inception_score(sure[:40:2], 1)[0] == pytest.approx(5, rel=1e-12)  # five classes of ten
    assert inception_score(torch.zeros(40, 10), 4) == pytest.approx((1, 0), rel=1e-12)


def test_parts_of_unequal_length_and_their_deviation():
    kinds = torch.tensor([0, 1, 1, 0, 1, 2, 2])  # 7 rows in 3 parts: 2, 2 and 3 rows
    sure = torch.full((7, 3), -math.inf).scatter_(1, kinds[:, None], 0.0)
    last = math.exp(-(math.log(1 / 3) / 3 + 2 * math.log(2 / 3) / 3))  # shares 1/3 and 2/3
    assert inception_score(sure, 3, None) == pytest.approx((np.mean([2, 2, last]), np.std([2, 2, last])), rel=1e-12)


@pytest.mark.parametrize(("given", "splits", "message"), [
    (torch.zeros(10), 1, r"inception_score: logits \[N, K\] are needed, their shape is \(10,\)"),
    (torch.zeros(3, 0), 1, r"are needed, their shape is \(3, 0\)"),
    (torch.zeros(3, 2), 4, "splits must be 1 to the number of rows, 3, not 4"),
    (torch.zeros(3, 2), 0, "splits must be 1 to the number of rows, 3, not 0"),
    (torch.tensor([[0.0, math.nan]]), 1, "some logits are NaN or [+]inf"),
    (torch.tensor([[0.0, math.inf]]), 1, "some logits are NaN or [+]inf"),
    (torch.tensor([[-math.inf, -math.inf]]), 1, "or a row has only -inf"),
])  # fmt: skip
def test_inception_score_says_what_is_wrong(given, splits, message):
    with pytest.raises(ValueError, match=message):
        inception_score(given, splits)


def test_label_divergence_of_labels():
    reference = torch.tensor([50.0, 30, 20])
    fake = torch.tensor([0] * 1 + [1] * 2 + [2] * 7)
    p, q = np.array([0.1, 0.2, 0.7]), np.array([0.5, 0.3, 0.2])
    assert label_divergence(fake, reference) == pytest.approx((p * np.log(p / q)).sum(), rel=1e-12)
    assert label_divergence(fake, reference / 100) == pytest.approx((p * np.log(p / q)).sum(), rel=1e-6)  # float32
    assert label_divergence(torch.tensor([0] * 5 + [1] * 3 + [2] * 2), reference) == pytest.approx(0, abs=1e-12)
    assert label_divergence(torch.tensor([1, 1]), reference) == pytest.approx(math.log(1 / 0.3), rel=1e-9)


def test_label_divergence_of_probabilities_is_that_of_their_mean():
    probabilities = torch.tensor([[0.2, 0.8, 0.0], [0.4, 0.0, 0.6]])
    p, q = np.array([0.3, 0.4, 0.3]), np.array([0.5, 0.3, 0.2])
    assert label_divergence(probabilities, torch.tensor(q)) == pytest.approx((p * np.log(p / q)).sum(), rel=1e-6)
    rounded = probabilities * 1.004  # half precision leaves sums like this
    assert label_divergence(rounded, torch.tensor(q)) == pytest.approx((p * np.log(p / q)).sum(), rel=1e-6)


def test_a_class_that_the_reference_lacks_costs_everything_and_one_that_fakes_lack_does_not():
    assert label_divergence(torch.tensor([0, 2]), torch.tensor([1.0, 1, 0])) == math.inf
    assert label_divergence(torch.tensor([0, 0]), torch.tensor([1, 1, 0])) == pytest.approx(math.log(2), rel=1e-12)


def test_a_perfect_sampler_has_the_floor_of_label_divergence():
    generator = torch.Generator().manual_seed(0)
    share = torch.arange(1.0, 11)
    found = [
        label_divergence(torch.multinomial(share, 1000, replacement=True, generator=generator), share)
        for _ in range(200)
    ]
    assert np.mean(found) == pytest.approx(9 / 2000, rel=0.1)


def test_class_coverage_counts_once_and_half():
    reference = torch.tensor([40.0, 40, 20, 0, 100])
    fake = torch.tensor([0] * 20 + [1] * 19 + [2] * 1 + [3] * 160)  # of 200: half of 40 is 20
    assert class_coverage(fake, reference) == {"classes": 3, "classes_half": 1}
    assert class_coverage(fake, reference / 7) == {"classes": 3, "classes_half": 1}  # the border survives rounding
    assert class_coverage(torch.arange(5), torch.ones(5)) == {"classes": 5, "classes_half": 5}


def test_class_accuracy_in_all_and_by_class():
    intended = torch.tensor([0, 0, 0, 0, 2, 2, 5])
    predicted = torch.tensor([0, 0, 0, 1, 2, 0, 2])
    assert class_accuracy(predicted, intended) == pytest.approx(4 / 7)
    assert accuracy_by_class(predicted, intended) == {0: 0.75, 2: 0.5, 5: 0.0}


@pytest.mark.parametrize("metric", [label_divergence, class_coverage])
@pytest.mark.parametrize(("labels", "reference", "message"), [
    (torch.tensor([0]), torch.ones(2, 2), r"reference \[K\] is needed, its shape is \(2, 2\)"),
    (torch.tensor([0]), torch.ones(0), r"reference \[K\] is needed, its shape is \(0,\)"),
    (torch.tensor([0]), torch.tensor([1.0, -1]), "reference must be shares or counts, at least 0 and not all 0"),
    (torch.tensor([0]), torch.zeros(2), "not all 0"),
    (torch.tensor([0]), torch.tensor([math.nan, 1]), "reference must be shares"),
    (torch.tensor([0, 2]), torch.ones(2), r"labels must be 0..1, as the reference has 2, not 0..2"),
    (torch.tensor([-1]), torch.ones(2), r"labels must be 0..1, as the reference has 2, not -1..-1"),
    (torch.tensor([[0]]), torch.ones(2), r"whole labels \[N\] are needed, they are torch.int64 \(1, 1\)"),
    (torch.tensor([0])[:0], torch.ones(2), r"whole labels \[N\] are needed, they are torch.int64 \(0,\)"),
])  # fmt: skip
def test_what_counts_labels_says_what_is_wrong(metric, labels, reference, message):
    with pytest.raises(ValueError, match=f"{metric.__name__}: .*{message}"):
        metric(labels, reference)


@pytest.mark.parametrize(("given", "message"), [
    (torch.ones(3, 3) / 3, r"label_divergence: probabilities \[N, 2\] are needed, their shape is \(3, 3\)"),
    (torch.ones(3), r"probabilities \[N, 2\] are needed, their shape is \(3,\)"),
    (torch.ones(0, 2), r"are needed, their shape is \(0, 2\)"),
    (torch.ones(3, 2), "probabilities must be at least 0 and sum to 1 in each row"),
    (torch.tensor([[-0.5, 1.5]]), "probabilities must be at least 0"),
    (torch.tensor([[math.nan, 1]]), "probabilities must be at least 0"),
])  # fmt: skip
def test_label_divergence_says_what_is_wrong_with_probabilities(given, message):
    with pytest.raises(ValueError, match=message):
        label_divergence(given, torch.ones(2))


def test_coverage_takes_no_probabilities():
    with pytest.raises(ValueError, match=r"class_coverage: whole labels \[N\] are needed, they are torch.float32"):
        class_coverage(torch.ones(3), torch.ones(2))


@pytest.mark.parametrize("metric", [class_accuracy, accuracy_by_class])
@pytest.mark.parametrize(("predicted", "intended", "what"), [
    (torch.tensor([0, 1]), torch.tensor([0]), r"torch.int64 \(2,\) and torch.int64 \(1,\)"),
    (torch.tensor([0.0]), torch.tensor([0]), r"torch.float32 \(1,\) and torch.int64 \(1,\)"),
    (torch.tensor([[0]]), torch.tensor([[0]]), r"torch.int64 \(1, 1\) and"),
    (torch.tensor([0])[:0], torch.tensor([0])[:0], r"torch.int64 \(0,\) and"),
])  # fmt: skip
def test_accuracies_say_what_is_wrong(metric, predicted, intended, what):
    with pytest.raises(ValueError, match=rf"{metric.__name__}: two sets of whole labels \[N\] are needed, .*{what}"):
        metric(predicted, intended)
