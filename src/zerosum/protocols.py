"""What games ask of objectives, augmentations and selections."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

from zerosum.core.slots import Described


class Objective(Described, Protocol):
    """The adversarial loss. One that remembers is bound to its memory before it is called."""

    @property
    def pairs(self) -> bool:
        """True where the generator's loss needs the real logits too."""
        ...

    def discriminator(self, real: Tensor, fake: Tensor, /, *args: Any, **memory: Any) -> Tensor:
        """What the discriminator pays for its logits, []."""
        ...

    def generator(self, fake: Tensor, /, *args: Any, **memory: Any) -> Tensor:
        """What the generator pays for the logits of fakes, and of real samples where pairs count, []."""
        ...


class Augmentation(Described, Protocol):
    """What happens to images. One that remembers is bound to its memory before it is called."""

    @property
    def where(self) -> str:
        """What it changes: "real", the data; "both", all that the discriminator sees."""
        ...

    def __call__(self, images: Tensor, /, *args: Any, **memory: Any) -> Tensor:
        """Images [N, C, H, W] of the same shape."""
        ...


class Selection(Described, Protocol):
    """Which fakes of a batch the generator learns from."""

    def __call__(self, logits: Tensor, clock: int, /) -> Tensor | None:
        """Numbers of the chosen, [k]; None for all."""
        ...
