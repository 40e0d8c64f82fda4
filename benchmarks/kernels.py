"""Single operations that zerosum does its own way, beside PyTorch's.

    python -m benchmarks.kernels [--processes 30]

Median milliseconds, taken in turn, of a forward pass of dropout and of the convolution from one pixel, and of a step of
Adam. The first tanh: in how many fresh processes the first parallel call differs from the second, without and with
`arithmetic.settle`; the machine must be idle, or the two threads never meet.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from zerosum.networks.layers import Dropout, FromPixel
from zerosum.optimizers.dense import DenseAdam

FIRST = """
import sys, torch
from zerosum.core import arithmetic
torch.set_num_threads(2)
if len(sys.argv) > 1:
    arithmetic.settle()
x = torch.randn(4096, generator=torch.Generator().manual_seed(0))
sys.exit(not torch.equal(x.tanh(), x.tanh()))
"""


def race(name: str, theirs: Callable[[], object], ours: Callable[[], object]) -> None:
    """Print the median time of both, in milliseconds."""
    times: list[list[float]] = [[], []]
    for _ in range(60):
        for call, seen in zip((theirs, ours), times, strict=True):
            began = time.perf_counter()
            call()
            seen.append(1e3 * (time.perf_counter() - began))
    old, new = map(statistics.median, times)
    print(f"{name:<44}PyTorch {old:.2f} ms, ours {new:.2f} ms, {old / new:.1f} x", flush=True)


def adam(kind: type[torch.optim.Adam]) -> Callable[[], object]:
    """A step of a weight in channels_last that has a gradient."""
    weight = nn.Parameter(torch.randn(1024, 512, 4, 4).contiguous(memory_format=torch.channels_last))
    weight.grad = torch.randn_like(weight)
    return kind([weight], fused=True).step


def main() -> None:
    """Time and count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=30)
    options = parser.parse_args()
    with torch.no_grad():
        x, dropouts = torch.randn(128, 1024), (nn.Dropout(0.3), Dropout(0.3))
        race("dropout of [128, 1024]", *(partial(one, x) for one in dropouts))
        up, pixel = nn.ConvTranspose2d(100, 256, 4, bias=False), FromPixel(100, 256, 4, bias=False)
        latents = torch.randn(64, 100)
        both = nn.Sequential(nn.Unflatten(1, (100, 1, 1)), up), pixel
        race("transposed convolution, 100x1x1 to 256x4x4", *(partial(one, latents) for one in both))
    race("adam, [1024, 512, 4, 4] in channels_last", *map(adam, (torch.optim.Adam, DenseAdam)))
    for name, extra in (("alone", []), ("after settle", ["settle"])):
        codes = [subprocess.run([sys.executable, "-c", FIRST, *extra]).returncode for _ in range(options.processes)]
        print(
            f"first parallel tanh {name}: differs from the second in {sum(codes)} of {len(codes)} processes", flush=True
        )


if __name__ == "__main__":
    main()
