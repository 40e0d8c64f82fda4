"""Classes and attributes of a model by what people call them."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zerosum.core.errors import RunError, nearest

if TYPE_CHECKING:
    from zerosum.runs.storage.trained import TrainedModel


def find_label(trained: TrainedModel, label: str | int, *, told: bool = False) -> int:
    """Number of a class: the one of that name, else the one whose name is that number, else the one at that place.

    Where every name is a number, as in 1, 2, ... or 01, 02, ..., a number always means the name.

    Args:
        trained: the model.
        label: the class.
        told: another task than the first asks for it.

    Raises:
        RunError: the model takes no labels, or has no such class.
    """
    if not trained.conditional and not told:
        raise RunError("this model takes no labels; train one with generator.labels=concat discriminator.labels=concat")
    word, classes = str(label if isinstance(label, str) else operator.index(label)), trained.classes
    if word in classes:
        return classes.index(word)
    number = word.lstrip("0") or "0"
    numbers = [name.lstrip("0") or "0" for name in classes if name.isdecimal()]
    if len(numbers) == len(classes):
        if number in numbers:
            return numbers.index(number)
    elif word.isdecimal() and int(word) < len(classes):
        return int(word)
    raise RunError(f"there is no class {word!r}; {nearest(word, classes)}")


def find_attributes(names: tuple[str, ...], text: str) -> Tensor:
    """Attributes as float32 [K] of 0 and 1: those that a text names, as `hat,young` or `hat=1,young=0`; no others.

    `none` names none.

    Raises:
        RunError: there is no such attribute, or a number is neither 0 nor 1.
    """
    flags = torch.zeros(len(names))
    if text.strip() == "none" and "none" not in names:
        return flags
    for word in filter(None, map(str.strip, text.split(","))):
        name, _, value = (word, "", "1") if word in names else word.rpartition("=")
        if name not in names:
            raise RunError(f"there is no attribute {name or word!r}; {nearest(name or word, names)}")
        if value not in ("0", "1"):
            raise RunError(f"--label {text}: an attribute is 0 or 1, as {name}=0")
        flags[names.index(name)] = float(value)
    return flags
