"""Modes of stacked digits: closed forms, the floor of a perfect sampler, modes that a classifier's errors invent."""

import math

import numpy as np
import pytest
import torch

from zerosum.metrics.modes import stacked_modes

COUNT = 26_000  # PacGAN's number of samples


def uniform(seed, modes=1000, count=COUNT):
    """Digits `[count, 3]` of a generator that has `modes` modes, spread over all codes, equally often."""
    random = np.random.RandomState(seed)
    codes = random.permutation(1000)[:modes][random.randint(modes, size=count)]
    return np.stack([codes // 100, codes // 10 % 10, codes % 10], 1)


def misread(digits, accuracy, seed):
    """What a classifier says that takes a digit for another one, each as likely, with probability 1 - accuracy."""
    random = np.random.RandomState(seed + 100)
    wrong = random.rand(*digits.shape) > accuracy
    return np.where(wrong, (digits + random.randint(1, 10, digits.shape)) % 10, digits)


def test_codes_and_digits_are_the_same_thing():
    digits = torch.tensor([[1, 2, 3], [1, 2, 3], [3, 2, 1], [0, 0, 0]])
    found = stacked_modes(digits)
    assert found == stacked_modes(torch.tensor([123, 123, 321, 0]))
    share = np.array([0.5, 0.25, 0.25])
    assert found["modes"] == 3
    assert found["modes_half"] == 3
    assert found["reverse_kl"] == pytest.approx((share * np.log(share * 1000)).sum(), rel=1e-12)
    assert found["floor"] == pytest.approx(999 / 8)


@pytest.mark.parametrize(("channels", "classes"), [(1, 10), (2, 100), (3, 27), (4, 10_000)])
def test_any_number_of_channels_and_classes(channels, classes):
    base = round(classes ** (1 / channels))
    every = torch.cartesian_prod(*[torch.arange(base)] * channels).reshape(-1, channels)
    found = stacked_modes(every.to(torch.uint8), classes)
    assert found == {"modes": classes, "modes_half": classes, "reverse_kl": 0.0, "floor": (classes - 1) / 2 / classes}


def test_the_order_of_the_channels_matters():
    both = torch.tensor([[0, 1, 2], [2, 1, 0], [1, 0, 2], [0, 2, 1]])
    assert stacked_modes(both)["modes"] == 4


def test_one_mode_costs_the_log_of_their_number():
    found = stacked_modes(torch.full((500,), 777))
    assert found["reverse_kl"] == pytest.approx(math.log(1000), rel=1e-12)
    assert (found["modes"], found["modes_half"]) == (1, 1)


def test_half_the_uniform_count_is_the_border():
    codes = torch.cat([torch.full((13,), 5), torch.full((12,), 6), torch.full((COUNT - 25,), 7)])  # half of 26 is 13
    assert stacked_modes(codes)["modes"] == 3
    assert stacked_modes(codes)["modes_half"] == 2


def test_a_perfect_sampler_reaches_the_floor_and_no_more():
    found = [stacked_modes(torch.from_numpy(uniform(seed))) for seed in range(60)]
    kl = [f["reverse_kl"] for f in found]
    assert {f["modes"] for f in found} == {1000}
    assert found[0]["floor"] == pytest.approx(0.019212, abs=1e-6)
    assert np.mean(kl) == pytest.approx(0.0193, abs=3e-4)  # the next term of the series adds 1.2e-4 to the floor
    assert np.std(kl) == pytest.approx(math.sqrt(2 * 999) / 2 / COUNT, rel=0.3)  # of chi^2 with 999 degrees: 0.0009
    often = 1000 * (1 - sum(math.exp(-26) * 26**k / math.factorial(k) for k in range(13)))  # 997.9 have 13 or more
    assert np.mean([f["modes_half"] for f in found]) == pytest.approx(often, abs=0.6)


@pytest.mark.parametrize(("modes", "accuracy", "once", "half"), [
    (10, 0.987, 262, 12), (10, 0.9975, 143, 10), (100, 0.987, 592, 94), (100, 0.9975, 241, 95),
])  # fmt: skip
def test_errors_of_a_classifier_invent_modes_and_half_counts_few_of_them(modes, accuracy, once, half):
    truth = [uniform(seed, modes) for seed in range(8)]
    found = [stacked_modes(torch.from_numpy(misread(t, accuracy, seed))) for seed, t in enumerate(truth)]
    assert {stacked_modes(torch.from_numpy(t))["modes"] for t in truth} == {modes}
    shares = [as_read(t, accuracy) for t in truth]
    expected = np.mean([(1 - (1 - p) ** COUNT).sum() for p in shares])  # seen at least once
    assert np.mean([f["modes"] for f in found]) == pytest.approx(expected, rel=0.03)
    assert expected == pytest.approx(once, rel=0.12)
    assert np.mean([f["modes_half"] for f in found]) == pytest.approx(half, rel=0.1)
    kl = np.mean([(p * np.log(1000 * p + 1e-300)).sum() for p in shares])
    assert np.mean([f["reverse_kl"] for f in found]) == pytest.approx(kl, abs=0.03)
    assert kl < math.log(1000 / modes) - 0.02  # invented modes flatter this number too


def as_read(digits, accuracy):
    """Share of each combination, as a classifier with this accuracy reads them, `[10, 10, 10]`."""
    confusion = np.full((10, 10), (1 - accuracy) / 9)
    np.fill_diagonal(confusion, accuracy)
    share = np.zeros((10, 10, 10))
    np.add.at(share, tuple(digits.T), 1 / len(digits))
    return np.einsum("abc,ai,bj,ck->ijk", share, confusion, confusion, confusion)


@pytest.mark.parametrize(("digits", "classes", "message"), [
    (torch.zeros(3, 3), 1000, r"whole digits \[N, C\] or codes \[N\] are needed, they are torch.float32 \(3, 3\)"),
    (torch.zeros(2, 3, 1).long(), 1000, r"are needed, they are torch.int64 \(2, 3, 1\)"),
    (torch.zeros(0, 3).long(), 1000, r"are needed, they are torch.int64 \(0, 3\)"),
    (torch.zeros(2, 3).long(), 999, "classes must be a whole number to the power 3, not 999"),
    (torch.zeros(2).long(), 0, "classes must be a whole number to the power 1, not 0"),
    (torch.tensor([[0, 0, 10]]), 1000, r"each of 3 channels must be 0..9, not 0..10"),
    (torch.tensor([-1, 5]), 1000, r"each of 1 channels must be 0..999, not -1..5"),
])  # fmt: skip
def test_stacked_modes_says_what_is_wrong(digits, classes, message):
    with pytest.raises(ValueError, match=message):
        stacked_modes(digits, classes)
