"""Files that keep what was given from Python, read back: messages name what was given, and not the file."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from zerosum.core.download import Report
from zerosum.data.archives import zipped
from zerosum.data.arrays import arrays
from zerosum.data.contents import Contents, Source
from zerosum.data.given import FOLDER, LABELS_FILE


def is_given(path: Path, cache: Path) -> bool:
    """True for a file that `given.kept` wrote."""
    return path.absolute().parent == (cache / FOLDER).absolute()


def given(path: Path, cache: Path, report: Report) -> Source:
    """The source of such a file."""
    if path.suffix != ".zip":
        return arrays(path, cache, report, given=True)
    source = zipped(path, cache, report)
    return replace(source, name="the images you gave", contents=lambda: _as_given(path, source.contents()))


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
