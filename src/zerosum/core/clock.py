"""The clock counts samples; randomness is a function of it, so nothing random has to be remembered."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def mix(*items: int | str) -> int:
    """A 63-bit seed from a few numbers and words; equal on every machine and Python."""
    digest = hashlib.blake2b(repr(items).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def has_mps() -> bool:
    """True on a Mac whose graphics processor PyTorch can use."""
    return torch.backends.mps.is_available()


def reseed(*items: int | str) -> None:
    """Seed torch's own random numbers, on the CPU and on every accelerator in use."""
    seed = mix(*items)
    torch.default_generator.manual_seed(seed)  # torch.manual_seed costs a hundred times more
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    if has_mps():
        torch.mps.manual_seed(seed)


@contextmanager
def untouched() -> Iterator[None]:
    """Run a block and put the surrounding randomness back to where it was."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    of_mps = torch.mps.get_rng_state() if has_mps() else None
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        if of_mps is not None:
            torch.mps.set_rng_state(of_mps)


@contextmanager
def seeded(*items: int | str) -> Iterator[None]:
    """Run a block under a seed of its own and leave the surrounding randomness untouched."""
    with untouched():
        reseed(*items)
        yield


class Stream:
    """Random numbers from a seed, beside torch's own, which do not notice.

    Args:
        items: numbers and words that seed it.
    """

    def __init__(self, *items: int | str) -> None:
        self.items = items
        self._states: tuple[Tensor, list[Tensor], Tensor | None] | None = None

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Run a block that draws from this stream, from where the last one stopped."""
        with untouched():
            if self._states is None:
                reseed(*self.items)
            else:
                _restore(*self._states)
            yield
            of_cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
            self._states = torch.get_rng_state(), of_cuda, torch.mps.get_rng_state() if has_mps() else None


def _restore(of_cpu: Tensor, of_cuda: list[Tensor], of_mps: Tensor | None) -> None:
    torch.set_rng_state(of_cpu)
    if of_cuda:
        torch.cuda.set_rng_state_all(of_cuda)
    if of_mps is not None:
        torch.mps.set_rng_state(of_mps)
