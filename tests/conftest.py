"""What all tests share: one thread, and a cache of their own."""

import inspect
import itertools

import hypothesis
import pytest
import torch

from zerosum.extractors import efficientnet
from zerosum.runs.training import race, rehearsal

hypothesis.settings.register_profile("untimed", deadline=None)  # how long an example takes says how busy the machine is
hypothesis.settings.load_profile("untimed")


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(1)  # tests run side by side


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("ZEROSUM_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.delenv("ZEROSUM_DATA", raising=False)


@pytest.fixture(autouse=True)
def _no_stopwatch(monkeypatch):
    """Every turn of a rehearsal takes equally long: results must not depend on how busy the machine is."""
    monkeypatch.setattr(rehearsal, "stopwatch", lambda device: itertools.count(0, 0.25).__next__)
    monkeypatch.setattr(race, "STARVED", 0.0)


@pytest.fixture(autouse=True)
def _no_pretrained_view(monkeypatch):
    monkeypatch.setattr(efficientnet, "packaged", lambda: None)  # results must not depend on what is installed


@pytest.fixture(autouse=True)
def _no_pictures_by_the_clock(monkeypatch):
    monkeypatch.setattr("zerosum.runs.training.drawing.MARKS", ())  # a slow machine would draw some, a fast one none


def pytest_make_parametrize_id(val):
    return val.__name__.strip("<>") if inspect.isfunction(val) else None  # an address differs between processes
