"""Stacked MNIST: three digits as the three colours of an image, 1000 combinations that can be counted."""

from __future__ import annotations

import numpy as np

from zerosum.data.contents import Contents, Source

IMAGES = 128_000
SEED = 0  # of the triples, which are the same in every training


def stacked(digits: Source) -> Source:
    """Triples of images drawn from a set of grey digits as red, green and blue: PacGAN's protocol, without labels.

    Lin et al. 2018 and their code: 128,000 triples are drawn once, from training and test digits alike.
    So what is held out has new combinations of images, but no new digits.
    """
    return Source("stacked-mnist", f"stacked {IMAGES} {SEED} {digits.key}", lambda: _contents(digits))


def _contents(digits: Source) -> Contents:
    planes = digits.contents().array
    assert planes is not None
    triples = np.random.default_rng(SEED).integers(len(planes), size=(IMAGES, 3))
    array = np.empty((IMAGES, *planes.shape[1:3], 3), np.uint8)
    for channel in range(3):
        array[..., channel] = planes[triples[:, channel], ..., 0]
    return Contents(array=array)
