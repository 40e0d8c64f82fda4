"""Evaluate what is there: a run, a model file, or samples from anywhere, against real samples."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zerosum.core import settings
from zerosum.core.average import NoAverage
from zerosum.core.errors import DataError, RunError, ZerosumWarning
from zerosum.data import Dataset, Preparation, open_data, to_images
from zerosum.data.sources import is_name
from zerosum.metrics.evidence import Samples
from zerosum.recipes import EvaluatorPart
from zerosum.runs.evaluation.evaluator import Evaluator
from zerosum.runs.evaluation.given import by_label, compared, occasion, outputs, paired, returning, untrained
from zerosum.runs.evaluation.result import Results
from zerosum.runs.evaluation.subject import Subject, find_subject
from zerosum.runs.evaluation.usual import everything
from zerosum.runs.storage.directory import RunDirectory
from zerosum.runs.storage.environment import choose_device, use_threads
from zerosum.runs.storage.place import is_run
from zerosum.runs.storage.trained import TrainedModel
from zerosum.runs.training.elsewhere import gone
from zerosum.runs.view.media import medium_of

AS_THEY_ARE = Preparation(size="own", fit="stretch")  # samples that nobody trains on: nothing is cut away


def evaluate(
    place: str | Path,
    data: Any = None,
    *,
    metrics: str = "",
    extractor: str = "auto",
    count: int = 10_000,
    split: str = "auto",
    seed: int = 0,
    data_root: str | Path | None = None,
    skip_bad: bool = False,
    device: str = "auto",
    threads: int | None = None,
    trust: bool = False,
    task: str | None = None,
    report: Callable[[str, int, int], None] | None = None,
) -> Results:
    """Evaluate a run, a model file, or a folder, archive or array file of samples.

    Args:
        place: what is judged.
        data: real samples, as `train` takes them, or a run: what that was trained on, prepared and split as it was; the
            run that is judged knows its own.
        metrics: as "fd+prdc:k=3"; "all" for all that can be applied, "" for the usual ones.
        extractor: what sees features, as "mnist-cnn" or "lenet:path=FILE"; "auto" goes by the data.
        count: samples that a generator draws; of a source at most so many are judged.
        split: real samples that are compared: "held-out", "train", "all"; "auto": for a generator what was held out, if
            that is 100 or more (of pairs: any), else half of all; for samples all real ones, but the test part of a set
            that has one.
        seed: of the samples and of everything that a metric draws.
        data_root: where named sets are looked for.
        skip_bad: leave out all images that cannot be read, also where they are more than 1 in 20.
        device: "auto", "cpu", "cuda", "mps" ...
        threads: CPU threads; all cores by default.
        trust: run the Python files that the run keeps, whoever wrote them.
        task: which of the model's tasks is judged; by default what it is for.
        report: hears (what, done, total) of long work.

    Returns:
        The results, with what was left out and why.

    Raises:
        RunError: there is nothing to evaluate, or nothing to compare it with, or too few samples for any number.
        RecipeError: a metric or the extractor does not fit.
        DataError: real samples cannot be read.
    """
    use_threads(threads)
    subject, where = find_subject(place, task, trust=trust), choose_device(device)
    try:
        dataset = _real(subject, data, data_root, skip_bad, report)
    except DataError as error:
        if data is not None or subject.data is None or Path(subject.data).exists():
            raise
        raise gone(error, subject.data, "zerosum", "evaluate", str(place), "--data", "PLACE") from error
    split = "all" if split == "auto" and subject.model is None and not dataset.own_split else split
    words = [f"metrics={'' if metrics == 'all' else metrics}", f"extractor={extractor}", f"count={count}"]
    chosen = settings.assign(EvaluatorPart(), [*words, f"split={split}"])
    real, verb = dataset, "generate"
    if subject.model is not None:
        real, verb = compared(dataset, subject.model.task), occasion(dataset, subject.model.task)
    evaluator = Evaluator(real, chosen, seed=seed, device=where, verb=verb)
    if metrics == "all":
        evaluator.metrics = everything()
    notes = _notes(subject, dataset, data)
    if subject.model is None:
        values, labels, said = _stored(Path(place), dataset, count, seed, skip_bad, report)
        fake, others, notes = evaluator.see(values, labels), {}, [*notes, *said]
    else:
        subject.model.to(where)
        fake = drawn(evaluator, subject.model, count, seed, dataset)
        others = known(evaluator, subject.model, dataset, len(fake))
        fewer = [] if subject.model.task.asked else _fewer(count, len(fake))  # of given samples there are so many
        notes = [*fewer, *untrained(evaluator, subject.model.model, dataset, len(fake)), *notes]
    found = evaluator.evaluate(fake, weights="" if subject.model is None else weights_of(subject.model), **others)
    if not found:
        raise RunError("\n".join([f"{place}: no metric gives a number", *found.left_out()]))
    found.notes += [*by_label(evaluator, found, fake, others), *notes, *filter(None, [evaluator.hint])]
    return found


def drawn(
    evaluator: Evaluator, trained: TrainedModel, count: int, seed: int, dataset: Dataset | None = None
) -> Samples:
    """Samples of a model, rounded as files hold them; at most so many as the evaluator can hold against real ones.

    A task that is given samples takes those of the same split of `dataset`, such as what was held out.

    Raises:
        RunError: the model makes samples of another shape than the real ones, or some that are not finite.
    """
    if tuple(trained.signal.shape) != tuple(evaluator.dataset.shape):
        raise RunError(
            f"the model makes samples of shape {list(trained.signal.shape)}, and {evaluator.dataset.name} has "
            f"{list(evaluator.dataset.shape)}; give the data that it was trained on with --data"
        )
    count = evaluator.count(count)
    if trained.task.asked:
        samples, labels = outputs(evaluator, trained, count, dataset or evaluator.dataset)
        count = len(samples)
    else:
        trained = with_shares(evaluator, trained)
        labels = trained.labels_by_share(count, seed)
        samples = trained.decode(trained.latents(count, seed), labels, seed=seed)
    if broken := int((~samples.flatten(1).isfinite().all(1)).sum()):
        raise RunError(f"{broken:,} of {count:,} samples of the model are not finite; there is nothing to evaluate")
    values = torch.from_numpy(to_images(samples)) if evaluator.dataset.is_image else samples
    return evaluator.see(values, labels)


def with_shares(evaluator: Evaluator, trained: TrainedModel) -> TrainedModel:
    """The model with the shares of its classes, from the data where its file is too old to have them."""
    if trained.shares or not trained.conditional:
        return trained
    if evaluator.dataset.classes == trained.classes:
        return replace(trained, shares=evaluator.dataset.shares)
    text = "its file does not say how frequent classes were in training, so all are drawn equally often"
    warnings.warn(text, ZerosumWarning, stacklevel=2)
    return trained


def known(evaluator: Evaluator, trained: TrainedModel, dataset: Dataset, count: int) -> dict[str, Any]:
    """What metrics may ask of a model: of one with latents how it uses them, of pairs the targets of its samples."""
    latent = trained.latent
    if latent is None:
        return paired(evaluator, trained.task, dataset, count) | returning(evaluator, trained.model, dataset, count)
    trained = with_shares(evaluator, trained)

    def decode(latents: Tensor) -> Tensor:
        samples = trained.decode(latents, trained.labels_by_share(len(latents)))
        return evaluator.extractor.unrounded(samples).values if evaluator.dataset.is_image else samples

    return {
        "decode": decode,
        "latent": lambda count: latent(count, "cpu"),
        "path": "slerp" if latent.name == "normal" else "lerp",
        "bound": _bound(trained),
    }


def _bound(trained: TrainedModel) -> Callable[[Samples], dict[str, Tensor]] | None:
    """The model's bound on the likelihood of samples; None where it has none."""
    name = next(iter(trained.model.of("bound")), None)
    if name is None:
        return None
    task = trained.model.task(name)
    port = next(iter(task.inputs))

    def bound(samples: Samples) -> dict[str, Tensor]:
        given: dict[str, Any] = {port: medium_of(task.inputs[port]).tensors(samples.values.numpy())}
        if "label" in task.inputs:
            assert samples.labels is not None
            given["label"] = samples.labels
        return trained.model.draw(len(samples), task=name, **given)

    return bound


def weights_of(trained: TrainedModel) -> str:
    """Which weights the networks of its task have."""
    game = trained.recipe.game
    players, wirings = game.players(), game.networks(trained.signals)
    through = trained.model.serving()
    last = any(isinstance(players[wirings[name].players[0]].average, NoAverage) for name in through)
    return "last" if last else "averaged"


def _real(
    subject: Subject, data: str | Path | None, data_root: str | Path | None, skip_bad: bool, report: Any
) -> Dataset:
    if isinstance(data, (str, Path)) and not is_name(data) and is_run(Path(data)):
        return _of_run(RunDirectory.open(data), data_root, skip_bad, report)
    source, root = (data, data_root) if data is not None else (subject.data, data_root or subject.data_root)
    if source is None:
        raise RunError("there is nothing to compare with; give real samples with --data")
    if subject.model is None:
        return open_data(source, AS_THEY_ARE, data_root=root, skip_bad=skip_bad, report=report)
    recipe = subject.model.recipe
    shape = _opened_shape(subject.model)
    prepared = _shaped(recipe.data, shape) if len(shape) == 3 else recipe.data
    skip = skip_bad or (data is None and subject.skip_bad)
    return open_data(
        source, prepared, seed=recipe.seed, data_root=root, skip_bad=skip, report=report, rules=subject.model.rules
    )


def _opened_shape(trained: TrainedModel) -> tuple[int, ...]:
    """Shape of the samples that a model's data are opened as: a pair's target may be made of its input."""
    backwards = trained.recipe.data.pairs and trained.recipe.data.direction == "BtoA"
    return trained.signals["input"].shape if backwards else trained.signal.shape


def _of_run(run: RunDirectory, data_root: str | Path | None, skip_bad: bool, report: Any) -> Dataset:
    """What a run was trained on, prepared and split as it was; data that changed since are said."""
    origin, recipe = run.environment()["data"], run.recipe(partly=True)
    dataset = open_data(
        origin["source"],
        recipe.data,
        seed=recipe.seed,
        data_root=data_root or origin.get("root"),
        skip_bad=skip_bad or origin["skip_bad"],
        report=report,
        rules=origin.get("rules", 1),
    )
    if dataset.fingerprint != origin["fingerprint"]:
        text = f"{origin['source']} holds other data than {run.path} was trained on; what is there now is compared with"
        warnings.warn(text, ZerosumWarning, stacklevel=2)
    return dataset


def _notes(subject: Subject, dataset: Dataset, data: str | Path | None) -> list[str]:
    """What a reader must know of the real samples: how they were made equal, and whether they are others by now."""
    if subject.model is None:
        return [f"{data}: {note}" for note in dataset.notes]
    if not subject.fingerprint or subject.fingerprint == dataset.fingerprint:
        return []
    where = subject.data if data is None else data
    return [
        f"careful: {where} holds other data than the {subject.trained:,} samples that this run was trained on; it is "
        f"evaluated against what is there now: {len(dataset.train):,} to train on, {len(dataset.held_out):,} held out"
    ]


def _fewer(wanted: int, judged: int) -> list[str]:
    """A note where a floor could not be had for as many samples as are wanted."""
    if judged == wanted:
        return []
    return [
        f"only {judged:,} of {wanted:,} samples are evaluated: the floor needs as many other real samples; "
        "--split held-out, train or all evaluates all of them"
    ]


def _shaped(preparation: Preparation, shape: tuple[int, ...]) -> Preparation:
    """The preparation, with sizes that depend on the images themselves fixed to those of a generator."""
    if not preparation.needs_survey:
        return preparation
    channels, height, width = shape
    return preparation.replace(size=f"{height}x{width}", channels=str(channels) if channels <= 4 else "auto")


def _stored(
    place: str | Path, dataset: Dataset, count: int, seed: int, skip_bad: bool, report: Any
) -> tuple[Tensor, Tensor | None, list[str]]:
    """Samples of a folder, archive or array file, brought to the shape of the real ones; labels; what is to be said.

    Raises:
        RunError: real samples are images and these are points, or the other way round.
    """
    preparation = AS_THEY_ARE.replace(held_out=0.0, standardise=False)
    preparation = _shaped(preparation, dataset.shape) if dataset.is_image else preparation
    found = open_data(place, preparation, skip_bad=skip_bad, report=report)
    if found.shape != dataset.shape:
        raise RunError(f"{place}: samples of shape {list(found.shape)}, and {dataset.name} has {list(dataset.shape)}")
    order = np.random.default_rng(seed).permutation(len(found))[:count]
    rows = found.values[order] if dataset.units is None else dataset.units.inward(found.values[order])
    values, said = torch.from_numpy(np.ascontiguousarray(rows)), [f"{place}: {note}" for note in found.notes]
    if found.labels is None or not set(found.classes) <= set(dataset.classes):
        return values, None, said
    numbers = np.array([dataset.classes.index(name) for name in found.classes])
    return values, torch.from_numpy(numbers[found.labels[order]]), said
