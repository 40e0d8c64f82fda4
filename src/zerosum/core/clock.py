"""The clock counts images; randomness is a function of it, so nothing random has to be remembered."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def mix(*items: int | str) -> int:
    """A 63-bit seed from a few numbers and words; equal on every machine and Python."""
    digest = hashlib.blake2b(repr(items).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def has_mps() -> bool:
    """True on a Mac whose graphics processor PyTorch can use."""
    return torch.backends.mps.is_available()


def reseed(*items: int | str) -> None:
    """Seed torch's default generators, on the CPU and on every accelerator in use."""
    seed = mix(*items)
    torch.default_generator.manual_seed(seed)  # torch.manual_seed costs a hundred times more
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    if has_mps():
        torch.mps.manual_seed(seed)


@contextmanager
def seeded(*items: int | str) -> Iterator[None]:
    """Run a block under a seed of its own and leave the surrounding randomness untouched."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    of_mps = torch.mps.get_rng_state() if has_mps() else None
    try:
        with torch.random.fork_rng(devices):
            reseed(*items)
            yield
    finally:
        if of_mps is not None:
            torch.mps.set_rng_state(of_mps)
