"""What a person sees while a training runs."""

import io
import math
import sys
import types

import pytest

from zerosum.core.values import Length
from zerosum.runs.training import progress
from zerosum.runs.training.moments import Moment, Pace, Standing, clock
from zerosum.runs.training.progress import Display

LONG = "123,456,789 images, 1,234/s, D 1.234 G 0.567 sliced-wasserstein 0.0321, fd 12.3, kid 0.00123"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("width", [40, 80, 200])
def test_share_and_times_are_never_cut(monkeypatch, width):
    monkeypatch.setenv("TERM", "xterm-256color")
    display = Display(quiet=True)
    display.console.quiet, display.console.width, display.console.file = False, width, io.StringIO()
    display._standing = lambda: Standing(0.12, 3725.0, 36_000.0)
    display._text = LONG
    display.console.print(display._line())
    lines = display.console.file.getvalue().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(" 12%, 1:02:05 done, 10:00:00 left"[:width])
    assert (LONG in lines[0]) == (width == 200)
    assert ("123,456,789 images" in lines[0]) == (width >= 80)


def test_the_bar_follows_the_clock_between_updates(monkeypatch):
    for name in ("TTY_COMPATIBLE", "TTY_INTERACTIVE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys, "stderr", Terminal())
    display, share = Display(), [0.1]
    assert display.live
    display.start(lambda: Standing(share[0], 1.0, 9.0))
    display._bar.refresh()
    share[0] = 0.25
    display._bar.refresh()
    display.stop()
    said = sys.stderr.getvalue()
    assert " 10%, 0:01 done, 0:09 left" in said
    assert " 25%, 0:01 done, 0:09 left" in said


def test_plain_lines_come_by_the_clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    display = Display()
    display.work("decoding", 10, 10)
    display.start(lambda: Standing(now[0] / 1000, now[0] - 100, 1000 - now[0]))
    for _ in range(130):
        now[0] += 0.1
        display.update("images")
    lines = sys.stderr.getvalue().splitlines()
    assert [line.partition(" done")[0] for line in lines[1:]] == [" 10%, 0:02", " 11%, 0:07", " 11%, 0:12"]


def test_what_takes_long_is_shown_after_its_first_update(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    display = Display()
    display.start(lambda: Standing(0.1, 30.0, 270.0))
    now[0] += 30
    display.update("64 images")
    assert sys.stderr.getvalue() == " 10%, 0:30 done, 4:30 left  64 images\n"


def test_rates_are_of_late_and_times_left_of_the_whole():
    pace = Pace(Length(10_000), Moment(1000, 50.0), 0.1)
    assert pace.standing(Moment(1000, 50.0), 0.1).left == math.inf
    assert str(pace.standing(Moment(1000, 50.0), 0.1)) == " 10%, 0:50 done, ? left"
    assert pace.rate(Moment(1100, 60.0)) == "10/s"
    assert pace.standing(Moment(2000, 60.0), 0.2) == Standing(0.2, 60.0, pytest.approx(80.0))
    for second in range(61, 200):
        rate = pace.rate(Moment(1100 + 2 * (second - 60), float(second)))
    assert rate == "2/s"


def test_minutes_are_left_by_the_clock_whatever_the_pace():
    pace = Pace(Length(300, "seconds"), Moment(0, 0.0), 0.0)
    assert str(pace.standing(Moment(0, 12.0), 0.04)) == "  4%, 0:12 done, 4:48 left"


def test_clock():
    assert [clock(x) for x in (0, 5.4, 65, 3725, -1, math.inf)] == ["0:00", "0:05", "1:05", "1:02:05", "0:00", "?"]


def test_a_notebook_shows_one_line_that_changes(monkeypatch):
    shown, changed = [], []

    class Output:
        def update(self, content, raw):
            changed.append(content)

    def display_of(content, **options):
        shown.append((content, options))
        return Output()

    ipython = types.SimpleNamespace(display=display_of)
    monkeypatch.setitem(sys.modules, "IPython.display", ipython)
    display = Display()
    display.console.is_jupyter = True
    display.start(lambda: Standing(0.25, 61.0, 183.0))
    display.update("<1> image")
    display.update("2 images")
    display.stop()
    ((first, options),) = shown
    assert options == {"raw": True, "display_id": True}
    assert first["text/plain"] == " 25%, 1:01 done, 3:03 left  <1> image"
    assert '<progress value="0.2500"' in first["text/html"]
    assert "&lt;1&gt; image" in first["text/html"]
    assert [content["text/plain"][-8:] for content in changed] == ["2 images", "2 images"]
