"""What was decided for the user before a training: a line each, said at its beginning and kept with the run."""

from __future__ import annotations

from zerosum.core.errors import printable
from zerosum.data import Dataset
from zerosum.data.classes import listed
from zerosum.games import checks
from zerosum.recipes import Recipe
from zerosum.runs.evaluation.evaluator import Evaluator
from zerosum.runs.evaluation.proof import expected
from zerosum.runs.training.drawing import classes_shown

NAMED = 5  # classes


def decisions(recipe: Recipe, dataset: Dataset, evaluator: Evaluator) -> list[str]:
    """Lines about the data as they are used, then what the recipe makes of them and how samples are evaluated."""
    return [
        *dataset.notes,
        *_bad(dataset),
        *_held_out(recipe, dataset),
        *_classes(recipe, dataset),
        *_attributes(recipe, dataset),
        *_domains(dataset),
        *_evaluation(recipe, evaluator),
    ]


def _bad(dataset: Dataset) -> list[str]:
    names = [fault.partition(": ")[0] for fault in dataset.skipped]
    return [f"left out, as bad: {listed(names)}"] if names else []


def _held_out(recipe: Recipe, dataset: Dataset) -> list[str]:
    count = len(dataset.held_out)
    if not count:
        return ["held out: nothing; samples are compared with training samples"]
    if dataset.own_split:
        return [f"held out: the test part of {count:,}, to evaluate samples against"]
    total = count + len(dataset.train)
    return [f"held out: {count:,} of {total:,} (held_out={recipe.data.held_out:g}), to evaluate samples against"]


def _classes(recipe: Recipe, dataset: Dataset) -> list[str]:
    count = len(dataset.classes)
    if not count:
        return []
    names = ", ".join(map(printable, dataset.classes[:NAMED])) + (", ..." if count > NAMED else "")
    classes = f"classes: {count:,} ({names})"
    if checks.uses_labels(recipe.game):
        rows = len(classes_shown(dataset))
        some = f"; pictures show {rows} of them, spread over all" if rows < count else ""
        return [f"{classes}; {recipe.recipe} learns them{some}"]
    return [f"{classes}; {recipe.recipe} does not use them{checks.with_labels(recipe.game)}"]


def _attributes(recipe: Recipe, dataset: Dataset) -> list[str]:
    if dataset.attributes is None:
        return []
    shares = dataset.attributes[dataset.train].mean(0)
    told = [f"{printable(name)} {share:.0%}" for name, share in zip(dataset.attribute_names, shares, strict=True)]
    more = ", ..." if len(told) > NAMED else ""
    return [f"attributes: {', '.join(told[:NAMED])}{more} of the images to train on; {recipe.recipe} learns them"]


def _domains(dataset: Dataset) -> list[str]:
    counts = [
        f"{signal} is {printable(name)} ({len(dataset.of(signal).train):,} to train on)"
        for signal, name in zip(dataset.signals, dataset.domains, strict=False)
    ]
    return [f"two sets: {' and '.join(counts)}"] if counts else []


def _evaluation(recipe: Recipe, evaluator: Evaluator) -> list[str]:
    evidence = expected(evaluator, recipe.evaluator.count, checks.uses_labels(recipe.game))
    missing = {metric.name: metric.missing(evidence) for metric in evaluator.metrics}
    names = ", ".join(name for name, reason in missing.items() if not reason) or "nothing"
    judged = f"evaluated by: {names}; extractor {evaluator.extractor.name}"
    hint = [f"note: {evaluator.hint}"] if evaluator.hint else []
    return [judged, *(f"not measured, {name}: {reason}" for name, reason in missing.items() if reason), *hint]
