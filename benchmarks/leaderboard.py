"""Recipes against each other: data sets x recipes x seeds at one budget of images, judged by every metric.

    ZEROSUM_DATA=... python -m benchmarks.leaderboard [--data digits,mnist] [--recipes dcgan,wgan-gp] [--seeds 3]
                                                         [--images 300k] [--out runs/sheets] [--page]

Trainings that were interrupted continue, finished ones are not repeated, so it can run over days. Each training writes
two lines to benchmarks/results/leaderboard.jsonl, its last and its best generator, and docs/leaderboard.md is written
again from all lines; `--page` only writes the page. A recipe is taken at its CPU size (benchmarks/sheets.py, whose
trainings are those of seed 0, so both may share a folder), at the recipe's own batch and schedule; the budget counts
images shown to the discriminator, so methods with several discriminator updates make fewer generator updates.
"""

from __future__ import annotations

import argparse
import filecmp
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import lines
from benchmarks.lines import append, read_lines
from benchmarks.sheets import command, current, run_of, settings_of
from zerosum.core.errors import TrainingError
from zerosum.runs.evaluation.evaluate import evaluate
from zerosum.runs.storage.directory import RunDirectory
from zerosum.runs.storage.run import Run

ROOT = Path(__file__).resolve().parents[1]
RESULTS, PAGE = lines.RESULTS / "leaderboard.jsonl", ROOT / "docs" / "leaderboard.md"
RECIPES = "mnist-speedrun,mlp,dcgan,lsgan,wgan-gp-small,sngan-small,acgan,began-small,r3gan-small,stylegan2-small,rpgan"
SHOWN = ("fd", "kid", "precision", "recall", "coverage", "classes", "ct")
COUNT = {"digits": 1_600}  # samples; 10,000 elsewhere
SEEDS = {"digits": 3, "mnist": 3, "fashion-mnist": 1}  # that the page asks for
IMAGES = {"digits": "100k"}  # of a training; 300k elsewhere


class Job(NamedTuple):
    """A training; what decides its result."""

    recipe: str
    data: str
    seed: int
    images: str
    words: list[str]  # further settings
    settings: str  # digest of all of them


def judged(path: Path, data: str) -> dict[str, float]:
    """What is shown of a generator file; digits have too few held-out images, so training images are the reference."""
    split = "train" if data == "digits" else "held-out"
    measured = evaluate(path, metrics="all", count=COUNT.get(data, 10_000), split=split)
    records = [one for one in measured if one.metric in SHOWN]
    floors = {f"floor.{one.metric}": one.floor for one in records if one.floor is not None}
    trivial = {f"baseline.{one.metric}": one.baseline for one in records if one.baseline is not None}
    extractor = {"extractor": measured[0].protocol["extractor"], "real": split}
    return {**{one.metric: one.value for one in records}, **floors, **trivial, **extractor}


def measure(run: Run, job: Job) -> None:
    """Write the lines of a finished training."""
    environment, last = RunDirectory.open(run.path).environment(), run.metrics[-1]
    facts = {
        **job._asdict(),
        "command": command(job.recipe, job.data, job.images, job.seed, job.words),
        "seconds": round(last["seconds"]),
        "images_per_second": round(float(np.median([one["images_per_second"] for one in run.metrics])), 1),
        "precision_of_arithmetic": environment["precision"],
    }
    last_file, best_file = run.path / "model.safetensors", run.path / "best.safetensors"
    numbers = judged(last_file, job.data)
    write({**facts, "at": "last", **numbers})
    same = filecmp.cmp(last_file, best_file, shallow=False)
    write({**facts, "at": "best", **(numbers if same else judged(best_file, job.data))})


def write(line: dict[str, Any]) -> None:
    """Keep and show a result."""
    append(RESULTS, line)
    print({key: line.get(key) for key in ("recipe", "data", "seed", "at", "fd", "recall", "error")}, flush=True)


# ---------------------------------------------------------------------- the page


def page() -> None:
    """Write docs/leaderboard.md from the lines."""
    text = [
        "# Leaderboard",
        "",
        "Written by `python -m benchmarks.leaderboard`; every line of `benchmarks/results/leaderboard.jsonl` has its",
        "command, versions, machine and date. Mean over seeds, and half the width of a 95 % t-interval where there are",
        "several. `fd` and its kin are of the extractor named under the table: they compare within a table only.",
        "The floor is real images in the place of generated ones; the baseline is a Gaussian of each class in 50",
        "principal components, which every recipe should beat. The floor of `digits` is of 180 held-out images against",
        "1,617, so it is higher than that of as many samples as are evaluated. `at` is the last generator, or the best",
        "of those that were evaluated on the way; `both` where these are the same. Seconds and images/s are means over",
        "machines that did other work as well, some of which compute in bf16: compare them roughly.",
    ]
    found = [line for line in read_lines(RESULTS) if current(line)]
    for data in sorted({line["data"] for line in found}):
        text += ["", f"## {data}", "", *table([line for line in found if line["data"] == data])]
    PAGE.write_text("\n".join([*text, *missing(found)]) + "\n")


def missing(found: list[dict[str, Any]]) -> list[str]:
    """What was to be run and has not been."""
    text = []
    for data, seeds in SEEDS.items():
        runs = [line for line in found if line["data"] == data and line.get("at") == "last" and not line["words"]]
        done = Counter(line["recipe"] for line in runs)
        short = [f"`{name}` ({seeds - done[name]} of {seeds})" for name in RECIPES.split(",") if done[name] < seeds]
        text += [f"- {data}: {', '.join(short)}"] if short else []
    return ["", "## Not run yet", "", "Recipes, and how many seeds of them are missing.", "", *text] if text else []


def table(found: list[dict[str, Any]]) -> list[str]:
    """A table of one data set, best `fd` first."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    failed = [line for line in found if "error" in line]
    for line in found:
        if "error" not in line:
            groups[line["recipe"], *line["words"], line["images"], line["at"]].append(line)
    for *run, at in list(groups):
        if at == "best" and [line["fd"] for line in groups[*run, at]] == [line["fd"] for line in groups[*run, "last"]]:
            groups[*run, "both"] = groups.pop((*run, at))
            del groups[*run, "last"]
    ranked = sorted(groups.items(), key=lambda item: float(np.mean([line["fd"] for line in item[1]])))
    head = ["recipe", "images", "at", "seeds", *SHOWN, "seconds", "images/s"]
    rows = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for (recipe, *settings, images, at), some in ranked:
        name = " ".join([f"`{recipe}`", *settings])
        cells = [
            name,
            images,
            at,
            str(len(some)),
            *(spread([line[key] for line in some if key in line]) for key in SHOWN),
        ]
        cells += [f"{np.mean([line['seconds'] for line in some]):.0f}"]
        cells += [f"{np.mean([line['images_per_second'] for line in some]):.0f}"]
        rows.append("| " + " | ".join(cells) + " |")
    any_line = ranked[0][1][0] if ranked else {}
    for what in ("floor", "baseline"):
        numbers = [f"{any_line[key]:.3g}" if (key := f"{what}.{one}") in any_line else "" for one in SHOWN]
        rows.append("| " + " | ".join([f"*{what}*", "", "", "", *numbers, "", ""]) + " |")
    notes = [f"- `{line['recipe']}`, seed {line['seed']}: {line['error']}" for line in failed]
    if any_line:
        rows += ["", f"Extractor `{any_line['extractor']}`, against {any_line['real']} images. Trained on:", ""]
        machines = Counter(machine(line) for line in found if line.get("at") == "last" and "error" not in line)
        rows += [f"- {text}: {count}" for text, count in machines.most_common()]
    return [*rows, *(["", *notes] if notes else [])]


def machine(line: dict[str, Any]) -> str:
    """Where a training ran, in words."""
    arithmetic, threads = line["precision_of_arithmetic"], line["threads"]
    return f"{line['processor']}, {arithmetic}, {threads} thread(s), torch {line['torch']}"


def spread(values: list[float]) -> str:
    """Mean, and half of a 95 % t-interval."""
    if not values:
        return ""
    if len(values) == 1:
        return f"{values[0]:.3g}"
    from scipy.stats import t

    half = t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    return f"{np.mean(values):.3g} ± {half:.2g}"


def main() -> None:
    """Train what is missing, judge it, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", default=RECIPES)
    parser.add_argument("--data", default="digits,mnist,fashion-mnist")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", help="100k for digits and 300k for others by default")
    parser.add_argument("--out", type=Path, default=Path("runs/sheets"))
    parser.add_argument("--page", action="store_true")
    parser.add_argument("words", nargs="*", metavar="FIELD=VALUE", help="settings, as precision=bf16")
    options = parser.parse_args()
    # seeds outermost: an interrupted benchmark still compares all recipes
    jobs = [
        Job(recipe, data, seed, images, options.words, settings_of(recipe, images, options.words))
        for seed in range(options.seeds)
        for data in options.data.split(",")
        for images in [options.images or IMAGES.get(data, "300k")]
        for recipe in options.recipes.split(",")
    ]
    done = [[line[field] for field in Job._fields] for line in read_lines(RESULTS)]
    for job in [] if options.page else [job for job in jobs if list(job) not in done]:
        try:
            run = run_of(job.recipe, job.data, options.out, job.images, job.seed, job.words)
        except TrainingError as error:
            write({**job._asdict(), "error": str(error)})
            continue
        if not run.finished:
            break  # Ctrl-C: the next call goes on here
        measure(run, job)
        page()
    page()


if __name__ == "__main__":
    main()
