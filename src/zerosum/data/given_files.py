"""Files that keep what was given from Python, read back: messages name what was given, and not the file."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from zerosum.core.download import Report
from zerosum.core.errors import DataError
from zerosum.data.archives import zipped
from zerosum.data.arrays import arrays
from zerosum.data.contents import Contents, Source
from zerosum.data.given import FOLDER
from zerosum.data.given_archive import LABELS_FILE
from zerosum.data.pairs import SIGNALS
from zerosum.data.preparation import Preparation


def is_given(path: Path, cache: Path) -> bool:
    """True for a file that `given.kept` wrote."""
    return path.absolute().parent == (cache / FOLDER).absolute()


def given(path: Path, cache: Path, report: Report, preparation: Preparation) -> Source:
    """The source of such a file.

    Raises:
        DataError: it holds pairs, and nothing asks for them.
    """
    if path.suffix != ".zip":
        return arrays(path, cache, report, given=True)
    source, paired = zipped(path, cache, report), path.name.startswith("pairs-")
    if paired and preparation.layout not in ("auto", "folders"):
        told = "this recipe takes no pairs; take another, such as pix2pix-small"
        told = f"data.pairs={preparation.pairs}; set data.pairs=files" if preparation.pairs else told
        raise DataError(f"you gave pairs of input and target, and {told}")
    read = _as_pairs if paired else partial(_as_given, path)
    name = f"the {'pairs' if paired else 'images'} you gave"
    return replace(source, name=name, contents=lambda: read(source.contents()))


def _as_pairs(contents: Contents) -> Contents:
    """Images called by what they are of a pair, and its place."""
    names = dict(zip("AB", SIGNALS, strict=True))
    called = [f"{names[name[0]]} {int(PurePosixPath(name).stem)}" for name in contents.names]
    return replace(contents, called=called, notes=())


def _as_given(path: Path, contents: Contents) -> Contents:
    """Images called by their places, and all classes, those without an image among them."""
    called = [f"item {int(PurePosixPath(name).stem)}" for name in contents.names]
    with zipfile.ZipFile(path) as archive:
        labelling = json.loads(archive.read(LABELS_FILE)) if LABELS_FILE in archive.namelist() else {}
    labels, classes = contents.labels, tuple(labelling.get("classes", contents.classes))
    if labels is not None:
        number = {name: place for place, name in enumerate(classes)}
        labels = np.array([number[name] for name in contents.classes], dtype=np.int64)[labels]
    return replace(contents, called=called, labels=labels, classes=classes, notes=())
