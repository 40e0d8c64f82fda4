"""The structure that all discriminators share: features, and a head that gives logits."""

from __future__ import annotations

from torch import Tensor, nn

from zerosum.networks.conditioning import required
from zerosum.networks.spectral import linear


class Head(nn.Module):
    """Last layers of a discriminator: a linear map of the features `[N, F]` for each output.

    The logit is w.f + b, and with labels=projection + v_y.f, where v_y belongs to the class (Miyato & Koyama 2018,
    section 3). Its rows v_y are those of a linear map without bias, so initializations draw them as such.

    Args:
        features: F.
        labels: "projection" adds v_y.f to the logit, "classifier" adds the logits of the classes.
        classes: number of classes.
        codes: numbers that `recover` estimates; 0 for none.
        bias: of the logit.
        spectral: normalise every weight.
    """

    def __init__(
        self,
        features: int,
        *,
        labels: str = "none",
        classes: int = 0,
        codes: int = 0,
        bias: bool = True,
        spectral: bool = False,
    ) -> None:
        super().__init__()
        self.count = classes
        self.logit = linear(features, 1, bias=bias, spectral=spectral)
        self.projection = linear(features, classes, bias=False, spectral=spectral) if labels == "projection" else None
        self.classes = linear(features, classes, spectral=spectral) if labels == "classifier" else None
        self.codes = linear(features, codes, spectral=spectral) if codes else None

    def forward(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        """Features `[N, F]` to logits `[N]`."""
        logit = self.logit(features)
        if self.projection is not None:
            logit = logit + self.projection(features).gather(1, required(label, self.count)[:, None])
        return logit.squeeze(1)


class Discriminator(nn.Module):
    """A discriminator in two steps: features, and the logits that a head computes from them.

    Subclasses set `head` and implement `features`.
    """

    head: Head

    def features(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Samples `[N, *shape]` to the input of the head, `[N, F]`."""
        raise NotImplementedError

    def logits(self, features: Tensor, label: Tensor | None = None) -> Tensor:
        """Features `[N, F]` to logits `[N]`."""
        return self.head(features, label)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Samples `[N, *shape]` to logits `[N]`."""
        return self.logits(self.features(x, label), label)

    def classify(self, features: Tensor) -> Tensor:
        """Features `[N, F]` to logits of the classes, `[N, K]` (Odena et al. 2017, section 3).

        Raises:
            ValueError: the network was not built with labels=classifier.
        """
        if self.head.classes is None:
            raise ValueError("this discriminator tells no classes apart; build it with labels=classifier")
        return self.head.classes(features)

    def recover(self, features: Tensor) -> Tensor:
        """Features `[N, F]` to estimates of the latent code, `[N, codes]` (Chen et al. 2016, section 5).

        Raises:
            ValueError: the network was built with codes=0.
        """
        if self.head.codes is None:
            raise ValueError("this discriminator recovers no latent code; build it with codes=NUMBER")
        return self.head.codes(features)
