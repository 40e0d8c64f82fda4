"""The trivial baseline: what it measures, what it draws, and that it is as Gaussian as it says."""

import math
import os

import numpy as np
import pytest
import torch

from zerosum.data import open_data
from zerosum.metrics import baseline
from zerosum.metrics.baseline import ClassPCAGaussian

REAL = os.environ.get("ZEROSUM_DATA", "")


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def points(count=3000):
    """Two Gaussian clouds of 3 : 1, with unequal deviations along turned axes."""
    turn = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64)).Q
    deviations = torch.tensor([5.0, 3, 2, 1, 0.5, 0.1], dtype=torch.float64)
    labels = (torch.arange(count) % 4 == 3).long()
    x = torch.randn(count, 6, dtype=torch.float64) * deviations @ turn
    x[labels == 1] = 30 - 2 * x[labels == 1].flip(1)
    return x, labels


def best(x, components):
    """Mean and the covariance's best approximation of this rank, by NumPy."""
    values, vectors = np.linalg.eigh(np.cov(x.numpy().T))
    values[: len(values) - components] = 0
    return x.mean(0).numpy(), vectors * values @ vectors.T


@pytest.mark.parametrize("components", [1, 2, 4, 6])
def test_it_is_the_best_gaussian_of_its_rank_in_each_class(components):
    x, labels = points()
    found = ClassPCAGaussian.fit(x, labels, components)
    assert found.gaussian(1)[1].shape == (components, 6)
    assert torch.allclose(found.shares, torch.tensor([0.75, 0.25], dtype=torch.float64))
    for k in (0, 1):
        mean, covariance = best(x[labels == k], components)
        assert np.allclose(found.gaussian(k)[0], mean, atol=1e-10)
        assert np.allclose(found.gaussian(k)[1].T @ found.gaussian(k)[1], covariance, atol=1e-6)
        lengths = found.gaussian(k)[1].norm(dim=1)
        assert torch.equal(lengths, lengths.sort(descending=True).values)


def test_many_dimensions_need_few_passes():
    spectrum = 100 * torch.arange(1.0, 301).double() ** -1.0  # natural images fall at least as fast
    x = torch.randn(400, 300, dtype=torch.float64) * spectrum
    found = ClassPCAGaussian.fit(x, components=20)
    mean, covariance = best(x, 20)
    assert np.allclose(found.gaussian(0)[0], mean)
    mine = (found.gaussian(0)[1].T @ found.gaussian(0)[1]).numpy()
    assert np.trace(mine) == pytest.approx(np.trace(covariance), rel=2e-3)
    assert np.linalg.norm(mine - covariance) < 5e-3 * np.linalg.norm(covariance)


def test_samples_have_the_moments_of_each_class_and_its_share():
    x, labels = points()
    model = ClassPCAGaussian.fit(x, labels, 6)
    drawn, classes = model.sample(20_000, seed=1)
    assert drawn.dtype == torch.float32
    assert classes.double().mean().item() == pytest.approx(0.25, abs=0.01)
    for k in (0, 1):
        mean, covariance = best(x[labels == k], 6)
        mine = drawn[classes == k].double()
        assert np.allclose(mine.mean(0), mean, atol=5 * np.sqrt(covariance.max() / len(mine)))
        assert np.linalg.norm(np.cov(mine.numpy().T) - covariance) < 0.05 * np.linalg.norm(covariance)
        along = (mine - mine.mean(0)) @ torch.from_numpy(np.linalg.eigh(covariance)[1][:, -1])
        assert (along / along.std()).pow(4).mean().item() == pytest.approx(3, abs=0.3)  # as Gaussians have


def test_without_labels_there_is_one_gaussian():
    x, _ = points()
    model = ClassPCAGaussian.fit(x, components=6)
    drawn, classes = model.sample(5000)
    assert classes is None
    mean, covariance = best(x, 6)
    assert np.allclose(drawn.mean(0), mean, atol=1)
    assert np.linalg.norm(np.cov(drawn.numpy().T) - covariance) < 0.1 * np.linalg.norm(covariance)


def test_images_are_rounded_and_clamped_and_keep_their_shape():
    images = torch.zeros(40, 2, 3, 1, dtype=torch.uint8)
    images[:, 0, 1] = 255 * (torch.arange(40) % 2)[:, None].to(torch.uint8)  # mean 127.5, deviation 129
    images[:, 1, 2] = 200
    images[:10, 1, 0] = 3  # mean 0.75
    drawn, _ = ClassPCAGaussian.fit(images, components=1).sample(4000)
    assert (drawn.dtype, drawn.shape) == (torch.uint8, (4000, 2, 3, 1))
    assert set(drawn[:, 1, 2].unique().tolist()) == {200}
    assert set(drawn[:, 0, 0].unique().tolist()) == {0}
    assert (drawn[:, 1, 0] == 1).double().mean() > 0.9  # rounded, not cut
    black, white = ((drawn[:, 0, 1] == value).double().mean().item() for value in (0, 255))
    beyond = 0.5 * math.erfc(127.5 / (127.5 * math.sqrt(40 / 39)) / math.sqrt(2))
    assert black == pytest.approx(beyond, abs=0.02)
    assert white == pytest.approx(beyond, abs=0.02)


def test_of_many_classes_no_axes_are_kept_and_the_gaussians_are_the_same(monkeypatch):
    x, labels = points()
    monkeypatch.setattr(baseline, "HELD_BYTES", 0)
    few = ClassPCAGaussian.fit(x[:9], labels[:9], 6)  # two samples of the second class
    assert few.gaussian(1)[1].shape == (2, 6)
    drawn, _ = few.sample(4000, labels=torch.ones(4000, dtype=torch.int64))
    assert np.allclose(np.cov(drawn.numpy().T), np.cov(x[:9][labels[:9] == 1].numpy().T), rtol=0.1, atol=0.5)
    model = ClassPCAGaussian.fit(x, labels, 4)
    for k in (0, 1):
        mean, covariance = best(x[labels == k], 4)
        assert np.allclose(model.gaussian(k)[0], mean, atol=1e-10)
        assert np.allclose(model.gaussian(k)[1].T @ model.gaussian(k)[1], covariance, atol=1e-6)
    assert torch.equal(model.sample(50, seed=3)[0], model.sample(50, seed=3)[0])


def test_labels_may_be_asked_for():
    x, labels = points()
    model = ClassPCAGaussian.fit(x, labels, 6)
    asked = torch.tensor([1, 0, 0, 1, 1])
    drawn, classes = model.sample(5, labels=asked)
    assert torch.equal(classes, asked)
    assert torch.equal((drawn.mean(1) > 15).long(), asked)


def test_classes_of_one_sample_or_none():
    x = torch.tensor([[1.0, 2, 3], [4, 5, 6], [4, 5, 6.5]])
    model = ClassPCAGaussian.fit(x, torch.tensor([0, 2, 2]), components=5)
    assert model.gaussian(0)[1].shape == (5, 3)
    drawn, classes = model.sample(300)
    assert set(classes.tolist()) == {0, 2}
    assert torch.equal(drawn[classes == 0].unique(dim=0), torch.tensor([[1.0, 2, 3]]))
    spread = drawn[classes == 2]
    assert torch.allclose(spread[:, :2], torch.tensor([4.0, 5]))
    assert spread[:, 2].std().item() == pytest.approx(math.sqrt(0.125), rel=0.2)
    with pytest.raises(ValueError, match="ClassPCAGaussian: a class is asked for that had no samples"):
        model.sample(1, labels=torch.tensor([1]))


def test_it_depends_on_its_seeds_alone_and_leaves_the_global_one():
    x, labels = points(400)
    drawn = []
    for outer in (1, 2):
        torch.manual_seed(outer)
        state = torch.get_rng_state()
        drawn.append(ClassPCAGaussian.fit(x, labels, 3).sample(10))
        assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(drawn[0][0], drawn[1][0])
    assert torch.equal(drawn[0][1], drawn[1][1])
    assert not torch.equal(ClassPCAGaussian.fit(x, labels, 3).sample(10, seed=1)[0], drawn[0][0])


IMAGES = torch.zeros(4, 2, 2, 1, dtype=torch.uint8)


@pytest.mark.parametrize(("samples", "settings", "message"), [
    (IMAGES.float(), {}, r"uint8 images .* or float points \[N, D\] are needed, not torch.float32 \(4, 2, 2, 1\)"),
    (IMAGES[:, :, 0, 0], {}, r"are needed, not torch.uint8 \(4, 2\)"),
    (IMAGES[:0], {}, r"are needed, not torch.uint8 \(0, 2, 2, 1\)"),
    (IMAGES, {"labels": torch.zeros(3).long()}, "4 labels, whole and at least 0, are needed"),
    (IMAGES, {"labels": torch.zeros(4)}, "4 labels, whole and at least 0, are needed"),
    (IMAGES, {"labels": torch.tensor([0, -1, 0, 0])}, "4 labels, whole and at least 0, are needed"),
    (IMAGES, {"components": 0}, "components must be at least 1, not 0"),
])  # fmt: skip
def test_fit_says_what_is_wrong(samples, settings, message):
    with pytest.raises(ValueError, match=f"ClassPCAGaussian: .*{message}"):
        ClassPCAGaussian.fit(samples, **settings)


@pytest.mark.parametrize(("labels", "asked", "message"), [
    (None, [0], "it was fitted without labels, so none can be asked for"),
    ([0, 1, 1, 0], [0, 1], "1 labels in 0..1 are needed"),
    ([0, 1, 1, 0], [2], "1 labels in 0..1 are needed"),
    ([0, 1, 1, 0], [-1], "1 labels in 0..1 are needed"),
])  # fmt: skip
def test_sample_says_what_is_wrong(labels, asked, message):
    model = ClassPCAGaussian.fit(IMAGES, None if labels is None else torch.tensor(labels), 2)
    with pytest.raises(ValueError, match=f"ClassPCAGaussian: {message}"):
        model.sample(1, labels=torch.tensor(asked))


@pytest.mark.skipif(not REAL, reason="ZEROSUM_DATA is not set")
def test_on_mnist_fifty_axes_of_a_class_hold_most_of_its_variance():
    data = open_data("mnist", data_root=REAL)
    images = torch.from_numpy(np.array(data.values[:2000]))
    labels = torch.from_numpy(data.labels[:2000])
    kept = ClassPCAGaussian.fit(images, labels)
    whole = torch.stack([images[labels == k].double().flatten(1).var(0).sum() for k in range(10)])
    axes = torch.stack([kept.gaussian(k)[1] for k in range(10)])
    share = axes.square().sum((1, 2)) / whole
    assert share.min() > 0.85
    assert share.max() < 0.99
