"""What a number is worth: its floor and its baseline, measured at equal counts, by real samples on both sides.

The floor takes real samples in the place of generated ones, the baseline a Gaussian of each class in 50 principal
components. Both are compared with the same reference as the value, in the same numbers; the real samples that they
are made of are apart from that reference, or a Gaussian would copy its moments. Where there are too few others for
that, the real samples are halved, and the value is measured again at those counts.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from statistics import fmean, pstdev
from typing import TYPE_CHECKING

import torch

from zerosum.metrics import ClassPCAGaussian
from zerosum.metrics.evidence import Evidence, Metric, Samples, numbers
from zerosum.runs.evaluation.result_cache import code

if TYPE_CHECKING:
    from zerosum.runs.evaluation.evaluator import Evaluator

SMALL = 1_000  # samples of both sides together up to which more is drawn than once, as they scatter
DRAWS = 5


class Worth:
    """Floors and baselines of an evaluator, kept in the cache: they depend on data, extractor and counts alone."""

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator
        self._trivial: dict[int, Samples] = {}  # samples of the baseline, by how many are judged

    def sides(self, count: int) -> tuple[Samples, Samples]:
        """Reference, and other real samples, at most `count`, in the place of that many generated ones."""
        real, others = self.evaluator.real, self.evaluator.others
        if others is not None and len(others) >= min(count, len(real)):
            return real, others.first(count)
        pool = real if others is None else real.joined(others)
        half = (len(pool) + 1) // 2
        return pool.first(half), pool.of(slice(half, None)).first(count)

    def floor(self, metric: Metric, count: int) -> dict[str, tuple[float, float | None]]:
        """Numbers of real samples, each with its scatter over draws, where there are several."""

        def measure() -> dict[str, float]:
            draws = [one for one in self._draws(metric, count) if metric.missing(one) is None]
            measured = [numbers(metric, one) for one in draws]
            statistics: dict[str, float] = {}
            for name in measured[0] if measured else ():
                values = [one[name].value for one in measured]
                same = [value for value, one in zip(values, draws, strict=True) if one.real is draws[0].real]
                statistics[name] = 0.0 if metric.unbiased else fmean(same)
                if metric.unbiased:
                    statistics[f"{name} scatter"] = math.sqrt(fmean(value * value for value in values))
                elif len(values) > 1:
                    statistics[f"{name} scatter"] = pstdev(values)
            return statistics

        floor = self._kept("floor", metric, count, measure)
        return {name: (floor[name], floor.get(f"{name} scatter")) for name in metric.better if name in floor}

    def baseline(self, metric: Metric, count: int) -> dict[str, float]:
        """Numbers of a Gaussian of each class; none for points."""

        def measure() -> dict[str, float]:
            fake = self._gaussian(count)
            evidence = None if fake is None else self._evidence(self.sides(count)[0], fake)
            if evidence is None or metric.missing(evidence):
                return {}
            return {name: one.value for name, one in numbers(metric, evidence).items()}

        return self._kept("baseline", metric, count, measure)

    def _kept(self, what: str, metric: Metric, count: int, measure: Callable[[], dict[str, float]]) -> dict[str, float]:
        evaluator = self.evaluator
        return evaluator.cache.numbers(evaluator.key(what, metric, code(metric), count, evaluator.split), measure)

    def _evidence(self, real: Samples, fake: Samples) -> Evidence:
        return dataclasses.replace(self.evaluator.evidence(fake), real=real)

    def _draws(self, metric: Metric, count: int) -> Iterator[Evidence]:
        """Real against real; of small sets several times, with the same reference where there are others enough."""
        if metric.looks_at == "training":
            held_out = self.evaluator.held_out
            if held_out is not None:
                half = len(held_out) // 2
                evidence = self.evaluator.evidence(held_out.first(half).first(count))
                yield dataclasses.replace(evidence, held_out=held_out.of(slice(half, None)))
            return
        real, others = self.sides(count)
        yield self._evidence(real, others)
        if metric.costly or len(real) + len(others) > SMALL:
            return
        generator = torch.Generator().manual_seed(self.evaluator.seed)
        stock = self.evaluator.others if real is self.evaluator.real else None
        pool = real.joined(others)
        for _ in range(DRAWS - 1):
            if stock is not None and len(stock) >= 2 * len(others):
                yield self._evidence(real, stock.of(torch.randperm(len(stock), generator=generator)[: len(others)]))
            else:
                order = torch.randperm(len(pool), generator=generator)
                yield self._evidence(pool.of(order[: len(real)]), pool.of(order[len(real) :]))

    def _gaussian(self, count: int) -> Samples | None:
        """As many samples of the baseline as there are on the other side, fitted to what is not the reference."""
        evaluator = self.evaluator
        if not evaluator.dataset.is_image:
            return None
        if count not in self._trivial:
            real, others = self.sides(count)
            fit = evaluator.others if real is evaluator.real and evaluator.others is not None else others
            if len(fit) < 2:
                return None
            classes = fit.labels if evaluator.dataset.labels is not None else None
            images, labels = ClassPCAGaussian.fit(fit.values, classes).sample(len(others), evaluator.seed)
            self._trivial[count] = evaluator.see(images, labels)
        return self._trivial[count]
