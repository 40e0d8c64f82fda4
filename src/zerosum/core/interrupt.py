"""Signals that ask a process to end: the first lets a training save, a second ends it at once.

Python's own handlers wait while a call computes, which may be minutes. So a command hears of its signals in a thread.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, ClassVar

ENDING = (signal.SIGINT, signal.SIGTERM)  # a second one of these ends at once
ASKING = (*ENDING, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))  # Windows has no terminal that hangs up
TOGETHER = 0.1  # seconds; signals this close are one, as `timeout` sends each twice
PATIENCE = 2.0  # seconds that a command has to clean up
SHOW_CURSOR = "\x1b[?25h"
AT_ONCE = "stopped at once; nothing more was saved"

last_acts: list[Callable[[], None]] = []  # what is done before a process ends here and now


class _Handlers(ABC):
    """Handlers of signals while entered, in the main thread: signals reach no other."""

    numbers: ClassVar[tuple[signal.Signals, ...]] = ENDING

    def __enter__(self) -> Any:
        self._before: dict[signal.Signals, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in self.numbers:
                if number in ENDING or signal.getsignal(number) != signal.SIG_IGN:  # nohup means: ignore SIGHUP
                    self._before[number] = signal.signal(number, self.handle)
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @abstractmethod
    def handle(self, number: int, frame: FrameType | None) -> None:
        """Answer a signal."""


class Interrupt(_Handlers):
    """While entered, `asked` turns true when a signal asks to stop; a second raises KeyboardInterrupt.

    Args:
        say: prints a line; used where a command watches.
        place: what a person may resume.
    """

    numbers = ASKING

    def __init__(self, say: Callable[[str], None] = print, place: object = "RUN") -> None:
        self.asked, self.place = False, place
        self._say = say

    def __enter__(self) -> Interrupt:
        super().__enter__()
        self._watch = Watch.current
        if self._watch is not None:
            self._watch.training = self
        return self

    def __exit__(self, *error: object) -> None:
        if self._watch is not None and not self.asked:  # else a second signal still stops what follows
            self._watch.training = None
        super().__exit__(*error)

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Ask; a second time, stop at once."""
        if self.asked and number in ENDING and self._watch is None:
            raise KeyboardInterrupt
        self.asked = True

    def answer(self) -> None:
        """Say what follows."""
        self._say("stopping after this update and saving everything; Ctrl-C once more stops at once")


class Watch(_Handlers):
    """While entered, a signal ends a command: cleanly where it can, and at once where it computes for long.

    Attributes:
        training: where one is under way, the first signal only asks it to stop.
        status: exit status of a command that a signal ended.
    """

    current: ClassVar[Watch | None] = None

    def __init__(self) -> None:
        self.training: Interrupt | None = None
        self.status = 128 + signal.SIGINT
        self._heard: float | None = None  # when the last signal came

    def __enter__(self) -> Watch:
        super().__enter__()
        if self._before:
            self._ear, self._mouth = socket.socketpair()
            self._mouth.setblocking(False)
            self._wakeup = signal.set_wakeup_fd(self._mouth.fileno(), warn_on_full_buffer=False)
            threading.Thread(target=self._listen, daemon=True).start()
            Watch.current = self
        return self

    def __exit__(self, *error: object) -> None:
        if self._before:
            Watch.current = None
            signal.set_wakeup_fd(self._wakeup)
            self._mouth.close()  # which ends the thread
        super().__exit__(*error)

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Leave by way of everything that cleans up."""
        self.status = 128 + number
        raise KeyboardInterrupt

    def _listen(self) -> None:
        with self._ear:
            while True:
                try:
                    heard = self._ear.recv(64)
                except TimeoutError:
                    return self._leave()
                if not heard:
                    return None
                for number in [number for number in heard if number in ASKING][:1]:
                    if self._second(number):
                        return self._leave()
                    self._answer()

    def _second(self, number: int) -> bool:
        """True where a signal is a person's second one, perhaps in the middle of a long call."""
        if number not in ENDING:
            return False
        before, self._heard = self._heard, time.monotonic()
        self.status = 128 + number
        return before is not None and self._heard - before > TOGETHER

    def _answer(self) -> None:
        if self.training is None:
            self._ear.settimeout(PATIENCE)
        else:
            self.training.answer()

    def _leave(self) -> None:
        """End the process here and now; what is saved was flushed and renamed, so it stays whole."""
        training = self.training
        more = "" if training is None else f"; go on with: zerosum resume {shlex.quote(str(training.place))}"
        end(self.status, f"\n{AT_ONCE}{more}")


def leave(number: int, _frame: FrameType | None = None) -> None:
    """End the process here and now at a signal."""
    end(128 + number, AT_ONCE)


def end(status: int, words: str) -> None:
    """End the process here and now, with a last word; a cursor that was hidden is shown again."""
    for act in last_acts:
        act()
    with suppress(OSError):  # a console that is gone
        os.write(2, f"{SHOW_CURSOR if os.isatty(2) else ''}{words}\n".encode())
    os._exit(status)
