"""CIFAR-10 in the forms it is published in: batches of bytes or of Python pickles, packed or not."""

from __future__ import annotations

import io
import pickle
import pickletools
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from zerosum.core.download import Report
from zerosum.core.errors import DataError
from zerosum.data.contents import Contents, Source
from zerosum.data.digests import digest
from zerosum.data.limits import Metered, take

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FORMS = ("cifar-10-batches-bin", "cifar-10-batches-py", "cifar-10-binary.tar.gz", "cifar-10-python.tar.gz")
_PLANES = 3 * 32 * 32  # bytes of an image: red, green, blue planes
_LARGEST = 64 << 20  # bytes of a batch; the published ones have 31 MB


def is_cifar(path: Path) -> bool:
    """True for the published folders and archives, by name."""
    return path.name in FORMS and path.exists()


def cifar10(path: Path, cache: Path, report: Report) -> Source:
    """CIFAR-10 from one of its published forms; its test batch is held out."""
    suffix = ".bin" if "b" in path.name.removeprefix("cifar-10-").removeprefix("batches-")[:1] else ""
    members = [*(f"data_batch_{number}{suffix}" for number in range(1, 6)), f"test_batch{suffix}"]
    if path.is_dir():
        files = {name: path / name for name in members}
        missing = [name for name, file in files.items() if not file.is_file()]
        if missing:
            raise DataError(f"{path}: {', '.join(missing)} is missing; unpack the archive again")
    else:
        files = {path.name: path}
    key = digest(path, files, cache, report)
    return Source("cifar10", f"cifar10 {key}", lambda: _contents(path, members, _bytes if suffix else _pickled))


Read = Callable[[bytes, str], tuple[np.ndarray, np.ndarray]]


def _contents(path: Path, members: list[str], read: Read) -> Contents:
    blobs = _blobs(path, members)
    batches = [read(blobs[name], f"{path}: {name}") for name in members]
    planes = np.concatenate([images for images, _ in batches])
    labels = np.concatenate([labels for _, labels in batches]).astype(np.int64)
    if not len(planes) or labels.min() < 0 or labels.max() > 9:
        raise DataError(f"{path}: holds labels outside 0..9; fetch it again")
    array = planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    training = len(planes) - len(batches[-1][0])
    held_out = np.arange(training, len(array), dtype=np.int64)
    return Contents(array=array, labels=labels, classes=CLASSES, held_out=held_out)


def _blobs(path: Path, members: list[str]) -> dict[str, bytes]:
    if path.is_dir():
        return {name: _whole(path / name) for name in members}
    blobs: dict[str, bytes] = {}
    try:
        with Metered(path) as unpacked, tarfile.open(fileobj=unpacked, mode="r:") as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if member.isfile() and name in members:
                    file = archive.extractfile(member)
                    blobs[name] = take(file, _LARGEST) if file else b""
    except DataError:
        raise
    except Exception as error:  # tarfile and the decompressors raise anything
        raise DataError(f"{path}: is damaged ({error}); fetch it again") from error
    missing = [name for name in members if name not in blobs]
    if missing:
        raise DataError(f"{path}: {', '.join(missing)} is missing; fetch it again")
    return blobs


def _whole(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return take(file, _LARGEST)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def _bytes(blob: bytes, where: str) -> tuple[np.ndarray, np.ndarray]:
    if len(blob) % (1 + _PLANES):
        raise DataError(f"{where}: is truncated; its length is not a multiple of {1 + _PLANES} bytes")
    rows = np.frombuffer(blob, dtype=np.uint8).reshape(-1, 1 + _PLANES)
    return rows[:, 1:], rows[:, 0]


def _pickled(blob: bytes, where: str) -> tuple[np.ndarray, np.ndarray]:
    try:
        _refuse_wide(blob)
        batch = _Restricted(io.BytesIO(blob), encoding="bytes").load()
        images, labels = batch[b"data"], batch[b"labels"]
        if isinstance(labels, list) and all(type(label) is int for label in labels):
            labels = np.array(labels, dtype=np.int64)
    except DataError:
        raise
    except Exception as error:  # a damaged pickle raises anything
        raise DataError(f"{where}: is damaged ({type(error).__name__}: {error}); fetch it again") from error
    if not isinstance(images, np.ndarray) or not isinstance(labels, np.ndarray) or not _fit(images, labels):
        raise DataError(f"{where}: holds no images of 3x32x32 bytes with one label each")
    return images, labels


def _fit(images: np.ndarray, labels: np.ndarray) -> bool:
    wide = images.dtype == np.uint8 and images.shape == (len(images), _PLANES) if images.ndim else False
    return wide and labels.shape == images.shape[:1] and labels.dtype.kind in "iu"


def _refuse_wide(blob: bytes) -> None:
    """Refuse numbers of memory places that the file is too short for: unpickling would make room for all of them."""
    for code, number, _ in pickletools.genops(blob):
        if code.name in ("PUT", "LONG_BINPUT", "BYTEARRAY8") and isinstance(number, int) and number > len(blob):
            raise DataError("a pickle asks for more memory than it can use, and is refused")


def _reconstruct(kind: object, shape: object, typecode: object) -> np.ndarray:
    """The empty array that NumPy's pickles start from; what it holds comes later, and is checked then."""
    if kind is not _ARRAY or shape != (0,) or typecode not in (b"b", "b"):
        raise DataError("a pickle rebuilds an array in another way than CIFAR's files do")
    return np.zeros(0, np.int8)


_ARRAY = object()  # stands for the class of arrays, so that a file cannot call it


def _encode(text: str, encoding: str) -> bytes:
    """What `_codecs.encode` does for bytes that Python 3 pickled for Python 2."""
    if encoding != "latin1":
        raise DataError(f"a pickle asks for the encoding {encoding!r}, which CIFAR's files never do")
    return text.encode("latin1")


class _Restricted(pickle.Unpickler):
    """Unpickler that knows arrays and nothing else, so that a file cannot run code."""

    _allowed: dict[tuple[str, str], Any] = {  # noqa: RUF012 - never written
        ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy", "ndarray"): _ARRAY,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): _encode,
    }

    def find_class(self, module: str, name: str) -> Any:
        """Return an allowed name.

        Raises:
            DataError: the file asks for anything else.
        """
        if (module, name) not in self._allowed:
            raise DataError(f"a pickle asks for {module}.{name}; it could run code and is refused")
        return self._allowed[module, name]
