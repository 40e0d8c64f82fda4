"""Two classes of a set as two sets, `a` and `b`: what a game that translates between them is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zerosum.core.errors import DataError, nearest
from zerosum.data.classes import listed, stratified

AUTO = "auto"
SIGNALS = ("a", "b")
PARTED = ("trainA", "trainB", "testA", "testB")  # folders of sets that were published with CycleGAN


@dataclass(frozen=True, eq=False)
class Domains:
    """Two classes, and which samples are of them.

    Attributes:
        names: of the classes, in the order of the signals.
        of: int64 [N], 0 or 1 for a sample of one of them, -1 for others.
        held_out: int64 indices of their own test part; None where they have none.
    """

    names: tuple[str, str]
    of: np.ndarray
    held_out: np.ndarray | None

    def split(self, share: float, seed: int) -> tuple[np.ndarray, str]:
        """Indices held out of both, ascending: their test part, else a share of each; and which rule gave them."""
        if self.held_out is not None:
            return self.held_out, "own split"
        chosen = np.flatnonzero(self.of >= 0)
        held_out = chosen[stratified(self.of[chosen], share, seed)]
        return held_out, f"held_out={len(held_out)} of {len(chosen)} by class, seed={seed if len(held_out) else None}"


def choose(
    where: str,
    requested: Sequence[str],
    labels: np.ndarray | None,
    classes: Sequence[str],
    held_out: np.ndarray | None,
    notes: Sequence[str],
) -> Domains:
    """The two classes that are asked for, or the only two.

    Folders trainA, trainB, testA, testB are two classes, of which testA and testB are held out.

    Args:
        where: the data, for people.
        requested: names of two classes, or `auto`.
        labels: int64 [N], or None.
        classes: their names.
        held_out: int64 indices of a test part of the data's own.
        notes: what is said of the data; it tells of folders without images.

    Raises:
        DataError: there are no such classes, or no images of one to train on.
    """
    if labels is None:
        raise DataError(
            f"{where}: data.domains needs images of two classes, and these have none; put them into two folders, such "
            f"as A/ and B/, and name the folder that holds both{_told(notes)}"
        )
    if tuple(requested) == (AUTO,) and set(PARTED) >= set(classes) >= set(PARTED[:2]):
        return _parted(where, labels, list(classes))
    first, second = _numbers(where, requested, list(classes), notes)
    of = np.full(len(labels), -1, dtype=np.int64)
    of[labels == first], of[labels == second] = 0, 1
    held_out_rows = None if held_out is None else held_out[of[held_out] >= 0]
    names = classes[first], classes[second]
    return _trainable(where, Domains(names, of, held_out_rows), notes)


def _numbers(where: str, requested: Sequence[str], classes: list[str], notes: Sequence[str]) -> list[int]:
    """Places of two classes."""
    if tuple(requested) == (AUTO,):
        if len(classes) != 2:
            have = f"{len(classes):,} classes ({listed(classes)})" if len(classes) > 1 else f"one class, {classes[0]!r}"
            example = "/".join(classes[:2] if len(classes) > 1 else ("horse", "zebra"))
            raise DataError(
                f"{where}: data.domains=auto means the only two classes, and there are {have}; name two of them, as "
                f"data.domains={example}{_told(notes)}"
            )
        return [0, 1]
    for name in requested:
        if name not in classes:
            mend = nearest(name, classes)
            raise DataError(f"{where}: data.domains: there is no class {name!r}; {mend}{_told(notes)}")
    return [classes.index(name) for name in requested]


def _parted(where: str, labels: np.ndarray, classes: list[str]) -> Domains:
    """The domains of folders that say which of their images are held out."""
    tests = [name for name in PARTED[2:] if name in classes]
    if len(tests) == 1:
        raise DataError(
            f"{where}: there is {tests[0]}/ without {({*PARTED[2:]} - {*tests}).pop()}/; add it, or remove both"
        )
    domain = np.array([0 if name.endswith("A") else 1 for name in classes], dtype=np.int64)
    test = np.array([name.startswith("test") for name in classes])
    held_out = np.flatnonzero(test[labels]).astype(np.int64) if tests else None
    return Domains(("A", "B"), domain[labels], held_out)


def _trainable(where: str, domains: Domains, notes: Sequence[str]) -> Domains:
    trained = domains.of.copy()
    if domains.held_out is not None:
        trained[domains.held_out] = -1
    for place, name in enumerate(domains.names):
        if not (trained == place).any():
            raise DataError(f"{where}: there is no image of {name!r} to train on{_told(notes)}")
    return domains


def _told(notes: Sequence[str]) -> str:
    """What was said of folders that have no images, as the reason may lie there."""
    reasons = [note for note in notes if "no images" in note]
    return f" ({'; '.join(reasons)})" if reasons else ""
