"""A trained model: networks and tasks, with all that using them needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zerosum.core import registry
from zerosum.core.errors import RunError, nearest
from zerosum.core.model import Model, Task
from zerosum.core.signals import Batch, Signal, Signals
from zerosum.data import RULES, Units
from zerosum.recipes import Recipe
from zerosum.runs.storage.asking import find_label
from zerosum.runs.view.media import medium_of
from zerosum.runs.view.tiles import spread

GOLDEN = (5**0.5 - 1) / 2


@dataclass
class TrainedModel:
    """A model, and what it was trained on.

    Attributes:
        model: networks in evaluation mode, and tasks.
        signals: of the data that it was trained on.
        classes: names of their classes, or of their attributes.
        images: how many samples it was trained on.
        units: of the points that it makes; None for images, and where the data had none.
    """

    model: Model
    recipe: Recipe
    signals: Signals
    classes: tuple[str, ...]
    images: int
    shares: tuple[float, ...] = ()  # of the classes among what trained; empty in files of earlier versions: all alike
    rules: int = RULES  # of the split of the data
    units: Units | None = None

    @property
    def task(self) -> Task:
        """What it is for."""
        return self.model.task()

    @property
    def signal(self) -> Signal:
        """What that gives."""
        return next(iter(self.task.outputs.values()))

    @property
    def latent(self) -> Any:
        """The prior of the latents of its task; None where nothing is drawn."""
        return self.task.priors.get("latent")

    @property
    def conditional(self) -> bool:
        """True where its task takes classes."""
        return "label" in self.task.inputs

    @property
    def blends(self) -> bool:
        """True where it takes shares of classes [N, classes] in place of labels [N]."""
        return "shares" in self.task.options

    @property
    def styled(self) -> bool:
        """True where latents become styles, which can be moved towards their average."""
        return "psi" in self.task.options

    def to(self, device: torch.device | str) -> TrainedModel:
        """The same, computed on a device."""
        self.model.to(device)
        return self

    # ------------------------------------------------------------------ inputs

    def latents(self, count: int, seed: int = 0, start: int = 0) -> Tensor:
        """Latents [N, K] on the CPU of the samples from number `start` on; latent i of a seed is always the same.

        Raises:
            RunError: its task starts from no latents.
        """
        if self.latent is None:
            verb = self.task.verb
            raise RunError(f"this model draws nothing; it can {verb} what it is given: `zerosum {verb}`")
        return self.model.inputs(count, seed, start=start)["latent"]

    @property
    def verbs(self) -> tuple[str, ...]:
        """What it can do."""
        return tuple(dict.fromkeys(task.verb for task in self.model.tasks.values()))

    def labels(self, count: int, label: str | int | None = None, start: int = 0) -> Tensor | None:
        """Labels [N] of the samples from number `start` on: one class as `find_label` reads it, or all in turn.

        None where it takes none.

        Raises:
            RunError: there is no such class, or it takes no labels.
        """
        if label is not None:
            return torch.full((count,), find_label(self, label))
        return torch.arange(start, start + count) % len(self.classes) if self.conditional else None

    def labels_by_share(self, count: int, seed: int = 0) -> Tensor | None:
        """Labels [N] as frequent as the classes were in training, to compare with data; None where it takes none.

        Label i is the class at point i of a golden-ratio sequence with a random start, so that the first n have these
        shares as nearly as n labels can, for every n.
        """
        if not self.conditional:
            return None
        shares = torch.tensor(self.shares or [1.0] * len(self.classes), dtype=torch.float64)
        start = np.random.default_rng(seed).random()
        points = (start + torch.arange(count, dtype=torch.float64) * GOLDEN) % 1
        return torch.searchsorted(shares.cumsum(0) / shares.sum(), points, right=True).clamp(max=len(shares) - 1)

    # ------------------------------------------------------------------ outputs

    def sample(self, count: int, *, seed: int = 0, label: str | int | None = None, start: int = 0) -> Tensor:
        """Draw samples [N, C, H, W] in [-1, 1], or points [N, D] in the data's units, from number `start` on.

        Sample i of a seed is the same, bit for bit, in any count, where the device and its threads are.

        Raises:
            RunError: there is no such class, or it takes no labels; or nothing is drawn.
        """
        latents, labels = self.latents(count, seed, start), self.labels(count, label, start)
        return self.outward(self.decode(latents, labels, start, seed))

    def decode(self, latent: Tensor, label: Tensor | None, start: int = 0, seed: int = 0) -> Tensor:
        """Turn latents [N, K] and labels [N] into samples on the CPU; points in networks' units."""
        return torch.cat([torch.empty(0, *self.signal.shape), *self.chunks(latent, label, start=start, seed=seed)])

    def chunks(
        self,
        latent: Tensor,
        label: Tensor | None,
        psi: float | None = None,
        start: int = 0,
        source: Tensor | None = None,
        seed: int = 0,
    ) -> Iterator[Tensor]:
        """Samples of latents [N, K] on the CPU, some at a time; classes are labels [N], or shares [N, classes].

        `psi` moves styles towards their average; `source` are samples to start from. As `Model.chunks` computes them.
        """
        name = "label" if label is None or label.dim() == 1 else "shares"
        given = {"latent": latent, name: label, "psi": psi, "source": source}
        given = {key: value for key, value in given.items() if value is not None}
        if name == "shares":
            given["label"] = latent.new_zeros(len(latent), dtype=torch.int64)
        name = next(iter(self.task.outputs))
        for chunk in self.model.chunks(given, seed=seed, start=start):
            yield medium_of(self.signal).inside(chunk[name])

    def run(self, batch: Mapping[str, Any], task: str | None = None) -> Batch:
        """Outputs of a task on the CPU, by name: images in [-1, 1]; all its inputs have to be given, [N, ...].

        Raises:
            RunError: there is no such task.
            ValueError: an input is missing.
        """
        outputs, signals = self.model.compute(batch, task), self.model.task(task).outputs
        return {name: medium_of(signals[name]).inside(x) for name, x in outputs.items()}

    __call__ = run

    def reconstruct(self, samples: Tensor, task: str | None = None, **given: Tensor) -> Tensor:
        """Samples [N, ...] as they come back from the model; `given` are further inputs, such as `label` [N].

        Raises:
            RunError: it reconstructs nothing, or has several tasks that do and none is named.
        """
        return self.apply("reconstruct", samples, task, given)

    def translate(self, samples: Tensor, task: str | None = None, **given: Tensor) -> Tensor:
        """What samples [N, ...] become; images may be of any size where the network allows that, in tiles if large.

        Raises:
            RunError: it translates nothing, or has several tasks that do and none is named.
        """
        return self.apply("translate", samples, task, given)

    def encode(self, samples: Tensor, task: str | None = None, **given: Tensor) -> Tensor:
        """Latents [N, K] of samples [N, ...].

        Raises:
            RunError: it encodes nothing, or has several tasks that do and none is named.
        """
        return self.apply("encode", samples, task, given)

    def apply(self, verb: str, samples: Tensor, name: str | None, given: Mapping[str, Tensor]) -> Tensor:
        """What the task of a verb makes of samples [N, ...], of any size where it has a `step`.

        Args:
            verb: what it does.
            samples: its first input.
            name: of the task, where several do that.
            given: the other inputs, [N, ...].

        Raises:
            RunError: there is no such task, or samples are not of a shape that it takes.
        """
        name = self.choose(verb, name)
        task = self.model.task(name)
        port, signal = next(iter(task.inputs.items()))
        shape = tuple(samples.shape[1:])

        def run(x: Tensor) -> Tensor:
            return self.run({port: x, **given}, name)[next(iter(task.outputs))]

        if shape == signal.shape:
            return run(samples)
        if not task.step or len(shape) != len(signal.shape) or shape[0] != signal.shape[0]:
            sizes = (str(signal.shape[0]), "H", "W") if task.step else map(str, signal.shape)
            raise RunError(f"this model can {verb} [N, {', '.join(sizes)}], and these are {list(samples.shape)}")
        return spread(run, samples, task.step)

    def choose(self, verb: str, name: str | None = None) -> str:
        """Name of the task of a verb.

        Raises:
            RunError: there is none, or there are several and none is named.
        """
        names = list(self.model.of(verb))
        if name is not None and name not in names:
            raise RunError(
                f"this model has no task {name!r} that can {verb}; {nearest(name, names or self.model.tasks)}"
            )
        if not names:
            raise RunError(f"this model cannot {verb}; it can {' and '.join(self.verbs)}")
        if name is None and len(names) > 1:
            raise RunError(f"this model has several tasks that {verb}: {', '.join(names)}; name one with --task")
        return name or names[0]

    def sources(self, latent: Tensor, label: Tensor | None) -> Tensor | None:
        """Samples [N, ...] that its task starts from where no others are given; None where it starts from latents."""
        name = next(
            (name for name, task in self.model.tasks.items() if set(task.outputs) & set(self.task.options)), None
        )
        given = {key: x for key, x in (("latent", latent), ("label", label)) if x is not None}
        return None if name is None else next(iter(self.model.compute(given, name).values()))

    def outward(self, samples: Tensor) -> Tensor:
        """Samples as people see them: points in the data's own units."""
        return samples if self.units is None else torch.from_numpy(self.units.outward(samples.numpy()))

    def _repr_html_(self) -> str:
        """As a notebook shows it."""
        from zerosum.runs.view.cards import model_card  # which draws pictures

        return model_card(self)


def with_task(trained: TrainedModel, name: str | None) -> TrainedModel:
    """The model for another of its tasks; None: as it is.

    Raises:
        RunError: it has no such task.
    """
    if name is None:
        return trained
    tasks = {name: trained.model.task(name), **trained.model.tasks}
    return replace(trained, model=Model(trained.model.networks, tasks))


def with_latent(trained: TrainedModel, text: str) -> TrainedModel:
    """The model with other latents, which have its own's size unless they say another.

    Raises:
        RunError: the size is another than it was trained with, or it takes none.
        RecipeError: there is no such latent.
    """
    if trained.latent is None:
        raise RunError(f"--latent {text}: this model starts from no latents")
    size, task = trained.latent.size, trained.task
    latent = registry.parse("latent", text)
    if "size" in registry.field_types(type(latent)) and "size=" not in text:
        latent = latent.replace(size=size)
    if latent.size != size:
        raise RunError(f"--latent {text}: latents of {latent.size} numbers, and this model takes {size}")
    first = next(iter(trained.model.tasks))
    changed = replace(task, priors={**task.priors, "latent": latent})
    return replace(trained, model=Model(trained.model.networks, {**trained.model.tasks, first: changed}))
