"""Memorisation: are the fakes copies of training samples? Compare with the value of held-out samples."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zerosum.metrics.checks import samples, takes_arrays
from zerosum.metrics.neighbours import nearest

_ROUNDS = 50  # of k-means, at most
_POWERS = 4  # iterations of the principal directions
_AT_ONCE = 2**24  # numbers in a temporary matrix, which bounds memory


@takes_arrays
def ct_score(
    train: Tensor, test: Tensor, fake: Tensor, cells: int = 3, least: int = 20, components: int = 64, seed: int = 0
) -> float:
    """Whether fakes lie closer to the training samples than held-out samples do; far below 0: copies, above: underfit.

    C_T of Meehan et al. 2020. In each cell of the space, the distances of fakes and of held-out samples to their
    nearest training samples are ranked together; the z-score of the Mann-Whitney U statistic is about normal with
    variance 1 if both are equally far. Cells are those of k-means on the training samples; z-scores are averaged with
    the share of held-out samples in the cell as weight, over cells with more than `least` fakes.

    Args:
        train: samples or features the generator was trained on, `[N, D]`.
        test: held-out ones of the same distribution, `[T, D]`.
        fake: generated ones, `[M, D]`.
        cells: cells of the partition.
        least: cells with at most so many fakes are ignored.
        components: a larger D is reduced to so many principal components of the training samples; 0: never.
        seed: seed of the cells and of the components.

    Raises:
        ValueError: shapes do not fit, a set is empty, some numbers are not finite, or no cell has enough fakes and a
            held-out sample.
    """
    if cells < 1 or least < 0 or components < 0:
        raise ValueError(
            f"ct_score: cells must be at least 1, least and components 0, not {cells}, {least}, {components}"
        )
    train, test, fake = samples("ct_score", train=train, test=test, fake=fake)
    generator = torch.Generator().manual_seed(seed)
    if 0 < components < train.shape[1]:
        directions = _principal_directions(train, components, generator)
        train, test, fake = train @ directions, test @ directions, fake @ directions
    centres = _k_means(train, cells, generator)
    test_cell, fake_cell = _closest(test, centres)[1], _closest(fake, centres)[1]
    test_gap, fake_gap = (nearest(x, train)[0][:, 0] for x in (test, fake))
    total = weights = 0.0
    for cell in range(len(centres)):
        fakes, tests = fake_gap[fake_cell == cell], test_gap[test_cell == cell]
        if len(fakes) > least and len(tests):
            total, weights = total + len(tests) * _mann_whitney(fakes, tests), weights + len(tests)
    if not weights:
        raise ValueError(
            f"ct_score: none of {len(centres)} cells has more than {least} of the {len(fake)} fakes and one of the "
            f"{len(test)} held-out samples; take more samples or fewer cells"
        )
    return total / weights


@takes_arrays
def authenticity(train: Tensor, fake: Tensor) -> float:
    """Percentage of fakes that are not closer to a training sample than its own nearest neighbour is, 0 to 100.

    AuthPct, Alaa et al. 2022: a fake is authentic if its nearest training sample has another training sample nearer to
    it than the fake. 0 for copies. Held-out samples score far below 100: nearest neighbours are mutual in two cases of
    three on a line, in about half of them in many dimensions. Compare with the value of held-out samples.

    Args:
        train: samples or features the generator was trained on, `[N, D]`, at least 2.
        fake: generated ones, `[M, D]`.

    Raises:
        ValueError: shapes do not fit, a set is too small, or some numbers are not finite.
    """
    train, fake = samples("authenticity", train=train, fake=fake)
    if len(train) < 2:
        raise ValueError(f"authenticity: train has {len(train)} samples, at least 2 are needed")
    gap, place = (values[:, 0] for values in nearest(fake, train))
    place, back = place.unique(return_inverse=True)
    among_train = nearest(train[place], train, 2)[0][:, 1]  # the nearest is the sample itself, or its equal
    return 100 * (among_train[back] < gap).double().mean().item()


@takes_arrays
def mifid_distance(train: Tensor, fake: Tensor) -> float:
    """Mean over fakes of the smallest cosine distance 1 - |cos| to a training sample; 0 for copies.

    The memorisation distance of MiFID (Bai et al. 2021), in the direction of the contest it was made for: from every
    FAKE to its nearest training sample. Its size depends on the features: compare with the value of held-out samples.
    Samples of norm 0 have no direction and are left out.

    Args:
        train: samples or features the generator was trained on, `[N, D]`.
        fake: generated ones, `[M, D]`.

    Raises:
        ValueError: shapes do not fit, a set is empty, some numbers are not finite, or all samples of a set are 0.
    """
    train, fake = samples("mifid_distance", train=train, fake=fake)
    train, fake = _directions("train", train), _directions("fake", fake)
    total = 0.0
    for rows in fake.split(max(1, _AT_ONCE // len(train))):
        place = (rows @ train.T).abs_().argmax(1)
        # |u - v|^2 / 2 is 1 - cos without its cancellation: 0 for equal directions.
        gaps = [(rows - sign * train[place]).square().sum(1) / 2 for sign in (1, -1)]
        total += torch.minimum(*gaps).sum().item()
    return total / len(fake)


def _directions(name: str, x: Tensor) -> Tensor:
    """Samples that are not 0, divided by their norms."""
    norm = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    if not norm.any():
        raise ValueError(f"mifid_distance: all samples of {name} are 0 and have no direction")
    return (x / norm)[norm[:, 0] > 0]


def _mann_whitney(a: Tensor, b: Tensor) -> float:
    """z-score of the number of pairs in which a is larger than b (Mann and Whitney 1947); a tie is half a pair."""
    n, m, b = len(a), len(b), b.sort().values
    pairs = (torch.searchsorted(b, a) + torch.searchsorted(b, a, right=True)).sum().item() / 2
    return (pairs - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)


def _principal_directions(x: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Orthonormal `[D, count]` close to the leading eigenvectors of the covariance, by subspace iteration."""
    mean = x.mean(0)
    directions = torch.randn(x.shape[1], count, generator=generator, dtype=x.dtype)
    for _ in range(_POWERS):
        directions = torch.linalg.qr(x.T @ (x @ directions - mean @ directions)).Q
    return directions


def _k_means(x: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Centres `[count, D]`, or fewer if there are fewer different samples.

    k-means++ (Arthur and Vassilvitskii 2007): each centre is drawn with the squared distance to the centres before it
    as weight; then Lloyd's rounds until none moves.
    """
    centres = x[torch.randint(len(x), (1,), generator=generator)]
    while len(centres) < count and (gap := _closest(x, centres)[0]).any():
        centres = torch.cat([centres, x[_draw(gap, generator)]])
    cell = torch.full((len(x),), -1)
    for _ in range(_ROUNDS):
        before, cell = cell, _closest(x, centres)[1]
        if cell.equal(before):
            break
        sums = torch.zeros_like(centres).index_add_(0, cell, x)
        sizes = torch.bincount(cell, minlength=len(centres))[:, None]
        centres = torch.where(sizes > 0, sums / sizes.clamp(min=1), centres)
    return centres


def _draw(weights: Tensor, generator: torch.Generator) -> Tensor:
    """One index `[1]`, drawn with these weights; torch.multinomial takes at most 2^24 of them."""
    edges = weights.cumsum(0)
    return torch.searchsorted(edges, torch.rand(1, generator=generator, dtype=edges.dtype) * edges[-1], right=True)


def _closest(x: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distance to the closest centre, and its index."""
    squares = torch.stack([(x - centre).square().sum(1) for centre in centres], 1)
    gap, cell = squares.min(1)
    return gap, cell
