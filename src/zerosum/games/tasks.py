"""Tasks of models: generate, encode, reconstruct, bound, translate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from zerosum.core.model import Choice, Prior, Task
from zerosum.core.signals import Batch, Signal, Signals
from zerosum.core.slots import Described
from zerosum.latents import Latent


def generation(generator: Callable[..., Tensor], part: Described, latent: Latent, signals: Signals) -> dict[str, Task]:
    """Samples [N, ...] of latents [N, K], and of classes [N] where the network is told them.

    A network with styles takes `psi`, which moves them towards their average; one that blends classes takes shares of
    them, [N, classes]; one that starts from real samples takes these, [N, ...], and a second task tells which it takes
    where nobody gives any.

    Args:
        generator: the network.
        part: its description.
        latent: the prior.
        signals: of the data.
    """
    traits, classes = part.traits(), _classes(signals)
    taken = {
        "styles": {"psi": Signal("number")},
        "blends": {"shares": Signal("shares", (sum(one.classes for one in classes.values()),))},
        "source": {"source": signals["sample"]},
    }
    options = {name: one for trait, listed in taken.items() if trait in traits for name, one in listed.items()}
    # a class is drawn also where nobody is told it: so random numbers come in the order that they always had
    priors: dict[str, Prior] = {"latent": latent, **{name: Choice(one.classes) for name, one in classes.items()}}

    def run(latent: Tensor, label: Tensor | None = None, shares: Tensor | None = None, **options: Any) -> Tensor:
        return generator(latent, label if shares is None else shares, **options)

    inputs = {"latent": Signal("latent", (latent.size,)), **_told(signals, part)}
    tasks = {"generate": Task("generate", inputs, {"sample": signals["sample"]}, run, priors, options)}
    if "source" in traits:
        source: Any = generator
        tasks["source"] = Task("recall", inputs, {"source": signals["sample"]}, source.sources, priors)
    return tasks


def inference(encoder: Callable[..., Tensor], part: Described, latent: Signal, signals: Signals) -> Task:
    """Latents [N, K] of samples [N, ...]; arguments as of `generation`."""

    def run(sample: Tensor, label: Tensor | None = None) -> Tensor:
        return encoder(sample, label)

    return Task("encode", {"sample": signals["sample"], **_told(signals, part)}, {"latent": latent}, run)


def reconstruction(
    encoder: Callable[..., Tensor], generator: Callable[..., Tensor], parts: tuple[Described, ...], signals: Signals
) -> Task:
    """Samples [N, ...] as they come back from their latents; `parts` describe both networks."""

    def run(sample: Tensor, label: Tensor | None = None) -> Tensor:
        return generator(encoder(sample, label), label)

    inputs = {"sample": signals["sample"], **_told(signals, *parts)}
    return Task("reconstruct", inputs, {"sample": signals["sample"]}, run)


def autoencoding(
    encoder: Callable[..., Tensor],
    generator: Callable[..., Tensor],
    parts: tuple[Described, Described],
    latent: Latent,
    signals: Signals,
) -> dict[str, Task]:
    """Samples of latents, latents of samples, and samples of those; `parts` describe both networks in this order."""
    port = Signal("latent", (latent.size,))
    return {
        **generation(generator, parts[1], latent, signals),
        "encode": inference(encoder, parts[0], port, signals),
        "reconstruct": reconstruction(encoder, generator, parts, signals),
    }


def bounding(run: Callable[..., Batch], parts: tuple[Described, ...], latent: Latent, signals: Signals) -> Task:
    """Terms of a bound on the likelihood of samples [N, ...], [N] each, in nats: `distortion` and `rate`; and `bits`.

    Args:
        run: called with sample, noise [N, K] and, where a network is told it, label.
        parts: describe both networks.
        latent: where the noise comes from.
        signals: of the data.
    """
    inputs = {"sample": signals["sample"], "noise": Signal("latent", (latent.size,)), **_told(signals, *parts)}
    outputs = {name: Signal("number") for name in ("distortion", "rate", "bits")}
    return Task("bound", inputs, outputs, run, {"noise": latent})


def translation(translator: Callable[..., Tensor], given: Signals, made: Signals, labels: Prior | None = None) -> Task:
    """Samples [N, ...] of one signal of samples of another, of any size that the network takes.

    Args:
        translator: the network; where it has a `step`, sides of images may be any multiple of it.
        given: the signals that it takes, by name: samples, and the class or attributes asked for, `label`, if any.
        made: the one that it gives.
        labels: those where nobody asks for any.
    """
    first = next(iter(given))

    def run(**inputs: Tensor) -> Tensor:
        return translator(inputs.pop(first), **inputs)

    priors = {} if labels is None else {"label": labels}
    return Task("translate", given, made, run, priors, step=getattr(translator, "step", 0))


def _classes(signals: Signals) -> dict[str, Signal]:
    return {name: signal for name, signal in signals.items() if name == "label"}


def _told(signals: Signals, *parts: Described) -> dict[str, Signal]:
    """The classes, where one of the networks is told them."""
    return _classes(signals) if any("labels" in part.traits() for part in parts) else {}
