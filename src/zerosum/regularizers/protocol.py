"""What a regularizer may look at: what it needs of a game's round, so that any object of this shape will do."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

AUTOENCODER = (
    "the logit of an auto-encoder is minus its reconstruction error; remove this regularizer, or choose a "
    "discriminator.network that gives logits, for example dcgan-discriminator"
)


class Round(Protocol):
    """What one exchange between the players produced."""

    @property
    def player(self) -> str:
        """Who moves now: "discriminator" or "generator"."""

    @property
    def generator(self) -> Any:
        """The live generator, called as G(latent, label)."""

    @property
    def discriminator(self) -> Any:
        """The live discriminator; `judge` is how to ask it about a batch."""

    @property
    def real(self) -> Tensor:
        """Real samples, `[N, ...]`."""

    @property
    def fake(self) -> Tensor:
        """Generated samples, `[N, ...]`; detached in the discriminator's move, attached in the generator's."""

    @property
    def label(self) -> Tensor | None:
        """Classes of both, `[N]`; None where there are none."""

    @property
    def latent(self) -> Tensor | None:
        """Latents of the generated samples, `[N, K]`."""

    @property
    def real_logits(self) -> Tensor | None:
        """Logits of `real`, `[N / pack]`, or patch maps `[N / pack, 1, h, w]`; None before the discriminator looked."""

    @property
    def fake_logits(self) -> Tensor | None:
        """Logits of `fake`; None before the discriminator looked."""

    @property
    def features(self) -> dict[str, Tensor]:
        """What the discriminator's last layer saw of "real" and "fake", `[N / pack, F]`, where it has features."""

    @property
    def pack(self) -> int:
        """Consecutive samples that one logit judges together (PacGAN); 1 almost always."""

    @property
    def images(self) -> int:
        """The clock: images drawn so far."""

    def judge(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """The discriminator's logits of any batch `[N, ...]`, through augmentation and packing."""

    def look(self, *names: str) -> Any:
        """Make the discriminator look at "real" or "fake": sets their logits and features."""
