"""Nearest neighbours in feature space: precision, recall, density, coverage, duplicates."""

from __future__ import annotations

import torch
from torch import Tensor

from zerosum.metrics.checks import samples, takes_arrays

_AT_ONCE = 2**24  # numbers in a temporary matrix: few large ones, since threads synchronise after each
_SPARE = 4  # neighbours beyond the k-th whose distances are computed exactly
_FEW = 1 / 1000  # share of pairs that may be computed one by one without loss of time


@takes_arrays
def precision_recall_density_coverage(
    real: Tensor, fake: Tensor, k: int = 5, inclusive: bool = False
) -> dict[str, float]:
    """How much of each set lies inside the other, by balls around every sample up to its k-th nearest neighbour.

    Precision and recall: Kynkaanniemi et al. 2019; density and coverage: Naeem et al. 2020. Higher is better.
    Distances near a decision are exact: equal samples are at distance 0, and ties are ties.

    Args:
        real: features, `[N, D]`, more than k of them.
        fake: features, `[M, D]`, more than k of them.
        k: the neighbour that sets the radius of a ball; the sample itself does not count.
        inclusive: whether the sphere belongs to its ball (Kynkaanniemi et al.) or not (Naeem et al.). Only if it does,
            the balls of samples that occur more than k times, whose radius is 0, contain their copies.

    Returns:
        `precision`: share of fakes inside at least one ball of a real sample.
        `recall`: share of real samples inside at least one ball of a fake.
        `density`: mean over fakes of the number of real samples' balls that contain them, over k; about 1 is ideal.
        `coverage`: share of real samples with at least one fake inside their ball; the expected value for equal
            distributions is 1 - 2^-k.

    Raises:
        ValueError: shapes do not fit, a set has no more than k samples, some numbers are not finite, or k is below 1.
    """
    _check_k("precision_recall_density_coverage", k)
    real, fake = samples("precision_recall_density_coverage", k + 1, real=real, fake=fake)
    real_radius, fake_radius = (_nearest(x, x, k + 1)[0][:, -1] for x in (real, fake))
    precise = torch.zeros(len(fake), dtype=torch.bool)
    recalled, covered = torch.zeros(2, len(real), dtype=torch.bool)
    balls, screen = 0, _Screen(real, fake)
    for rows in screen.batches():
        distances = screen.distances(rows)
        covered[rows], inside, count = screen.inside(rows, distances, real_radius[rows, None], inclusive)
        recalled[rows], _, _ = screen.inside(rows, distances, fake_radius, inclusive)
        precise, balls = precise | inside, balls + count
    return {
        "precision": precise.double().mean().item(),
        "recall": recalled.double().mean().item(),
        "density": balls / (k * len(fake)),
        "coverage": covered.double().mean().item(),
    }


@takes_arrays
def duplicate_share(x: Tensor, within: float = 1e-5) -> float:
    """Share of samples that have an (almost) identical other sample, 0 to 1.

    Args:
        x: samples, `[N, D]`, at least 2 of them.
        within: the largest distance at which two count as identical, in units of the root mean square norm of samples.

    Raises:
        ValueError: the shape does not fit, there are fewer than 2 samples, or some numbers are not finite.
    """
    (x,) = samples("duplicate_share", 2, x=x)
    gap = _nearest(x, x, 2)[0][:, -1].sqrt()  # the nearest is the sample itself, or its equal
    return (gap <= within * x.square().sum(1).mean().sqrt()).double().mean().item()


@takes_arrays
def nearest(query: Tensor, base: Tensor, k: int = 1) -> tuple[Tensor, Tensor]:
    """The k nearest samples of a base, for every query.

    Args:
        query: samples, `[Q, D]`.
        base: samples, `[N, D]`, at least k of them.
        k: number of neighbours.

    Returns:
        Distances `[Q, k]`, ascending, exactly 0 for equal samples, and indices into the base, `[Q, k]`.

    Raises:
        ValueError: shapes do not fit, a set is too small, some numbers are not finite, or k is below 1.
    """
    _check_k("nearest", k)
    query, base = samples("nearest", query=query, base=base)
    if len(base) < k:
        raise ValueError(f"nearest: base has {len(base)} samples, at least {k} are needed")
    squares, places = _nearest(query, base, k)
    return squares.sqrt(), places


def _check_k(metric: str, k: int) -> None:
    if k < 1:
        raise ValueError(f"{metric}: k must be at least 1, not {k}")


class _Screen:
    """Squared distances of samples `a` to samples `b` by one matrix product, in float32 where that is enough.

    They are off by up to `slack` of their unit: equal samples are not exactly at 0. So they only decide the clear
    pairs; the rest is computed again by `squares`.
    """

    def __init__(self, a: Tensor, b: Tensor) -> None:
        self.a, self.b = a, b
        self._centre = b.mean(0)  # less cancels near the origin
        largest = sum(((x - self._centre).square().sum(1).max().item() for x in (a, b)), 0.0)
        self.unit = largest or 1.0
        self._right: dict[torch.dtype, Tensor] = {}
        self._products: dict[torch.dtype, Tensor] = {}

    def batches(self) -> tuple[Tensor, ...]:
        """Rows of `a` that are compared with all of `b` at a time."""
        return torch.arange(len(self.a)).split(max(1, _AT_ONCE // len(self.b)))

    def distances(self, rows: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Squared distances `[rows, M]` in `unit`s, rounded to this dtype; the next call with it overwrites them."""
        if dtype not in self._right:
            b, norm = self._centred(self.b)
            self._right[dtype] = torch.cat([b, torch.ones_like(norm), norm], 1).to(dtype).T
            self._products[dtype] = torch.empty(len(self.batches()[0]), len(b), dtype=dtype)
        a, norm = self._centred(self.a[rows])
        left = torch.cat([-2 * a, norm, torch.ones_like(norm)], 1).to(dtype)
        return torch.mm(left, self._right[dtype], out=self._products[dtype][: len(rows)])

    def _centred(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = (x - self._centre) / self.unit**0.5
        return x, x.square().sum(1, keepdim=True)

    def slack(self, dtype: torch.dtype) -> float:
        """Bound of the rounding of `distances`: of D + 2 products that add up to at most 2, and of their factors."""
        return (self.a.shape[1] + 8) * torch.finfo(dtype).eps

    def squares(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Squared distances of pairs by differences: 0 for equal samples, the same number wherever a pair turns up."""
        at_once = max(1, _AT_ONCE // (8 * self.a.shape[1]))  # three such matrices of float64 at a time
        pairs = zip(rows.split(at_once), columns.split(at_once), strict=True)
        return torch.cat([(self.a[rows] - self.b[columns]).square().sum(1) for rows, columns in pairs])

    def inside(self, rows: Tensor, distances: Tensor, radius: Tensor, inclusive: bool) -> tuple[Tensor, Tensor, int]:
        """Which rows and which columns have a squared distance below (or at) the squared radius, and how many do."""
        slack, limit = self.slack(distances.dtype), radius / self.unit
        unsure = distances <= (limit + slack).to(distances.dtype)
        affordable, count = _FEW * unsure.numel(), int(unsure.count_nonzero())
        in_rows, in_columns, sure = unsure.new_zeros(len(unsure)), unsure.new_zeros(unsure.shape[1]), 0
        if count > affordable:  # then most of them are clear
            inside = distances < (limit - slack).to(distances.dtype)
            unsure ^= inside
            in_rows, in_columns, sure = inside.any(1), inside.any(0), int(inside.count_nonzero())
        if count - sure > affordable and distances.dtype != torch.float64:
            return self.inside(rows, self.distances(rows, torch.float64), radius, inclusive)
        if count > sure:
            i, j = unsure.nonzero(as_tuple=True)
            exact, border = self.squares(rows[i], j), radius.expand_as(unsure)[i, j]
            inside = exact <= border if inclusive else exact < border
            in_rows[i[inside]] = in_columns[j[inside]] = True
            sure += int(inside.count_nonzero())
        return in_rows, in_columns, sure


def _nearest(query: Tensor, base: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Exact squared distances to the k nearest, ascending, and their indices."""
    screen = _Screen(query, base)
    batches = [_nearest_of(screen, rows, k, torch.float32) for rows in screen.batches()]
    squares, places = zip(*batches, strict=True)
    return torch.cat(squares), torch.cat(places)


def _nearest_of(screen: _Screen, rows: Tensor, k: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """`_nearest` of some rows: a few more than k are compared exactly, in float64 where too many are equally near."""
    about, places = screen.distances(rows, dtype).topk(min(k + _SPARE, len(screen.b)), largest=False)
    squares = screen.squares(rows.repeat_interleave(places.shape[1]), places.flatten()).view_as(places)
    order = squares.argsort(dim=1, stable=True)[:, :k]
    squares, places = squares.gather(1, order), places.gather(1, order)
    unclear = squares[:, -1] / screen.unit > about[:, -1] - screen.slack(dtype)
    if dtype != torch.float64 and about.shape[1] < len(screen.b) and unclear.any():
        squares[unclear], places[unclear] = _nearest_of(screen, rows[unclear], k, torch.float64)
    return squares, places
