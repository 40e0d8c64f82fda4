"""How alike two images are: by hand, at the ends of the scale, and as scikit-image has it."""

import math

import numpy as np
import pytest
import torch

from zerosum.metrics import absolute_difference, peak_signal_to_noise, structural_similarity


def images(seed=0, count=3, height=24, width=17, channels=3):
    rough = np.random.default_rng(seed).random((count, height, width, channels)).cumsum(1).cumsum(2)
    return (255 * rough / rough.max()).round().astype(np.uint8)


def test_differences_by_hand():
    a = torch.full((2, 12, 12, 1), 100, dtype=torch.uint8)
    b = a.clone()
    b[0] += 10
    b[1, :6] -= 20
    assert absolute_difference(a, b).tolist() == [10, 10]
    expected = [10 * math.log10(255**2 / 100), 10 * math.log10(255**2 / 200)]
    assert peak_signal_to_noise(a, b).tolist() == pytest.approx(expected)


def test_equal_images_are_at_the_end_of_each_scale():
    a = images()
    assert absolute_difference(a, a).tolist() == [0, 0, 0]
    assert structural_similarity(a, a).tolist() == pytest.approx([1, 1, 1])
    assert peak_signal_to_noise(a, a).tolist() == pytest.approx([10 * math.log10(255**2 * 24 * 17 * 3)] * 3)


def test_ssim_of_flat_images_is_that_of_their_means():
    a, b = (np.full((1, 11, 11, 1), level, np.uint8) for level in (50, 200))
    c = (0.01 * 255) ** 2
    assert structural_similarity(a, b).item() == pytest.approx((2 * 50 * 200 + c) / (50**2 + 200**2 + c))
    with pytest.raises(ValueError, match="11x11 pixels, and these images are smaller"):
        structural_similarity(a[:, :10], b[:, :10])


def test_numbers_are_those_of_scikit_image():
    reference = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    a, noise = images(), np.random.default_rng(1).normal(0, 20, (3, 24, 17, 3))
    b = (a + noise).clip(0, 255).round().astype(np.uint8)
    how = {
        "gaussian_weights": True,
        "sigma": 1.5,
        "use_sample_covariance": False,
        "data_range": 255,
        "channel_axis": -1,
    }
    expected = [reference.structural_similarity(x, y, **how) for x, y in zip(a, b, strict=True)]
    assert structural_similarity(a, b).tolist() == pytest.approx(expected, abs=1e-6)
    assert 0 < min(expected) < max(expected) < 0.999
    expected = [reference.peak_signal_noise_ratio(x, y, data_range=255) for x, y in zip(a, b, strict=True)]
    assert peak_signal_to_noise(a, b).tolist() == pytest.approx(expected, abs=1e-6)
