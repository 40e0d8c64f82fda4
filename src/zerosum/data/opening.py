"""Data from a name, a place or Python objects to a set that is ready to train on: `open_data` is the one way in."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from zerosum.core.download import Report, cache_folder, silent
from zerosum.core.errors import DataError, ZerosumWarning, printable
from zerosum.data import attributes, pairs
from zerosum.data import classes as classing
from zerosum.data.cache import decoded
from zerosum.data.contents import Decoded
from zerosum.data.dataset import RULES, Dataset, fingerprint_of
from zerosum.data.domains import Domains, choose
from zerosum.data.fitting import Fits
from zerosum.data.given import kept
from zerosum.data.inputs import with_inputs
from zerosum.data.mixtures import Mixture
from zerosum.data.preparation import Preparation
from zerosum.data.sources import find, is_name, namesake, part_of
from zerosum.data.splitting import absent, divide
from zerosum.data.units import Units

AS_THEY_ARE = Preparation()


def open_data(
    source: Any,
    preparation: Preparation = AS_THEY_ARE,
    *,
    seed: int = 0,
    data_root: str | Path | None = None,
    cache: str | Path | None = None,
    skip_bad: bool = False,
    report: Report | None = None,
    rules: int = RULES,
    fits: Fits | None = None,
) -> Dataset:
    """Open a named set, folder, archive, array file, table, idx file or `hf:` set; images are decoded once.

    From Python also an array, tensor, list of PIL images or torch Dataset, which is written into the cache first.
    A name means the named set, and a `Path` or anything with a slash a place, such as `./digits`. `seed` draws the
    held-out part (and the points of a mixture); `report(what, done, total)` hears of the progress. `rules=1` numbers
    classes and holds images out as runs of earlier versions did. `fits(shape, classes)` says which shapes (H, W, C) the
    networks take, so that an automatic size keeps the images' own shape where it can.

    Up to 1 in 20 files may be bad: they are left out and named in a warning. `skip_bad` leaves out any number.

    Raises:
        DataError: there is no such source, or it cannot be read; the message says where and how to mend it.
    """
    source = kept(source, cache)
    part = part_of(str(source)) if is_name(source) else None
    if isinstance(part, Mixture):
        return _open_mixture(part, preparation, seed)
    folder = cache_folder(cache)
    report = report or silent
    origin = find(source, data_root, folder, report, preparation)
    origin = pairs.paired(origin, preparation.layout) if preparation.layout else origin
    samples = decoded(origin, preparation, folder, skip_bad, report, fits)
    samples = with_inputs(origin.name, samples, preparation, folder, report)
    dataset = _split(origin.name, samples, preparation, seed, rules, (*namesake(source), *origin.notes))
    if dataset.skipped:
        warnings.warn(f"{dataset.name}: {dataset.left_out}", ZerosumWarning, stacklevel=2)
    return dataset


def _open_mixture(mixture: Mixture, preparation: Preparation, seed: int) -> Dataset:
    name, values = mixture.name, mixture.sample(seed)
    if preparation.domains:
        raise DataError(f"{name}: data.domains needs two classes, and a mixture has none; take data with classes")
    if preparation.pairs:
        raise DataError(f"{name}: data.pairs needs images, and these are points; leave it empty")
    content = hashlib.sha256(values.tobytes()).hexdigest()
    samples = Decoded(values, None, (), None, (), content)
    train, held_out, how = divide(name, samples, None, preparation, seed)
    fingerprint = fingerprint_of([content, how])
    notes = namesake(name)
    centres, spread = mixture.centres, mixture.spread
    return Dataset(
        name,
        values,
        None,
        (),
        train,
        held_out,
        fingerprint,
        centres=centres,
        spread=spread,
        notes=notes,
        size=preparation.size,
    )


def _split(
    name: str, samples: Decoded, preparation: Preparation, seed: int, rules: int, notes: tuple[str, ...]
) -> Dataset:
    """Number the classes, and divide the images into what trains and what is held out."""
    labels, classes, notes = samples.labels, samples.classes, (*notes, *samples.notes)
    if preparation.attributes or (labels is not None and labels.ndim == 2):
        return _of_attributes(name, samples, preparation, seed, notes)
    by_class = labels is not None and rules > 1
    if labels is not None and by_class:
        labels, classes = classing.in_natural_order(labels, classes)
    if preparation.domains:
        chosen = choose(name, preparation.domains, labels, classes, samples.held_out, notes)
        return _of_two(name, samples, chosen, preparation, seed, notes)
    if preparation.pairs:
        return _of_pairs(name, samples, labels if by_class else None, preparation, seed, notes)
    train, held_out, how = divide(name, samples, labels if by_class else None, preparation, seed)
    if labels is not None and by_class:
        labels, classes, gone = classing.without(labels, classes, train)
        held_out, notes = held_out[labels[held_out] >= 0], (*notes, *absent(gone, labels))
    numbered = [f"classes {json.dumps(classes)}"] if classes != samples.classes else []
    dataset = _whole(name, samples, preparation, (train, held_out), [how, *numbered], notes)
    return replace(dataset, labels=labels, classes=classes, own_split=samples.held_out is not None)


def _of_two(
    name: str, samples: Decoded, chosen: Domains, preparation: Preparation, seed: int, notes: tuple[str, ...]
) -> Dataset:
    """Two of the classes as two sets; samples of others neither train nor are held out."""
    held_out, how = chosen.split(preparation.held_out, seed)
    train = np.setdiff1d(np.flatnonzero(chosen.of >= 0), held_out, assume_unique=True)
    named = f"domains {json.dumps(chosen.names)}"
    dataset = _whole(name, samples, preparation, (train, held_out), [how, named], notes)
    return replace(dataset, domains=chosen.names, domain=chosen.of, own_split=chosen.held_out is not None)


def _of_attributes(name: str, samples: Decoded, preparation: Preparation, seed: int, notes: tuple[str, ...]) -> Dataset:
    """One set with several labels of 0 and 1 each."""
    if not preparation.attributes:
        raise DataError(
            f"{name}: the labels are {len(samples.classes):,} of 0 and 1 for each image; set data.attributes=all to "
            "translate among them, or give one class for each image"
        )
    train, held_out, how = divide(name, samples, None, preparation, seed)
    values, names = attributes.chosen(name, preparation.attributes, samples.labels, samples.classes, train, notes)
    dataset = _whole(name, samples, preparation, (train, held_out), [how, f"attributes {json.dumps(names)}"], notes)
    own_split = samples.held_out is not None
    return replace(dataset, attributes=values, attribute_names=names, own_split=own_split)


def _of_pairs(
    name: str, samples: Decoded, labels: np.ndarray | None, preparation: Preparation, seed: int, notes: tuple[str, ...]
) -> Dataset:
    """Inputs and targets; classes only say what is held out."""
    first, second = samples.inputs, samples.values
    if first is None:
        raise DataError(f"{name}: data.pairs needs images, and these are points; leave it empty")
    if preparation.direction == "BtoA":
        first, second = second, first
    train, held_out, how = divide(name, samples, labels, preparation, seed)
    notes = (*notes, f"pairs: {preparation.direction[0]} is the input, {preparation.direction[-1]} the target")
    named = f"pairs {preparation.pairs}, {preparation.direction}"
    dataset = _whole(name, replace(samples, values=second), preparation, (train, held_out), [how, named], notes)
    return replace(dataset, inputs=first, own_split=samples.held_out is not None)


def _whole(
    name: str,
    samples: Decoded,
    preparation: Preparation,
    halves: tuple[np.ndarray, np.ndarray],
    how: list[str],
    notes: tuple[str, ...],
) -> Dataset:
    """A set without classes; `how` says what else its fingerprint is of."""
    values, units = _scaled(samples, preparation, halves[0])
    scale = () if units is None else (f"scale: {units}; samples are given back in the data's own units",)
    rendering = preparation.rendering() if units is None else str(units)
    return Dataset(
        name,
        values,
        None,
        (),
        *halves,
        fingerprint_of([samples.content, str(values.shape[1:]), rendering, *how]),
        tuple(map(printable, samples.skipped)),
        notes=tuple(map(printable, (*notes, *scale))),
        size=samples.size,
        units=units,
        rendering="" if values.ndim == 2 else rendering,
    )


def _scaled(samples: Decoded, preparation: Preparation, train: np.ndarray) -> tuple[np.ndarray, Units | None]:
    """Images as they are; points in networks' units, and which these are."""
    if samples.values.ndim != 2:
        return samples.values, None
    units = Units.of(samples.values[train], samples.columns, standardised=preparation.standardise)
    return units.inward(samples.values), units
