"""Names of classes as names of folders, on every file system."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence

LONGEST = 100  # bytes of a name; file systems take 255, whole paths on Windows 260
FORBIDDEN = set('<>:"/\\|?*')
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}


def class_folders(classes: Sequence[str]) -> list[str]:
    """A folder for each class: its name where that may be one, and no two alike, also where case does not count."""
    used: set[str] = set()
    folders = []
    for number, name in enumerate(classes):
        folder = folder_name(name) or f"class-{number}"
        while folder.casefold() in used:
            folder = f"{folder}-{number}"
        used.add(folder.casefold())
        folders.append(folder)
    return folders


def folder_name(name: str) -> str:
    """The name with a dash for what a file system or a terminal would take for something else; "" if nothing is left.

    A name that is too long is cut, and ends in a digest of the whole.
    """
    plain = "".join("-" if letter in FORBIDDEN or unicodedata.category(letter)[0] == "C" else letter for letter in name)
    plain = plain.strip(" .")  # so no . and .. either
    if plain.partition(".")[0].casefold() in RESERVED:
        plain = f"{plain}-"
    if len(plain.encode()) > LONGEST:
        digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:8]
        plain = f"{plain.encode()[: LONGEST - 9].decode(errors='ignore')}-{digest}"
    return plain
