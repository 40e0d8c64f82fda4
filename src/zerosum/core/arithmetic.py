"""The first parallel call of a vector function is not to be trusted; so it is made here, alone and thrown away.

PyTorch's CPU kernels of tanh, exp, log and others call MKL's vector library, which chooses its code at the first call.
If two threads make that call together, one of them may compute with other code: results differ, mostly in their last
bits, square roots by up to 3 in 10,000, in about one process of seven to twenty (2 threads, torch 2.13.0, MKL). A
training that is resumed would then not be bit-exact.
"""

from __future__ import annotations

import functools

import torch

FUNCTIONS = (
    "acos", "asin", "atan", "ceil", "cos", "cosh", "erf", "erfc", "erfinv", "exp", "exp2", "expm1", "floor", "lgamma",
    "log", "log10", "log1p", "log2", "round", "rsqrt", "sigmoid", "sin", "sinh", "sqrt", "tan", "tanh", "trunc",
)  # fmt: skip


@functools.cache
def settle() -> None:
    """Call every vector function once in one thread; costs a millisecond, the first time only."""
    for kind in (torch.float32, torch.float64):
        values = torch.full((8,), 0.5, dtype=kind)
        for function in FUNCTIONS:
            getattr(torch, function)(values)
