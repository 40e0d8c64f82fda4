"""Float32 in parts of networks that otherwise run in bf16, where rounding would be visible."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

__all__ = ["at_least_float32", "no_autocast"]


def at_least_float32(x: Tensor) -> Tensor:
    """Widen bf16 and half to float32."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def no_autocast(x: Tensor) -> AbstractContextManager[Any]:
    """Context without autocast on the device of x: layers compute in the dtype of their inputs."""
    kind = x.device.type  # meta has no autocast
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()
