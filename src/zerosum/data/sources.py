"""From what a user writes as DATA to the source that reads it."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

from zerosum.core.download import Report
from zerosum.core.errors import DataError, nearest
from zerosum.data.archives import TAR_SUFFIXES, Wants, everything, folder, single, tarred, zipped
from zerosum.data.arrays import arrays
from zerosum.data.cifar import cifar10, is_cifar
from zerosum.data.contents import Source
from zerosum.data.hub import hub
from zerosum.data.idx import is_idx, pairs
from zerosum.data.layout import is_image
from zerosum.data.named import idx_folder, named, names


def find(
    text: str | Path, data_root: str | Path | None, cache: Path, report: Report, wants: Wants = everything
) -> Source:
    """Find the source: a name, `hf:owner/name`, a folder, or a file by its suffix or first bytes.

    Raises:
        DataError: it is none of these.
    """
    word = str(text)
    if word in names() and not isinstance(text, Path):
        return named(word, data_root, cache, report)
    if word.startswith("hf:"):
        return hub(word.removeprefix("hf:"), cache)
    path = Path(text).expanduser()
    if is_cifar(path):
        return cifar10(path, cache, report)
    if path.is_dir():
        return idx_folder(path, path.resolve().name, cache, report) or folder(path, cache, report, wants)
    if not path.is_file():
        raise DataError(f"{word!r} is not a file or folder, and no named set; {nearest(word, names())}")
    return _file(path, cache, report, wants)


def _file(path: Path, cache: Path, report: Report, wants: Wants) -> Source:
    name = path.name.lower()
    if name.endswith((".npz", ".npy")):
        return arrays(path, cache, report)
    if name.endswith(TAR_SUFFIXES):
        return tarred(path, cache, report, wants)
    if name.endswith(".zip"):
        return zipped(path, cache, report, wants)
    if is_idx(path):
        return pairs(path.name.split("-idx")[0], path, None, (), cache, report)
    if is_image(path.name):
        return single(path, cache, report)
    if zipfile.is_zipfile(path):
        return zipped(path, cache, report, wants)
    if tarfile.is_tarfile(path):
        return tarred(path, cache, report, wants)
    raise DataError(
        f"{path}: is no data that zerosum reads; it reads folders of images, zip, tar, npz, npy, idx files, "
        f"hf:owner/name, and the names {', '.join(names())}"
    )
