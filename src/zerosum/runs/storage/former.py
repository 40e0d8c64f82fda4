"""Names that earlier versions wrote, read as today's."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from torch import Tensor

from zerosum.recipes import Recipe

SETTINGS = {one.metadata["formerly"]: one.name for one in dataclasses.fields(Recipe) if one.metadata.get("formerly")}
GROUPS = {"ledger": "meter"}  # of tensors in a checkpoint
NUMBERS = {"ledger": "meter", "seats": "players", "images": "clock"}  # of a checkpoint's manifest
CURVES = {"correct": "pairwise_accuracy"}  # of metrics.jsonl; of several discriminators with a number: correct-2
_CURVE = re.compile(rf"({'|'.join(CURVES)})(?=-\d+$|$)")


def setting(name: str) -> str:
    """Today's dotted name of a setting."""
    first, dot, rest = name.partition(".")
    return f"{SETTINGS.get(first, first)}{dot}{rest}"


def curve(name: str) -> str:
    """Today's name of a curve."""
    return _CURVE.sub(lambda match: CURVES[match[1]], name)


def report(line: dict[str, Any]) -> dict[str, Any]:
    """A line of metrics.jsonl with today's names."""
    return {curve(name): value for name, value in line.items()}


def manifest(numbers: dict[str, Any]) -> dict[str, Any]:
    """Numbers of a checkpoint with today's names."""
    numbers = _renamed(numbers)
    if isinstance(numbers.get("players"), dict):
        moves = numbers["players"].items()
        numbers["players"] = {name: _renamed(one) if isinstance(one, dict) else one for name, one in moves}
    if isinstance(numbers.get("meter"), dict):
        numbers["meter"] = {_summed(name): value for name, value in numbers["meter"].items()}
    return numbers


def _renamed(numbers: dict[str, Any]) -> dict[str, Any]:
    return {NUMBERS.get(name, name): value for name, value in numbers.items()}


def tensors(groups: dict[str, dict[str, Tensor]]) -> dict[str, dict[str, Tensor]]:
    """Tensors of a checkpoint with today's names."""
    groups = {GROUPS.get(name, name): tensors for name, tensors in groups.items()}
    if "meter" in groups:
        groups["meter"] = {_summed(name): value for name, value in groups["meter"].items()}
    return groups


def _summed(name: str) -> str:
    """A sum of the meter, such as `report/correct`."""
    interval, slash, name = name.partition("/")
    return f"{interval}{slash}{curve(name)}"
