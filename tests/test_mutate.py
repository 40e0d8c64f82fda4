"""The mutation benchmark: its operators change code, broken code is killed, and code that does the same survives."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from benchmarks.mutate import PACKAGE, draw, report
from benchmarks.mutate_operators import OPERATORS, mutants

ROOT = Path(__file__).parent.parent


def changed(line, operator):
    """What an operator makes of a line inside a function."""
    found = [one for one in mutants("file.py", f"def f():\n    {line}\n".encode()) if one.operator == operator]
    assert all((one.before, one.line, one.unit, one.function) == (line, 2, "f", "f") for one in found)
    return [one.after for one in found]


@pytest.mark.parametrize(
    ("operator", "before", "after"),
    [
        ("arithmetic", "return a - (b) * (c + d)", ["a + (b) * (c + d)", "a - (b) / (c + d)", "a - (b) * (c - d)"]),
        ("arithmetic", "return a // b % c**d", ["a // b * c**d", "a * b % c**d", "a // b % c*d"]),
        ("arithmetic", "x += 'ä' * y", ["x -= 'ä' * y", "x += 'ä' / y"]),
        ("comparison", "return a < b", ["a >= b", "a <= b"]),
        ("comparison", "return a >= b", ["a < b", "a > b"]),
        ("comparison", "return (a == b, c is not d, e in f)", [
            "(a != b, c is not d, e in f)", "(a == b, c is d, e in f)", "(a == b, c is not d, e not in f)"
        ]),
        ("connective", "return a and b and c", ["a or b and c"]),
        ("constant", "return a[0, 1, 3, 1e-8]", [
            "a[1, 1, 3, 1e-8]", "a[0, 2, 3, 1e-8]", "a[0, 1, 6, 1e-8]", "a[0, 1, 3, 2e-08]"
        ]),
        ("truth", "return f(a=True, b=False)", ["f(a=False, b=False)", "f(a=True, b=True)"]),
        ("sign", "return -a.mean() + (~b) * (not c)", [
            "a.mean() + (~b) * (not c)", "-a.mean() + (b) * (not c)", "-a.mean() + (~b) * (c)"
        ]),
        ("factor", "return (a + b) * c / d", ["(a + b) * c", "(a + b) / d", "c / d"]),
        ("dropped_call", "return (a - b).square().mean() + c.detach()", [
            "(a - b).mean() + c.detach()", "(a - b).square().mean() + c"
        ]),
        ("exchanged_call", "return max(a, b).sum(1)", ["max(a, b).mean(1)", "min(a, b).sum(1)"]),
        ("swapped_arguments", "return f(a, b, c)", ["f(b, a, c)"]),
        ("swapped_arguments", "return f(a, 1) + f(a, a) + f(*a, *b) + x.maximum(a, b)", []),
        ("axis", "return f(a, dim=1) + f(b, dim=0) + f(c, dim=-1)", [
            "f(a, dim=0) + f(b, dim=0) + f(c, dim=-1)",
            "f(a, dim=1) + f(b, dim=1) + f(c, dim=-1)",
            "f(a, dim=1) + f(b, dim=0) + f(c, dim=0)",
        ]),
        ("real_fake", "return real - x.fake_logits + y['fake'] + really", [
            "real - x.real_logits + y['fake'] + really", "real - x.fake_logits + y['real'] + really"
        ]),
        ("real_fake", "return real(fake)", ["fake(fake)", "real(real)"]),
        ("guard", "return a if b else c", ["a if True else c", "a if False else c"]),
        ("guard", "return [a for a in b if a]", ["[a for a in b if True]", "[a for a in b if False]"]),
    ],
)  # fmt: skip
def test_operators_change_code(operator, before, after):
    verb = before[: len("return ")] if before.startswith("return ") else ""
    assert sorted(changed(before, operator)) == sorted(verb + one for one in after)


def test_messages_annotations_and_constants_of_a_class_stay():
    source = '''
LIMIT = 1 + 1


class Part:
    """One - two."""

    gain: float = 2.0

    @decorated(1 - 2)
    def method(self, x: Literal[1] = None) -> Range[0, 1]:
        """Three - four."""
        assert 5 - 6 < 7
        y: Range[0, 1] = x
        raise ValueError(f"{x - 1}")
'''
    assert list(mutants("file.py", source.encode())) == []


def test_changes_belong_to_their_method():
    source = b"class A:\n    def f(self, a=2):\n        def g(b):\n            return -b\n        return g\n"
    assert [(one.unit, one.function, one.line, one.after) for one in mutants("file.py", source)] == [
        ("A", "A.f", 2, "def f(self, a=4):"),
        ("A", "A.f", 4, "return b"),
    ]


def test_every_operator_is_tested():
    tested = next(mark for mark in test_operators_change_code.pytestmark if mark.name == "parametrize").args[1]
    assert {operator for operator, *_ in tested} == set(OPERATORS)


def test_the_draw_is_fixed_and_takes_of_every_class():
    found = list(mutants("file.py", b"def f(a=2, b=3, c=4, d=5):\n    return -a\n\ndef g():\n    return 7\n"))
    drawn = draw(found, 3, seed=0)
    assert [one.unit for one in drawn] == ["f", "f", "f", "g"]
    assert drawn == draw(found, 3, seed=0) != draw(found, 3, seed=1)
    assert draw(found, 0, seed=0) == found
    assert drawn[:3] == draw([one for one in found if one.unit == "f"], 3, seed=0)


def test_the_report_counts_what_nobody_explains():
    def record(before, killed):
        return {
            "file": "latents.py",
            "function": "f",
            "line": 5,
            "before": before,
            "after": "y",
            "killed": killed,
            "by": "survived",
        }

    records = [record("a", True), record("b", False), record("c", False), record("d", True)]
    page, share = report(
        records, {("latents.py", "f", "b", "y"): "the same", ("latents.py", "f", "d", "y"): "wrong"}, {}
    )
    assert share == 1 / 4
    assert "| latents | 4 | 2 | 1 | 1 |" in page
    assert "- latents.py:5  c  ->  y\n" in page
    assert "- latents.py:5  b  ->  y: the same\n" in page
    assert "A reason for a change that is killed: latents.py, f, d, y" in page


TRIALS = """
import json, pathlib, sys, tempfile, time
sys.path.insert(0, sys.argv[1])
from benchmarks import mutate_trial
from benchmarks.mutate_operators import Mutant

def verdict(old, new, limit):
    file = "objectives/wasserstein.py"
    source = (tree / "src/zerosum" / file).read_bytes()
    start = source.index(old)
    mutant = Mutant(file, "Wasserstein", "f", 1, "by hand", start, start + len(old), new, "", "")
    trial = mutate_trial.Trial(tree, limit, mutate_trial.run, mutant, ["tests/test_objectives_points.py"])
    while (said := trial.result()) is None:
        time.sleep(0.01)
    return said

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        tree = mutate_trial.copy(pathlib.Path(sys.argv[1]), pathlib.Path(folder).resolve())
        loss, other = b"fake.float().mean() - real.float().mean()", "fake.float().mean() + real.float().mean()"
        print(json.dumps([
            verdict(loss, other, 100),
            verdict(loss, "-real.float().mean() + fake.float().mean()", 100),
            verdict(b"from __future__ import annotations", "while True: pass", 0.5),
        ]))
"""


def test_a_broken_loss_is_killed_and_a_rewritten_one_survives(tmp_path):
    script = tmp_path / "trials.py"
    script.write_text(TRIALS)
    command = [sys.executable, str(script), str(ROOT)]
    said = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=200).stdout)
    (broken, by), rewritten, endless = said
    assert broken == "killed"
    assert by.startswith("tests/test_objectives_points.py::test_")
    assert rewritten == ["survived", ""]
    assert endless == "timeout"


def test_every_reason_is_about_a_line_that_is_there():
    reasons = tomllib.loads((ROOT / "benchmarks" / "mutate_equivalent.toml").read_text())["equivalent"]
    for reason in reasons:
        source = (PACKAGE / reason["file"]).read_text()
        assert reason["before"] in " ".join(source.split()), reason
        assert f"def {reason['function'].rpartition('.')[2]}(" in source, reason
    assert len(reasons) > 20
