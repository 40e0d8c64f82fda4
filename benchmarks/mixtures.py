"""The relativistic objective with R1 and R2 finds every mode of the 2-D mixtures, on one thread.

    python benchmarks/mixtures.py [--seeds 0 1 2]

Prints modes, share of high-quality samples and reverse KL of 2,500 samples of the averaged generator, beside what a
perfect sampler reaches at that number.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch

import zerosum
from zerosum.metrics import mode_coverage


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    print(f"{'data':<8}{'seed':<6}{'modes':<8}{'high quality':<22}{'reverse KL':<22}{'training':<10}")
    for name in ("ring8", "grid25"):
        data = zerosum.open_data(name)
        centres, spread = torch.from_numpy(data.centres), data.spread
        floor = mode_coverage(torch.from_numpy(data.values[data.held_out[:2500]]), centres, spread)
        for seed in options.seeds:
            with tempfile.TemporaryDirectory() as folder:
                began = time.monotonic()
                run = zerosum.train(name, "mixture", seed=seed, threads=1, out=Path(folder) / "run", quiet=True)
                seconds = time.monotonic() - began
                found = mode_coverage(run.sample(2500, seed=seed), centres, spread)
            quality = f"{found['high_quality']:.1%} (perfect {floor['high_quality']:.1%})"
            divergence = f"{found['reverse_kl']:.4f} (perfect {floor['reverse_kl']:.4f})"
            print(
                f"{name:<8}{seed:<6}{found['modes']}/{len(centres):<6}{quality:<22}{divergence:<24}{seconds:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
