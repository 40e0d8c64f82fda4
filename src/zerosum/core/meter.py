"""The meter keeps what was lost: sums of losses on the device, read by the host once per report."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from zerosum.core.errors import TrainingError
from zerosum.core.game import role


def precise(device: torch.device) -> torch.dtype:
    """What sums are kept in: float64, but on Apple's processors, which have none."""
    return torch.float32 if device.type == "mps" else torch.float64


class NotFiniteError(TrainingError):
    """A loss, a gradient or a weight became infinite or NaN."""


def not_finite(
    player: str, clock: int, losses: Mapping[str, Tensor], total: Tensor, gradient: Tensor
) -> NotFiniteError:
    """What to raise where the sum of a player's losses, [], or the norm of its gradients, [], is not finite."""
    numbers = {name: float(loss) for name, loss in losses.items()} | {"gradient": float(gradient)}
    what = "gradient" if math.isfinite(float(total)) else "loss"
    shown = ", ".join(f"{name} {value:g}" for name, value in numbers.items())
    return NotFiniteError(
        f"the {what} of the {player} is not finite after {clock:,} samples ({shown}); its weights were not changed. "
        f"Lower {role(player)}.lr, or add a regularizer such as r1"
    )


class Meter:
    """Running means of named values since the last report, and of each player's loss since the epoch began."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}  # "report/encoder.rate" -> float64 scalar
        self.counts: dict[str, int] = {}

    def note(self, player: str, total: Tensor, values: dict[str, Tensor]) -> None:
        """Add the losses of one update."""
        self._add(f"epoch/{player}", total)
        for name, value in values.items():
            self._add(f"report/{player}.{name}", value)

    def watch(self, **values: Tensor) -> None:
        """Add other scalars worth a curve."""
        for name, value in values.items():
            self._add(f"report/{name}", value)

    def _add(self, key: str, value: Tensor) -> None:
        value = value.detach()
        if key in self.sums:
            self.sums[key].add_(value)
            self.counts[key] += 1
        else:
            self.sums[key] = value.to(precise(value.device), copy=True)
            self.counts[key] = 1

    def has(self, book: str) -> bool:
        """True where something was noted in a book since it was taken."""
        return any(key.startswith(f"{book}/") for key in self.counts)

    def knows(self, name: str) -> bool:
        """True where a value of this name waits for the next report."""
        return f"report/{name}" in self.counts

    def take(self, book: str) -> dict[str, float]:
        """Means of a book, `report` or `epoch`, which then starts again.

        Raises:
            NotFiniteError: a mean is not finite.
        """
        keys = [key for key in self.sums if key.startswith(f"{book}/")]
        means = {key.partition("/")[2]: float(self.sums.pop(key)) / self.counts.pop(key) for key in keys}
        bad = [f"{name} {mean:g}" for name, mean in means.items() if not math.isfinite(mean)]
        if bad:
            raise NotFiniteError(f"values are not finite: {', '.join(bad)}. Lower the learning rates, or add r1")
        return means

    def finite(self) -> dict[str, float]:
        """Means since the last report, without those that are not finite; they stay."""
        means = {key: float(total) / self.counts[key] for key, total in self.sums.items() if key.startswith("report/")}
        return {key.partition("/")[2]: mean for key, mean in means.items() if math.isfinite(mean)}

    def state(self) -> tuple[dict[str, Tensor], dict[str, int]]:
        """Sums as tensors and counts as numbers."""
        return dict(self.sums), dict(self.counts)

    def load(self, sums: dict[str, Tensor], counts: dict[str, int], device: torch.device) -> None:
        """Take back what `state` gave."""
        self.sums = {key: sums[key].to(device, precise(device), copy=True) for key in counts}
        self.counts = dict(counts)
