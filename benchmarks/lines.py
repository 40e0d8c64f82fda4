"""Where results of benchmarks are kept: a line of JSON for each, with what it was measured on."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Any

import torch

from zerosum.core import settings
from zerosum.recipes import Recipe
from zerosum.runs.storage import logs
from zerosum.runs.storage.environment import describe

__all__ = ["RESULTS", "append", "fingerprint", "read_lines"]
RESULTS = Path(__file__).parent / "results"


def append(path: Path, line: dict[str, Any], precision: str = "") -> dict[str, Any]:
    """Add a line, and date, versions, processor and threads where it says none; return it whole.

    The precision of arithmetic is kept where it is given: a metric of the line may have that name. A line that was cut
    off, as a killed process leaves it, stays apart.
    """
    place = {"date": date.today().isoformat(), **describe(torch.device("cpu"), precision)}
    if not precision:
        del place["precision"]
    whole = {**line, **(place | line)}
    path.parent.mkdir(parents=True, exist_ok=True)
    torn = path.is_file() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" * torn + json.dumps(whole) + "\n")
    return whole


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Lines that were added, without those that were cut off; none where there is no file yet."""
    return logs.read_lines(path, dict[str, Any], lambda _: None) if path.is_file() else []


def fingerprint(recipe: Recipe) -> str:
    """Short digest of all settings that a training depends on, defaults included; not of data and seed."""
    text = f"{settings.to_toml(recipe.game)}\n{recipe.length}\n{recipe.batch}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]
