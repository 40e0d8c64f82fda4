"""The machine under a run: its device and threads, the precision it computes in, and versions."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy
import torch

from zerosum.core.clock import has_mps
from zerosum.core.errors import RunError
from zerosum.runs.storage.machine import cores

DEVICES = ("cpu", "cuda", "mps", "xpu")  # kinds that a training can live on


def choose_device(name: str) -> torch.device:
    """Turn `auto`, `cpu`, `cuda`, `cuda:1` or `mps` into a device.

    Raises:
        RunError: this machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if has_mps() else "cpu")
    try:
        if name.partition(":")[0] not in DEVICES:  # PyTorch's own answer names twenty kinds
            raise RuntimeError(f"there is: {', '.join(('auto', *DEVICES))}")
        device = torch.device(name)
        if device.type == "mps" and not has_mps():  # PyTorch's own reason fills the screen
            raise RuntimeError("there is no Apple GPU that PyTorch can use")
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise RunError(
            f"device {name!r} cannot be used here ({str(error).splitlines()[0]}); use --device cpu"
        ) from error
    return device


def use_threads(wanted: int | None = None, say: Callable[[str], None] | None = None, *, ranks: int = 1) -> None:
    """Compute with so many CPU threads; by default with a thread for each core that this process may use.

    Args:
        wanted: threads of this process.
        say: hears that they are more than there are cores.
        ranks: processes that do the same on this machine.
    """
    if wanted is None:
        wanted = max(1, min(torch.get_num_threads(), cores()) // ranks)
    elif wanted > (fair := max(1, cores() // ranks)) and say is not None:
        those = f"{ranks} ranks of {wanted} threads" if ranks > 1 else f"{wanted} threads"
        say(f"{those} on {cores()} cores: they wait for each other; --threads {fair} is faster")
    torch.set_num_threads(wanted)


def computes_in_bf16(device: torch.device) -> bool:
    """True where bf16 has instructions of its own, so that it may be faster than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return device.type == "mps" and torch.backends.mps.is_macos_or_newer(14, 0)


def be_deterministic() -> None:
    """Take only kernels that give equal bits for equal inputs, also on a GPU; slower, and for the whole process."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS needs for it
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True)


def describe(device: torch.device, precision: str) -> dict[str, Any]:
    """Everything about the machine and the software that may change a number."""
    return {
        "zerosum": version("zerosum"),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": str(device),
        "accelerator": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "precision": precision,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123  (Linux only, never a user's path)
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
