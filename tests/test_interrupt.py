"""Signals and consoles that go away: what is saved, said and returned."""

import errno
import hashlib
import io
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from typer.testing import CliRunner

import zerosum
from tests.small import EAGER, words
from zerosum.cli.main import app
from zerosum.core import interrupt
from zerosum.core.console import Lasting
from zerosum.core.interrupt import Interrupt, Watch
from zerosum.runs.storage import checkpoint
from zerosum.runs.training import opening, training

SMALL = [*words("mlp"), *EAGER]
SLOW = '''
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from zerosum import Part, register

@register("objective", "slow")
@dataclass(frozen=True)
class Slow(Part):
    """Minutes within one call, except before there is a run."""
    pairs: ClassVar[bool] = False
    def discriminator(self, real, fake):
        if Path('run').exists():
            print("computing", flush=True)
            hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)
        return fake.mean() - real.mean()
    def generator(self, fake, real=None): return -fake.mean()
'''


@pytest.fixture
def left(monkeypatch):
    """Statuses with which the process would have ended at once."""
    statuses = []
    monkeypatch.setattr(interrupt.os, "_exit", statuses.append)
    return statuses


def compute(numbers, between=0.15):
    """One long call that lets no Python handler run, and signals that come meanwhile."""

    def send():
        for number in numbers:
            time.sleep(between)
            os.kill(os.getpid(), number)

    sender = threading.Thread(target=send)
    sender.start()
    while sender.is_alive():
        hashlib.pbkdf2_hmac("sha256", b"", b"", 200_000)


def until(condition):
    """Wait for what a thread does."""
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_a_training_that_ended_by_itself_is_no_longer_asked():
    with Watch() as watch:
        with Interrupt(lambda _: None) as training:
            assert watch.training is training
        assert watch.training is None


def test_a_second_signal_ends_a_long_first_update_at_once(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    command = ["train", "objective=slow", *SMALL, "--recipe", "mlp", "--use", "slow.py", "--out", "run"]
    process = subprocess.Popen(
        [sys.executable, "-m", "zerosum", *command],
        cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout.readline() == "computing\n"
    process.send_signal(signal.SIGINT)
    while "stopping after this update and saving everything" not in process.stderr.readline():
        assert process.poll() is None
    time.sleep(0.2)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=10)
    assert time.monotonic() - began < 2
    assert process.returncode == 143
    assert said.split("\n") == ["", "stopped at once; nothing more was saved; go on with: zerosum resume run", ""]


EARLY = ("zerosum.cli", "typer", "zerosum.core.interrupt")  # modules, as they are loaded


@pytest.mark.parametrize("module", EARLY)
def test_ctrl_c_while_the_command_still_loads_is_one_sentence(module):
    words, said = [sys.executable, "-X", "importtime", "-m", "zerosum", "ls"], []
    with subprocess.Popen(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        for line in process.stderr:
            if not line.startswith("import time:"):
                said.append(line)
            elif line.split("|")[-1].strip() == module:
                process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 130
        assert process.stdout.read() == ""
    assert said == [f"{interrupt.AT_ONCE}\n"]


@pytest.mark.parametrize(("numbers", "status"), [
    ((signal.SIGINT, signal.SIGINT), [130]),
    ((signal.SIGTERM, signal.SIGINT), [130]),
    ((signal.SIGHUP, signal.SIGHUP), []),  # a terminal that closes sends several
    ((signal.SIGHUP, signal.SIGTERM), []),
])  # fmt: skip
def test_only_a_second_signal_of_a_person_ends_a_training_at_once(left, numbers, status):
    said = []
    with Watch(), Interrupt(said.append) as asked:
        compute(numbers)
        until(lambda: said and len(left) == len(status))
        assert asked.asked
    assert left == status
    assert set(said) == {"stopping after this update and saving everything; Ctrl-C once more stops at once"}


def test_a_signal_that_comes_twice_within_a_moment_is_one(left):
    with Watch(), Interrupt(lambda _: None) as asked:
        compute([signal.SIGTERM, signal.SIGTERM], between=0.001)
        time.sleep(0.05)
        assert asked.asked
    assert left == []


def test_before_a_training_one_signal_ends_a_command_cleanly(monkeypatch, tmp_path):
    cleaned = []

    def decode(*_args, **_options):
        try:
            signal.raise_signal(decode.number)
            time.sleep(5)
        finally:
            cleaned.append(decode.number)

    monkeypatch.setattr(opening, "open_data", decode)
    for decode.number in (signal.SIGINT, signal.SIGTERM):
        done = CliRunner().invoke(app, ["train", "--out", str(tmp_path / "run")])
        assert done.exit_code == 128 + decode.number
        assert done.stderr == "stopped at once; nothing more was saved\n"
    assert cleaned == [signal.SIGINT, signal.SIGTERM]
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_clean_up_in_time_is_ended(left, monkeypatch):
    monkeypatch.setattr(interrupt, "PATIENCE", 0.05)
    with Watch():
        with pytest.raises(KeyboardInterrupt):
            compute([signal.SIGINT])
        until(lambda: left)
    assert left == [130]


def test_what_follows_an_asked_training_is_given_all_the_time_it_needs(left, monkeypatch):
    monkeypatch.setattr(interrupt, "PATIENCE", 0.0)
    with Watch():
        with Interrupt(lambda _: None, "here"):
            signal.raise_signal(signal.SIGTERM)
        time.sleep(0.15)  # its report, say
        assert left == []
        with pytest.raises(KeyboardInterrupt):
            compute([signal.SIGINT])
        until(lambda: left)
    assert left == [130]


def test_handlers_are_as_before_and_nohup_holds():
    before = [signal.getsignal(number) for number in interrupt.ASKING]
    with Watch(), Interrupt():
        assert before != [signal.getsignal(number) for number in interrupt.ASKING]
    assert before == [signal.getsignal(number) for number in interrupt.ASKING]
    assert Watch.current is None
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupt() as asked:
            signal.raise_signal(signal.SIGHUP)
            assert not asked.asked
    finally:
        signal.signal(signal.SIGHUP, ignored)


def test_from_python_a_second_signal_is_a_keyboard_interrupt():
    with Interrupt() as asked:
        signal.raise_signal(signal.SIGINT)
        assert asked.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)


class Gone(io.StringIO):
    """A terminal that was closed."""

    def write(self, text):
        raise OSError(errno.EIO, "Input/output error")


def unread():
    """A pipe whose reader has left."""
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w", buffering=1)


@pytest.mark.parametrize("stream", [Gone, unread, lambda: None])
def test_a_training_goes_on_without_a_console(tmp_path, monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", stream())
    run = zerosum.train("digits", "mlp", SMALL, images=160, out=tmp_path / "run")
    assert run.finished
    assert run.metrics[-1]["images"] == 160
    assert (tmp_path / "run" / "report.html").exists()
    assert checkpoint.names(training.RunDirectory(run.path).checkpoints)
    if sys.stderr is not None and not isinstance(sys.stderr, Gone):
        sys.stderr.close()  # flushes into nothing, and does not fail


def test_what_is_read_is_written():
    stream = io.StringIO()
    assert Lasting(stream).write("abc") == 3
    assert stream.getvalue() == "abc"
    assert not Lasting(stream).isatty()
    stream.close()
    assert Lasting(stream).write("abc") == 0


def test_a_thread_that_hears_no_signals_may_train():
    entered = []

    def train():
        with Watch(), Interrupt() as asked:
            entered.append(asked)

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert [one.asked for one in entered] == [False]
    assert Watch.current is None


def test_a_signal_that_ends_at_once_says_so_and_gives_its_status(left, capfd, monkeypatch):
    acts = []
    monkeypatch.setattr(interrupt, "last_acts", [lambda: acts.append("lock")])
    interrupt.leave(signal.SIGTERM)
    assert left == [143]
    assert acts == ["lock"]
    assert capfd.readouterr().err == f"{interrupt.AT_ONCE}\n"
