"""How `mutate.py` tries a change: a forked process in a copy of the tree imports it and runs the tests that reach it.

The parent has imported torch and pytest but never zerosum, so a trial costs its tests and little else. The changed
module exists in the memory of its process alone.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

import numpy  # noqa: F401  (imported once for all trials, as are PIL, rich and torch)
import PIL.Image  # noqa: F401
import pytest
import pytest_timeout  # noqa: F401
import rich  # noqa: F401
import torch

from benchmarks.mutate_operators import Mutant

_FORK = multiprocessing.get_context("fork")
_PYTEST = ("-x", "-q", "--assert=plain", "-p", "no:cacheprovider", "-p", "pytest_timeout")


class _Changed(importlib.abc.MetaPathFinder, importlib.machinery.SourceFileLoader):
    """Imports one module from a text of ours instead of its file."""

    def __init__(self, name: str, path: Path, source: bytes) -> None:
        super().__init__(name, str(path))
        self.source = source

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        known = fullname == self.name
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self) if known else None

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.source, self.path, "exec")


class _Tracer:
    """Notes which functions of the tree run, in all and in each test."""

    def __init__(self, package: Path, file: str) -> None:
        self.package = f"{package}{os.sep}"
        self.current: set[str] = set()
        self.tests: dict[str, set[str]] = {file: self.current}
        self.names: dict[int, tuple[CodeType, str]] = {}  # the code is kept, or its number would be given away again

    def see(self, frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            code = frame.f_code
            if id(code) not in self.names:
                ours = code.co_filename.startswith(self.package)
                place = f"{code.co_filename.removeprefix(self.package)}:{code.co_qualname.partition('.<locals>')[0]}"
                self.names[id(code)] = code, place if ours else ""
            self.current.add(self.names[id(code)][1])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        self.current = self.tests[item.nodeid] = set()
        for name, module in list(sys.modules.items()):
            if name.startswith("zerosum."):  # what a test before this one left in a cache would not be reached again
                for function in vars(module).values():
                    getattr(function, "cache_clear", bool)()
        return (yield)

    def found(self) -> dict[str, list[str]]:
        """Tests by the function that they reach; what runs at the import of a file is reached by all of its tests."""
        reached: dict[str, list[str]] = {}
        for test, functions in self.tests.items():
            for function in functions - {""}:
                reached.setdefault(function, []).append(test)
        return reached


class _Judge:
    """Runs the tests that reach the change alone, and remembers which one failed."""

    def __init__(self, tests: Sequence[str]) -> None:
        self.tests = set(tests)
        self.failed = ""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if {item.nodeid, item.nodeid.partition("::")[0]} & self.tests]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid


class Trial:
    """A process in the copy that says one thing and ends; `result` is None while it runs."""

    def __init__(self, tree: Path, limit: float, work: Callable[..., Any], *arguments: Any) -> None:
        ours, theirs = _FORK.Pipe(duplex=False)
        self._answer = ours
        self._process = _FORK.Process(target=_inside, args=(tree, theirs, work, *arguments))
        self._began, self._limit = time.monotonic(), limit
        self._process.start()
        theirs.close()

    def result(self) -> Any:
        """What it said; "timeout" where it took too long, "crash" where it died."""
        if self._answer.poll(0.02):
            try:
                said = self._answer.recv()
            except EOFError:
                said = "crash"
        elif time.monotonic() - self._began > self._limit:
            os.killpg(self._process.pid, signal.SIGKILL)  # with all that its tests started
            said = "timeout"
        else:
            return None
        self._process.join()
        self.seconds = time.monotonic() - self._began
        return said


def _inside(tree: Path, answer: Connection, work: Callable[..., Any], *arguments: Any) -> None:
    os.setsid()
    torch.set_num_threads(1)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    os.chdir(tree)
    os.environ |= {"PYTHONPATH": str(tree / "src"), "TMPDIR": str(tree / "tmp"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    sys.dont_write_bytecode = False  # the next trial reads what this one compiled; the changed module is never written
    sys.path[:0] = [str(tree / "src"), str(tree)]
    answer.send(work(tree, *arguments))
    os._exit(0)


def _pytest(tree: Path, files: Sequence[str], plugin: object) -> int:
    scratch = tree / "tmp" / str(os.getpid())
    code = int(pytest.main([*_PYTEST, f"--basetemp={scratch}", *files], plugins=[plugin]))
    shutil.rmtree(scratch, ignore_errors=True)
    loaded: ModuleType = sys.modules["zerosum"]
    assert str(loaded.__file__).startswith(str(tree)), loaded.__file__
    return code


def trace(tree: Path, file: str) -> dict[str, Any]:
    """Run one file of tests as it is: which of its tests reach which functions, and the seconds that it takes."""
    began, tracer = time.monotonic(), _Tracer(tree / "src" / "zerosum", file)
    sys.setprofile(tracer.see)
    code = _pytest(tree, [file], tracer)
    sys.setprofile(None)
    if code != 0:
        return {"error": f"{file} does not pass as it is (pytest ends with {code})"}
    return {"seconds": time.monotonic() - began, "reached": tracer.found()}


def run(tree: Path, mutant: Mutant, tests: Sequence[str]) -> tuple[str, str]:
    """Import a changed module and run tests, or files of them: ("killed", which one failed) or ("survived", "")."""
    path = tree / "src" / "zerosum" / mutant.file
    name = ".".join(("zerosum", *path.relative_to(tree / "src" / "zerosum").with_suffix("").parts))
    sys.meta_path.insert(0, _Changed(name, path, mutant.apply(path.read_bytes())))
    watch = _Judge(tests)
    code = _pytest(tree, list(dict.fromkeys(test.partition("::")[0] for test in tests)), watch)
    if code == pytest.ExitCode.OK:
        return "survived", ""
    if code == pytest.ExitCode.TESTS_FAILED or (code == pytest.ExitCode.INTERRUPTED and not watch.failed):
        return "killed", watch.failed or "its import"
    raise RuntimeError(f"pytest ends with {code}")  # no test was run, or pytest itself failed


def copy(root: Path, into: Path) -> Path:
    """A copy of what trials need of a working tree."""
    for name in ("src", "tests", "benchmarks", "docs"):
        shutil.copytree(root / name, into / name, ignore=shutil.ignore_patterns("__pycache__", "*.png", "results"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(root / name, into / name)
    (into / "tmp").mkdir()
    return into
