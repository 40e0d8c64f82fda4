"""Regularizers on the discriminator's output for whole batches: averages of logits, features of samples.

Features are the input of the discriminator's last layer, `[N, F]`, flattened and float32; layers are the outputs of its
stages. Differences are averaged over the F numbers of a layer, so that a weight does not depend on its width, and are
summed over layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from zerosum.core.memory import Memory
from zerosum.core.registry import Part, register
from zerosum.core.values import Count, Fraction, NonNegative, SampleCount
from zerosum.critic import Exchange
from zerosum.regularizers import fixed
from zerosum.regularizers.protocol import AUTOENCODER

_FEATURES = (
    "it compares features of the discriminator, which this one does not show; set a network with features, such as "
    "discriminator.network=dcgan-discriminator"
)
_LAYERS = (
    "it compares what the discriminator's stages see, which this one does not show; set a network with layers, such as "
    "discriminator.network=patch-discriminator, or of=features"
)
Distance = Literal["squares", "absolute"]


def features(part: Part, exchange: Exchange, name: Literal["real", "fake"]) -> Tensor:
    """Features `[N, F]` of "real" or "fake", float32.

    Raises:
        ValueError: the discriminator has no features.
    """
    values: Tensor | None = getattr(exchange, name).features
    if values is None:
        raise ValueError(f"{part.name}: {_FEATURES}")
    return values.float().flatten(1)


def _layers(part: FeatureMatching | Content, exchange: Exchange, name: Literal["real", "fake"]) -> list[Tensor]:
    """What a part compares of "real" or "fake", float32: features or pixels `[N, F]`, or several layers of them."""
    if isinstance(part, Content) and part.extractor:
        return fixed.seen(part.extractor, exchange.samples[name], part.of)
    if part.of == "layers":
        return [one.float().flatten(1) for one in getattr(exchange, name).layers]
    return [getattr(exchange, name).x.float().flatten(1)] if part.of == "pixels" else [features(part, exchange, name)]


def _distance(difference: Tensor, kind: Distance) -> Tensor:
    """Mean square, or mean magnitude, of all differences."""
    return (difference.square() if kind == "squares" else difference.abs()).mean()


@register("regularizer", "lecam")
@dataclass(frozen=True)
class LeCam(Part):
    """Holds real logits near the average fake logit and vice versa, against overfitting on small data sets.

    LeCam, Tseng et al. 2021, eq. 4: weight * (E (s_r - a_f)^2 + E (s_f - a_r)^2), with a_r and a_f the exponential
    moving averages of real and fake logits, this batch included. `one-sided` is the form of the authors' code, which
    ignores logits on the wrong side of the other average: E max(0, s_r - a_f)^2 + E max(0, a_r - s_f)^2.
    The averages are plain means at first, so they are not biased towards their initial value. On several ranks they are
    taken over the logits of all ranks, so every rank holds the same two numbers.
    """

    player: ClassVar[str] = "discriminator"
    tracks: ClassVar[frozenset[str]] = frozenset()
    watched: ClassVar[tuple[str, ...]] = ("real", "fake")  # of the memory, for the log
    clashes: ClassVar[dict[str, str]] = {"autoencoder": AUTOENCODER}
    weight: NonNegative = 0.3  # weight of the squared distances
    decay: Fraction = 0.99  # share of an average that an update keeps
    form: Literal["squared", "one-sided"] = "squared"  # the paper's formula, or that of the authors' code
    after: SampleCount = 50_000  # images at the start during which the penalty is 0, while the averages are updated
    every: Count = 1  # discriminator updates from one penalty to the next; each then counts that many times

    def memory(self) -> dict[str, Tensor]:
        """Averages of `real` and `fake` logits [], and the number of `looks` [] behind them."""
        return {name: torch.zeros(()) for name in ("real", "fake", "looks")}

    def __call__(self, exchange: Exchange, memory: Memory) -> Tensor:
        """Penalty of an update, `[]`."""
        real, fake = exchange.real.logits.float(), exchange.fake.logits.float()
        self._follow(real, fake, memory)
        if exchange.clock < self.after:
            return torch.zeros((), device=real.device)
        above, below = real - memory["fake"], memory["real"] - fake
        if self.form == "one-sided":
            above, below = above.clamp_min(0), below.clamp_min(0)
        return self.weight * (above.square().mean() + below.square().mean())

    @torch.no_grad()
    def _follow(self, real: Tensor, fake: Tensor, memory: Memory) -> None:
        memory["looks"].add_(1)
        step = memory["looks"].reciprocal().clamp_min(1 - self.decay)
        memory["real"].lerp_(memory.mean(real.mean()), step)
        memory["fake"].lerp_(memory.mean(fake.mean()), step)


@register("regularizer", "feature-matching")
@dataclass(frozen=True)
class FeatureMatching(Part):
    """The generator matches the mean features of its batch to those of the real batch.

    Salimans et al. 2016, section 3.1: weight * |E f(x) - E f(G(z))|^2, f the discriminator's features, here a mean over
    them. With `pixels` f is the identity: first moments of the images themselves, a weak but cheap statistic. With
    `layers` this is added up over what each stage sees, on each scale.
    On several ranks each matches the means of its own part of the batch.
    """

    player: ClassVar[str] = "generator"
    tracks: ClassVar[frozenset[str]] = frozenset()
    weight: NonNegative = 1.0  # weight of the distance
    of: Literal["features", "layers", "pixels"] = "features"  # whose batch means are matched
    distance: Distance = "squares"  # of the two means, averaged over features or pixels
    every: Count = 1  # generator updates from one penalty to the next; each then counts that many times

    @property
    def needs(self) -> dict[str, str]:  # type: ignore[override]
        """Features or layers, unless it matches pixels."""
        if self.of == "layers":
            return {"layers": _LAYERS}
        return {"features": f"{_FEATURES}, or feature-matching:of=pixels"} if self.of == "features" else {}

    def __call__(self, exchange: Exchange) -> Tensor:
        """Penalty of an update, `[]`."""
        sides = zip(_layers(self, exchange, "real"), _layers(self, exchange, "fake"), strict=True)
        costs = [_distance(fake.mean(0) - real.detach().mean(0), self.distance) for real, fake in sides]
        return self.weight * reduce(add, costs)


@register("regularizer", "content")
@dataclass(frozen=True)
class Content(Part):
    """Pulls every fake, in the discriminator's features, towards one real sample of the batch.

    The content loss of Johnson et al. 2016 in features that are trained at the same time, as in Larsen et al. 2016:
    weight * E |f(G(z_i)) - f(x_i)|^2. With `layers` this is summed over the outputs of all stages, on each scale: the
    feature matching of pix2pixHD (Wang et al. 2018, eq. 4), with distance=absolute. It compares sample with sample, so
    it must know which belong together. Where the game makes fake i from real sample i, that is their `place`. Otherwise
    a random partner would only pull all fakes to the mean: the reference is then the `nearest` real sample, of the same
    class where there are classes. The discriminator receives nothing from it. With an `extractor` the features are
    those of a fixed classifier, as in Johnson et al. 2016, section 3.2, and the discriminator is not asked.
    """

    player: ClassVar[str] = "generator"
    tracks: ClassVar[frozenset[str]] = frozenset()
    weight: NonNegative = 1.0  # weight of the distance
    of: Literal["features", "layers"] = "features"  # what is compared
    extractor: str = ""  # a fixed network that sees it, as efficientnet-lite0; empty: the discriminator
    reference: Literal["nearest", "place"] = "nearest"  # which real sample: closest in features, or of the same place
    distance: Distance = "squares"  # of two samples' features, averaged over them
    every: Count = 1  # generator updates from one penalty to the next; each then counts that many times

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.extractor:
            fixed.check(self.extractor)

    @property
    def needs(self) -> dict[str, str]:  # type: ignore[override]
        """Features or layers, and for places a generator whose samples belong to real ones."""
        seen = {"layers": _LAYERS} if self.of == "layers" else {"features": _FEATURES}
        seen = {} if self.extractor else seen
        if self.reference == "nearest":
            return seen
        why = "fakes and real samples of one place belong together only where the generator starts from real samples"
        return {**seen, "source": f"{why}; set content.reference=nearest, or choose a recipe such as dagan"}

    def __call__(self, exchange: Exchange) -> Tensor:
        """Penalty of an update, `[]`."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.extractor):
            real = [one.detach() for one in _layers(self, exchange, "real")]
        fake = _layers(self, exchange, "fake")
        if self.reference == "nearest":
            label = None if exchange.label is None else exchange.label[:: exchange.critic.pack]
            nearest = self._nearest(fake, real, label)
            real = [one[nearest] for one in real]
        return self.weight * reduce(add, [_distance(x - y, self.distance) for x, y in zip(fake, real, strict=True)])

    @torch.no_grad()
    def _nearest(self, fake: list[Tensor], real: list[Tensor], label: Tensor | None) -> Tensor:
        order, far = 2.0 if self.distance == "squares" else 1.0, torch.zeros((), device=fake[0].device)
        for x, y in zip(fake, real, strict=True):
            apart = torch.cdist(x, y, p=order, compute_mode="donot_use_mm_for_euclid_dist")
            far = far + apart.pow(order) / x.shape[1]
        if label is not None:
            far = far.masked_fill(label[:, None] != label, torch.inf)
        return far.argmin(1)


@register("regularizer", "pulling-away")
@dataclass(frozen=True)
class PullingAway(Part):
    """Pushes the discriminator's vectors of different fakes towards right angles, against mode collapse.

    EBGAN's repelling regularizer, Zhao, Mathieu & LeCun 2017, eq. 4: weight * the mean over pairs of different fakes of
    the squared cosine between their vectors. The paper takes the code of the auto-encoder and weight 0.1.
    On several ranks pairs are those within a rank's own part of the batch.
    """

    player: ClassVar[str] = "generator"
    tracks: ClassVar[frozenset[str]] = frozenset()
    weight: NonNegative = 0.1  # weight of the mean squared cosine
    of: Literal["code", "features"] = "code"  # vectors: code of an auto-encoder, or features of another discriminator
    every: Count = 1  # generator updates from one penalty to the next; each then counts that many times

    @property
    def needs(self) -> dict[str, str]:  # type: ignore[override]
        """The source of the vectors."""
        if self.of == "features":
            return {"features": _FEATURES}
        why = "it compares codes of an auto-encoder; set discriminator.network=began-discriminator, or"
        return {"autoencoder": f"{why} pulling-away:of=features"}

    def __call__(self, exchange: Exchange) -> Tensor:
        """Penalty of an update, `[]`; 0 for a single fake."""
        code = self.of == "code"
        vectors = exchange.critic.network.encode(exchange.fake.x) if code else features(self, exchange, "fake")
        direction = normalize(vectors.float().flatten(1), dim=1)
        count = len(direction)
        with torch.autocast(direction.device.type, enabled=False):
            cosine = direction @ direction.T
        off_diagonal = cosine.square().sum() - cosine.diagonal().square().sum()
        return self.weight * off_diagonal / max(1, count * (count - 1))
