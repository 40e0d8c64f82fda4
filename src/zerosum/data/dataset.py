"""A set of images or points, ready to train on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from zerosum.core.errors import DataError
from zerosum.core.signals import Signal
from zerosum.data import attributes, pairs
from zerosum.data.attributes import CONDITIONS
from zerosum.data.domains import SIGNALS
from zerosum.data.pixels import name_bad
from zerosum.data.units import Units

RULES = 2  # how classes are numbered and images held out; what an older run began with is kept for it


@dataclass(frozen=True, eq=False)
class Dataset:
    """Values, labels and the split into what trains and what is held out."""

    name: str
    values: np.ndarray  # uint8 [N, H, W, C], memory-mapped where the cache holds it, or float32 points [N, D]
    labels: np.ndarray | None  # int64 [N]; -1 for images that are in neither part
    classes: tuple[str, ...]  # names by label, each with an image that trains; () where unlabelled
    train: np.ndarray  # int64 indices into values, ascending
    held_out: np.ndarray  # int64 indices into values, ascending; disjoint from train
    fingerprint: str  # sha256 over content, preparation and split
    skipped: tuple[str, ...] = ()  # bad files, which were left out, each with the reason
    centres: np.ndarray | None = None  # float32 [modes, D]; mixtures only
    spread: float | None = None  # standard deviation of every mode; mixtures only
    own_split: bool = False  # the set came with a test part, which is what is held out
    notes: tuple[str, ...] = ()  # what was decided or left out on the way, each a sentence
    size: str = "auto"  # as a preparation says it: what was asked for, or was chosen for the networks
    units: Units | None = None  # of points, which are standardised; None for images and mixtures
    rendering: str = ""  # how images were brought to one shape: fit, resampling, background
    domains: tuple[str, ...] = ()  # two classes that are the signals `a` and `b`; () where all is one set of samples
    domain: np.ndarray | None = None  # int64 [N]: 0 or 1, the place of a sample's among these; -1: of neither
    inputs: np.ndarray | None = None  # uint8 [N, H, W, C], of pairs whose targets are the values; None: no pairs
    attributes: np.ndarray | None = None  # uint8 [N, K] of 0 and 1, in place of labels; None: there are none
    attribute_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    @property
    def is_image(self) -> bool:
        """True for images, false for points."""
        return self.values.ndim == 4

    @property
    def left_out(self) -> str:
        """What is said of bad files, the first 20 by name with the reason; "" where there are none."""
        count, of = len(self) + len(self.skipped), "images" if self.inputs is None else "pairs"
        return name_bad(self.skipped, count, of, "bad, and left out") if self.skipped else ""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample as networks see it: (C, H, W) or (D,)."""
        if not self.is_image:
            return (self.values.shape[1],)
        height, width, channels = self.values.shape[1:]
        return channels, height, width

    def of(self, signal: str) -> Dataset:
        """The samples of one signal as a set by itself.

        Raises:
            DataError: these data have no samples of that name.
        """
        if signal not in self.signals or self.signals[signal].kind in CONDITIONS:
            names = ", ".join(name for name, one in self.signals.items() if one.kind not in CONDITIONS)
            raise DataError(
                f"{self.name}: no samples are called {signal!r}; inputs and outputs must be named as {names}"
            )
        if self.inputs is not None:
            return self._half(signal, self.inputs if signal == pairs.SIGNALS[0] else self.values)
        return self if self.domain is None else self._domain(SIGNALS.index(signal))

    def _half(self, signal: str, values: np.ndarray) -> Dataset:
        """The inputs or the targets of pairs."""
        return replace(
            self,
            name=f"{self.name}, {signal}",
            values=values,
            fingerprint=fingerprint_of([self.fingerprint, signal]),
            inputs=None,
        )

    def _domain(self, place: int) -> Dataset:
        """The samples of one of two classes that are signals."""
        assert self.domain is not None
        train, held_out = (index[self.domain[index] == place] for index in (self.train, self.held_out))
        return replace(
            self,
            name=f"{self.name}, {self.domains[place]}",
            train=train,
            held_out=held_out,
            fingerprint=fingerprint_of([self.fingerprint, SIGNALS[place]]),
            domains=(),
            domain=None,
        )

    @property
    def signals(self) -> dict[str, Signal]:
        """What a batch consists of: `sample`, and `label` where there are classes; or `a` and `b`; or a pair."""
        if self.inputs is not None:
            height, width, channels = self.inputs.shape[1:]
            return pairs.signals((channels, height, width), self.shape)
        sample = Signal("image" if self.is_image else "points", self.shape)
        if self.domains:
            return dict.fromkeys(SIGNALS, sample)
        if self.attributes is not None:
            return {"sample": sample, "label": attributes.signal(len(self.attribute_names))}
        return {"sample": sample} | ({"label": Signal("label", (), len(self.classes))} if self.classes else {})

    @property
    def conditions(self) -> np.ndarray | None:
        """What a batch holds as `label`: classes, int64 [N], or attributes, float32 [N, K]; None where it has none."""
        return self.labels if self.attributes is None else self.attributes.astype(np.float32)

    @property
    def condition_names(self) -> tuple[str, ...]:
        """Names of the classes, or of the attributes."""
        return self.classes or self.attribute_names

    @property
    def sets(self) -> dict[str, Dataset]:
        """The samples of each signal as a set by itself."""
        return {name: self.of(name) for name, signal in self.signals.items() if signal.kind not in CONDITIONS}

    @property
    def per_epoch(self) -> int:
        """Samples of an epoch; of two sets those of the larger one."""
        return max(len(one.train) for one in self.sets.values())

    @cached_property
    def shares(self) -> tuple[float, ...]:
        """Share of each class among what trains; () where unlabelled."""
        if self.labels is None or not self.classes:
            return ()
        counts = np.bincount(self.labels[self.train], minlength=len(self.classes))
        return tuple((counts / counts.sum()).tolist())

    @property
    def num_classes(self) -> int:
        """Number of classes; 0 where unlabelled."""
        return len(self.classes)


def fingerprint_of(parts: list[str]) -> str:
    """Digest of what data depend on."""
    return hashlib.sha256("\n".join(["zerosum data 1", *parts]).encode()).hexdigest()
