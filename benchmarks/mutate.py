"""Would a test notice? Breaks methods, layers, the core, games and checkpoints, line by line.

    python -m benchmarks.mutate [--each 5 | --all] [--only gradient] [--processes 2] [--seed 0] [--fresh]

From every class and function of those files changes are drawn (`mutate_operators.py`: a sign, a factor, a forgotten
detach ...), `--each` of them or as many as there are. Each change runs in a process of its own against the tests near
it (TARGETS) that reach the changed function (`mutate_trial.py`); which ones those are is measured first. A change is
killed where a test fails or takes many times its time, else it survives. `mutate_equivalent.toml` names survivors that
change nothing that could be tested, each with the reason; they are counted apart. Results: a line a change in
benchmarks/results/mutate.jsonl, from which the next call goes on, and mutate.md. The working tree is never touched.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import random
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from benchmarks import mutate_trial
from benchmarks.mutate_operators import Mutant, mutants

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "zerosum"
LAYERS = (  # not the networks, which are made of them
    "attention conditioning discriminator equalized layers minibatch modulation normalization resampling spectral"
)
METHODS = (
    *(f"{name}/*.py" for name in ("objectives", "regularizers", "augmentations")),
    *(f"networks/{name}.py" for name in LAYERS.split()),
    "selection.py",
    "latents.py",
)
CORE = (
    "arithmetic average checkpoint clock compatibility console critic damage data_cache download engine errors games "
    "interrupt labels memory meter model player reading registry rehearsal settings signals tasks team usercode values"
)
TARGETS = {  # files below src/zerosum, and the beginnings of the names of tests that are to notice a change there
    METHODS: "objectives regularizers augmentations layers networks selection latents",
    ("core/*.py", "critic.py"): CORE,
    ("games/*.py",): "games labels compatibility health tasks",
    (
        "runs/storage/checkpoint.py",
        "runs/storage/sealed.py",
        "runs/training/saving.py",
    ): "checkpoint damage runs_nan model",
}
ALLOWED = 0.03  # share of changes that may survive without a reason
NAMED = ("file", "function", "before", "after")  # what names a change as long as its line stays
Record = dict[str, Any]


def digest(paths: Iterable[Path]) -> str:
    """Of the contents of files."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]


def draw(changes: Iterable[Mutant], each: int, seed: int) -> list[Mutant]:
    """At most so many changes of every class and function; all for each=0."""
    units: dict[tuple[str, str], list[Mutant]] = {}
    for mutant in changes:
        units.setdefault((mutant.file, mutant.unit), []).append(mutant)
    drawn = []
    for unit, found in units.items():
        chance = random.Random(f"{seed} {unit}")  # of its own: changes elsewhere leave this draw alone
        drawn += found if not each or len(found) <= each else chance.sample(found, each)
    return sorted(drawn, key=lambda mutant: (mutant.file, mutant.start, mutant.after))


def follow(
    work: Iterator[tuple[Any, Callable[[], mutate_trial.Trial]]], processes: int
) -> Iterator[tuple[Any, Any, float]]:
    """Keep so many trials running; give each one's name, result and seconds as it ends."""
    running: list[tuple[Any, mutate_trial.Trial]] = []
    while True:
        while len(running) < processes and (following := next(work, None)):
            running.append((following[0], following[1]()))
        if not running:
            return
        for name, trial in list(running):
            if (said := trial.result()) is not None:
                running.remove((name, trial))
                yield name, said, trial.seconds


def traces(tree: Path, tests: list[str], processes: int, fresh: bool) -> dict[str, Record]:
    """Which functions the tests of each file reach; measured, and seen to pass, once for each state of the tree."""
    cache = Path(tempfile.gettempdir()) / "zerosum-mutate-traces.json"
    known: dict[str, Record] = json.loads(cache.read_text()) if cache.is_file() and not fresh else {}
    shared = sorted(
        {*(tree / "src").rglob("*.py"), *(tree / "tests").glob("*.py")} - {*(tree / "tests").glob("test_*")}
    )
    keys = {test: digest([tree / test, *shared]) for test in tests}
    new = [test for test in tests if keys[test] not in known]
    work = ((test, lambda test=test: mutate_trial.Trial(tree, 600, mutate_trial.trace, test)) for test in new)
    for test, said, _ in follow(work, processes):
        if not isinstance(said, dict) or "error" in said:
            sys.exit(f"mutate: {said['error'] if isinstance(said, dict) else f'{test}: {said}'}; mend the tests first")
        known[keys[test]] = said
        cache.write_text(json.dumps(known))
    return {test: known[keys[test]] for test in tests}


def tests_of(file: str) -> tuple[str, ...]:
    """Beginnings of the names of tests that are to notice a change of a file below src/zerosum."""
    names = next(names for patterns, names in TARGETS.items() if any(fnmatchcase(file, one) for one in patterns))
    return tuple(f"tests/test_{name}" for name in names.split())


def covering(mutant: Mutant, traced: dict[str, Record]) -> list[str]:
    """Tests that reach a change, those of the quickest file first."""
    place, near = f"{mutant.file}:{mutant.function}", tests_of(mutant.file)
    files = sorted((file for file in traced if file.startswith(near)), key=lambda file: traced[file]["seconds"])
    return [test for file in files for test in traced[file]["reached"].get(place, [])]


def key(record: Record) -> tuple[Any, ...]:
    """What tells one change from another while its file stays as it is."""
    return tuple(record[name] for name in ("file", "start", "end", "new", "source"))


def try_all(tree: Path, chosen: list[Mutant], traced: dict[str, Record], path: Path, processes: int) -> list[Record]:
    """Try every change that has no result yet; what is killed stays so, survivors get another try when tests change."""
    plans: dict[tuple[Any, ...], tuple[Mutant, list[str], Record]] = {}
    for mutant in chosen:
        tests = covering(mutant, traced)
        files = dict.fromkeys(test.partition("::")[0] for test in tests)
        source = digest([tree / "src" / "zerosum" / mutant.file])
        record = dataclasses.asdict(mutant) | {"source": source, "tests": digest(tree / test for test in files)}
        plans[key(record)] = mutant, tests, record
    old = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    done = {key(record): record for record in old if key(record) in plans}
    done = {name: one for name, one in done.items() if one["killed"] or one["tests"] == plans[name][2]["tests"]}
    open_plans = {name: plan for name, plan in plans.items() if name not in done}
    print(f"{len(plans)} changes, {len(open_plans)} of them to try", flush=True)

    def start(mutant: Mutant, tests: list[str]) -> mutate_trial.Trial:
        limit = 30 + 5 * sum(traced[file]["seconds"] for file in {test.partition("::")[0] for test in tests})
        return mutate_trial.Trial(tree, limit, mutate_trial.run, mutant, tests)

    work = ((name, lambda plan=plan: start(*plan[:2])) for name, plan in open_plans.items() if plan[1])
    with path.open("a") as log:
        for name, said, seconds in follow(work, processes):
            verdict, by = (said, "") if isinstance(said, str) else said
            done[name] = plans[name][2] | {
                "killed": verdict in ("killed", "timeout"),  # no "crash", which may be this program's own
                "by": by or verdict,
                "seconds": round(seconds, 2),
            }
            print(json.dumps(done[name]), file=log, flush=True)
            if verdict == "survived":
                print(line(done[name]), flush=True)
    for name in plans.keys() - done.keys():
        done[name] = plans[name][2] | {"killed": False, "by": "no test reaches it", "seconds": 0}
    return [done[name] for name in plans]


def line(record: Record) -> str:
    """A change for people."""
    return f"{record['file']}:{record['line']}  {record['before']}  ->  {record['after']}"


def reasons(path: Path) -> dict[tuple[str, ...], str]:
    """Why a change cannot be noticed, by file, function, old and new line."""
    return {tuple(one[name] for name in NAMED): one["why"] for one in tomllib.loads(path.read_text())["equivalent"]}


def report(records: list[Record], why: dict[tuple[str, ...], str], few: dict[str, int]) -> tuple[str, float]:
    """The results as a page, and the share of survivors without a reason."""
    name = {id(record): tuple(record[part] for part in NAMED) for record in records}
    equal = [record for record in records if not record["killed"] and name[id(record)] in why]
    alive = [record for record in records if not record["killed"] and name[id(record)] not in why]
    counts = [
        Counter(record["file"].partition("/")[0].removesuffix(".py") for record in some)
        for some in (records, equal, alive)
    ]
    share = len(alive) / max(1, len(records))
    rows = [*sorted(counts[0]), "all"]
    for count in counts:
        count["all"] = count.total()
    page = ["| package | changes | killed | equivalent | unexplained |", "|---|---|---|---|---|"]
    for row in rows:
        made, same, left = (count[row] for count in counts)
        page.append(f"| {row} | {made} | {made - same - left} | {same} | {left} |")
    page += ["", f"Unexplained survivors: {len(alive)} of {len(records)}, {100 * share:.1f} %.", ""]
    page += [f"- {line(record)}" + (f" ({record['by']})" if record["by"] != "survived" else "") for record in alive]
    page += ["", "Survivors that change nothing:", ""] * bool(equal)
    page += [f"- {line(record)}: {why[name[id(record)]]}" for record in equal]
    page += ["", "Fewer than three changes are possible:", ""] * bool(few)
    page += [f"- {unit}: {count}" for unit, count in few.items()]
    dead = {name[id(record)] for record in records if record["killed"]} - {name[id(record)] for record in equal}
    page += [f"\nA reason for a change that is killed: {', '.join(one)}" for one in sorted(dead & why.keys())]
    return "\n".join(page) + "\n", share


def main() -> None:
    """Draw, try, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=5, help="changes of every class and function, at most")
    parser.add_argument("--all", action="store_true", help="all changes")
    parser.add_argument("--only", default="", help="part of the name of a file, class or function (file:name)")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fresh", action="store_true", help="forget earlier results, and which tests reach what")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results" / "mutate")
    options = parser.parse_args()
    began = time.monotonic()
    options.results.parent.mkdir(parents=True, exist_ok=True)
    log, page = (options.results.with_suffix(end) for end in (".jsonl", ".md"))
    if options.fresh:
        log.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        tree = mutate_trial.copy(ROOT, Path(folder).resolve())
        package = tree / "src" / "zerosum"
        sources = sorted({path for patterns in TARGETS for pattern in patterns for path in package.glob(pattern)})
        found = [
            one
            for path in sources
            for one in mutants(str(path.relative_to(tree / "src" / "zerosum")), path.read_bytes())
            if options.only in f"{one.file}:{one.function}"
        ]
        possible = Counter(f"{one.file}: {one.unit}" for one in found)
        wanted = tuple({name for one in found for name in tests_of(one.file)})
        every = (str(path.relative_to(tree)) for path in (tree / "tests").glob("test_*.py"))
        tests = sorted(test for test in every if test.startswith(wanted))
        traced = traces(tree, tests, options.processes, options.fresh)
        chosen = draw(found, 0 if options.all else options.each, options.seed)
        records = try_all(tree, chosen, traced, log, options.processes)
    if not options.only:  # without what was tried on sources or draws of another day
        log.write_text("".join(json.dumps(record) + "\n" for record in records))
    few = {unit: count for unit, count in possible.items() if count < 3}
    text, share = report(records, reasons(Path(__file__).with_name("mutate_equivalent.toml")), few)
    command = "python -m benchmarks.mutate " + " ".join(sys.argv[1:])
    page.write_text(f"`{command.strip()}`\n\n{text}")
    print(text + f"{time.monotonic() - began:.0f} s")
    sys.exit(share >= ALLOWED)


if __name__ == "__main__":
    main()
