"""Second heads of the discriminator, which predict the class or the latent code from the sample alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from zerosum.core.errors import RecipeError
from zerosum.core.registry import Part, register
from zerosum.core.values import Count, Natural, NonNegative
from zerosum.critic import Exchange
from zerosum.regularizers.statistics import features


@register("regularizer", "auxiliary-classifier")
@dataclass(frozen=True)
class AuxiliaryClassifier(Part):
    """The discriminator also classifies samples, and the generator makes samples that it classifies rightly.

    ACGAN, Odena, Olah & Shlens 2017, eq. 3: L_C = CE(l(x), c) + CE(l(G(z, c)), c), with l the class logits of the
    discriminator's second head, which sees the image alone. Both players minimise it, the generator its second term.

    Raises:
        ValueError: the data have no classes.
    """

    player: ClassVar[str] = "both"
    tracks: ClassVar[frozenset[str]] = frozenset()
    needs: ClassVar[dict[str, str]] = {
        "classifier": "it trains the discriminator's class head; set discriminator.labels=classifier, and a network "
        "that can have one, such as discriminator.network=dcgan-discriminator",
        "labels": "it needs the class of every sample; choose data with classes",
    }
    weight: NonNegative = 1.0  # weight of the cross-entropy in the discriminator's loss
    generator_weight: NonNegative = 1.0  # weight of the cross-entropy in the generator's loss; 0.1 beside wasserstein
    fakes: bool = True  # true: the discriminator learns the classes of fakes too, as in the paper; false: of real alone
    every: Count = 1  # updates of a player from one penalty to the next; each then counts that many times

    def __call__(self, exchange: Exchange) -> Tensor:
        """Cross-entropy in an update, `[]`."""
        if exchange.label is None:
            raise ValueError("auxiliary-classifier: there is no label; choose data with classes")
        if exchange.player == "generator":
            return self.generator_weight * self._loss(exchange, "fake")
        loss = self._loss(exchange, "real")
        return self.weight * (loss + self._loss(exchange, "fake") if self.fakes else loss)

    def _loss(self, exchange: Exchange, name: Any) -> Tensor:
        assert exchange.label is not None
        logits = exchange.critic.network.classify(features(self, exchange, name))
        return cross_entropy(logits.float(), exchange.label[:: exchange.critic.pack])


@register("regularizer", "mutual-information")
@dataclass(frozen=True)
class MutualInformation(Part):
    """The generator encodes part of its latent in the image, and a head of the discriminator recovers it.

    InfoGAN, Chen et al. 2016, eq. 5: minus the variational bound on I(c; G(z, c)), up to the constant entropy of c. The
    code is the end of the latent, as the latent `infogan` draws it: a one-hot category, then continuous numbers.
    weight * CE(category) + continuous_weight * |c - mean|^2 / 2, a Gaussian of unit variance. Both players minimise it
    on the fakes.

    Raises:
        RecipeError: the code is empty.
        ValueError: the size of the head or of the latent does not fit the code.
    """

    player: ClassVar[str] = "both"
    tracks: ClassVar[frozenset[str]] = frozenset()
    categories: Natural = 10  # values of the categorical code; 0 for none
    continuous: Natural = 2  # continuous codes
    weight: NonNegative = 1.0  # weight of the categorical code's cross-entropy
    continuous_weight: NonNegative = 0.1  # weight of the continuous codes' half squared error, summed over codes
    every: Count = 1  # updates of a player from one penalty to the next; each then counts that many times

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.categories + self.continuous:
            raise RecipeError("regularizer 'mutual-information': categories and continuous are both 0; set one of them")

    @property
    def needs(self) -> dict[str, str]:  # type: ignore[override]
        """A head that recovers the code, and a latent that ends with it."""
        sizes = f"categories={self.categories},continuous={self.continuous}"
        return {
            "codes": "a head of the discriminator recovers the latent code; set discriminator.codes="
            f"{self.categories + self.continuous}, and a network that can have one, such as "
            "discriminator.network=dcgan-discriminator",
            f"code of {self.categories} categories and {self.continuous} numbers": "that is what it takes for the code "
            f"at the end of the latent; set latent=infogan:{sizes}, or the sizes of this regularizer to those of the "
            "latent",
        }

    def __call__(self, exchange: Exchange) -> Tensor:
        """Negative log-likelihood of the codes in an update, `[]`."""
        guess = exchange.critic.network.recover(features(self, exchange, "fake")).float()
        code = self._code(guess, exchange.latent)
        loss = torch.zeros((), device=guess.device)
        if self.categories:
            logits, category = guess[:, : self.categories], code[:, : self.categories]
            loss = loss + self.weight * cross_entropy(logits, category)
        if self.continuous:
            error = (guess[:, self.categories :] - code[:, self.categories :]).square().sum(1).mean()
            loss = loss + self.continuous_weight * error / 2
        return loss

    def _code(self, guess: Tensor, latent: Tensor | None) -> Tensor:
        """Columns of the latent that are the code, `[N, categories + continuous]`."""
        size = self.categories + self.continuous
        expected = f"the code of {self.categories} categories and {self.continuous} continuous numbers"
        if guess.shape[1] != size:
            raise ValueError(
                f"mutual-information: the discriminator recovers {guess.shape[1]} numbers, {expected} has {size}; set "
                f"discriminator.codes={size}"
            )
        if latent is None or latent.shape[1] < size:
            raise ValueError(
                f"mutual-information: {expected} is not in the latent; set "
                f"latent=infogan:categories={self.categories},continuous={self.continuous}"
            )
        if len(guess) != len(latent):
            raise ValueError(
                f"mutual-information: the discriminator recovers {len(guess)} codes from {len(latent)} samples; set "
                "pack=1"
            )
        return latent[:, latent.shape[1] - size :].float()
