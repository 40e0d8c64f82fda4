"""What a regularizer may look at: what it needs of a game's round, so that any object of this shape will do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor


class Round(Protocol):
    """What one exchange between the players produced."""

    @property
    def real(self) -> Tensor:
        """Real samples, `[N, ...]`."""

    @property
    def fake(self) -> Tensor:
        """Generated samples, `[N, ...]`."""

    @property
    def label(self) -> Tensor | None:
        """Classes of both, `[N]`; None where there are none."""

    @property
    def real_logits(self) -> Tensor | None:
        """The discriminator's logits of `real`, `[N]` or a patch map `[N, 1, h, w]`; None before it looked."""

    @property
    def fake_logits(self) -> Tensor | None:
        """The discriminator's logits of `fake`; None before it looked."""

    @property
    def discriminator(self) -> Callable[..., Any]:
        """The discriminator, called as D(x, label)."""
