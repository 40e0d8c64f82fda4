"""What a surface is: input of one kind that strangers can shape, and how the program is asked to take it."""

from __future__ import annotations

import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import ClassVar

from typer.testing import CliRunner

from tests.advice import foreign
from zerosum.cli.main import app
from zerosum.core.errors import ZerosumError


@dataclass(frozen=True)
class Case:
    """One input.

    Attributes:
        what: how it was made, in words that find the fault again.
        call: gives it to the program; a `ZerosumError` is a refusal in words, any other exception a fault.
    """

    what: str
    call: Callable[[], object]


class Surface(ABC):
    """Makes cases.

    Args:
        folder: a folder of its own; what is whole is made there once, and damaged copies case by case.
    """

    name: ClassVar[str]

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def case(self, random: Random) -> Case:
        """The next case; everything random comes from `random`, so that a number gives a case again."""


def command(*arguments: object) -> str:
    """Run a command of `zerosum` in this process; return what it printed.

    Raises:
        ZerosumError: it ended with a status that is not 0, with its words.
        AssertionError: these advise an option that the command lacks.
        Exception: whatever it did not catch.
    """
    done = CliRunner().invoke(app, [str(one) for one in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    if done.exit_code:
        advice = foreign(str(arguments[0]), done.stderr.partition("error: ")[2])
        assert not advice, f"it advises {advice}, which {arguments[0]} does not have: {done.stderr}"
        raise ZerosumError(done.stderr)
    return done.output


# ---------------------------------------------------------------------- damage to bytes

HUGE, DEEP = 10**400, 3_000  # a number beyond float64; levels beyond Python's stack
ODD_BYTES = (
    b"",
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xc3\x28",
    b"null",
    b"[]",
    b"{}",
    b"[" * DEEP,
    b'{"a":' * DEEP,
)


def damage(content: bytes, random: Random) -> tuple[str, bytes]:
    """Bytes with one thing wrong: flipped, cut, doubled, overwritten, replaced; and what was done."""
    size = len(content)
    place = random.randrange(size) if size else 0
    kind = random.choice(("bit", "bit", "byte", "cut", "grow", "remove", "double", "zeros", "encoding", "odd"))
    if kind == "bit" and size:
        bit = random.randrange(8)
        return f"bit {bit} of byte {place} flipped", _replaced(content, place, bytes([content[place] ^ 1 << bit]))
    if kind == "byte":
        new = random.randbytes(1)
        return f"byte {place} set to {new!r}", _replaced(content, place, new)
    if kind == "cut":
        return f"cut to {place} bytes", content[:place]
    if kind == "grow":
        new = random.randbytes(random.randint(1, 64))
        return f"{len(new)} bytes at the end", content + new
    if kind == "remove":
        end = place + random.randint(1, 64)
        return f"bytes {place} to {end} removed", content[:place] + content[end:]
    if kind == "double":
        end = place + random.randint(1, 64)
        return f"bytes {place} to {end} doubled", content[:end] + content[place:]
    if kind == "zeros":
        many = random.randint(1, 64)
        return f"{many} zeros at {place}", _replaced(content, place, bytes(many))
    if kind == "encoding":
        name = random.choice(("utf-16", "utf-32", "utf-8-sig", "utf-7"))
        return f"as {name}", content.decode("latin-1").encode(name)
    new = random.choice(ODD_BYTES)
    return f"replaced by {new[:16]!r} ({len(new)} bytes)", new


def _replaced(content: bytes, place: int, new: bytes) -> bytes:
    return content[:place] + new + content[place + len(new) :]


def spoil(path: Path, random: Random) -> str:
    """Damage a file where it lies: its bytes, or what stands in its place; and what was done."""
    kind = random.choice(("bytes",) * 7 + ("missing", "folder", "dangling link"))
    if kind == "bytes":
        what, content = damage(path.read_bytes(), random)
        path.write_bytes(content)
        return f"{path.name}: {what}"
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "dangling link":
        path.symlink_to(path.with_name("nowhere"))
    return f"{path.name}: {kind}"


# ---------------------------------------------------------------------- damage to values

ODD_VALUES = (
    None, True, False, 0, 1, -1, 3, 2**31, 2**63, 2**64, HUGE, -HUGE, 0.5, -0.0, 1e308, float("inf"), float("nan"),
    "", "x", "none", "0", "-1", "nan", "1e999", "9" * 400, "a" * 5_000, "\x00", "\x1b[31m", "\ud800",
    "é", "../..", "/dev/zero",
    [], [1], ["x"], [[]], [None, 1], {}, {"a": 1}, {"images": 1}, {"": ""},
)  # fmt: skip


def odd_value(random: Random) -> object:
    """A value that nobody expects where it stands."""
    if random.random() < 0.03:
        deep: object = 1
        for _ in range(random.choice((20, 60, 100))):
            deep = [deep] if random.random() < 0.5 else {"a": deep}
        return deep
    return random.choice(ODD_VALUES)


def tamper(value: object, random: Random, depth: int = 0) -> tuple[str, object]:
    """Plain values with one entry replaced, renamed, removed or added; and what was done."""
    if isinstance(value, dict) and value and (depth == 0 or random.random() < 0.7):
        key, kind = random.choice(list(value)), random.choice(("inside",) * 6 + ("remove", "rename", "add", "odd"))
        if kind == "inside":
            what, new = tamper(value[key], random, depth + 1)
            return f"{key}.{what}", {**value, key: new}
        if kind == "remove":
            return f"{key} removed", {name: one for name, one in value.items() if name != key}
        if kind == "rename":
            return f"{key} renamed", {f"{name}x" if name == key else name: one for name, one in value.items()}
        if kind == "add":
            new = odd_value(random)
            return f"{short(new)} added", {**value, random.choice(("x", "part", "", "images", "data")): new}
    if isinstance(value, list) and value and random.random() < 0.6:
        place = random.randrange(len(value))
        what, new = tamper(value[place], random, depth + 1)
        return f"[{place}].{what}", [*value[:place], new, *value[place + 1 :]]
    new = odd_value(random)
    return f"-> {short(new)}", new


def short(value: object) -> str:
    """A value in at most 40 characters."""
    try:
        text = ascii(value)
    except (RecursionError, ValueError):
        text = f"a large {type(value).__name__}"
    return text if len(text) <= 40 else f"{text[:36]} ... ({len(text):,} characters)"


def to_json(value: object) -> bytes:
    """JSON of values that Python's own writer refuses or cannot encode, too."""
    try:
        return json.dumps(value).encode()
    except (ValueError, RecursionError):  # a number of more than 4,300 digits, or nested too deeply
        return b'{"images": ' + b"9" * 5_000 + b"}"


def fresh(source: Path, target: Path) -> Path:
    """A new copy of a folder in the place of an old one."""
    shutil.rmtree(target, ignore_errors=True)
    return Path(shutil.copytree(source, target))
