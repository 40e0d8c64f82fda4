"""Images given from Python as a file each in an archive; equal bytes for equal images."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from zerosum.core.errors import DataError
from zerosum.data.classes import natural
from zerosum.data.layout import PARTS, is_hidden

LABELS_FILE = "dataset.json"  # in an archive whose classes cannot all be folders
_PNG = {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}  # modes that a PNG keeps
_LONGEST = 200  # characters of a folder that is called as a class


def write_images(file: BinaryIO, images: list[Any], labels: list[Any], classes: tuple[str, ...]) -> None:
    """Write images, in a folder for each class where these can be folders."""
    names = [classes[label] if classes else str(label) for label in labels]
    foldered = _are_folders(set(names), classes)
    files = [f"{place:09d}{_suffix(image)}" for place, image in enumerate(images)]
    with zipfile.ZipFile(file, "w") as archive:
        for place, image in enumerate(images):
            folder = f"{names[place]}/" if foldered else ""
            archive.writestr(zipfile.ZipInfo(f"{folder}{files[place]}"), _encoded(image))  # dated 1980
        if names and not foldered:
            classes = classes or tuple(sorted(set(names), key=natural))
            labelling = {"labels": list(zip(files, names, strict=True)), "classes": classes}
            archive.writestr(zipfile.ZipInfo(LABELS_FILE), json.dumps(labelling))


def write_pairs(file: BinaryIO, sides: Sequence[list[Any]]) -> None:
    """Write the inputs and the targets of pairs in folders A and B."""
    with zipfile.ZipFile(file, "w") as archive:
        for side, images in zip("AB", sides, strict=True):
            for place, image in enumerate(images):
                archive.writestr(zipfile.ZipInfo(f"{side}/{place:09d}{_suffix(image)}"), _encoded(image))


def _are_folders(names: set[str], classes: tuple[str, ...]) -> bool:
    """True where folders of these names are read as just these classes."""
    plain = all(
        name.isprintable() and len(name) <= _LONGEST and "/" not in name and not is_hidden(PurePosixPath(name))
        for name in names
    )
    return plain and len(names) > 1 and len(names) >= len(classes) and not {name.lower() for name in names} <= PARTS


def _suffix(image: Any) -> str:
    return ".npy" if isinstance(image, np.ndarray) else f".{_form(image).lower()}"


def _form(image: Image.Image) -> str:
    return "PNG" if image.mode in _PNG else "TIFF"


def _encoded(image: Any) -> bytes:
    file = io.BytesIO()
    if isinstance(image, np.ndarray):
        np.save(file, image, allow_pickle=False)
        return file.getvalue()
    try:
        image.save(file, _form(image))
    except (OSError, ValueError) as error:
        raise DataError(f"a PIL image of mode {image.mode} cannot be kept ({error}); convert it to RGB") from error
    return file.getvalue()
