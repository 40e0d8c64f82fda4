"""Metrics of known modes, of a generator's path length, of a likelihood's bound, and of divergences by a critic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from zerosum.core.registry import register
from zerosum.core.values import Count
from zerosum.metrics.critic import critic_divergences
from zerosum.metrics.evidence import Evidence, Measure, Metric, only, too_few, unlabelled
from zerosum.metrics.modes import mode_coverage, stacked_modes
from zerosum.metrics.path_length import perceptual_path_length

__all__ = ["Critic", "LowerBound", "Modes", "PathLength", "StackedModes"]

MANY = 100  # least number of classes that count as combinations


def _classes(evidence: Evidence) -> int:
    return 0 if evidence.fake.probabilities is None else evidence.fake.probabilities.shape[1]


@register("metric", "modes")
@dataclass(frozen=True)
class Modes(Metric):
    """Modes of a mixture that are reached, the share of samples near one, and how unevenly they are reached.

    Srivastava et al. 2017 and Lin et al. 2018, on 2,500 samples.
    """

    better: ClassVar[dict[str, bool | None]] = {"modes": True, "high-quality": True, "reverse-kl": False}
    least: ClassVar[int] = 20

    def lacks(self, evidence: Evidence) -> str | None:
        """Known modes with a width."""
        has_modes = evidence.centres is not None and evidence.spread
        return None if has_modes else "a mixture whose modes are known; see zerosum ls data"

    def __call__(self, evidence: Evidence) -> dict[str, Measure]:
        """All generated points."""
        assert evidence.centres is not None
        return only(**mode_coverage(evidence.fake.values, evidence.centres, evidence.spread))


@register("metric", "stacked-modes")
@dataclass(frozen=True)
class StackedModes(Metric):
    """Classes of an extractor with many, such as the 1,000 of stacked digits: how many are reached, how unevenly.

    Lin et al. 2018, on 26,000 samples, against classes that are all equally frequent. A classifier's errors invent
    classes: `modes-half` counts those with at least half of their share.
    """

    better: ClassVar[dict[str, bool | None]] = {"modes": True, "modes-half": True, "reverse-kl": False}
    least: ClassVar[int] = MANY

    def lacks(self, evidence: Evidence) -> str | None:
        """Class probabilities of many classes."""
        few_classes = unlabelled(evidence) is None and _classes(evidence) < MANY
        combined = "an extractor that knows combinations, such as stacked; `classes` counts single ones"
        return combined if few_classes else unlabelled(evidence)

    def warns(self, evidence: Evidence, measures: dict[str, Measure]) -> str | None:  # noqa: ARG002
        """Few samples for so many classes."""
        return too_few(evidence, 26 * _classes(evidence), "the protocol takes")

    def __call__(self, evidence: Evidence) -> dict[str, Measure]:
        """All generated samples."""
        assert evidence.fake.probabilities is not None
        coverage = stacked_modes(evidence.fake.probabilities.argmax(1), _classes(evidence))
        coverage.pop("floor")
        return only(**coverage)


@register("metric", "path-length")
@dataclass(frozen=True)
class PathLength(Metric):
    """How far features move per step between latents: short for generators that change smoothly.

    Karras et al. 2019, section 4.1, in the extractor's features; comparable within one extractor only.
    """

    better: ClassVar[dict[str, bool | None]] = {"path-length": False}
    pairs: Count = 2_000  # pairs of latents

    def lacks(self, evidence: Evidence) -> str | None:
        """A generator."""
        return "a generator; samples alone have no latents" if evidence.decode is None else None

    def __call__(self, evidence: Evidence) -> dict[str, Measure]:
        """Pairs of latents drawn from the generator's prior."""
        assert evidence.decode is not None
        assert evidence.latent is not None
        value = perceptual_path_length(
            evidence.decode,
            lambda features: features,
            evidence.latent,
            self.pairs,
            path=evidence.path,
            dtype=torch.float32,
            seed=evidence.seed,
        )
        return only(path_length=value)


@register("metric", "elbo")
@dataclass(frozen=True)
class LowerBound(Metric):
    """A lower bound on log p(x) of real samples that were not trained on, in nats; its terms; bits per dimension.

    Kingma & Welling 2014: elbo = -(distortion + rate), with one latent drawn for each sample. Bits per dimension are
    those of the numbers that a likelihood is about: of one of 256 levels where it is a density of images.
    """

    better: ClassVar[dict[str, bool | None]] = {
        "elbo": True,
        "distortion": False,
        "rate": None,
        "bits-per-dimension": False,
    }
    extracts: ClassVar[bool] = False

    def lacks(self, evidence: Evidence) -> str | None:
        """A model with such a bound."""
        return None if evidence.bound else "a model that bounds the likelihood of samples, such as one of recipe vae"

    def __call__(self, evidence: Evidence) -> dict[str, Measure]:
        """All real samples."""
        assert evidence.bound is not None
        terms = {name: term.double().mean() for name, term in evidence.bound(evidence.real).items()}
        elbo = -(terms["distortion"] + terms["rate"])
        return only(elbo=elbo, distortion=terms["distortion"], rate=terms["rate"], bits_per_dimension=terms["bits"])


@register("metric", "critic")
@dataclass(frozen=True)
class Critic(Metric):
    """Divergences estimated by a small critic, trained on half of the features and evaluated on the other half.

    Jensen-Shannon (nats, 0 to ln 2), Pearson chi-square (0 to 2) and Wasserstein-1: lower bounds, up to the critic's
    error; `told-apart` is the share of samples that a classifier assigns correctly, 0.5 for equal distributions.
    """

    better: ClassVar[dict[str, bool | None]] = {
        "jensen-shannon": False,
        "pearson": False,
        "wasserstein": False,
        "told-apart": False,
    }
    least: ClassVar[int] = 100  # half of them are trained on
    costly: ClassVar[bool] = True
    most: Count = 5_000  # samples of each side at most

    def __call__(self, evidence: Evidence) -> dict[str, Measure]:
        """At most `most` samples of each side."""
        real, fake = (side.first(self.most).features for side in (evidence.real, evidence.fake))
        divergences = critic_divergences(real, fake, seed=evidence.seed)
        return only(told_apart=divergences.pop("accuracy"), **divergences)
