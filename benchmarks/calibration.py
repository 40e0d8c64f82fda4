"""What distances of a pretrained view mean: floor, baseline, and photographs made worse step by step.

    python -m benchmarks.calibration [--data FOLDER|TAR] [--extractor efficientnet-lite0] [--count 1000] [--size 64]

Half of the images are the reference. The other half, as many, is compared with it as it is (the floor), and distorted:
blurred, with noise, cropped, with images of other classes replaced by some of the first class. The baseline is a
Gaussian of each class in 50 principal components. A distance that can be trusted grows with every step of a ladder; the
command exits with 1 where one does not.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from zerosum import recipes  # noqa: F401  (registers every part)
from zerosum.core.registry import parse
from zerosum.data import Preparation, open_data
from zerosum.extractors import Extractor
from zerosum.metrics import ClassPCAGaussian, frechet_distance, kernel_distance

LADDERS: dict[str, tuple[float, ...]] = {  # strengths, from weak to strong
    "blur": (0.5, 1.0, 2.0, 4.0),  # pixels of standard deviation
    "noise": (0.02, 0.05, 0.1, 0.2),  # standard deviation, of the range of levels
    "crop": (0.95, 0.85, 0.7, 0.5),  # side that stays, of the whole; enlarged again
    "class swap": (0.25, 0.5, 0.75, 1.0),  # share of the images of other classes that are replaced by the first's
}


def blur(levels: Tensor, deviation: float) -> Tensor:
    """Gaussian blur of `[N, C, H, W]`."""
    reach = max(1, round(3 * deviation))
    weights = torch.exp(-torch.arange(-reach, reach + 1.0).square() / (2 * deviation**2))
    weights = (weights / weights.sum()).expand(levels.shape[1], 1, -1)
    padded = F.pad(levels, (reach,) * 4, mode="replicate")
    across = F.conv2d(padded, weights[:, :, None], groups=levels.shape[1])
    return F.conv2d(across, weights[..., None], groups=levels.shape[1])


def noise(levels: Tensor, deviation: float) -> Tensor:
    """Independent Gaussian noise."""
    return levels + 255 * deviation * torch.randn(levels.shape, generator=torch.Generator().manual_seed(0))


def crop(levels: Tensor, share: float) -> Tensor:
    """The centre, enlarged to the whole again."""
    side = levels.shape[2:]
    kept = [round(share * one) for one in side]
    top, left = ((whole - part) // 2 for whole, part in zip(side, kept, strict=True))
    return F.interpolate(levels[..., top : top + kept[0], left : left + kept[1]], side, mode="bicubic", antialias=True)


DISTORT: dict[str, Callable[[Tensor, float], Tensor]] = {"blur": blur, "noise": noise, "crop": crop}


def distorted(images: Tensor, name: str, strength: float) -> Tensor:
    """uint8 `[N, H, W, C]`, distorted."""
    levels = DISTORT[name](images.permute(0, 3, 1, 2).float(), strength)
    return levels.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def swapped(labels: Tensor, share: float) -> Tensor:
    """Indices of images in which a share of those of other classes is replaced by images of the first."""
    others, first = torch.where(labels != 0)[0], torch.where(labels == 0)[0]
    replaced = others[: round(share * len(others))]
    indices = torch.arange(len(labels))
    indices[replaced] = first[torch.arange(len(replaced)) % len(first)]
    return indices


def show(name: str, reference: Tensor, features: Tensor) -> float:
    """Print the distances; return the Frechet distance."""
    distance, kernel = frechet_distance(reference, features), kernel_distance(reference, features)
    print(f"{name:<22}{distance:>10.2f}{kernel:>10.4f}", flush=True)
    return float(distance)


def ladder(
    name: str, images: Tensor, labels: Tensor, features: Tensor, see: Callable[[Tensor], Tensor]
) -> list[Tensor]:
    """Features at each strength."""
    if name == "class swap":
        return [features[swapped(labels, strength)] for strength in LADDERS[name]]
    return [see(distorted(images, name, strength)) for strength in LADDERS[name]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flowers = Path(os.environ.get("ZEROSUM_DATA", "."), "flowers-128", "flowers_128.tar")
    parser.add_argument("--data", default=str(flowers))
    parser.add_argument("--extractor", default="efficientnet-lite0")
    parser.add_argument("--count", type=int, default=1000, help="images on each side")
    parser.add_argument("--size", default="64")
    options = parser.parse_args()
    dataset = open_data(options.data, Preparation(size=options.size, held_out=0.0))
    if dataset.labels is None:
        sys.exit(f"{options.data}: labels are needed, as folders, to swap classes")
    order = np.random.default_rng(0).permutation(len(dataset))[: 2 * options.count]
    images, labels = torch.from_numpy(dataset.values[order]), torch.from_numpy(dataset.labels[order])
    half = len(order) // 2
    extractor: Extractor = parse("extractor", options.extractor).build(dataset.shape)

    def see(part: Tensor) -> Tensor:
        return extractor(part).values

    reference, features = see(images[:half]), see(images[half:])
    print(f"{extractor.identity}, {half:,} against {half:,} images of {dataset.name} at {options.size} pixels")
    print(f"{'':<22}{'fd':>10}{'kid':>10}")
    floor = show("floor", reference, features)
    broken = []
    for name, strengths in LADDERS.items():
        steps = ladder(name, images[half:], labels[half:], features, see)
        values = [
            show(f"{name} {strength:g}", reference, step) for strength, step in zip(strengths, steps, strict=True)
        ]
        if sorted([floor, *values]) != [floor, *values]:
            broken.append(name)
    drawn, _ = ClassPCAGaussian.fit(images[:half], labels[:half]).sample(half)
    show("baseline", reference, see(drawn))
    print(f"not monotone: {', '.join(broken)}" if broken else "every ladder is monotone")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
