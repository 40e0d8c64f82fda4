"""Checks of the sets of samples that metrics compare."""

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
    """Let a function of tensors take NumPy arrays as well, such as features from other programs."""

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
        metric: name of the calling function, for messages.
        least: least number of samples in each set.
        **sets: samples by name, each `[N, D]` with its own N and the same D, of any dtype.

    Raises:
        ValueError: shapes do not fit, a set is too small, or some of its numbers are not finite.
    """
    shapes = [tuple(values.shape) for values in sets.values()]
    if any(len(shape) != 2 for shape in shapes) or len({shape[1] for shape in shapes}) > 1 or not shapes[0][1]:
        raise ValueError(
            f"{metric}: {_listed([f'{name} [N, D]' for name in sets])} of one D are needed, "
            f"not of shape {_listed([str(shape) for shape in shapes])}"
        )
    for name, values in sets.items():
        if len(values) < least:
            raise ValueError(f"{metric}: {name} has {len(values)} samples, at least {least} are needed")
        if not values.isfinite().all():
            raise ValueError(f"{metric}: some numbers of {name} are not finite")
    return [values.detach().to("cpu", torch.float64) for values in sets.values()]


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
