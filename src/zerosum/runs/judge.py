"""A judge: compares sets of samples with one reference, the same way every time, and says what a number is worth.

Beside each value stand its floor (real samples in the place of generated ones, as many) and its baseline (a Gaussian of
each class in the space of principal components): what is near the floor is good, what is not better than the baseline
has learnt less than 50 directions of each class.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zerosum.core.download import cache_folder
from zerosum.core.errors import RecipeError, nearest
from zerosum.core.registry import parse, shelf
from zerosum.data import Dataset
from zerosum.extractors import Extractor, ExtractorPart, choose
from zerosum.extractors.choose import LOOKED_AT
from zerosum.metrics import ClassPCAGaussian
from zerosum.metrics.evidence import Evidence, Metric, Samples
from zerosum.metrics.suite import FD, KID, PRDC, Modes, SlicedWasserstein, Usual
from zerosum.recipes import Judging
from zerosum.runs.health.facts import spaced
from zerosum.runs.kept import Kept

ROUNDING = "256 levels, to the nearest"
ENOUGH = 100  # held-out samples; fewer are no measure, and training samples are compared with instead
REFERENCE = 10_000  # real images that an extractor is fitted to, if it is
HELD_BYTES = 4 << 30  # of real samples in memory; of larger sets a random part judges


@dataclass(frozen=True)
class Record:
    """A number, with all that it needs to be repeated and read."""

    metric: str
    value: float
    spread: float | None  # standard deviation of what was averaged
    higher_is_better: bool | None  # None where neither end is good
    floor: float | None  # real samples in the place of generated ones
    baseline: float | None  # class-wise Gaussian of principal components
    warning: str | None
    protocol: dict[str, Any]

    def line(self) -> dict[str, Any]:
        """As evaluations.jsonl holds it; what is not known is left out."""
        found = dataclasses.asdict(self)
        return {name: value for name, value in found.items() if value is not None or name == "higher_is_better"}


def usual(dataset: Dataset, extractor: Extractor) -> tuple[Metric, ...]:
    """What is measured where nothing is asked for."""
    if not dataset.is_image:
        return (SlicedWasserstein(), Modes()) if dataset.spread else (SlicedWasserstein(),)
    distances: tuple[Metric, ...] = (FD(), KID(), PRDC()) if extractor.size <= 4096 else ()
    return (*distances, SlicedWasserstein())


class Judge:
    """Compares samples with the real ones of a data set.

    Args:
        dataset: where real samples come from.
        judging: metrics, extractor, count, split.
        seed: of the order of real samples and of everything that a metric draws.
        device: where the extractor computes.

    Raises:
        RecipeError: the extractor does not fit the data, or a metric cannot be applied: what it lacks.
        DataError: the extractor's weights cannot be found.
    """

    def __init__(
        self, dataset: Dataset, judging: Judging, *, seed: int = 0, device: torch.device | str = "cpu"
    ) -> None:
        self.dataset, self.judging, self.seed = dataset, judging, seed
        self.split = _split(dataset, judging.split)
        part = self._chosen() if judging.extractor == "auto" else parse("extractor", judging.extractor)
        reference = self._values(self._order("train")[:REFERENCE]) if part.fitted else None
        self.extractor: Extractor = part.build(dataset.shape, device, reference)
        self.metrics: tuple[Metric, ...] = self._wanted()
        names = [name for metric in self.metrics for name in metric.better]
        if self.best not in names:
            raise RecipeError(f"judge.best={self.best}: no metric gives that number; {nearest(self.best, names)}")
        self.kept = Kept(cache_folder() / "judgement")
        self._trivial: dict[int, Evidence] = {}  # evidence of the baseline, by count

    @property
    def best(self) -> str:
        """The number that decides which checkpoint is best."""
        if self.judging.best != "auto":
            return self.judging.best
        names = [name for metric in self.metrics for name in metric.better]
        wanted = "fd" if self.extractor.classes else "sliced-wasserstein"
        return wanted if wanted in names else names[0]

    def _wanted(self) -> tuple[Metric, ...]:
        """Metrics as they are asked for, the usual ones in the place of their name."""
        asked: tuple[Metric, ...] = self.judging.metrics or (Usual(),)
        usually = usual(self.dataset, self.extractor)
        listed = [one for metric in asked for one in (usually if isinstance(metric, Usual) else (metric,))]
        return tuple(dict.fromkeys(listed))

    def _chosen(self) -> ExtractorPart:
        dataset = self.dataset
        rows = dataset.train[spaced(len(dataset.train), LOOKED_AT)]
        return choose(
            dataset.values[rows], None if dataset.labels is None else dataset.labels[rows], len(dataset.train)
        )

    # ------------------------------------------------------------------ samples

    def see(self, values: Tensor, labels: Tensor | None = None) -> Samples:
        """Samples of uint8 images `[N, H, W, C]` or points `[N, D]`, as they are and as the extractor sees them."""
        seen = self.extractor(values)
        return Samples(values, labels, seen.values, seen.probabilities)

    @cached_property
    def real(self) -> Samples:
        """All real samples of the split, in random order."""
        return self._part(self.split)

    @cached_property
    def training(self) -> Samples:
        """What trains, in random order."""
        return self.real if self.split == "train" else self._part("train")

    @cached_property
    def held_out(self) -> Samples | None:
        """All that is held out, in random order; None where nothing is."""
        if not len(self.dataset.held_out):
            return None
        return self.real if self.split == "held-out" else self._part("held-out")

    def _order(self, split: str) -> np.ndarray:
        data = self.dataset
        indices = {"train": data.train, "held-out": data.held_out, "all": np.union1d(data.train, data.held_out)}
        most = HELD_BYTES // max(1, self.dataset.values[:1].nbytes)
        return np.random.default_rng(self.seed).permutation(indices[split])[:most]

    def _values(self, order: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(self.dataset.values[order]))

    def _part(self, split: str) -> Samples:
        order = self._order(split)
        values = self._values(order)
        labels = None if self.dataset.labels is None else torch.from_numpy(self.dataset.labels[order])

        def look() -> dict[str, Tensor]:
            found = self.see(values, labels)
            known = {"features": found.features, "probabilities": found.probabilities}
            return {name: one for name, one in known.items() if one is not None}

        seen = self.kept.tensors(self._key("features", split), look)
        return Samples(values, labels, seen["features"], seen.get("probabilities"))

    def _key(self, *words: object) -> str:
        """Name of something that depends on the data, the extractor and these words."""
        facts = (self.dataset.fingerprint, self.extractor.name, self.extractor.sha256, self.extractor.rule, self.seed)
        return hashlib.sha256("\n".join(map(str, (1, *facts, *words))).encode()).hexdigest()[:32]

    # ------------------------------------------------------------------ evidence

    def evidence(self, fake: Samples, **others: Any) -> Evidence:
        """What metrics look at; `others` are what is known of a generator: `decode`, `latent`, `path`."""
        centres = None if self.dataset.centres is None else torch.from_numpy(self.dataset.centres)
        return Evidence(
            self.real,
            fake,
            training=None if self.split == "all" else lambda: self.training,
            held_out=self.held_out,
            centres=centres,
            spread=self.dataset.spread or 0.0,
            classes=len(self.dataset.classes),
            seed=self.seed,
            **others,
        )

    def _floor_evidence(self, metric: Metric, count: int) -> Evidence | None:
        """Real samples in the place of generated ones: the other part of the data, else half against half."""
        if metric.looks_at == "training":
            if self.held_out is None:
                return None
            one, other = _halves(self.held_out)
            return dataclasses.replace(self.evidence(one.first(count)), held_out=other) if len(one) else None
        if self.split == "held-out":
            return self.evidence(self.training.first(count))
        if self.split == "train" and self.held_out is not None and len(self.held_out) >= ENOUGH:
            return self.evidence(self.held_out.first(count))
        one, other = _halves(self.real)
        return dataclasses.replace(self.evidence(one.first(count)), real=other) if len(one) else None

    def _baseline_evidence(self, count: int) -> Evidence | None:
        """A Gaussian of each class in the place of the generator."""
        if self.dataset.is_image and count not in self._trivial:
            training = self.real if self.split == "all" else self.training
            images, labels = ClassPCAGaussian.fit(training.values, training.labels).sample(count, self.seed)
            self._trivial[count] = self.evidence(self.see(images, labels))
        return self._trivial.get(count)

    def _known(self, what: str, metric: Metric, count: int, make: Callable[[], Evidence | None]) -> dict[str, float]:
        """Numbers of a metric on evidence that depends on the data alone: measured once, kept in the cache."""

        def measure() -> dict[str, float]:
            evidence = make()
            usable = evidence is not None and metric.lacks(evidence) is None
            return {name: one.value for name, one in metric(evidence).items()} if usable and evidence else {}

        return self.kept.numbers(self._key(what, metric, count, self.split), measure)

    # ------------------------------------------------------------------ judgement

    def applicable(self, fake: Samples, **others: Any) -> tuple[Metric, ...]:
        """Every metric that is known and lacks nothing here."""
        evidence = self.evidence(fake, **others)
        metrics: list[Metric] = [part() for part in shelf("metric").values()]
        return tuple(metric for metric in metrics if metric.lacks(evidence) is None)

    def judge(self, fake: Samples, weights: str = "", **others: Any) -> list[Record]:
        """Judge samples by every metric.

        Args:
            fake: what is judged, from `see`.
            weights: of the generator: "averaged" or "last"; "" for samples from elsewhere.
            others: what is known of a generator: `decode`, `latent`, `path`.

        Raises:
            RecipeError: a metric cannot be applied: what it lacks.
        """
        evidence = self.evidence(fake, **others)
        lacking = {metric: reason for metric in self.metrics if (reason := metric.lacks(evidence))}
        asked = [f"metric {one.name!r} needs {why}" for one, why in lacking.items() if one in self.judging.metrics]
        if asked:  # of the usual ones those that apply are taken
            raise RecipeError(asked)
        able = [metric for metric in self.metrics if metric not in lacking]
        return [record for metric in able for record in self._records(metric, evidence, weights)]

    def _records(self, metric: Metric, evidence: Evidence, weights: str) -> list[Record]:
        count = len(evidence.fake)
        found = metric(evidence)
        floor = self._known("floor", metric, count, lambda: self._floor_evidence(metric, count))
        baseline = self._known("baseline", metric, count, lambda: self._baseline_evidence(count))
        protocol = {
            "part": str(metric),
            "extractor": self.extractor.identity,
            "sha256": self.extractor.sha256,
            "rule": self.extractor.rule,
            "rounding": ROUNDING if self.dataset.is_image else "none",
            "real": self.split,
            "count": count,
            "count_real": len(evidence.real),
            "data": self.dataset.fingerprint,
            "seed": self.seed,
            "weights": weights,
            "zerosum": version("zerosum"),
        }
        warning = metric.warns(evidence, found)
        worth = {name: (metric.better[name], floor.get(name), baseline.get(name), warning) for name in found}
        return [Record(name, one.value, one.spread, *worth[name], protocol) for name, one in found.items()]


def _split(dataset: Dataset, wanted: str) -> str:
    if wanted == "auto":
        return "held-out" if len(dataset.held_out) >= ENOUGH else "train"
    if wanted == "held-out" and not len(dataset.held_out):
        raise RecipeError(f"{dataset.name} has no held-out samples; take held_out=0.1, or judge.split=train")
    return wanted


def _halves(samples: Samples) -> tuple[Samples, Samples]:
    half = len(samples) // 2
    rest = (None if one is None else one[half:] for one in (samples.labels, samples.probabilities))
    labels, probabilities = rest
    return samples.first(half), Samples(samples.values[half:], labels, samples.features[half:], probabilities)
