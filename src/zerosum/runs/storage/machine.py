"""What the machine has for this process: cores, and memory; a container's limits count."""

from __future__ import annotations

import ctypes
import functools
import math
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

CGROUPS = Path("/sys/fs/cgroup")


def cores() -> int:
    """CPU cores that this process may use, by its affinity and its container's quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([allowed, *_quotas()]))


def _quotas() -> list[int]:
    """Whole cores that each control group leaves to its processes."""
    limits = []
    for folder in _groups("cpu"):
        words = (_read(folder / "cpu.max") or "").split()  # version 2: quota and period
        words = words or [_read(folder / "cpu.cfs_quota_us") or "max", _read(folder / "cpu.cfs_period_us") or "1"]
        if words[0].isdecimal():  # "max" or -1: no limit
            limits.append(math.ceil(int(words[0]) / int(words[1])))
    return limits


def free_memory() -> int | None:
    """Bytes that this process may still take before something is killed; None where the system does not say."""
    meminfo = _read(Path("/proc/meminfo")) or ""
    available = [int(line.split()[1]) << 10 for line in meminfo.splitlines() if line.startswith("MemAvailable:")]
    for folder in _groups("memory"):
        limit = _number(folder / "memory.max", folder / "memory.limit_in_bytes")
        used = _number(folder / "memory.current", folder / "memory.usage_in_bytes")
        if limit is not None and used is not None:
            stat = (_read(folder / "memory.stat") or "").splitlines()
            cached = [int(line.split()[1]) for line in stat if line.startswith("inactive_file ")]
            available.append(max(0, limit - used + sum(cached)))
    return min(available, default=None)


def _groups(controller: str) -> list[Path]:
    """Folders of the control groups that this process is in, the innermost first."""
    folders: list[Path] = []
    for line in (_read(Path("/proc/self/cgroup")) or "").splitlines():
        _, names, place = line.split(":", 2)
        if not names or controller in names.split(","):
            top = CGROUPS / controller if names else CGROUPS
            path = top / place.strip("/")
            folders += [folder for folder in (path, *path.parents) if folder.is_relative_to(top)]
    return folders


def _number(*files: Path) -> int | None:
    texts = [text for file in files if (text := _read(file)) is not None]
    return int(texts[0]) if texts and texts[0].isdecimal() else None


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError:
        return None


# ---------------------------------------------------------------------- memory in use


def wait(device: torch.device) -> None:
    """Wait until a device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def free(device: torch.device) -> int | None:
    """Bytes that this process may still take on a device; None where nobody says."""
    if device.type == "cuda":
        idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # kept by the allocator
        return torch.cuda.mem_get_info(device)[0] + idle
    if device.type == "mps":
        return max(0, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return free_memory()


def used(device: torch.device) -> int | None:
    """Bytes in use by this process on a device, once what is free has gone back to the system."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    _trim()
    return _status("VmRSS")


def private() -> int:
    """Bytes that this process has for itself alone: what a further one like it would take; 0 where nobody says."""
    return _status("RssAnon") or 0


def reset_peak(device: torch.device) -> None:
    """Begin to watch for the most memory in use."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif device.type == "cpu" and Path("/proc/self/clear_refs").exists():
        _trim()
        with suppress(OSError):  # a sandbox may forbid it: the peak is then that of the whole process so far
            Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def peak(device: torch.device) -> int | None:
    """Most bytes in use since the watch began; None where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    return _status("VmHWM")


def _status(name: str) -> int | None:
    """A number of bytes that Linux knows of this process."""
    lines = (_read(Path("/proc/self/status")) or "").splitlines()
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith(f"{name}:")), None)


@functools.cache
def _allocator() -> Any:
    return ctypes.CDLL(None) if sys.platform == "linux" else None


def _trim() -> None:
    """Give memory that was freed back to the system, so that what is in use can be told; glibc keeps it otherwise."""
    if hasattr(_allocator(), "malloc_trim"):
        _allocator().malloc_trim(0)
