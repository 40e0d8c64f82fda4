"""The evaluator: compares sets of samples with one reference, the same way every time, and says what a number is worth.

Beside each value stand its floor and its baseline (see `worth`): what is near the floor is good, what is
not better than the baseline has learnt less than 50 directions of each class.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zerosum.core.download import cache_folder
from zerosum.core.errors import RecipeError, nearest
from zerosum.core.registry import parse
from zerosum.core.spacing import spaced
from zerosum.data import Dataset
from zerosum.extractors import Extractor, ExtractorPart, choose
from zerosum.extractors.choose import IMAGES_NEEDED, hint
from zerosum.metrics.evidence import Evidence, Measure, Metric, Samples, numbers
from zerosum.metrics.suite import Usual
from zerosum.recipes import EvaluatorPart
from zerosum.runs.evaluation.result import Result, Results, doubt, failure
from zerosum.runs.evaluation.result_cache import ResultCache, code
from zerosum.runs.evaluation.usual import usual
from zerosum.runs.evaluation.worth import Worth

ROUNDING = "256 levels, to the nearest"
ENOUGH = 100  # held-out samples; fewer say little of a distribution, and half of all is compared with
OTHERS = {"held-out": "train", "train": "held-out", "half": "other half"}  # real samples apart from the reference
LABELS = {"translate": "others, in turn"}  # classes that are asked for, by verb; those of the data by share else
REFERENCE = 10_000  # real images that an extractor is fitted to, if it is
HELD_BYTES = 4 << 30  # of real samples in memory; of larger sets a random part judges


class Evaluator:
    """Compares samples with the real ones of a data set.

    Args:
        dataset: where real samples come from.
        settings: metrics, extractor, count, split.
        seed: of the order of real samples and of everything that a metric draws.
        device: where the extractor computes.
        verb: of the task that is evaluated, or `pairs`; it decides what is usual.

    Raises:
        RecipeError: the extractor does not fit the data, or a metric cannot be applied: what it lacks.
        DataError: the extractor's weights cannot be found.
    """

    def __init__(
        self,
        dataset: Dataset,
        settings: EvaluatorPart,
        *,
        seed: int = 0,
        device: torch.device | str = "cpu",
        verb: str = "generate",
    ) -> None:
        self.dataset, self.settings, self.seed, self.verb = dataset, settings, seed, verb
        self.split = _split(dataset, settings.split, 1 if verb == "pairs" else ENOUGH)  # each pair says something
        automatic = settings.extractor == "auto"
        self.part: ExtractorPart = self._chosen() if automatic else parse("extractor", settings.extractor)
        reference = self.values(self.order("train")[:REFERENCE]) if self.part.fitted else None
        self.extractor: Extractor = self.part.build(dataset.shape, device, reference)
        self.metrics: tuple[Metric, ...] = self._wanted()
        names = [name for metric in self.metrics for name in metric.better]
        if self.best not in names:
            raise RecipeError(f"evaluator.best={self.best}: no metric gives that number; {nearest(self.best, names)}")
        self.cache = ResultCache(cache_folder() / "results")
        self.worth = Worth(self)

    @property
    def best(self) -> str:
        """The number that decides which checkpoint is best."""
        if self.settings.best != "auto":
            return self.settings.best
        names = [name for metric in self.metrics for name in metric.better]
        preferred = "fd" if self.extractor.classes else "sliced-wasserstein"
        return preferred if preferred in names else names[0]

    @property
    def hint(self) -> str:
        """Which extractor would see these images better, and how to have it; empty where none would."""
        chosen = self.settings.extractor == "auto" and self.dataset.is_image
        return hint(self.part, self.dataset.shape[0]) if chosen else ""

    @property
    def asked(self) -> list[Metric]:
        """The metrics that were named."""
        return [metric for metric in self.metrics if metric in self.settings.metrics]

    def _wanted(self) -> tuple[Metric, ...]:
        """Metrics as they are asked for, the usual ones in the place of their name."""
        requested: tuple[Metric, ...] = self.settings.metrics or (Usual(),)
        usually = usual(self.dataset, self.extractor, self.verb)
        listed = [one for metric in requested for one in (usually if isinstance(metric, Usual) else (metric,))]
        return tuple(dict.fromkeys(listed))

    def _chosen(self) -> ExtractorPart:
        dataset = self.dataset
        rows = dataset.train[spaced(len(dataset.train), IMAGES_NEEDED)]
        return choose(
            dataset.values[rows], None if dataset.labels is None else dataset.labels[rows], len(dataset.train)
        )

    # ------------------------------------------------------------------ samples

    def see(self, values: Tensor, labels: Tensor | None = None) -> Samples:
        """Samples of uint8 images `[N, H, W, C]` or points `[N, D]`, as they are and as the extractor sees them."""
        if not any(metric.extracts for metric in self.metrics):
            return bare(values, labels)
        if not len(values):  # of one real sample there is no other half, and nothing is drawn to compare
            return Samples(values, labels, torch.zeros(0, self.extractor.size), None)
        features = self.extractor(values)
        return Samples(values, labels, features.values, features.probabilities)

    @cached_property
    def real(self) -> Samples:
        """All real samples of the split, in random order."""
        return self._part(self.split)

    @cached_property
    def others(self) -> Samples | None:
        """Real samples apart from `real`, in random order; None where there are none."""
        name = OTHERS.get(self.split)
        return self._part(name) if name and len(self.order(name)) else None

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

    def order(self, split: str) -> np.ndarray:
        """Indices of a split in random order, at most so many as are held in memory."""
        return order(self.dataset, split, self.seed)

    def count(self, requested: int) -> int:
        """How many samples of a generator are judged: no more than there are others, so that a floor has as many."""
        others = len(self.order(OTHERS.get(self.split, "all")))
        return min(requested, others) if self.settings.split == "auto" else requested

    def values(self, order: np.ndarray) -> Tensor:
        """Samples at these indices, as the data hold them."""
        return torch.from_numpy(np.ascontiguousarray(self.dataset.values[order]))

    def _part(self, split: str) -> Samples:
        order = self.order(split)
        values = self.values(order)
        conditions = self.dataset.conditions
        labels = None if conditions is None else torch.from_numpy(conditions[order])

        def look() -> dict[str, Tensor]:
            samples = self.see(values, labels)
            arrays = {"features": samples.features, "probabilities": samples.probabilities}
            return {name: one for name, one in arrays.items() if one is not None}

        extracts = any(metric.extracts for metric in self.metrics)
        features = self.cache.tensors(self.key("features", split), look) if extracts else look()
        return Samples(values, labels, features["features"], features.get("probabilities"))

    def key(self, *words: object) -> str:
        """Name of something that depends on the data, the extractor and these words."""
        extractor = self.extractor
        identity = extractor.name, extractor.sha256, extractor.rule, code(self.part)
        facts = (self.dataset.fingerprint, *identity, self.seed)
        return hashlib.sha256("\n".join(map(str, (1, *facts, *words))).encode()).hexdigest()[:32]

    # ------------------------------------------------------------------ evidence

    def evidence(self, fake: Samples, **others: Any) -> Evidence:
        """What metrics look at; `others` are what is known of a generator: `decode`, `latent`, `path`."""
        training = None if self.split == "all" else lambda: self.training
        return self.evidence_of(self.real, fake, training=training, held_out=self.held_out, **others)

    def evidence_of(self, real: Samples, fake: Samples, **others: Any) -> Evidence:
        """Evidence of these samples, with what is known of the data."""
        dataset = self.dataset
        centres = None if dataset.centres is None else torch.from_numpy(dataset.centres)
        spread, classes = dataset.spread or 0.0, len(dataset.classes)
        return Evidence(real, fake, centres=centres, spread=spread, classes=classes, seed=self.seed, **others)

    # ------------------------------------------------------------------ evaluation

    def evaluate(self, fake: Samples, weights: str = "", **others: Any) -> Results:
        """Evaluate samples by every metric, as `attempt` does.

        Raises:
            RecipeError: a metric that was asked for cannot be applied: what it lacks.
        """
        results = self.attempt(fake, weights, **others)
        missing = [
            f"metric {one.name!r} {results.omitted[one.name]}" for one in self.asked if one.name in results.omitted
        ]
        if missing:  # of the usual ones those that apply are taken
            raise RecipeError(missing)
        return results

    def attempt(self, fake: Samples, weights: str = "", **others: Any) -> Results:
        """Evaluate samples by every metric that can be applied; the others are left out, each with the reason.

        Args:
            fake: what is judged, from `see`.
            weights: of the generator: "averaged" or "last"; "" for samples from elsewhere.
            others: what is known of a generator: `decode`, `latent`, `path`.
        """
        evidence, results = self.evidence(fake, **others), Results()
        for metric in self.metrics:
            try:
                if reason := metric.missing(evidence):
                    results.omitted[metric.name] = reason
                else:
                    results += self._results(metric, evidence, weights)
            except Exception as error:  # of one metric; the others are none the worse
                results.omitted[metric.name] = failure(error)
        return results

    def _results(self, metric: Metric, evidence: Evidence, weights: str) -> list[Result]:
        count = len(evidence.fake)
        measures, faults = numbers(metric, evidence), []
        try:
            floor = self.worth.floor(metric, count)
            baseline = self._untrained(metric, evidence) if metric.untrained else self.worth.baseline(metric, count)
            baseline |= metric.trivial(evidence)
            equal, counts = self._equal(metric, evidence)
        except Exception as error:  # the value stands without them
            floor, baseline, equal, counts = {}, {}, {}, {}
            faults = [f"floor and baseline {failure(error)}"]
        protocol = self._protocol(metric, evidence, weights) | counts
        warnings = [warning for warning in (metric.warns(evidence, measures), *faults) if warning]
        results = []
        for name, one in measures.items():
            least, scatter = floor.get(name, (None, None))
            spread = one.spread if one.spread is not None and math.isfinite(one.spread) else None
            at_floor = equal[name].value if name in equal else None
            values = (one.value, spread, metric.better[name], least, baseline.get(name))
            result = Result(name, *values, None, protocol, scatter, at_floor)
            results.append(result.warned([*warnings, *doubt(result, surpassing=metric.surpassing)]))
        return results

    def _untrained(self, metric: Metric, evidence: Evidence) -> dict[str, float]:
        """The best numbers of outputs that take no training; none where nobody knows of any."""
        trivial = evidence.trivial
        if trivial is None:
            return {}

        def measure() -> dict[str, float]:
            see = self.see if metric.extracts else bare
            fakes = [see(values, evidence.fake.labels) for values in trivial().values()]
            found = [numbers(metric, dataclasses.replace(evidence, fake=fake)) for fake in fakes]
            ends = {name: max if metric.better[name] else min for name in found[0]}
            return {name: end(one[name].value for one in found) for name, end in ends.items()}

        return self.cache.numbers(self.key("trivial", metric, code(metric), len(evidence.fake), self.split), measure)

    def _equal(self, metric: Metric, evidence: Evidence) -> tuple[dict[str, Measure], dict[str, int]]:
        """Numbers at the counts of floor and baseline, and these counts, where they are not those of the value."""
        real, others = self.worth.sides(len(evidence.fake))
        if metric.looks_at == "training" or (real is self.real and len(others) == len(evidence.fake)):
            return {}, {}
        same = dataclasses.replace(evidence, real=real, fake=evidence.fake.first(len(others)))
        if metric.missing(same):
            return {}, {}
        return numbers(metric, same), {"count_floor": len(others), "count_floor_real": len(real)}

    def _protocol(self, metric: Metric, evidence: Evidence, weights: str) -> dict[str, Any]:
        height, width = self.dataset.values.shape[1:3] if self.dataset.is_image else (0, 0)
        pictures = {"size": f"{height}x{width}", "rendering": self.dataset.rendering} if height else {}
        points = {} if self.dataset.units is None else {"units": str(self.dataset.units)}
        return {
            "part": str(metric),
            **pictures,
            **points,
            "extractor": self.extractor.identity,
            "sha256": self.extractor.sha256,
            "rule": self.extractor.rule,
            "rounding": ROUNDING if self.dataset.is_image else "none",
            "real": {"half": "half of all"}.get(self.split, self.split),
            "count": len(evidence.fake),
            "count_real": len(evidence.real),
            "data": self.dataset.fingerprint,
            "seed": self.seed,
            "weights": weights,
            **({"labels": LABELS.get(self.verb, "by share")} if weights and evidence.fake.labels is not None else {}),
            "zerosum": version("zerosum"),
        }


def order(data: Dataset, split: str, seed: int) -> np.ndarray:
    """Indices of a split in random order, at most so many as are held in memory."""
    indices = {"train": data.train, "held-out": data.held_out}.get(split, np.union1d(data.train, data.held_out))
    rows = np.random.default_rng(seed).permutation(indices)
    half = (len(rows) + 1) // 2
    rows = {"half": rows[:half], "other half": rows[half:]}.get(split, rows)
    return rows[: HELD_BYTES // max(1, data.values[:1].nbytes)]


def _split(dataset: Dataset, requested: str, enough: int) -> str:
    if requested == "auto":
        return "held-out" if len(dataset.held_out) >= enough else "half"
    if requested == "held-out" and not len(dataset.held_out):
        how = "train with held_out=0.1, or compare with train (evaluator.split, of evaluate --split)"
        raise RecipeError(f"{dataset.name} has no held-out samples; {how}")
    return requested


def bare(values: Tensor, labels: Tensor | None = None) -> Samples:
    """Samples as they are, without features."""
    return Samples(values, labels, torch.zeros(len(values), 0), None)
