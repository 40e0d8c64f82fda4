"""Adversarial losses: what the two players minimise, as formulas on logits.

A logit is any real number; higher looks more real. Logits are `[N]`, or patch maps `[N, 1, h, w]`: every loss is the
mean over all of them, in float32, and a discriminator's loss is the sum (not half the sum) of its two means.
Below s_r is a real logit, s_f a fake one, sp the softplus. Each objective has

    discriminator(real, fake) -> []     what the discriminator minimises
    generator(fake, real=None) -> []    what the generator minimises; only an objective with `pairs` looks at `real`
    reward(logit) -> logit's shape      pay of each sample for a policy; rises with the logit
"""
# ruff: noqa: ARG002 - all generators take the real logits, the relativistic one alone uses them

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, relu, softplus

from zerosum.core.errors import RecipeError
from zerosum.core.registry import Part, register
from zerosum.core.values import Range

__all__ = ["Hinge", "LeastSquares", "Minimax", "NonSaturating", "Relativistic", "Wasserstein"]

Probability = Annotated[float, Range(0, 1, open_low=True)]


def _cross_entropy(real: Tensor, fake: Tensor, real_target: float) -> Tensor:
    """-E[a log D(x) + (1-a) log(1-D(x))] - E[log(1-D(G(z)))], with a the real target and D = sigmoid(logit)."""
    real, fake = real.float(), fake.float()
    looks_real = real_target * softplus(-real) + (1 - real_target) * softplus(real)
    return looks_real.mean() + softplus(fake).mean()


@register("objective", "minimax")
@dataclass(frozen=True)
class Minimax(Part):
    """The original zero-sum game; the generator's gradient vanishes where the discriminator is sure.

    Goodfellow et al. 2014, eq. 1. Discriminator: E[sp(-s_r)] + E[sp(s_f)]; generator: -E[sp(s_f)].
    Smoothing (Salimans et al. 2016, section 3.4) is one-sided: it changes the real target of the discriminator only.
    Reward: sp(s) = -log(1 - D), above 0 (GAIL, Ho & Ermon 2016).
    """

    pairs: ClassVar[bool] = False
    real_target: Probability = 1.0  # probability of "real" that the discriminator should give real samples; 0.9 smooths

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Binary cross-entropy of telling real from fake."""
        return _cross_entropy(real, fake, self.real_target)

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """E[log(1 - D)]: the discriminator's fake term with the other sign."""
        return -softplus(fake.float()).mean()

    def reward(self, logit: Tensor) -> Tensor:
        """-log(1 - D), above 0."""
        return softplus(logit.float())


@register("objective", "non-saturating")
@dataclass(frozen=True)
class NonSaturating(Part):
    """The usual GAN loss: the generator raises log D instead of lowering log(1 - D), so its gradient does not vanish.

    Goodfellow et al. 2014, section 3. Discriminator: E[sp(-s_r)] + E[sp(s_f)]; generator: E[sp(-s_f)].
    Smoothing (Salimans et al. 2016, section 3.4) is one-sided: it changes the real target of the discriminator only.
    Reward: log D = -sp(-s), below 0.
    """

    pairs: ClassVar[bool] = False
    real_target: Probability = 1.0  # probability of "real" that the discriminator should give real samples; 0.9 smooths

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Binary cross-entropy of telling real from fake."""
        return _cross_entropy(real, fake, self.real_target)

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """-E[log D]."""
        return softplus(-fake.float()).mean()

    def reward(self, logit: Tensor) -> Tensor:
        """Log D, below 0."""
        return logsigmoid(logit.float())


@register("objective", "least-squares")
@dataclass(frozen=True)
class LeastSquares(Part):
    """Squared distance of logits to coded targets; (1, 0, 1) is the practical coding, (1, -1, 0) Pearson's chi-squared.

    LSGAN, Mao et al. 2017, eq. 2 and 9. Discriminator: E[(s_r - b)^2]/2 + E[(s_f - a)^2]/2;
    generator: E[(s_f - c)^2]/2. Reward: (s - a)/(b - a), at the optimum p/(p + q): linear, where
    -(s - c)^2 would fall above c.

    Raises:
        RecipeError: `real` or `goal` is not above `fake`.
    """

    pairs: ClassVar[bool] = False
    real: float = 1.0  # b: target of real logits
    fake: float = 0.0  # a: target of fake logits in the discriminator's turn
    goal: float = 1.0  # c: target of fake logits in the generator's turn

    def __post_init__(self) -> None:
        super().__post_init__()
        low = [name for name in ("real", "goal") if getattr(self, name) <= self.fake]
        if low:
            why = f"must be above fake={self.fake:g}, since a higher logit looks more real"
            raise RecipeError([f"objective 'least-squares': {name}={getattr(self, name):g} {why}" for name in low])

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Half the sum of both mean squares."""
        return ((real.float() - self.real).square().mean() + (fake.float() - self.fake).square().mean()) / 2

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """Half the mean square to the goal."""
        return (fake.float() - self.goal).square().mean() / 2

    def reward(self, logit: Tensor) -> Tensor:
        """0 at the fake target, 1 at the real one, linear."""
        return (logit.float() - self.fake) / (self.real - self.fake)


@register("objective", "wasserstein")
@dataclass(frozen=True)
class Wasserstein(Part):
    """Difference of mean logits: an earth mover's distance where the discriminator is kept 1-Lipschitz.

    WGAN, Arjovsky et al. 2017, eq. 2. Discriminator: E[s_f] - E[s_r]; generator: -E[s_f].
    Needs a weight clip, a gradient penalty or spectral normalisation beside it.
    Reward: s; only differences mean something, there is no zero level.
    """

    pairs: ClassVar[bool] = False

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Minus the estimated distance."""
        return fake.float().mean() - real.float().mean()

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """Minus the mean fake logit."""
        return -fake.float().mean()

    def reward(self, logit: Tensor) -> Tensor:
        """The logit itself."""
        return logit.float()


@register("objective", "hinge")
@dataclass(frozen=True)
class Hinge(Part):
    """The discriminator pushes real logits above 1 and fake ones below -1, and no further.

    Lim & Ye 2017, eq. 10; Miyato et al. 2018, eq. 16-17. Discriminator: E[max(0, 1 - s_r)] + E[max(0, 1 + s_f)];
    generator: -E[s_f]. Reward: s.
    """

    pairs: ClassVar[bool] = False

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Sum of both mean margins that are not kept."""
        return relu(1 - real.float()).mean() + relu(1 + fake.float()).mean()

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """Minus the mean fake logit."""
        return -fake.float().mean()

    def reward(self, logit: Tensor) -> Tensor:
        """The logit itself."""
        return logit.float()


@register("objective", "relativistic")
@dataclass(frozen=True)
class Relativistic(Part):
    """Every fake is judged against the real sample of the same place in the batch; no mode can be left behind.

    RpGAN, Jolicoeur-Martineau 2019; R3GAN, Huang et al. 2024, eq. 2. Discriminator: E[sp(s_f - s_r)];
    generator: E[sp(s_r - s_f)], so it needs the real logits again. Both batches have the same shape.
    Reward: s; only differences mean something, there is no zero level.

    Raises:
        ValueError: the generator's turn has no real logits, or the two shapes differ.
    """

    pairs: ClassVar[bool] = True

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Softplus of how much more real the fake looks than its partner."""
        return softplus(self._margin(real, fake)).mean()

    def generator(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """Softplus of how much more real the real sample looks than its partner."""
        if real is None:
            raise ValueError("objective 'relativistic' compares pairs: call generator(fake, real) with the real logits")
        return softplus(-self._margin(real, fake)).mean()

    def reward(self, logit: Tensor) -> Tensor:
        """The logit itself."""
        return logit.float()

    @staticmethod
    def _margin(real: Tensor, fake: Tensor) -> Tensor:
        if real.shape != fake.shape:  # [N] against [N, 1] would broadcast to all N * N pairs without a word
            shapes = f"{tuple(real.shape)} and {tuple(fake.shape)}"
            raise ValueError(f"objective 'relativistic' compares pairs: real and fake logits have shapes {shapes}")
        return torch.sub(fake.float(), real.float())
