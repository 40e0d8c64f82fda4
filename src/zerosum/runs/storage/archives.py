"""Arrays written as .npz while they are made, so that memory holds a part of them only."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from zerosum.runs.storage.outputs import MARK

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Growing:
    """An array [N, ...] that comes in parts [n, ...]."""

    shape: tuple[int, ...]
    dtype: type[np.generic]
    parts: Iterable[Array]


def write_npz(file: BinaryIO, arrays: Mapping[str, Array | Growing]) -> None:
    """Write compressed arrays by name, as `numpy.load` reads them; equal bytes for equal arrays."""
    with zipfile.ZipFile(file, "w") as archive:
        archive.comment = MARK
        for name, array in arrays.items():
            growing = array if isinstance(array, Growing) else Growing(array.shape, array.dtype.type, [array])
            member = zipfile.ZipInfo(f"{name}.npy")  # dated 1980
            member.compress_type = zipfile.ZIP_DEFLATED
            descr = array.dtype.str if isinstance(array, np.ndarray) else np.dtype(growing.dtype).str
            header = {"descr": descr, "fortran_order": False, "shape": growing.shape}
            with archive.open(member, "w", force_zip64=True) as into:
                np.lib.format.write_array_header_1_0(into, header)
                for part in growing.parts:
                    into.write(np.ascontiguousarray(part, descr).tobytes())
