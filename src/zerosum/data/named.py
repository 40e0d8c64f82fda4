"""Sets with a name: where their files are looked for, and where they are fetched from."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from zerosum.core.download import Report, cache_folder, download, silent
from zerosum.core.errors import DataError
from zerosum.core.registry import register, registered, summary
from zerosum.data.cifar import FORMS, cifar10, is_cifar
from zerosum.data.contents import Contents, Source
from zerosum.data.digits import digits
from zerosum.data.idx import pairs
from zerosum.data.inverted import inverted
from zerosum.data.part import DataPart, Search
from zerosum.data.stacked import stacked

URLS = {
    "mnist": "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "fashion-mnist": "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "cifar10": "https://www.cs.toronto.edu/~kriz/",
}
HASHES = {  # set -> file -> sha256
    "mnist": {
        "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
    "fashion-mnist": {
        "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
    "cifar10": {
        "cifar-10-python.tar.gz": "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    },
}
CLOTHES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
CLASSES = {"mnist": tuple("0123456789"), "fashion-mnist": CLOTHES}


class Named(DataPart):
    """Base of the sets that have a place of their own."""

    def contents(self) -> Contents:
        """What `source` finds where nobody says where to look."""
        return self.source(Search(None, cache_folder(), silent)).contents()

    def source(self, search: Search) -> Source:
        """Find it under the data root, else in the cache, else fetch it."""
        return named(self.name, search.data_root, search.cache, search.report)


@register("data", "cifar10")
@dataclass(frozen=True)
class Cifar10(Named):
    """60,000 colour photographs of 32x32 in 10 classes; 10,000 held out (170 MB to fetch)."""


@register("data", "digits")
@dataclass(frozen=True)
class Digits(Named):
    """1,797 handwritten digits of 8x8; comes with scikit-learn, no download."""


@register("data", "digits-inverted")
@dataclass(frozen=True)
class DigitsInverted(Named):
    """898 of these digits and the negatives of 899 others, at 16x16: two classes to translate between; no download."""


@register("data", "fashion-mnist")
@dataclass(frozen=True)
class FashionMnist(Named):
    """70,000 grey pictures of clothes of 28x28 in 10 classes; 10,000 held out (31 MB to fetch)."""


@register("data", "mnist")
@dataclass(frozen=True)
class Mnist(Named):
    """70,000 handwritten digits of 28x28 in 10 classes; 10,000 held out (12 MB to fetch)."""


@register("data", "stacked-mnist")
@dataclass(frozen=True)
class StackedMnist(Named):
    """128,000 triples of mnist's digits as colours of 28x28: 1,000 modes, no labels (301 MB of cache)."""


def names() -> dict[str, str]:
    """Sets that can be named, each with one line about it."""
    return {name: summary(part) for name, part in registered("data").items()}


def named(name: str, data_root: str | Path | None, cache: Path, report: Report) -> Source:
    """Find a named set under the data root, else in the cache, else fetch it.

    Raises:
        DataError: it is nowhere and cannot be fetched; the message says which files go where.
    """
    if name == "digits":
        return digits()
    if name == "digits-inverted":
        return inverted(digits())
    if name == "stacked-mnist":
        return stacked(named("mnist", data_root, cache, report))
    look = _find_cifar if name == "cifar10" else _find_idx
    roots = [Path(root).expanduser() for root in (data_root or os.environ.get("ZEROSUM_DATA"),) if root]
    roots.append(cache / "sets")
    for root in roots:
        source = look(name, root, cache, report)
        if source is not None:
            return source
    _fetch(name, roots, report)
    source = look(name, roots[-1], cache, report)
    assert source is not None
    return source


Look = Callable[[str, Path, Path, Report], Source | None]


def _find_cifar(name: str, root: Path, cache: Path, report: Report) -> Source | None:
    places = (root / folder / form for folder in ("", name) for form in FORMS)
    place = next(filter(is_cifar, places), None)
    return None if place is None else cifar10(place, cache, report)


def _find_idx(name: str, root: Path, cache: Path, report: Report) -> Source | None:
    return idx_folder(root / name, name, cache, report)


def idx_folder(folder: Path, name: str, cache: Path, report: Report) -> Source | None:
    """A set from a folder with MNIST's file names; None where it has no training images, or none of a named set's."""
    files = {file.removesuffix(".gz"): _plain_or_zipped(folder / file) for file in HASHES["mnist"]}
    train, test = files["train-images-idx3-ubyte"], files["t10k-images-idx3-ubyte"]
    if train is None or (name in HASHES and None in files.values()):
        return None
    return pairs(name, train, test, CLASSES.get(name, ()), cache, report)


def _plain_or_zipped(path: Path) -> Path | None:
    return next((file for file in (path.with_suffix(""), path) if file.is_file()), None)


def _fetch(name: str, roots: list[Path], report: Report) -> None:
    folder = roots[-1] / name
    for file, sha256 in HASHES[name].items():
        if (folder / file).is_file():
            continue
        url = URLS[name] + file
        try:
            download(url, sha256, folder / file, report)
        except OSError as error:
            looked = " or ".join(str(root / name) for root in roots)
            raise DataError(
                f"{name}: is not in {looked}, and {url} cannot be fetched ({error}). "
                f"Put {', '.join(HASHES[name])} into FOLDER/{name}/ and name FOLDER with --data-root or $ZEROSUM_DATA"
            ) from error
