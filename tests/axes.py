"""Axes of the composition product, read from the registry: a new part joins by itself.

A combination is a row: axis -> text of its value, such as {"objective": "hinge", "discriminator.norm": "batch", ...}.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import zerosum
from zerosum.core import registry, values

Row = dict[str, str]
Axes = dict[str, tuple[str, ...]]

_ = zerosum.games, zerosum.recipes, zerosum.selection  # what they hold is in the registry from here on

SMALL = {  # settings that make any part quick, where it has such a field
    "channels": 8, "widths": (8, 8), "hidden": 4, "style": 4, "mapping": 1, "embedding": 4, "blocks": 1, "units": 4,
    "kernels": 2, "layers": 1, "group": 2, "bank": 10, "size": 8, "categories": 3, "continuous": 1, "depth": 1,
    "discriminators": 2, "lr": 1e-4,  # at which two turns of nothing diverge
}  # fmt: skip
NUMBERS = {  # numbers that are walked like choices, where a part has such a field
    "codes": (0, SMALL["categories"] + SMALL["continuous"]),
    "dropout": (0.0, 0.3),
    "power": (1, 2),
    "generator_updates": (1, 2),
}
AWAKE = {"ada": {"p": 0.5}, "lecam": {"after": 0}, "top-k": {"until": 0}}  # at their defaults they do nothing at first
PLAIN = {"image", "dcgan-generator", "dcgan-discriminator", "non-saturating", "normal", "adam"}  # first of their axes
PLAYERS = ("generator", "discriminator")
TOLD = {
    "pack": ("1", "2"),
    "discriminator_updates": ("1", "2"),
    "average": ("none", "ema"),
    "precision": ("fp32", "bf16"),
}
ENCODERS = "reconstructor", "encoder"  # fields of games that hold an encoder
DATA = ("digits", "digits-unlabelled", "ring8", "line")
ABSENT = "-"  # of a field: the network has none of this name; of a player: the game has none


def choices(part: type, key: str) -> tuple[Any, ...]:
    """Values of a field that are walked: all of a Literal or a bool, some of a few numbers, else none."""
    plain, _ = values.strip(registry.field_types(part)[key])
    if get_origin(plain) is Literal:
        return get_args(plain)
    return (False, True) if plain is bool else NUMBERS.get(key, ())


def small(part: type, **settings: Any) -> dict[str, Any]:
    """Settings that make a part quick and let it act at once, and further ones."""
    types = registry.field_types(part)
    plain = {key: value for key, value in SMALL.items() if key in types and values.check(value, types[key]) is None}
    return plain | AWAKE.get(part.name, {}) | settings


def registered(kind: str) -> dict[str, type]:
    """Parts of zerosum itself: another test may have put its own beside them."""
    return {name: part for name, part in registry.registered(kind).items() if part.__module__.startswith("zerosum.")}


def judged() -> dict[str, type]:
    """Games of a generator from latents and discriminators: what the product walks. Others have too few axes for it."""
    fields = {name: registry.field_types(part) for name, part in registered("game").items()}
    return {name: registered("game")[name] for name, own in fields.items() if {*PLAYERS, "latent"} <= own.keys()}


def variants(kind: str, wide: bool) -> Iterator[str]:
    """Every part of a kind; wide: also with each of its choices changed, one at a time."""
    for part in judged().values() if kind == "game" else registered(kind).values():
        yield text(part)
        for key in registry.field_types(part) if wide else ():
            usual = small(part).get(key, part.__dataclass_fields__[key].default)
            yield from (text(part, **{key: value}) for value in choices(part, key) if value != usual)


def text(part: type, **settings: Any) -> str:
    """Text of a part with some settings; of a game, whose other fields are axes, these settings alone."""
    if part.kind != "game":
        return str(part(**small(part, **settings)))
    told = ",".join(f"{key}={value}" for key, value in small(part, **settings).items())
    return f"{part.name}:{told}" if told else part.name


def seats(player: str) -> list[str]:
    """Networks for a role: those of its trait."""
    return [name for name, part in registered("network").items() if player in part().traits()]


def fields(player: str) -> dict[str, list[str]]:
    """Choices among the fields of a player's networks: axis -> values, ABSENT first."""
    found: dict[str, list[str]] = {}
    for name in seats(player):
        part = registry.lookup("network", name)
        for key in registry.field_types(part):
            for value in choices(part, key):
                known = found.setdefault(f"{player}.{key}", [ABSENT])
                known += [] if str(value) in known else [str(value)]
    return found


def axes(wide: bool = False) -> Axes:
    """All axes of the product, the plainest value of each first."""
    found: dict[str, Any] = {"data": DATA, "game": variants("game", wide)}
    for player in PLAYERS:
        found |= {player: seats(player), **fields(player)}
    found["encoder"] = (ABSENT, *seats("encoder"))
    found["objective"] = variants("objective", wide)
    for kind in ("regularizer", "augmentation"):
        found[kind] = ("none", *variants(kind, wide))
        found[f"{kind}-2"] = ("none", *variants(kind, wide=False))
    found |= {f"{player}.rule": ("none", *variants("rule", wide)) for player in PLAYERS}
    found |= {kind: variants(kind, wide) for kind in ("selection", "latent", "initialization", "optimizer")}
    found |= TOLD
    return {name: tuple(sorted(listed, key=lambda v: v.split(":")[0] not in PLAIN)) for name, listed in found.items()}
