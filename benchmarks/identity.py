"""Does a change of the code change a number? Every recipe plays some turns, and each bit is compared with a recording.

    python -m benchmarks.identity --out identity.json        # record
    python -m benchmarks.identity --against identity.json    # play again and compare
    python -m benchmarks.identity --commit main              # play a commit in a worktree of its own, and compare

Recipes are tiny (batch 8, few channels, one thread), and what acts late or seldom acts within the turns: lazy
penalties, adaptive augmentation, averages, schedules. `identity_cases.py` adds settings that no recipe has. Recorded is
a digest of each tensor after each turn (weights and buffers, averages, moments of optimizers, memory, sums), the state
of the random numbers, losses and curves, and at the end the product and samples of it. A second engine goes on from the
state of half-time and must agree. A difference is told by kind, name and turn. Values that have only other names are no
failure, nor is what `identity_expected.toml` lists. `--cases 'dcgan*' +pack` plays these alone. The exit status is 1
for a difference, 2 for a recording of another machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import torch
from torch import Tensor

import zerosum
from benchmarks.identity_cases import Case
from benchmarks.identity_table import Table, every_case, place

HERE = Path(__file__).parent
EXPECTED = HERE / "identity_expected.toml"

Moment = dict[str, dict[str, str]]  # kind -> name -> value or digest
Record = dict[str, dict[str, list[str]]]  # kind -> name -> the same at the start and after each turn; "" for none
Result = dict[str, Any]  # of a case: settings, record, and faults in words


# ---------------------------------------------------------------------- play


def digest(tensor: Tensor) -> str:
    """Shape and type of a tensor, and a digest of its bytes in the order of its indices."""
    plain = tensor.detach().cpu().contiguous()
    data = plain.flatten().view(torch.uint8).numpy().tobytes()
    return f"{list(plain.shape)} {str(plain.dtype).removeprefix('torch.')} {hashlib.sha256(data).hexdigest()[:16]}"


def look(table: Table, losses: dict[str, float]) -> Moment:
    """All that there is to compare, after a turn with these losses."""
    found = {kind: {name: digest(one) for name, one in tensors.items()} for kind, tensors in table.tensors().items()}
    counts = {name: str(number) for name, number in table.numbers().items()}
    return {"losses": {name: repr(loss) for name, loss in losses.items()}, "clock": counts, **found}


def follow(table: Table, turns: int) -> Iterator[Moment]:
    """Play turns, and look after each; after the last also at the product."""
    for turn in range(turns):
        moment = look(table, table.turn())
        if turn == turns - 1:
            moment["product"] = {name: digest(one) for name, one in table.product().items()}
        yield moment


def joined(moments: list[Moment]) -> Record:
    """Moments as a row for each name."""
    record: Record = {}
    for turn, moment in enumerate(moments):
        for kind, values in moment.items():
            for name, value in values.items():
                record.setdefault(kind, {}).setdefault(name, [""] * len(moments))[turn] = value
    return record


def play(case: Case, turns: int) -> Result:
    """Play a case, and its second half again from a saved state."""
    torch.manual_seed(0)  # what no engine should use
    try:
        table, half = Table(case), turns // 2
        moments = [look(table, {})]
        for moment in follow(table, turns):
            moments.append(moment)
            if len(moments) == half + 1:
                saved = table.save()
        other = Table(case)
        other.load(saved)
        torch.randn(7)  # somebody else draws random numbers in between
        resumed = compare(joined(moments[half + 1 :]), joined(list(follow(other, turns - half))))
    except Exception as error:  # the others shall be played all the same
        return {"settings": case.text(), "faults": [f"{type(error).__name__}: {error}"], "record": {}}
    what = f"resumed after turn {half}, {len(resumed)} values differ: first"
    faults = [f"{what} {one.said(half + 1)}" for one in resumed[:1]]
    return {"settings": case.text(), "faults": faults, "record": joined(moments)}


def play_all(chosen: list[Case], turns: int) -> Iterator[tuple[str, Result]]:
    """Play cases and print how long each takes; its line is ended by who asks."""
    for number, case in enumerate(chosen, 1):
        began = time.monotonic()
        result = play(case, turns)
        print(f"{number:3}/{len(chosen)} {case.name:<24} {time.monotonic() - began:5.1f} s", end="  ", flush=True)
        yield case.name, result


# ---------------------------------------------------------------------- compare


class Difference(NamedTuple):
    """A value that is not what it was, at the first turn where it is not."""

    turn: int
    kind: str
    name: str
    before: str
    after: str

    def said(self, start: int = 0) -> str:
        """Where and what, in words; rows begin at a turn."""
        when = f"after turn {start + self.turn}" if start + self.turn else "at the start"
        values = f"{self.before or 'absent'} -> {self.after or 'absent'}"
        return f"{self.kind} {self.name} {when} ({values})"


def renamed(before: dict[str, list[str]], after: dict[str, list[str]]) -> dict[str, str]:
    """New names of rows that have another, where a kind has other names than it had."""
    if before.keys() == after.keys():
        return {}
    waiting: dict[tuple[str, ...], list[str]] = {}
    for name, row in sorted(after.items(), reverse=True):
        if before.get(name) != row:
            waiting.setdefault(tuple(row), []).append(name)
    left = [name for name, row in sorted(before.items()) if after.get(name) != row]
    return {name: waiting[tuple(before[name])].pop() for name in left if waiting.get(tuple(before[name]))}


def compare(before: Record, after: Record) -> list[Difference]:
    """What differs beside names, the earliest first; of a turn, losses first."""
    found = []
    for kind in before.keys() | after.keys():
        old, new = before.get(kind, {}), after.get(kind, {})
        names = renamed(old, new)
        old = {name: row for name, row in old.items() if name not in names}
        new = {name: row for name, row in new.items() if name not in names.values() or name in old}
        for name in old.keys() | new.keys():
            rows = old.get(name, []), new.get(name, [])
            for turn in range(max(map(len, rows))):
                values = [row[turn] if turn < len(row) else "" for row in rows]
                if values[0] != values[1]:
                    found.append(Difference(turn, kind, name, *values))
                    break
    return sorted(found, key=lambda one: (one.turn, one.kind != "losses", one))


def reasons(path: Path = EXPECTED) -> list[dict[str, str]]:
    """What is expected to differ."""
    return tomllib.loads(path.read_text(encoding="utf-8")).get("expected", [])


def reason(case: str, one: Difference, expected: list[dict[str, str]]) -> str | None:
    """Why a difference is expected, if it is."""
    at = {"case": case, "kind": one.kind, "name": one.name}
    fits = (line for line in expected if all(fnmatchcase(at[key], line.get(key, "*")) for key in at))
    return next((line["reason"] for line in fits), None)


def verdict(name: str, before: Result, after: Result, expected: list[dict[str, str]]) -> tuple[str, list[str]]:
    """Verdict on a case (equal, names differ, as expected, DIFFERENT), and lines that say why."""
    if before["faults"] or after["faults"] or before["settings"] != after["settings"]:
        told = [f"in the recording: {fault}" for fault in before["faults"]]
        told += [f"here: {fault}" for fault in after["faults"]]
        return "DIFFERENT", told or [f"recorded was {before['settings']}, here it is {after['settings']}"]
    lines, groups = [], dict[tuple[str, str | None], list[Difference]]()
    for one in compare(before["record"], after["record"]):
        groups.setdefault((one.kind, reason(name, one, expected)), []).append(one)
    for (kind, why), group in groups.items():
        of = len(before["record"].get(kind, {}))
        lines.append(f"{'' if why is None else f'expected: {why}: '}{len(group)} of {of}: first {group[0].said()}")
    verdict = "DIFFERENT" if any(why is None for _, why in groups) else "as expected" if groups else "equal"
    for kind, rows in before["record"].items():
        names = renamed(rows, after["record"].get(kind, {}))
        if names:
            lines.append(f"names differ, values equal: {len(names)} of {kind}, as {' -> '.join(min(names.items()))}")
            verdict = "names differ" if verdict == "equal" else verdict
    return verdict, lines


# ---------------------------------------------------------------------- commands


def refuse(sentence: str) -> NoReturn:
    """Say why nothing is compared, and end."""
    print(sentence, file=sys.stderr)
    sys.exit(2)


def git(*words: str) -> str:
    """What a git command prints."""
    done = subprocess.run(["git", "-C", str(HERE), *words], check=False, capture_output=True, text=True)
    return refuse(done.stderr.strip()) if done.returncode else done.stdout.strip()


def record(out: Path, chosen: list[Case], turns: int) -> int:
    """Play cases and write what they gave; 1 if one could not be played, or could not be resumed bit for bit."""
    commit, results = git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"), {}
    for name, result in play_all(chosen, turns):
        results[name] = result
        print("\n        ".join(result["faults"] or ["recorded"]))
    whole = {"commit": commit, "place": place(), "turns": turns, "cases": results}
    out.write_text(json.dumps(whole), encoding="utf-8")
    return int(any(result["faults"] for result in results.values()))


def record_commit(revision: str, arguments: list[str]) -> dict[str, Any]:
    """Recording of a commit by its own copy of this benchmark, or by this one where it has none."""
    with tempfile.TemporaryDirectory() as folder:
        tree, out = Path(folder) / "tree", Path(folder) / "identity.json"
        git("worktree", "add", "--detach", str(tree), revision)
        try:
            if not (tree / "benchmarks" / "identity.py").exists():
                for file in HERE.glob("identity*"):
                    shutil.copy(file, tree / "benchmarks")
            command = [sys.executable, "-m", "benchmarks.identity", "--out", str(out), *arguments]
            environment = os.environ | {"PYTHONPATH": f"{tree / 'src'}{os.pathsep}{tree}"}
            subprocess.run(command, cwd=tree, env=environment, check=False)
        finally:
            git("worktree", "remove", "--force", str(tree))
        return read(out) if out.exists() else refuse(f"{revision} could not be played")


def read(path: Path) -> dict[str, Any]:
    """A recording that can be compared here."""
    recorded, here = json.loads(path.read_text(encoding="utf-8")), place()
    if recorded["place"] != here:
        there = [(name, was) for name, was in recorded["place"].items() if was != here[name]]
        other = ", ".join(f"{name} {was} there, {here[name]} here" for name, was in there)
        refuse(f"{path} is of another place ({other}), where bits may differ for that alone: record the commit here")
    return recorded


def asked_for(name: str, patterns: list[str]) -> bool:
    """True where a pattern means a case."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def contrast(recorded: dict[str, Any], chosen: list[Case], expected: list[dict[str, str]]) -> int:
    """Play what was recorded and say what differs; 1 if something does that nobody expects."""
    before, counts = recorded["cases"], {"equal": 0, "names differ": 0, "as expected": 0, "DIFFERENT": 0}
    for name, result in play_all([case for case in chosen if case.name in before], recorded["turns"]):
        outcome, lines = verdict(name, before[name], result, expected)
        counts[outcome] += 1
        print("\n        ".join([outcome, *lines]))
    names = [case.name for case in chosen]
    gone, new = sorted(before.keys() - set(names)), [name for name in names if name not in before]
    counts["DIFFERENT"] += len(gone)
    print(f"not here any more: {', '.join(gone)}\n" if gone else "", end="")
    print(f"not in the recording: {', '.join(new)}\n" if new else "", end="")
    print(f"against {recorded['commit']}: {', '.join(f'{count} {verdict}' for verdict, count in counts.items())}")
    return int(counts["DIFFERENT"] > 0)


def main(arguments: list[str] | None = None) -> int:
    """Record or compare; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument("--out", type=Path, help="file to record into")
    task.add_argument("--against", type=Path, help="recording to compare with")
    task.add_argument("--commit", metavar="REV", help="commit to compare with")
    parser.add_argument("--cases", nargs="+", default=["*"], metavar="NAME", help="which to play; may have * in them")
    parser.add_argument("--turns", type=int, default=4, help="turns to record, at least 2")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if not Path(zerosum.__file__).is_relative_to(HERE.parent):
        refuse(f"this would play {zerosum.__file__}, not the tree beside it; set PYTHONPATH={HERE.parent / 'src'}")
    chosen = [case for case in every_case() if asked_for(case.name, asked.cases)]
    if asked.turns < 2:
        parser.error("--turns: at least 2, as a second engine plays the last half of them")
    if not chosen:
        parser.error(f"--cases: none is called {' or '.join(asked.cases)}")
    if asked.out:
        return record(asked.out, chosen, asked.turns)
    words = ["--turns", str(asked.turns), "--cases", *asked.cases]
    recorded = read(asked.against) if asked.against else record_commit(asked.commit, words)
    kept = {name: result for name, result in recorded["cases"].items() if asked_for(name, asked.cases)}
    return contrast({**recorded, "cases": kept}, chosen, reasons())


if __name__ == "__main__":
    sys.exit(main())
