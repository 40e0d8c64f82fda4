"""Checks of what runs otherwise on an accelerator than on a CPU; each is a function of a device, and says what it saw.

`python -m benchmarks.gpu` runs them; none needs data, a network connection, or a package beside PyTorch and NumPy.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from zerosum.core.clock import reseed
from zerosum.core.engine import Engine
from zerosum.core.meter import NotFiniteError
from zerosum.critic import Critic, Exchange
from zerosum.data import Dataset, Feed
from zerosum.recipes import EvaluatorPart, Recipe, read_recipe
from zerosum.runs.evaluation.evaluate import drawn, known
from zerosum.runs.evaluation.evaluator import Evaluator
from zerosum.runs.storage.trained import TrainedModel


class CheckError(Exception):
    """A check did not see what it should."""


def arrays(side: int, channels: int, count: int = 2048, classes: int = 0) -> Dataset:
    """Random images in memory, [count, side, side, channels]."""
    values = np.random.default_rng(0).integers(0, 256, (count, side, side, channels), dtype=np.uint8)
    labels = np.arange(count) % classes if classes else None
    everything, held = np.arange(count), count // 8
    names = tuple(map(str, range(classes)))
    return Dataset("random", values, labels, names, everything[held:], everything[:held], "0" * 64)


def seat(recipe: Recipe, dataset: Dataset, device: torch.device, precision: str = "fp32") -> tuple[Engine, Feed]:
    """An engine and a feed of a recipe."""
    engine = Engine(recipe.game, dataset.signals, device=device, precision=precision, total=10**9)
    return engine, Feed(dataset, recipe.batch, device=device)


def small(name: str, *words: str) -> Recipe:
    """A recipe with a batch that is quick anywhere."""
    return read_recipe(name, ["batch=16", *words])


def weights(engine: Engine) -> dict[str, torch.Tensor]:
    """Copies of all weights, on the CPU."""
    return {
        f"{name}.{key}": value.detach().cpu().clone()
        for name, module in engine.modules.items()
        for key, value in module.state_dict().items()
    }


def expect(right: bool, otherwise: str) -> None:
    """Raise where a check failed.

    Raises:
        CheckError: with what was seen.
    """
    if not right:
        raise CheckError(otherwise)


# ---------------------------------------------------------------------- the checks


def feed_is_on_the_device(device: torch.device) -> str:
    """Batches are born on the device, equal to those of a CPU."""
    dataset = arrays(16, 3, classes=4)
    here, there = Feed(dataset, 32, device=device), Feed(dataset, 32)
    for _ in range(3):
        a, b = here.next(), there.next()
        x, label, y, other = a["sample"], a["label"], b["sample"], b["label"]
        expect(x.device.type == device.type and label.device.type == device.type, f"a batch lies on {x.device}")
        expect(torch.equal(x.cpu(), y) and torch.equal(label.cpu(), other), "it differs from a CPU's")
        expect(x.is_contiguous(memory_format=torch.channels_last), "it is not channels last")
    return f"3 batches on {x.device}"


def update_that_is_not_finite_is_skipped(device: torch.device) -> str:
    """Weights stay as they were, and the next report says so; on an accelerator the host never asks in between."""
    engine, feed = seat(small("dcgan", "generator.channels=8", "discriminator.channels=8"), arrays(16, 3), device)
    engine.turn(feed)
    before = weights(engine)
    engine.meter.take("report")
    loss = sum(one.sum() for one in engine.learners["discriminator"].parameters) * float("nan")
    try:
        engine.update("discriminator", adversarial=loss)
        how = "skipped on the device"
        engine.meter.take("report")
    except NotFiniteError:
        how = "skipped" if engine.device.type == "cpu" else how
    else:
        raise CheckError("nobody was told")
    changed = [name for name, value in weights(engine).items() if not torch.equal(value, before[name])]
    expect(not changed, f"weights changed: {changed[:3]}")
    return how


def resume_is_exact(device: torch.device) -> str:
    """With deterministic kernels: four turns, and two turns, state, two turns of another engine, give equal bits."""
    recipe = small("dcgan", "generator.channels=8", "discriminator.channels=8")
    with deterministic():
        whole, feed = seat(recipe, arrays(16, 3), device)
        for _ in range(4):
            whole.turn(feed)
        half, feed = seat(recipe, arrays(16, 3), device)
        for _ in range(2):
            half.turn(feed)
        tensors, numbers = half.state()
        kept = {name: {key: one.cpu().clone() for key, one in group.items()} for name, group in tensors.items()}
        again, feed = seat(recipe, arrays(16, 3), device)
        again.load(kept, numbers)
        feed.position = numbers["clock"]
        for _ in range(2):
            again.turn(feed)
    one, other = weights(whole), weights(again)
    different = [name for name in one if not torch.equal(one[name], other[name])]
    expect(not different, f"{len(different)} of {len(one)} tensors differ, such as {different[:1]}")
    return f"{len(one)} tensors equal"


@contextlib.contextmanager
def deterministic() -> Iterator[None]:
    """Deterministic kernels for a while."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def penalties_are_float32(device: torch.device) -> str:
    """Under bf16 a gradient penalty is what it is without, on the same samples."""
    recipe = small("wgan-gp", "generator.channels=8", "discriminator.channels=8")
    engine, feed = seat(recipe, arrays(16, 3), device, "bf16")
    real = feed.next()["sample"]
    fake = torch.randn_like(real)
    (part,) = recipe.game.regularizers
    values = []
    for bf16 in (True, False):
        reseed(0)
        with engine.autocast() if bf16 else contextlib.nullcontext():
            critic = Critic(engine.network("discriminator"), precise=True)
            values.append(part(Exchange("discriminator", critic, critic(real), critic(fake))).detach())
    expect(values[0].dtype == torch.float32, f"it is {values[0].dtype}")
    gap = abs(float(values[0]) / float(values[1]) - 1)
    expect(gap < 1e-5, f"it is {float(values[0])}, and {float(values[1])} in fp32")
    return f"{float(values[0]):.6f} in both"


def evaluation_runs_on_the_device(device: torch.device) -> str:
    """Samples are drawn and judged there, and are what a CPU would have drawn, up to rounding."""
    recipe = small("dcgan", "generator.channels=8", "discriminator.channels=8")
    dataset = arrays(16, 3, count=512)
    engine, feed = seat(recipe, dataset, device)
    engine.turn(feed)
    generator = TrainedModel(engine.model(), recipe, dataset.signals, (), feed.position)
    evaluator = Evaluator(dataset, EvaluatorPart(count=64, extractor="pixels", split="train"), seed=0, device=device)
    records = evaluator.evaluate(drawn(evaluator, generator, 64, 0), **known(evaluator, generator, dataset, 64))
    here = generator.sample(8, seed=1)
    generator.to("cpu")
    gap = float((generator.sample(8, seed=1) - here).abs().max())
    expect(gap < 0.05, f"samples differ by {gap:.3f} from a CPU's")
    return ", ".join(f"{one.metric} {one.value:.3g}" for one in records[:2]) + f"; samples within {gap:.1g} of a CPU's"


class Asked(TorchDispatchMode):
    """Counts how often the host asks a tensor for its value, and so waits for the device."""

    def __init__(self) -> None:
        super().__init__()
        self.times = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.times += func.overloadpacket is torch.ops.aten._local_scalar_dense
        return func(*args, **(kwargs or {}))


def syncs(engine: Engine, feed: Feed, turns: int = 4) -> float:
    """How often the host waits for the device in a turn, once the first turns are over."""
    for _ in range(2):
        engine.turn(feed)
    with warnings.catch_warnings(record=True) as told, Asked() as asked:
        warnings.simplefilter("always")
        if engine.device.type == "cuda":
            torch.cuda.set_sync_debug_mode("warn")
        try:
            for _ in range(turns):
                engine.turn(feed)
        finally:
            if engine.device.type == "cuda":
                torch.cuda.set_sync_debug_mode("default")
    waits = [one for one in told if "synchroniz" in str(one.message)]
    return max(asked.times, len(waits)) / turns


def no_turn_waits_for_the_device(device: torch.device) -> str:
    """The host queues work and never asks; a CPU has nobody to wait for, and checks each update at once."""
    engine, feed = seat(small("dcgan", "generator.channels=8", "discriminator.channels=8"), arrays(16, 3), device)
    count = syncs(engine, feed)
    expect(device.type != "cuda" or count == 0, f"the host waits {count:g} times in a turn")
    return f"{count:g} in a turn"


CHECKS = (
    feed_is_on_the_device,
    update_that_is_not_finite_is_skipped,
    resume_is_exact,
    penalties_are_float32,
    evaluation_runs_on_the_device,
    no_turn_waits_for_the_device,
)
