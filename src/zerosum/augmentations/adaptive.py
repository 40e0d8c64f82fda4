"""Adaptive discriminator augmentation: as strong as needed to keep the discriminator from overfitting."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from torch import Tensor

from zerosum.augmentations.augmentation import Augmentation, keep_some
from zerosum.augmentations.colour import recolour
from zerosum.augmentations.geometry import blits, compose, general_maps, hole
from zerosum.augmentations.resampling import resample
from zerosum.core.memory import Memory
from zerosum.core.registry import register
from zerosum.core.values import Count, Fraction, Range
from zerosum.critic import Outcome

Sign = Annotated[float, Range(-1, 1)]
Duration = Annotated[int, Range(1), "samples"]


@register("augmentation", "ada")
@dataclass(frozen=True)
class ADA(Augmentation):
    """Random pixel moves, geometry and colours, each with probability p, which follows how sure the discriminator is.

    Karras et al. 2020, sections 2 and 3 and appendix B. Pixels move by mirrors, right angles and whole-pixel shifts;
    geometry is any scale, angle, stretch and shift; colours are brightness, contrast, luma's sign, hue and saturation.
    Each is drawn for each image independently; an image for which none is drawn passes bit for bit, so p = 0 is the
    identity.

    r = E[sign s] over real images; every `interval` turns p += sign(r - target) * batch * interval / speed, the batch
    being the last one of a turn. p never falls below 0. Above 1 it acts as 1 (every change for every image) but goes on
    rising, as in the published training, so it takes as long to come back. On several ranks r is taken over the logits
    of all ranks and the batch is the joint batch, so that all ranks have the same p.

    Where logits have no zero level (Wasserstein, relativistic) r has no meaning; signal=pairs takes the sign of real
    minus fake logits in its place. A ramp needs no signal: p rises to its end over the first `until` images (R3GAN,
    Huang et al. 2024, with a cosine).
    """

    where: ClassVar[str] = "both"
    watched: ClassVar[tuple[str, ...]] = ("p",)
    pipeline: Literal["b", "g", "c", "bg", "bc", "gc", "bgc"] = "bgc"  # b: moves of pixels, g: geometry, c: colours
    control: Literal["adaptive", "ramp", "fixed"] = "adaptive"  # p follows the signal, rises with the clock, or stays
    p: Fraction = 0.0  # probability of each change: at the start (adaptive), from `until` on (ramp), or always (fixed)
    target: Sign = 0.6  # adaptive: mean sign of the signal to hold
    interval: Count = 4  # adaptive: turns (a batch each) from one adjustment of p to the next
    speed: Duration = 500_000  # adaptive: images over which p can rise from 0 to 1
    signal: Literal["real", "pairs"] = "real"  # adaptive: sign of real logits, or of real minus fake logits
    until: Duration = 500_000  # ramp: images at which p has risen to its end
    shape: Literal["cosine", "linear"] = "cosine"  # ramp: slow at both ends, or straight
    colour: Fraction = 1.0  # each colour change has this share of p
    cutout: Fraction = 0.0  # a box of half the height and width becomes grey with this share of p; 0: never

    @property
    def needs(self) -> dict[str, str]:  # type: ignore[override]
        """Images, and logits with a zero level where their sign is the signal."""
        if self.control != "adaptive" or self.signal != "real":
            return Augmentation.needs
        why = (
            "p follows the sign of logits, which must mean real or fake (minimax, non-saturating, hinge); else take "
            "augmentations=ada:signal=pairs, ada:control=fixed,p=0.2 or ada:control=ramp,p=0.55"
        )
        return Augmentation.needs | {"zero-level": why}

    @property
    def clashes(self) -> dict[str, str]:  # type: ignore[override]
        """Auto-encoders, where the sign of logits is the signal."""
        if self.control != "adaptive":
            return {}
        why = "the sign of a reconstruction error says nothing; take augmentations=ada:control=fixed,p=0.2"
        return {"autoencoder": why}

    def memory(self) -> dict[str, Tensor]:
        """Probability p, and counts since it was last adjusted: sum and number of signs, batches."""
        return {
            "p": torch.tensor(0.0 if self.control == "ramp" else self.p),
            "signs": torch.tensor(0.0),
            "count": torch.tensor(0),
            "batches": torch.tensor(0),
        }

    def __call__(self, images: Tensor, memory: Memory) -> Tensor:
        """Changed images, `[N, C, H, W]`; values may leave [-1, 1]."""
        p = memory["p"].clamp(max=1)
        if "b" in self.pipeline or "g" in self.pipeline:
            images = resample(images, self._maps(images, p))
        if "c" in self.pipeline:
            images = recolour(images, self.colour * p)
        if self.cutout:
            images = keep_some(self.cutout * p, images.masked_fill(hole(images), 0), images)
        return images

    def _maps(self, images: Tensor, p: Tensor) -> Tensor:
        """Inverse maps [N, 3, 3]: pixel moves are applied first, so they are undone last."""
        groups = {"b": blits, "g": general_maps}
        return compose(*(draw(images, p) for group, draw in groups.items() if group in self.pipeline))

    @torch.no_grad()
    def adapt(self, outcome: Outcome, memory: Memory) -> None:
        """End of a turn: count its last batch and move p in place, without waiting for the device."""
        if self.control == "ramp":
            memory["p"].fill_(self.p * self._risen(outcome.clock))
        elif self.control == "adaptive":
            logits = outcome.real if self.signal == "real" else outcome.real - outcome.fake
            self._follow(logits.float(), outcome.batch, memory)

    def _follow(self, logits: Tensor, batch: int, memory: Memory) -> None:
        memory["signs"] += memory.mean(logits.sign().sum())
        memory["count"] += logits.numel()
        memory["batches"] += 1
        due = memory["batches"] >= self.interval
        excess = (memory["signs"] / memory["count"] - self.target).sign()
        memory["p"].add_(due * excess * (batch * memory.team.world * self.interval / self.speed)).clamp_(min=0)
        for name in ("signs", "count", "batches"):
            memory[name].mul_(~due)

    def _risen(self, images: int) -> float:
        done = min(1.0, images / self.until)
        return done if self.shape == "linear" else (1 - math.cos(math.pi * done)) / 2
