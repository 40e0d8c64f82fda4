"""What every metric of two or more sets of samples asks of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def takes_arrays(metric: Callable[P, R]) -> Callable[P, R]:
    """Let a function of tensors take NumPy arrays as well, as features from other programs are."""

    @wraps(metric)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        return metric(*map(_tensor, args), **{name: _tensor(value) for name, value in kwargs.items()})

    return called


def _tensor(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    return torch.from_numpy(value if value.flags.writeable else value.copy())  # PyTorch warns of read-only ones


def samples(metric: str, least: int = 1, **sets: Tensor) -> list[Tensor]:
    """The sets in float64 on the CPU, without gradients.

    Args:
        metric: name of the function that is called, for messages.
        least: samples that each set must have.
        **sets: samples by name, each `[N, D]` with an N of its own and one D, of any dtype.

    Raises:
        ValueError: shapes do not fit, a set is too small, or some of its numbers are not finite.
    """
    shapes = [tuple(one.shape) for one in sets.values()]
    if any(len(shape) != 2 for shape in shapes) or len({shape[1] for shape in shapes}) > 1 or not shapes[0][1]:
        raise ValueError(
            f"{metric}: {_listed([f'{name} [N, D]' for name in sets])} of one D are needed, "
            f"not of shape {_listed([str(shape) for shape in shapes])}"
        )
    for name, one in sets.items():
        if len(one) < least:
            raise ValueError(f"{metric}: {name} has {len(one)} samples, at least {least} are needed")
        if not one.isfinite().all():
            raise ValueError(f"{metric}: some numbers of {name} are not finite")
    return [one.detach().to("cpu", torch.float64) for one in sets.values()]


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
