"""What the engine asks of gradients and weights as a whole; the host does not wait for it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from zerosum.core.errors import RecipeError

EXCERPT = 64  # numbers of a tensor of weights that tell how far an update moved it


def refuse_unreduced(player: str, losses: Mapping[str, Tensor]) -> None:
    """A player's losses are one number each.

    Raises:
        RecipeError: one has several.
    """
    for name, loss in losses.items():
        if loss.numel() != 1:
            shape = f"the loss {name!r} of the {player} has the shape {list(loss.shape)}"
            raise RecipeError(f"{shape}; reduce it to one number, as .mean() does")


def skip_together(optimizers: list[torch.optim.Optimizer]) -> None:
    """Fused steps on an accelerator skip themselves (`_check`): where one of several would, all do."""
    bad = [one.found_inf for one in optimizers if hasattr(one, "found_inf")]
    if len(bad) > 1:
        for one in optimizers:
            one.found_inf = torch.stack(bad).amax(0)  # type: ignore[attr-defined]


def total_norm(parameters: list[nn.Parameter]) -> Tensor:
    """Euclidean norm of the gradients of all parameters together, []; the host does not wait for it."""
    gradients = [one.grad for one in parameters if one.grad is not None]
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)).float())


def as_stored(x: Tensor) -> Tensor:
    """The tensor itself, with its axes in the order of memory: flat without a copy."""
    return x.permute(0, 2, 3, 1) if x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last) else x


def excerpt(parameters: list[nn.Parameter]) -> Tensor:
    """Up to EXCERPT numbers of each matrix or kernel, [M]; of each vector where there are only vectors."""
    wide = [one for one in parameters if one.dim() > 1] or parameters
    flat = (one.detach().flatten() for one in wide)
    return torch.cat([one[:: max(1, len(one) // EXCERPT)][:EXCERPT].to(torch.float32, copy=True) for one in flat])
