"""What a run was made of, for its report: recipe, machine and data in words."""

from __future__ import annotations

import tomllib
from typing import Any

from zerosum.core import registry, settings
from zerosum.runs.evaluation.verdict import is_number
from zerosum.runs.storage.record import flat
from zerosum.runs.view.page import facts, folded, table, text
from zerosum.runs.view.run_content import Line, RunContent

MOST_SETTINGS = 200  # rows of a table of settings


def describe(data: Line) -> str:
    """Training data in words: how many, of which size, in how many classes."""
    known, count = data.get("facts", {}), data.get("train")
    shape, classes = known.get("shape", []), known.get("classes", 0)
    words = f"{number(count)} training {'points' if len(shape) == 1 else 'images'}"
    if len(shape) == 3:
        colours = {1: "grey", 3: "colour", 4: "colour with alpha"}.get(shape[0], f"{shape[0]} channels")
        words += f" of {shape[2]}{CROSS}{shape[1]}, {colours}"
    elif shape:
        words += f" of {shape[0]} numbers"
    return f"{words}, {number(classes)} classes" if classes else words


def number(value: Any) -> str:
    """A count with separators of thousands; a question mark where it is not known."""
    return f"{value:,}" if is_number(value) else "?"


def settings_of(content: RunContent) -> str:
    """What the recipe sets otherwise than the one in the registry that it started from, and all of it folded."""
    name = content.settings.get("recipe")
    recipes = registry.registered("recipe")
    whole = folded("The whole recipe", f"<pre>{text(content.recipe)}</pre>") if content.recipe else ""
    if name not in recipes:
        return f"<p>The recipe {text(name)} is not in the registry.</p>{whole}" if name else whole
    usual = dict(flat(tomllib.loads(settings.to_toml(recipes[name]()))))
    keys = [
        key for key in {**usual, **content.settings} if key != "seed" and usual.get(key) != content.settings.get(key)
    ]
    rows = [
        [text(key), *(text(side.get(key, "-")) for side in (usual, content.settings))] for key in keys[:MOST_SETTINGS]
    ]
    head = ("setting", f"recipe {text(name)}", "this run")
    return (table(head, rows) if rows else f"<p>As in the recipe {text(name)}.</p>") + whole


def origin_of(content: RunContent) -> str:
    """Machine and data as readable tables."""
    known = content.environment
    machine = {name: known[name] for name in known if name not in ASIDE and known[name] is not None}
    data = {name: value for name, value in content.data.items() if name != "facts" and value not in (None, False)}
    data |= content.data.get("facts", {})
    tables = [
        f'<div class="card"><h3>{name}</h3>{facts(rows)}</div>'
        for name, rows in (("Machine", _words(machine)), ("Data", _words(data)))
    ]
    decided = "".join(f"<li>{text(line)}</li>" for line in known.get("decisions", ()))
    tables += [f'<div class="card"><h3>Decided before training</h3><ul>{decided}</ul></div>'] if decided else []
    return f'<div class="columns">{"".join(tables)}</div>' if known else ""


ASIDE = ("data", "decisions")  # of the environment, shown by themselves


LABELS = {
    "train": "training samples", "looked_at": "samples looked at", "distinct": "different ones among them",
    "spread": "mean deviation of a pixel", "root": "data folder", "skip_bad": "bad images skipped",
    "fixed": "memory in bytes", "per_image": "memory in bytes per image", "compared": "chosen by",
    "ratio": "speed of bf16 against fp32", "rules": "version of the rules of splitting",
}  # fmt: skip


CROSS = " \N{MULTIPLICATION SIGN} "


def _words(found: Line, about: str = "") -> dict[str, str]:
    """Names and values for readers; tables within are told entry by entry."""
    words: dict[str, str] = {}
    for name, value in found.items():
        label = f"{about}{LABELS.get(name, name.replace('_', ' '))}"
        if isinstance(value, dict):
            words |= _words(value, f"{label}: ")
        elif value not in (None, "", [], False):
            words[label] = _worded(value)
    return words


def _worded(value: Any) -> str:
    if isinstance(value, list):
        return ("; " if any(isinstance(one, str) for one in value) else CROSS).join(map(str, value))
    return f"{value:,}" if type(value) is int else f"{value:.4g}" if isinstance(value, float) else str(value)
