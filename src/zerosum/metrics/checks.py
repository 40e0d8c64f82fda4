"""What every metric of two or more sets of samples asks of them."""

from __future__ import annotations

import torch
from torch import Tensor


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
