"""Does what a refusal says mend it? Its settings are applied to the game, alone and together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.axes import PLAYERS, Row
from tests.product import Few, checked, space
from zerosum.core import compatibility, settings
from zerosum.core.errors import RecipeError

OTHER_DATA = "sort the images into one sub-folder a class"  # a mend that no setting is


def mended(made: Any, row: Row, fault: str) -> bool:
    """True where a change that the fault names makes it go away; others may stay."""
    return OTHER_DATA in fault or any(fault not in faults(changed, row, fault) for changed in changes(made, fault))


def faults(made: Any, row: Row, like: str) -> list[str]:
    """What the check has against a game, or the trial where a fault like this came from there."""
    try:
        checked(made, row)
        if like.startswith("a trial turn"):
            compatibility.trial(made, space(row), Few(row), 1000)
    except RecipeError as error:
        return error.faults
    return []


def changes(made: Any, fault: str) -> Iterator[Any]:
    """The game with the settings of a fault, one by one and all of them, and without the part that it speaks of."""
    player = fault.partition(".network: ")[0] if ".network: " in fault else None
    words = [f"{key}={value.rstrip(',;.)')}" for key, value in re.findall(r"\b([a-z_.]+)=(\S+)", fault)]
    words += [f"{player}.network={name}" for name in re.findall(r"\buse ([a-z0-9-]+)", fault)]
    for chosen in (*([word] for word in words), words):
        for prefix in ("", f"{player}."):
            try:
                yield settings.assign(made, [prefix + word for word in chosen])
            except RecipeError:
                continue
    for kind, name in re.findall(r"(regularizer|augmentation) '([a-z0-9-]+)'", fault):
        if re.search(r"remove|leave|once", fault):
            first, others = [], []
            for part in getattr(made, f"{kind}s"):
                (first if part.name == name else others).append(part)
            yield made.replace(**{f"{kind}s": (*others, *first[: "once" in fault])})
    if "remove the rule" in fault:
        yield made.replace(**{player: getattr(made, player).replace(rules=()) for player in PLAYERS})
