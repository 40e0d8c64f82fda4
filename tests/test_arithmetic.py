"""Equal calls give equal bits, from the first on."""

import os
import subprocess
import sys

import torch

from tests.small import table
from zerosum.core import arithmetic
from zerosum.data import open_data
from zerosum.runs.health.diagnostics import Diagnostics

PROGRAM = """
import torch
from zerosum.core import arithmetic
torch.set_num_threads(2)
arithmetic.settle()
x = torch.randn(4096, generator=torch.Generator().manual_seed(0))
for kind in (torch.float32, torch.float64):
    first, second = x.to(kind).tanh(), x.to(kind).tanh()
    assert torch.equal(first, second)
"""


def test_the_first_parallel_call_equals_the_second():
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    for _ in range(5):  # without `settle` about one process of seven fails
        subprocess.run([sys.executable, "-c", PROGRAM], check=True, env=environment)


def test_every_function_exists_and_is_called_once(monkeypatch):
    called = []
    for name in arithmetic.FUNCTIONS:
        real = getattr(torch, name)
        monkeypatch.setattr(torch, name, lambda x, name=name, real=real: (called.append((name, x.dtype)), real(x))[1])
    arithmetic.settle.cache_clear()
    arithmetic.settle()
    arithmetic.settle()
    assert sorted(name for name, _ in called) == sorted([*arithmetic.FUNCTIONS] * 2)


def test_the_engine_settles_it_before_the_first_turn():
    arithmetic.settle.cache_clear()
    table("mlp")
    assert arithmetic.settle.cache_info().currsize == 1


def test_diagnostics_settle_it_before_their_first_distances(monkeypatch):
    """A run that goes on has no engine yet where they are made."""
    arithmetic.settle.cache_clear()
    settled, measure = [], torch.cdist
    monkeypatch.setattr(
        torch,
        "cdist",
        lambda *x, **how: (settled.append(arithmetic.settle.cache_info().currsize), measure(*x, **how))[1],
    )
    Diagnostics(open_data("digits"), 16)
    assert settled == [1]
