"""A variational auto-encoder: nobody judges, and both players lose the same."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy

from zerosum.core.engine import Engine
from zerosum.core.game import Feed
from zerosum.core.model import Model
from zerosum.core.player import Player
from zerosum.core.registry import Part, register, slot
from zerosum.core.signals import Batch, Signal, Signals, Wiring
from zerosum.core.slots import Regularizer
from zerosum.core.values import NonNegative, Positive
from zerosum.games.checks import one_set
from zerosum.games.tasks import autoencoding, bounding
from zerosum.games.variational import divergence, each, means, other_priors
from zerosum.latents import Latent


@register("game", "vae")
@dataclass(frozen=True)
class VariationalAutoencoder(Part):
    """An encoder tells the distribution of latents that a sample may come from, and a decoder makes samples of latents.

    Kingma & Welling 2014. Both minimise minus the evidence lower bound, in nats for each sample:
    -E log p(x | z) + beta * KL(N(mean, exp(log_var)) || N(0, I)), one z = mean + exp(log_var / 2) * noise for each.
    The encoder gives mean and log_var one after the other, [N, 2 K]. `bernoulli` takes a number of an image for the
    probability of a white pixel; `gaussian` has one deviation for all numbers, which weighs the two terms against each
    other. beta above 1 is the beta-VAE (Higgins et al. 2017).
    """

    pack: ClassVar[int] = 1
    regularizers: ClassVar[tuple[Regularizer, ...]] = ()
    roles: ClassVar[dict[str, frozenset[str]]] = {
        "encoder": frozenset({"encoder"}),
        "decoder": frozenset({"generator"}),
    }

    encoder: Player = slot("player")  # turns samples into distributions of latents
    decoder: Player = slot("player")  # turns latents into samples
    latent: Latent = slot("latent")  # the prior, N(0, I)
    likelihood: Literal["bernoulli", "gaussian"] = "bernoulli"  # p(x | z); gaussian for points and for colours
    deviation: Positive = 0.2  # of the gaussian likelihood, where images lie in [-1, 1]
    beta: NonNegative = 1.0  # weight of the divergence from the prior

    def players(self) -> dict[str, Player]:
        """The players by name."""
        return {"encoder": self.encoder, "decoder": self.decoder}

    def networks(self, signals: Signals) -> dict[str, Wiring]:
        """What the networks receive and give, by name."""
        sample, label = {"sample": signals["sample"]}, {k: v for k, v in signals.items() if k == "label"}
        size = self.latent.size
        return {
            "encoder": Wiring({**sample, **label}, {"latent": Signal("latent", (2 * size,))}, ("encoder",)),
            "decoder": Wiring({"latent": Signal("latent", (size,)), **label}, sample, ("decoder",)),
        }

    def faults(self, signals: Signals, batch: int | None) -> list[str]:  # noqa: ARG002 - true of any batch
        """What does not fit."""
        if faults := one_set(self, signals):
            return faults
        faults = other_priors(self)
        if self.likelihood == "bernoulli" and signals["sample"].kind != "image":
            faults.append("likelihood=bernoulli is for images, and these are points; set likelihood=gaussian")
        return faults

    def step(self, feed: Feed, engine: Engine) -> None:
        """One move of both players."""
        E, D = engine.networks("encoder", "decoder")
        batch = feed.next()
        x, label = batch["sample"], batch.get("label")
        mean, log_var = E(x, label).float().chunk(2, dim=1)
        z = mean + (log_var / 2).exp() * engine.draw(self.latent, len(x))
        distortion = self.surprise(D(z, label).float(), x)
        rate = divergence(mean, log_var)
        losses = {"distortion": distortion, "rate": self.beta * rate}
        engine.move({"encoder": losses, "decoder": losses})
        engine.watch(elbo=-(distortion + rate).detach())

    def surprise(self, rebuilt: Tensor, x: Tensor) -> Tensor:
        """-log p(x | z) in nats, summed over the numbers of a sample, mean over samples, []."""
        if self.likelihood == "bernoulli":
            white, p = (x + 1) / 2, ((rebuilt + 1) / 2).clamp(1e-6, 1 - 1e-6)
            return binary_cross_entropy(p, white, reduction="sum") / len(x)
        errors = ((x - rebuilt) / self.deviation).square() / 2
        return errors.flatten(1).sum(1).mean() + x[0].numel() * math.log(self.deviation * math.sqrt(2 * math.pi))

    def model(self, networks: Mapping[str, nn.Module], signals: Signals) -> Model:
        """Both networks: samples of latents, the likeliest latents of samples, and samples of those."""
        E, D = networks["encoder"], networks["decoder"]
        parts = self.encoder.network, self.decoder.network
        tasks = autoencoding(means(E, self.latent.size), D, parts, self.latent, signals)

        def bound(sample: Tensor, noise: Tensor, label: Tensor | None = None) -> Batch:
            mean, log_var = E(sample, label).float().chunk(2, dim=1)
            rebuilt = D(mean + (log_var / 2).exp() * noise, label).float()
            distortion, rate = each(self.surprise, rebuilt, sample), each(divergence, mean, log_var)
            bits = (distortion + rate) / (sample[0].numel() * math.log(2)) + self.step_bits(signals["sample"])
            return {"distortion": distortion, "rate": rate, "bits": bits}

        return Model({"decoder": D, "encoder": E}, {**tasks, "bound": bounding(bound, parts, self.latent, signals)})

    def step_bits(self, sample: Signal) -> float:
        """Bits from a density in [-1, 1] to the probability of one of 256 levels, which are 2 / 255 apart."""
        return math.log2(255 / 2) if self.likelihood == "gaussian" and sample.kind == "image" else 0.0
