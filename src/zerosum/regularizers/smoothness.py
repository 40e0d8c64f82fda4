"""Smoothness: logits that hardly change when a sample moves in the direction in which they change most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize, softplus

from zerosum.core.errors import RecipeError
from zerosum.core.registry import Part, register
from zerosum.core.values import Count, NonNegative, Positive, Repeats
from zerosum.critic import Exchange
from zerosum.regularizers.passes import steady, still
from zerosum.regularizers.protocol import AUTOENCODER


@register("regularizer", "vat")
@dataclass(frozen=True)
class VAT(Part):
    """Keeps the discriminator's probability unchanged under adversarial moves: weight * E KL(p(x) || p(x + r)).

    Virtual adversarial training, Miyato et al. 2018, with p = sigmoid(s) and the Bernoulli KL divergence. r has
    length `epsilon` and the direction d of the fastest change, found by `steps` power iterations from a random one:
    d <- gradient of KL(p(x) || p(x + xi d)) by d, at unit length. p(x) is a constant. Real and generated samples count
    half each. All passes share the same dropout and augmentation, and leave running statistics alone.
    """

    player: ClassVar[str] = "discriminator"
    tracks: ClassVar[frozenset[str]] = frozenset()
    needs: ClassVar[dict[str, str]] = {
        "zero-level": (
            "it reads logits as probabilities of being real, and this objective's logits have no zero; set "
            "objective=non-saturating, minimax or hinge, or take the regularizer alr instead"
        )
    }
    clashes: ClassVar[dict[str, str]] = {"autoencoder": AUTOENCODER}
    weight: NonNegative = 1.0  # weight of the divergence
    epsilon: Positive = 8.0  # length of r, over all numbers of a sample; 8 is for images, points want far less
    xi: Positive = 0.01  # length of the trial step; the paper's 1e-6 is lost in the rounding of float32
    steps: Repeats = 1  # power iterations
    every: Count = 1  # discriminator updates from one penalty to the next; each then counts that many times

    def __call__(self, exchange: Exchange) -> Tensor:
        """Penalty of an update, `[]`."""
        return self.weight * (self._change(exchange, exchange.real.x) + self._change(exchange, exchange.fake.x)) / 2

    def _change(self, exchange: Exchange, x: Tensor) -> Tensor:
        x = x.detach().float()
        with torch.autocast(x.device.type, enabled=False), still(exchange.critic.network):
            d = _random_direction(x, exchange.critic.pack)
            logits = steady(exchange)
            with torch.no_grad():
                original = logits(x)
            for _ in range(self.steps):
                d = _steepest(lambda d: _divergence(original, logits(x + self.xi * d.view_as(x))), d)
            return _divergence(original, logits(x + self.epsilon * d.view_as(x))).mean()


@register("regularizer", "alr")
@dataclass(frozen=True)
class ALR(Part):
    """Keeps slopes in the worst direction below a limit: weight * E max(0, |s(x) - s(x + r)| / ||r|| - limit)^2.

    Adversarial Lipschitz regularization, Terjek 2020. The length of r is uniform from `shortest` to `longest`, one a
    sample; its direction is that of the fastest change of |s(x) - s(x + xi d)|, found as in vat. x + r is clipped to
    [-1, 1] for images. Real and generated samples count half each. All passes share the same dropout and augmentation,
    and leave running statistics alone.

    Raises:
        RecipeError: `shortest` is above `longest`.
    """

    player: ClassVar[str] = "discriminator"
    tracks: ClassVar[frozenset[str]] = frozenset()
    clashes: ClassVar[dict[str, str]] = {"autoencoder": AUTOENCODER}
    weight: NonNegative = 10.0  # weight of (slope - limit)^2; 10 in the author's code, 100 in the paper
    limit: NonNegative = 1.0  # slope that costs nothing
    shortest: Positive = 0.1  # smallest length of r, over all numbers of a sample
    longest: Positive = 10.0  # largest length of r
    xi: Positive = 10.0  # length of the trial step
    steps: Repeats = 1  # power iterations
    every: Count = 1  # discriminator updates from one penalty to the next; each then counts that many times

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shortest > self.longest:
            raise RecipeError(
                f"regularizer {self.name!r}: shortest={self.shortest:g} is above longest={self.longest:g}; lower it"
            )

    def __call__(self, exchange: Exchange) -> Tensor:
        """Penalty of an update, `[]`."""
        return self.weight * (self._excess(exchange, exchange.real.x) + self._excess(exchange, exchange.fake.x)) / 2

    def _excess(self, exchange: Exchange, x: Tensor) -> Tensor:
        x = x.detach().float()
        with torch.autocast(x.device.type, enabled=False), still(exchange.critic.network):
            d = _random_direction(x, exchange.critic.pack)
            length = self.shortest + (self.longest - self.shortest) * torch.rand_like(d[:, :1])
            logits = steady(exchange)
            original = logits(x)
            for _ in range(self.steps):
                d = _steepest(lambda d: (original.detach() - logits(x + self.xi * d.view_as(x))).abs(), d)
            moved = x + (length * d).view_as(x)
            moved = moved.clamp(-1, 1) if x.ndim == 4 else moved
            distance = torch.linalg.vector_norm((moved - x).reshape(len(d), -1), dim=1)
            slope = (original - logits(moved)).abs() / distance.clamp_min(1e-6)  # clipping can leave r = 0 in a corner
            return (slope - self.limit).clamp_min(0).square().mean()


def _random_direction(x: Tensor, pack: int) -> Tensor:
    """A direction of length 1 for each logit, `[N / pack, numbers judged]`."""
    return normalize(torch.randn_like(x).reshape(len(x) // pack, -1), dim=1)


def _steepest(change: Callable[[Tensor], Tensor], d: Tensor) -> Tensor:
    """Directions of the gradient of each logit's change by d; d itself where the gradient is 0."""
    d = d.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(change(d).sum(), d)
    norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
    return torch.where(norm > 0, gradient / norm, d.detach())


def _divergence(p: Tensor, q: Tensor) -> Tensor:
    """KL divergence of two Bernoulli distributions, given by their logits p and q."""
    return p.sigmoid() * (p - q) + softplus(q) - softplus(p)
