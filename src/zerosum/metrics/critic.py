"""Divergences estimated by independent critics, trained on one half of the samples and evaluated on the other.

Every number is the mean of a fixed function over held-out samples, so it is an unbiased estimate of a lower bound of
the divergence between the two distributions: differences that these small critics miss are not counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize, silu, softplus

from zerosum.metrics.checks import samples, takes_arrays

_SMALLEST = 20  # samples of a set: half are held out, and a fifth of the rest is used to choose when to stop
_BATCH = 256  # samples of each set in a step
_LOOK = 10  # steps between two evaluations on the validation samples
_BJORCK = 4  # iterations; singular values of 0.6 end above 0.999

Weights = list[Tensor]
Critic = Callable[[Tensor, Weights], Tensor]  # samples [N, D] to numbers [N]
Loss = Callable[[Tensor, Tensor], Tensor]  # numbers of real and of fake samples to the loss that a critic minimises


@takes_arrays
def critic_divergences(real: Tensor, fake: Tensor, seed: int = 0) -> dict[str, float]:
    """Lower bounds of three divergences between two sets of features, and the accuracy of a classifier between them.

    Each set is halved at random. A classifier with two hidden layers is trained with the log-loss on one half, and a
    critic that is 1-Lipschitz by construction with the Wasserstein loss; a fifth of that half validates: the weights of
    the best step are kept. Equal distributions give 0 plus or minus the noise of N/2 samples: compare with real against
    real. In high dimensions with few samples the bounds are loose.

    Args:
        real: features `[N, D]`.
        fake: features `[M, D]`, in the same space.
        seed: of halves, weights and batches; no global randomness is read or changed.

    Returns:
        `jensen_shannon`: JS(p, q) in nats, at most ln 2, for disjoint supports. ln 2 - log-loss; Goodfellow et al.
            2014, section 4.1.
        `pearson`: the chi^2 of p + q from 2q, integral of (p - q)^2 / (p + q), up to 2; what least squares minimise,
            Mao et al. 2017. 2 - E_p (1 - t)^2 - E_q (1 + t)^2 with t = 2D - 1.
        `wasserstein`: W1(p, q) in the units of the features, E_p f - E_q f by Kantorovich's duality; weights are made
            orthonormal and pairs sorted as in Anil et al. 2019.
        `accuracy`: share of held-out samples that are classified correctly, with equal weight for both sets; 0.5 for
            equal distributions. Lopez-Paz & Oquab 2017.

    Raises:
        ValueError: features are not `[N, D]` of one D, a set has fewer than 20, or some are not finite.
    """
    real, fake = samples("critic_divergences", _SMALLEST, real=real, fake=fake)
    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode(False), torch.enable_grad():
        halves = _Halves.of(real, fake, generator)
        centre, spread = _moments(halves.learn)
        scale = spread.square().mean().sqrt()  # one scale for all features: W1 has the units of the features
        measures = _classify(halves.stretched(centre, spread), generator)
        return measures | {"wasserstein": _transport(halves.stretched(centre, scale), generator) * scale.item()}


class _Halves(NamedTuple):
    """Samples for training, 2/5, validation, 1/10, and testing, 1/2: each a pair, real and fake."""

    learn: list[Tensor]
    choose: list[Tensor]
    test: list[Tensor]

    @classmethod
    def of(cls, real: Tensor, fake: Tensor, generator: torch.Generator) -> _Halves:
        parts: tuple[list[Tensor], ...] = ([], [], [])
        for features in (real, fake):
            order, half = torch.randperm(len(features), generator=generator), len(features) // 2
            for part, rows in zip(parts, (order[half // 5 : half], order[: half // 5], order[half:]), strict=True):
                part.append(features[rows])
        return cls(*parts)

    def stretched(self, centre: Tensor, width: Tensor) -> _Halves:
        """Centred and divided by the width, in float32; constant features are not divided."""
        width = torch.where(width > 0, width, 1.0)
        return _Halves(*([((x - centre) / width).float() for x in pair] for pair in self))


def _classify(halves: _Halves, generator: torch.Generator) -> dict[str, float]:
    size = halves.learn[0].shape[1]
    weights = [*_layers(size, 64, generator), torch.zeros(1, size)]
    weights[4].zero_()  # the critic starts at 0, so that without training the divergence is 0
    weights = _train(_classifier, weights, _log_loss, halves, generator, steps=300, rate=2e-3, decay=0.3)
    real, fake = (_classifier(x, weights).double() for x in halves.test)
    squares = (1 - (real / 2).tanh()).square().mean() + (1 + (fake / 2).tanh()).square().mean()
    right = [(side > 0).double().mean() + (side == 0).double().mean() / 2 for side in (real, -fake)]
    return {
        "jensen_shannon": math.log(2) - _log_loss(real, fake).item() / 2,
        "pearson": 2 - squares.item(),
        "accuracy": (right[0] + right[1]).item() / 2,
    }


def _transport(halves: _Halves, generator: torch.Generator) -> float:
    """W1 by the better of two critics: a network, and the direction between the means, which is optimal for a shift."""
    weights = _layers(halves.learn[0].shape[1], 32, generator)
    weights = _train(_lipschitz, weights, _earth_loss, halves, generator, steps=200, rate=1e-2, decay=0.0)
    between = halves.learn[0].mean(0) - halves.learn[1].mean(0)
    candidates: list[tuple[Critic, Weights]] = [(_lipschitz, weights), (_linear, [normalize(between, dim=0)])]
    critic, weights = min(
        candidates, key=lambda candidate: _loss(candidate[0], candidate[1], _earth_loss, halves.choose)
    )
    return 0.0 - _loss(critic, weights, _earth_loss, halves.test)


def _classifier(x: Tensor, weights: Weights) -> Tensor:
    """Logit: a network of two hidden layers plus a linear term, which is learned first from few samples."""
    first, bias, second, more, last, offset, line = weights
    hidden = silu(silu(x @ first.T + bias) @ second.T + more)
    return (hidden @ last.T + x @ line.T + offset)[:, 0]


def _lipschitz(x: Tensor, weights: Weights) -> Tensor:
    """A 1-Lipschitz function: orthonormal matrices and sorted pairs, which keep gradients that ReLU would lose."""
    first, bias, second, more, last, _ = weights
    hidden = _sort_pairs(_sort_pairs(x @ _orthonormal(first).T + bias) @ _orthonormal(second).T + more)
    return (hidden @ normalize(last).T)[:, 0]


def _linear(x: Tensor, weights: Weights) -> Tensor:
    return x @ weights[0]


def _sort_pairs(x: Tensor) -> Tensor:
    first, second = x.chunk(2, 1)
    return torch.cat([torch.maximum(first, second), torch.minimum(first, second)], 1)


def _orthonormal(weight: Tensor) -> Tensor:
    """Bjorck & Bowie 1971: moves singular values towards 1 from below, so that none exceeds it."""
    gram = weight @ weight.T
    weight = weight / (gram @ gram).norm().pow(0.25)  # at least the largest singular value, at most 1.6 times it
    for _ in range(_BJORCK):
        weight = torch.addmm(weight, weight @ weight.T, weight, beta=1.5, alpha=-0.5)
    return weight


def _log_loss(real: Tensor, fake: Tensor) -> Tensor:
    return softplus(-real).mean() + softplus(fake).mean()


def _earth_loss(real: Tensor, fake: Tensor) -> Tensor:
    return fake.mean() - real.mean()


def _layers(inputs: int, width: int, generator: torch.Generator) -> Weights:
    weights = []
    for rows, columns in ((width, inputs), (width, width), (1, width)):
        weights += [torch.randn(rows, columns, generator=generator) * (2 / columns) ** 0.5, torch.zeros(rows)]
    return weights


def _train(
    critic: Critic,
    weights: Weights,
    loss: Loss,
    halves: _Halves,
    generator: torch.Generator,
    steps: int,
    rate: float,
    decay: float,
) -> Weights:
    """AdamW with a rate that falls to 0; returns the weights that were best on the validation samples."""
    for weight in weights:
        weight.requires_grad_()
    optimizer = torch.optim.AdamW(weights, lr=rate, betas=(0.9, 0.99), weight_decay=decay, fused=True)
    kept, best = [weight.detach().clone() for weight in weights], math.inf
    for step in range(steps + 1):
        if step % _LOOK == 0 and (now := _loss(critic, weights, loss, halves.choose)) < best:
            kept, best = [weight.detach().clone() for weight in weights], now
        optimizer.param_groups[0]["lr"] = rate * (1 - step / (steps + 1))
        batch = [x[torch.randint(len(x), (_BATCH,), generator=generator)] for x in halves.learn]
        optimizer.zero_grad()
        loss(*(critic(x, weights) for x in batch)).backward()
        optimizer.step()
    return kept


@torch.no_grad()
def _loss(critic: Critic, weights: Weights, loss: Loss, sets: list[Tensor]) -> float:
    return loss(*(critic(x, weights).double() for x in sets)).item()


def _moments(sets: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each feature over both sets, with equal weight for each set."""
    centre = (sets[0].mean(0) + sets[1].mean(0)) / 2
    variance = sum((x - centre).square().mean(0) for x in sets) / 2
    assert isinstance(variance, Tensor)
    return centre, variance.sqrt()
