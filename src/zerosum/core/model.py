"""What a training is for: networks that are ready for use, and the tasks that they serve."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from zerosum.core import arithmetic
from zerosum.core.clock import reseed, seeded
from zerosum.core.errors import RunError, nearest
from zerosum.core.signals import Batch, Signal, Signals, build, zeros

if TYPE_CHECKING:
    from zerosum.core.game import Game

BLOCK = 64  # items whose inputs are drawn at once
CHUNK, CHUNK_OF_ACCELERATORS = 16, 64  # items that are computed at once, also where fewer are asked for
Prior = Callable[[int, torch.device | str], Tensor]  # (count, device) -> [count, ...], from torch's own random numbers


@dataclass(frozen=True)
class Choice:
    """A prior: one of so many kinds, each as likely."""

    kinds: int

    def __call__(self, count: int, device: torch.device | str = "cpu") -> Tensor:
        """Numbers of kinds, int64 [count]."""
        return torch.randint(self.kinds, (count,), device=device)


@dataclass(frozen=True)
class Flags:
    """A prior: so many flags, each of them set with probability 1/2."""

    count: int

    def __call__(self, count: int, device: torch.device | str = "cpu") -> Tensor:
        """Flags, float32 [count, flags] of 0 and 1."""
        return torch.randint(2, (count, self.count), device=device).float()


@dataclass(frozen=True, eq=False)
class Task:
    """Something that a model can be asked for: a function of its inputs, without randomness of its own.

    Attributes:
        verb: what it does: `generate`, `translate`, `reconstruct`, `encode`.
        inputs: what it takes, by name; inputs that are not drawn have the names and kinds of the data's signals.
        outputs: what it gives, by name.
        run: called with the inputs by name, [N, ...]; gives the one output, or several by name.
        priors: how inputs are drawn that nobody gives, in this order; what is drawn and is no input is dropped.
        options: further inputs that may be left out; those of kind `number` are plain numbers, the same for all items.
        step: inputs [N, C, H, W] may be of any size whose sides are multiples of this, and outputs are as large; 0: the
            size is that of the signals.
    """

    verb: str
    inputs: Signals
    outputs: Signals
    run: Callable[..., Tensor | Batch]
    priors: Mapping[str, Prior] = field(default_factory=dict)
    options: Signals = field(default_factory=dict)
    step: int = 0

    @property
    def asked(self) -> dict[str, Signal]:
        """Inputs that have to be given, as nobody draws them."""
        return {name: signal for name, signal in self.inputs.items() if name not in self.priors}

    def draw(self, count: int, device: torch.device | str = "cpu") -> Batch:
        """Inputs that have a prior, [count, ...]."""
        latents = {name: prior(count, device) for name, prior in self.priors.items()}
        return {name: x for name, x in latents.items() if name in self.inputs}

    def __call__(self, given: Mapping[str, Any]) -> Batch:
        """Outputs by name.

        Raises:
            ValueError: an input is missing, or there is one that the task does not take.
        """
        if missing := [name for name in self.inputs if name not in given]:
            raise ValueError(f"this task needs {', '.join(missing)} [N, ...]; it takes {', '.join(self.inputs)}")
        if unknown := [name for name in given if name not in self.inputs and name not in self.options]:
            raise ValueError(f"this task takes no {unknown[0]}; it takes {', '.join((*self.inputs, *self.options))}")
        result = self.run(**given)
        return result if isinstance(result, dict) else dict.fromkeys(list(self.outputs)[:1], result)


class Networks(dict[str, nn.Module]):
    """Networks by name, each built when it is first asked for."""

    def __init__(self, build: Callable[[str], nn.Module]) -> None:
        super().__init__()
        self._build = build

    def __missing__(self, name: str) -> nn.Module:
        """Build it."""
        self[name] = self._build(name)
        return self[name]


def outline(game: Game, signals: Signals, fill: Callable[[str, nn.Module], object] | None = None) -> Model:
    """What a game's training is for, without memory or arithmetic: networks on the meta device.

    Args:
        game: the game.
        signals: of its data.
        fill: told the name of each network that the model takes, and the network.
    """
    players, wirings = game.players(), game.networks(signals)

    def empty(name: str) -> nn.Module:
        module = build(players[wirings[name].players[0]].network, wirings[name])
        if fill is not None:
            fill(name, module)
        return module.eval()

    with torch.device("meta"):
        return game.model(Networks(empty), signals)


class Model(nn.Module):
    """Networks in evaluation mode, and what they can be asked for.

    Args:
        networks: those that the tasks call, by name.
        tasks: by name; the first is what the model is for.
    """

    def __init__(self, networks: Mapping[str, nn.Module], tasks: Mapping[str, Task]) -> None:
        super().__init__()
        self._names, self.tasks = tuple(networks), dict(tasks)
        self._networks = nn.ModuleList(networks.values())  # a ModuleDict refuses names such as `values`
        self.eval()

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The networks by name."""
        return dict(zip(self._names, self._networks, strict=True))

    @property
    def device(self) -> torch.device:
        """Where the networks live."""
        return next((weight.device for weight in self.parameters()), torch.device("cpu"))

    def task(self, name: str | None = None) -> Task:
        """A task by name; by default the first.

        Raises:
            RunError: there is none of that name.
        """
        if name is None:
            return next(iter(self.tasks.values()))
        if name not in self.tasks:
            raise RunError(f"this model has no task {name!r}; {nearest(name, self.tasks)}")
        return self.tasks[name]

    def of(self, verb: str) -> dict[str, Task]:
        """Tasks of a verb, by name."""
        return {name: task for name, task in self.tasks.items() if task.verb == verb}

    def back(self, name: str | None = None) -> str | None:
        """Name of the task of the same verb that turns what a task gives into what that is given; None without one."""
        task = self.task(name)
        ends = list(task.outputs), list(task.asked)
        return next(
            (one for one, other in self.of(task.verb).items() if (list(other.asked), list(other.outputs)) == ends), None
        )

    def serving(self, task: str | None = None) -> frozenset[str]:
        """Names of the networks that a task goes through, by calling it with zeros."""
        chosen = self.task(task)
        with torch.no_grad(), seeded(0):
            zero = {name: zeros(signal, 2).to(self.device) for name, signal in chosen.inputs.items()}
            return reached(self.networks, lambda: chosen(zero))

    def forward(self, given: Mapping[str, Any], task: str | None = None) -> Batch:
        """Outputs of a task, [N, ...] by name, where all its inputs are given, in one piece and with gradients."""
        return self.task(task)(given)

    def inputs(self, count: int, seed: int = 0, task: str | None = None, start: int = 0) -> Batch:
        """Drawn inputs [count, ...] of the items from number `start` on, on the CPU.

        Item i of a seed is the same whatever the count: items come in blocks of BLOCK, each with a seed of its own.
        """
        chosen, first = self.task(task), start // BLOCK
        with seeded(seed, "sample"):
            blocks = [_block(chosen, seed, number) for number in range(first, -(-(start + count) // BLOCK))]
            blocks = blocks or [{name: x[:0] for name, x in _block(chosen, seed, first).items()}]
        skipped = start - first * BLOCK
        return {name: torch.cat([block[name] for block in blocks])[skipped:][:count] for name in blocks[0]}

    def draw(self, count: int, seed: int = 0, task: str | None = None, start: int = 0, **given: Any) -> Batch:
        """Outputs [count, ...] of the items from number `start` on, on the CPU; inputs that nobody gives are drawn."""
        return self.compute({**self.inputs(count, seed, task, start), **given}, task, seed=seed, start=start)

    @torch.no_grad()
    def compute(self, given: Mapping[str, Any], task: str | None = None, *, seed: int = 0, start: int = 0) -> Batch:
        """Outputs [N, ...] of a task on the CPU, as `chunks` computes them."""
        outputs = self.task(task).outputs
        empty = {name: torch.empty(0, *signal.shape) for name, signal in outputs.items()}
        parts = [*self.chunks(given, task, seed=seed, start=start)] or [empty]
        return {name: torch.cat([part[name] for part in parts]) for name in outputs}

    @torch.no_grad()
    def chunks(
        self, given: Mapping[str, Any], task: str | None = None, *, seed: int = 0, start: int = 0
    ) -> Iterator[Batch]:
        """Outputs on the CPU in float32, some items at a time.

        The last bits of an item depend on how many are computed at once and on its place among them. So all chunks are
        equally large, and an item has its place by its number, which is `start` for the first: incomplete chunks are
        filled up. A network that draws noise of its own draws it from `seed` and the number of the chunk.
        """
        arithmetic.settle()
        chosen, device = self.task(task), self.device
        rows = {name: x for name, x in given.items() if isinstance(x, Tensor)}
        size = max(1, (CHUNK if device.type == "cpu" else CHUNK_OF_ACCELERATORS) // _times(chosen.inputs, rows))
        plain = {name: x for name, x in given.items() if name not in rows}
        total, done = _count(rows), 0
        while done < total:
            number, place = divmod(start + done, size)
            many = min(size - place, total - done)
            chosen_rows = torch.arange(-place, size - place).clamp(0, many - 1) + done
            batch = {name: x[chosen_rows].to(device) for name, x in rows.items()}
            with seeded(seed, "chunk", number):
                outputs = chosen({**batch, **plain})
            yield {name: x[place : place + many].detach().float().cpu() for name, x in outputs.items()}
            done += many


def _block(task: Task, seed: int, number: int) -> Batch:
    """Drawn inputs of a block of items."""
    reseed(seed, "sample", number)
    return task.draw(BLOCK, "cpu")


def _times(signals: Signals, rows: Mapping[str, Tensor]) -> int:
    """How often the largest of the inputs holds the numbers of its signal: more than once where it has another size."""
    sizes = [rows[name][:1].numel() / math.prod(signal.shape) for name, signal in signals.items() if name in rows]
    return max(1, math.ceil(max(sizes, default=1)))


def _count(rows: Mapping[str, Tensor]) -> int:
    """How many items a batch has.

    Raises:
        ValueError: its tensors do not have as many, or there are none.
    """
    counts = {len(x) for x in rows.values()}
    if len(counts) != 1:
        lengths = ", ".join(f"{name} {len(x):,}" for name, x in rows.items()) or "there are none"
        raise ValueError(f"inputs of a task must be as many, one a row: {lengths}")
    return counts.pop()


def reached(networks: Mapping[str, nn.Module], call: Callable[[], object]) -> frozenset[str]:
    """Names of the networks that a call goes through."""
    reached_names: set[str] = set()
    hooks = [
        one.register_forward_pre_hook(lambda *_, name=name: reached_names.add(name))
        for name, network in networks.items()
        for one in network.modules()
    ]
    try:
        call()
    finally:
        for hook in hooks:
            hook.remove()
    return frozenset(reached_names)
