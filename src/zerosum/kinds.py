"""What a part of each kind must have, in words: held beside a class when it registers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

NETWORK = {
    "build": "build(inputs, outputs) gives an nn.Module for the signals that it receives and gives",
    "traits": 'traits() says what it is, as frozenset({"generator"}) or frozenset({"discriminator", "logits"})',
}
PROTOCOLS: dict[str, dict[str, str]] = {  # kind -> member -> what it is for
    "augmentation": {
        "where": '"real": changes the data; "both": changes all that the discriminator sees',
        "__call__": "__call__(images) gives images [N, C, H, W] of the same shape",
    },
    "data": {"contents": "contents() gives zerosum.data.Contents: an array or image files, labels, classes"},
    "extractor": {
        "build": "build(shape, device, reference) gives a zerosum.extractors.Extractor; derive ExtractorPart",
        "make": "make(shape, device) gives a zerosum.extractors.Extractor; or fit(shape, device, reference)",
        "fitted": "true where real images decide what it looks at; derive ExtractorPart",
    },
    "initialization": {"apply": "apply(module) sets the weights of a module in place"},
    "latent": {
        "size": "how many numbers a latent has: a field or a property",
        "__call__": "__call__(count, device) draws latents [count, size]",
    },
    "metric": {
        "better": "dictionary of each number's name: True where higher is better, False, or None",
        "lacks": "lacks(evidence) says what is missing, or None; derive zerosum.metrics.Metric",
        "warns": "warns(evidence, measures) says what to be careful about, or None; derive zerosum.metrics.Metric",
        "looks_at": '"samples" or "training"; derive zerosum.metrics.Metric',
        "__call__": "__call__(evidence) gives zerosum.metrics.Measure by name",
    },
    "network": NETWORK,
    "objective": {
        "pairs": "true where the generator's loss needs the real logits too",
        "discriminator": "discriminator(real, fake) gives the discriminator's loss",
        "generator": "generator(fake, real=None) gives the generator's loss",
    },
    "pairing": {
        "channels": "channels(of) gives the channels of the input of an image with so many",
        "__call__": "__call__(images) gives the inputs [N, C, H, W] of images, uint8 like these",
    },
    "pool": {
        "size": "how many samples it holds; a batch of all ranks must fit in",
        "memory": "memory(signal) gives the tensors that it starts with",
        "__call__": "__call__(x, memory) gives samples [N, ...] in the place of new ones",
    },
    "optimizer": {"build": "build(parameters) gives a torch.optim.Optimizer"},
    "regularizer": {
        "player": 'who pays: "discriminator", "generator" or "both"',
        "tracks": 'samples that gradients of logits are taken at, of "real", "fake"; frozenset() for none',
        "every": "updates of its player from one call to the next, a field or attribute; games multiply the loss by it",
        "__call__": "__call__(exchange) gives a loss [], or __call__(exchange, memory) where there is memory()",
    },
    "rule": {"apply": "apply(module) changes the weights in place after each update"},
    "schedule": {"factor": "factor(images, total) gives the factor on the learning rate"},
    "selection": {"__call__": "__call__(fake_logits, images) gives the indices of the chosen, or None for all"},
    "game": {
        "roles": "dictionary of traits that the network of each role must have, or {}",
        "regularizers": "further losses of a player: a field, or () for a game without",
        "pack": "samples that one logit judges: a field, or 1",
        "players": "players() gives all players by name",
        "networks": "networks(signals) gives a zerosum.core.signals.Wiring for each network, by name",
        "step": "step(feed, engine) plays one turn",
        "model": "model(networks, signals) gives a zerosum.core.model.Model: what a training is for",
    },
}
PROTOCOLS |= {kind: {} for kind in ("average", "evaluator", "player", "preparation")}  # shipped ones only, so far
OTHERWISE = {("extractor", "make"): "fit", ("data", "contents"): "source"}  # a member that does as well
WORDS: dict[str, type] = {"needs": dict, "clashes": dict, "better": dict}  # members of one type
CHOICES = {
    ("regularizer", "player"): ("discriminator", "generator", "both"),
    ("augmentation", "where"): ("real", "both"),
    ("metric", "looks_at"): ("samples", "training"),
}


def faults(kind: str, cls: type) -> Iterator[str]:
    """What a class lacks to be a part of its kind, a sentence each."""
    for name, meaning in PROTOCOLS.get(kind, {}).items():
        if not _has(cls, name) and not _has_instead(cls, name, OTHERWISE.get((kind, name), name)):
            yield f"{name} is missing: {meaning}"
    for name, wanted in WORDS.items():
        value = getattr(cls, name, wanted())
        if not isinstance(value, (wanted, property)):
            yield f"{name} must be a {wanted.__name__}, not {type(value).__name__}"
    for (its, name), choices in CHOICES.items():
        value = getattr(cls, name, choices[0])
        if its == kind and isinstance(value, str) and value not in choices:
            yield f"{name} is {value!r}; it must be {' or '.join(map(repr, choices))}"


def _has_instead(cls: type, name: str, other: str) -> bool:
    """True where the class gives another member in the place of one; what came with the placeholder does not count."""
    base: Any = next((base for base in cls.__mro__ if name in vars(base)), object)
    return _has(cls, other) and getattr(cls, other) is not getattr(base, other, None)


def _has(cls: type, name: str) -> bool:
    """True where the class or a base gives a member (no placeholder), or has a field of the name."""
    if name in getattr(cls, "__dataclass_fields__", {}):
        return True
    given: Any = next((vars(base)[name] for base in cls.__mro__[:-1] if name in vars(base)), None)
    own = name != "traits" or any("traits" in vars(base) for base in cls.__mro__[:-1] if base.__name__ != "Part")
    return given is not None and own and not getattr(given, "__isabstractmethod__", False)
