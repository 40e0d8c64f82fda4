"""Names of files and classes on a terminal: no escape sequence, no markup, no turned writing, no line of their own."""

import io
import sys
import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tests.test_sample import call, make
from zerosum.cli import listing, main
from zerosum.cli.command import say, sheet
from zerosum.core.console import named, visible
from zerosum.networks.space import Space
from zerosum.runs.storage.saved import load_model, save_model
from zerosum.runs.training.progress import Display
from zerosum.runs.view.page import text

EVIL = "\x1b[31m[bold]a[/bold]\0\x07\u202ecba\u200b:cat:\r\x9b2J\udcff"
SHOWN = "\\x1b[31m[bold]a[/bold]\\x00\\x07\\u202ecba\\u200b:cat:\\r\\x9b2J\\udcff"


def test_what_a_terminal_would_obey_is_written_out():
    assert visible(EVIL) == SHOWN
    assert visible("one\n\ttwo é 漢 🐈") == "one\n\ttwo é 漢 🐈"
    assert named("one\n\ttwo") == "one\\n\\ttwo"
    assert visible("نام‌خانوادگی") == "نام‌خانوادگی"  # a joiner that words need


@given(st.text(alphabet=st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Lu"])))
def test_nothing_unseen_is_left(value):
    kinds = {unicodedata.category(letter) for letter in named(value) if letter not in "\u200c\u200d"}
    assert kinds <= {"Lu", "Ll", "Nd", "Po", "Cf"}
    assert not {"Cc", "Cs", "Zl", "Zp"} & kinds
    assert not any(unicodedata.bidirectional(letter) in ("RLO", "LRO", "RLE", "LRE", "PDF") for letter in named(value))


def test_every_way_to_a_terminal_shows_names_as_they_are(capsys):
    say(EVIL)
    Display().say(EVIL)
    listing.print_listing({"kind": [("[out, fan-in]", EVIL)]})
    sheet().print("[red]:cat:[/red]")
    shown = capsys.readouterr()
    assert shown.err == f"{SHOWN}\n{SHOWN}\n"
    assert "[out, fan-in]" in shown.out
    assert "[red]:cat:[/red]" in shown.out
    assert "\x1b" not in shown.out
    assert text(f"<b>{EVIL}") == f"&lt;b&gt;{SHOWN}"


def test_ls_shows_brackets_of_descriptions():
    assert "[out, fan-in] matrices" in " ".join(call("ls", "initialization").stdout.split())


def test_the_bar_shows_brackets():
    display = Display()
    display.console = Console(file=io.StringIO(), width=100, force_terminal=True)
    display.metric = "[b]fd[/b]"
    display.update("\x1b]0;:cat:")
    display.console.print(display._line())
    assert "\\x1b]0;:cat: [b]fd[/b]" in display.console.file.getvalue()


def test_names_of_classes_are_shown_escaped(tmp_path):
    generator = load_model(
        make(tmp_path / "g.safetensors", "mlp", "generator.labels=concat", space=Space((1, 8, 8), 100, 3))
    )
    generator.classes = ("\x1b[2Jcat", "a\nerror: b", "\u202ec")
    save_model(tmp_path / "g.safetensors", generator)
    done = call("sample", tmp_path / "g.safetensors", "--label", "zzzz")
    assert done.exit_code == 2
    assert "there is: \\x1b[2Jcat, a\\nerror: b, \\u202ec" in done.stderr
    assert call("sample", tmp_path / "g.safetensors", "-n", 3, "-o", f"{tmp_path}/\x1b[1m/").exit_code == 0
    assert "\\x1b[1m" in call("sample", tmp_path / "g.safetensors", "-n", 3, "-o", f"{tmp_path}/\x1b[1m/").stderr


def test_a_console_without_the_letters_is_no_error(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(main, "app", lambda: print("1 ± 2"))
    main.main()
    stream.flush()
    assert stream.buffer.getvalue() == b"1 \\xb1 2\n"
