"""Single operations that zerosum does its own way, beside PyTorch's.

    python -m benchmarks.kernels [--processes 30]

Dropout and the convolution from one pixel: median milliseconds of a forward pass, taken in turn. The first tanh: in how
many fresh processes the first parallel call differs from the second, without and with `arithmetic.settle`; the machine
must be idle, or the two threads never meet.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

import torch
from torch import nn

from zerosum.networks.layers import Dropout, FromPixel

FIRST = """
import sys, torch
from zerosum.core import arithmetic
torch.set_num_threads(2)
if len(sys.argv) > 1:
    arithmetic.settle()
x = torch.randn(4096, generator=torch.Generator().manual_seed(0))
sys.exit(not torch.equal(x.tanh(), x.tanh()))
"""


def race(name: str, theirs: nn.Module, ours: nn.Module, x: torch.Tensor) -> None:
    """Print the median time of both, in milliseconds."""
    times: dict[nn.Module, list[float]] = {theirs: [], ours: []}
    for _ in range(60):
        for module, seen in times.items():
            began = time.perf_counter()
            module(x)
            seen.append(1e3 * (time.perf_counter() - began))
    old, new = (statistics.median(seen) for seen in times.values())
    print(f"{name:<44}PyTorch {old:.2f} ms, ours {new:.2f} ms, {old / new:.1f} x", flush=True)


def main() -> None:
    """Time and count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=30)
    options = parser.parse_args()
    with torch.no_grad():
        race("dropout of [128, 1024]", nn.Dropout(0.3), Dropout(0.3), torch.randn(128, 1024))
        up, pixel = nn.ConvTranspose2d(100, 256, 4, bias=False), FromPixel(100, 256, 4, bias=False)
        latents = torch.randn(64, 100)
        race(
            "transposed convolution, 100x1x1 to 256x4x4",
            nn.Sequential(nn.Unflatten(1, (100, 1, 1)), up),
            pixel,
            latents,
        )
    for name, extra in (("alone", []), ("after settle", ["settle"])):
        codes = [subprocess.run([sys.executable, "-c", FIRST, *extra]).returncode for _ in range(options.processes)]
        print(
            f"first parallel tanh {name}: differs from the second in {sum(codes)} of {len(codes)} processes", flush=True
        )


if __name__ == "__main__":
    main()
