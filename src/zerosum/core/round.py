"""What one exchange of a game produced, for the objective and the regularizers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


def pack(x: Tensor, size: int) -> Tensor:
    """Join `size` consecutive samples along their channels: [N, C, ...] to [N / size, size * C, ...]."""
    return x if size == 1 else x.reshape(len(x) // size, size * x.shape[1], *x.shape[2:])


@dataclass
class Round:
    """One exchange: images [N, C, H, W] in [-1, 1] or points [N, D], labels [N], latents [N, K], logits [N / pack]."""

    player: str  # who moves now: "generator" or "discriminator" (or another role of the game)
    generator: Any
    discriminator: Any
    real: Tensor
    fake: Tensor  # detached in the discriminator's move
    label: Tensor | None = None
    latent: Tensor | None = None
    augment: Callable[[Tensor], Tensor] | None = None  # what happens to everything that the discriminator sees
    pack: int = 1  # samples that one logit judges
    images: int = 0  # the clock
    beside: dict[str, Tensor] = field(default_factory=dict)  # what the discriminator sees beside "real" and "fake"
    real_logits: Tensor | None = None
    fake_logits: Tensor | None = None
    features: dict[str, Tensor] = field(default_factory=dict)  # of "real" and "fake", where the discriminator has them
    tracked: bool = False  # a regularizer takes gradients with respect to what the discriminator sees
    ahead: bool = False  # the discriminator is one that the generator's samples made, by steps that carry gradients

    def track(self, due: Iterable[Any]) -> Round:
        """Follow gradients of the tensors that due regularizers ask for (their `tracks`)."""
        for name in sorted({name for part in due for name in part.tracks}):
            setattr(self, name, getattr(self, name).detach().float().requires_grad_())
            self.tracked = True
        return self

    def look(self, *names: str) -> Round:
        """Let the discriminator look at "real", at "fake", or at both: sets their logits and features.

        In the generator's move nothing flows back through the look at real samples, unless the discriminator is ahead.
        """
        for name in names or ("real", "fake"):
            follow = name == "fake" or self.player == "discriminator" or self.ahead
            with torch.set_grad_enabled(torch.is_grad_enabled() and follow), self._precision():
                logits, features = self._examine(getattr(self, name), self.label, self.beside.get(name))
            setattr(self, f"{name}_logits", logits)
            if features is not None:
                self.features[name] = features
        return self

    def judge(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Logits [N / pack] of any samples [N, ...], seen as the discriminator sees all: augmented and packed.

        Raises:
            ValueError: the discriminator judges samples together with something that other samples do not have.
        """
        real, fake = self.beside.get("real"), self.beside.get("fake")
        if real is not fake:
            raise ValueError(
                "this game's discriminator judges pairs, so a part cannot show it single samples; remove the "
                "regularizer that judges samples of its own making"
            )
        return self._examine(x, label, real)[0]

    def _examine(self, x: Tensor, label: Tensor | None, beside: Tensor | None) -> tuple[Tensor, Tensor | None]:
        x = pack(x if self.augment is None else self.augment(x), self.pack)
        label = label if label is None else label[:: self.pack]
        D, beyond = self.discriminator, () if beside is None else (beside,)
        if not hasattr(D, "features"):
            return D(x, label, *beyond), None
        features = D.features(x, label, *beyond)
        return D.judge(features, label), features

    def _precision(self) -> AbstractContextManager[Any]:
        """Float32 where gradients are tracked (a penalty is meaningless in bf16), else what the engine set."""
        return torch.autocast(self.real.device.type, enabled=False) if self.tracked else nullcontext()
