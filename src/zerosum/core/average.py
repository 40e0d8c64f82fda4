"""Averages of a player's weights over training; averaged networks are the ones that are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from zerosum.core.clock import seeded
from zerosum.core.model import Task, reached
from zerosum.core.registry import Part, register
from zerosum.core.values import Fraction, SampleCount


@register("average", "none")
@dataclass(frozen=True)
class NoAverage(Part):
    """No average: the weights of the last update are used."""


@register("average", "ema")
@dataclass(frozen=True)
class ExponentialAverage(Part):
    """Exponential moving average with a half-life in samples (Karras et al. 2018; ramp of StyleGAN2-ADA)."""

    half_life: SampleCount = 20_000  # samples after which a weight counts half
    ramp: Fraction = 0.05  # the half-life is at most this share of the samples seen; 0 switches the ramp off

    def decay(self, step: int, clock: int) -> float:
        """Share of the old average that an update of `step` samples leaves, `clock` after the start."""
        half_life = min(float(self.half_life), self.ramp * clock) if self.ramp else float(self.half_life)
        return 0.5 ** (step / half_life) if half_life > 0 else 0.0


Average = NoAverage | ExponentialAverage


@torch.no_grad()
def update_average(average: nn.Module, current: nn.Module, decay: float) -> None:
    """Move the average towards the current weights; buffers (running statistics, counters) are copied."""
    torch._foreach_lerp_(list(average.parameters()), list(current.parameters()), 1 - decay)
    for kept, now in zip(average.buffers(), current.buffers(), strict=True):
        kept.copy_(now)


@torch.no_grad()
def reestimate_statistics(module: nn.Module, forward: Callable[[], object], batches: int = 16) -> None:
    """Replace BatchNorm statistics by those of the module's own activations, averaged over some batches.

    Statistics copied from the current weights do not belong to averaged weights (their activations differ), so they
    are measured again before the averaged network is used. Before them, modules that say `follows_weights` (an estimate
    of their weights' norm) settle on the averaged weights, by passes in training mode.
    """
    followers = [one for one in module.modules() if getattr(one, "follows_weights", False)]
    for one in followers:
        one.train()
    for _ in range(batches if followers else 0):
        forward()
    for one in followers:
        one.eval()
    norms = [one for one in module.modules() if isinstance(one, _BatchNorm) and one.track_running_stats]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative mean over the batches
        norm.train()
    for _ in range(batches):
        forward()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


@torch.no_grad()
def reestimate(task: Task, averaged: Mapping[str, nn.Module], seed: int, device: torch.device) -> None:
    """Measure statistics of averaged networks again, of those that a task without given inputs goes through."""
    with seeded(seed, "statistics"):
        through = reached(averaged, lambda: task(task.draw(2, device)))
    with seeded(seed, "statistics"):
        networks = nn.ModuleList(averaged[name] for name in averaged if name in through)
        reestimate_statistics(networks, lambda: task(task.draw(128, device)))
