"""Every method that works on points, on mixtures whose modes are known: what it finds, how well and how evenly.

    python -m benchmarks.toys [--toys ring,grid,imbalance] [--methods a,b] [--seeds 3] [--processes 1] [--out FILE]

ring, grid  what the averaged generator has learnt at the end; beside it what a perfect sampler reaches
imbalance   five generator updates for one of the discriminator: a short, sure collapse for all that look at one sample
            at a time; means over the second half of training, of the live generator

Every (toy, method, seed) that is done is appended to FILE at once, so an interrupted benchmark continues where it was;
a line whose settings are no longer those of this file does not count. At the end the table is printed as Markdown.
Each method runs in one thread.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks import lines
from benchmarks.lines import append, fingerprint, read_lines
from zerosum.core import registry, settings
from zerosum.core.clock import seeded
from zerosum.core.engine import Engine
from zerosum.core.errors import TrainingError
from zerosum.data import Dataset, Feed, open_data
from zerosum.data.mixtures import MIXTURES
from zerosum.games import ImageGame, JointGame, LookaheadGame, PanelGame
from zerosum.metrics import mode_coverage
from zerosum.recipes import Recipe, read_recipe

RESULTS = lines.RESULTS / "toys.jsonl"
COUNT = 2_500  # samples that are judged, as in VEEGAN and PacGAN
Line = dict[str, Any]
Job = tuple[str, str, int]  # toy, method, seed


# ---------------------------------------------------------------------- what is measured


@dataclass(frozen=True)
class Toy:
    """A mixture, and how long and with which networks every method plays on it."""

    data: str
    words: str  # settings of the recipe `mixture`
    every: int = 0  # turns between two measurements in the second half; 0: one measurement at the end


@dataclass(frozen=True)
class Method:
    """Settings of a method, and those that differ on one toy."""

    words: str = ""
    beside: dict[str, str] = field(default_factory=dict)  # toy -> settings there
    game: type[Any] = ImageGame
    toys: tuple[str, ...] = ("ring", "grid", "imbalance")  # where it can play


def both(words: str) -> str:
    """The same settings for both players."""
    return " ".join(f"{player}.{word}" for player in ("generator", "discriminator") for word in words.split())


PLAIN = both("beta1=0.5 beta2=0.999")
PENALIZED = both("beta1=0 beta2=0.99")
TOYS = {
    "ring": Toy("ring8", f"length=384k regularizers=none objective=non-saturating {PLAIN}"),
    "grid": Toy("grid25", f"length=1920k regularizers=none objective=non-saturating {PLAIN}"),
    "imbalance": Toy(
        "ring8-wide",
        f"length=76800 regularizers=none objective=non-saturating {PLAIN} generator_updates=5 latent=normal:size=8 "
        f"{both('widths=64/64/64 schedule=constant')} generator.average=none",
        every=20,
    ),
}


def penalized(words: str, *parts: str, weak: str, strong: str) -> Method:
    """A method with penalties: weak where modes are narrow, strong on the wide ones of the imbalance."""
    weights = {toy: " ".join(f"{part}.{weak}" for part in parts) + f" {PENALIZED}" for toy in ("ring", "grid")}
    weights["imbalance"] = " ".join(f"{part}.{strong}" for part in parts)
    return Method(f"{words} regularizers={'+'.join(parts)}", beside=weights)


def steered(words: str, **beside: str) -> Method:
    """A method with further settings on some toys."""
    return Method(words, beside)


OBJECTIVES = (
    "minimax", "non-saturating", "reverse-kl", "least-squares", "hinge", "relativistic", "relativistic-average",
)  # fmt: skip
CRITIC = both("beta1=0.5 beta2=0.9")
SPECTRAL = both("beta1=0 beta2=0.9")
METHODS = {
    **{name: Method(f"objective={name}") for name in OBJECTIVES},
    **{
        f"{name}-r1-r2": penalized(f"objective={name}", "r1", "r2", weak="gamma=0.02", strong="gamma=1")
        for name in (*OBJECTIVES, "wasserstein")
    },
    "non-saturating-r1": penalized("", "r1", weak="gamma=0.02", strong="gamma=1"),
    "wasserstein-clip": steered(
        f"objective=wasserstein discriminator.rules=clip:limit=0.1 {both('optimizer=rmsprop:lr=5e-4')}",
        ring="discriminator_updates=5", grid="discriminator_updates=5",
    ),
    "wasserstein-gp": steered(
        "objective=wasserstein regularizers=gradient-penalty:weight=0.1",
        ring=f"discriminator_updates=5 {CRITIC}", grid=f"discriminator_updates=5 {CRITIC}",
    ),
    "hinge-spectral": steered("objective=hinge discriminator.spectral=true", ring=SPECTRAL, grid=SPECTRAL),
    "smoothing": Method("real_target=0.9"),
    "dragan": Method("regularizers=dragan:weight=0.1"),
    "lecam": Method("regularizers=lecam:weight=0.3,after=10k"),
    "cr": Method("regularizers=cr:jitter=0.005"),
    "bcr": Method("regularizers=bcr:jitter=0.005"),
    "zcr": Method("regularizers=zcr:generator=0.01"),  # its reward has no bound where samples have none
    "vat": Method("regularizers=vat:epsilon=0.05"),
    "alr": steered(
        "objective=wasserstein regularizers=alr:shortest=0.01,longest=0.1,xi=0.1", ring=CRITIC, grid=CRITIC
    ),
    "feature-matching": Method("regularizers=feature-matching"),
    "content": Method("regularizers=content"),
    "pulling-away": Method("regularizers=pulling-away:of=features"),
    "jacobian-clamping": Method("regularizers=jacobian-clamping"),
    "orthogonal": Method("regularizers=orthogonal"),
    "successive-consistency": Method("regularizers=successive-consistency"),
    "top-k": steered("", ring="selection=top-k:until=192k", grid="selection=top-k:until=960k",
                     imbalance="selection=top-k:until=38k"),
    "minibatch-stddev": Method("discriminator.minibatch=stddev"),
    "minibatch": Method("discriminator.minibatch=discrimination discriminator.kernels=16"),
    "pacgan-2": Method("pack=2"),
    "pacgan-4": Method("pack=4"),
    "unrolled-5": Method("depth=5", game=LookaheadGame),
    "veegan": Method(
        "objective=reverse-kl reconstruction=0.5 latent=normal:size=8 "
        "discriminator.network=joint-mlp-discriminator:widths=128/128/128 "
        "reconstructor.network=mlp-encoder:widths=128/128/128",
        game=JointGame, toys=("ring", "grid"),
    ),
    "gman-3": Method("discriminators=3", game=PanelGame, toys=("ring", "grid")),
}  # fmt: skip
NOT_HERE = {
    "cgan, acgan, projection, infogan, auxiliary-classifier, mutual-information": "a mixture has no classes or codes",
    "dcgan, sagan, biggan, stylegan2, r3gan": "networks of images; their losses stand above",
    "began, ebgan": "their auto-encoders are networks of images",
    "flip, shift, crop, rotation, scale, diffaugment, ada": "augmentations of images",
    "path-length": "it needs a generator with styles",
    "dagan": "it needs pairs of one class",
    "veegan, gman on imbalance": "their games have one generator update a turn",
}


@dataclass(frozen=True)
class Must:
    """What methods have to show on a toy, with every seed."""

    toy: str
    methods: tuple[str, ...]
    text: str
    holds: Callable[[Line], bool]


MUSTS = (
    Must(
        "grid",
        ("relativistic-r1-r2",),
        "25 of 25 modes, high quality at least 95 %",
        lambda line: line["modes"] == 25 and line["high_quality"] >= 0.95,
    ),
    Must("imbalance", OBJECTIVES, "collapses: reverse KL above 1.5", lambda line: line["reverse_kl"] > 1.5),
    Must(
        "imbalance",
        ("minibatch", "pacgan-4", "unrolled-5"),
        "at least 7 of 8 modes, reverse KL below 0.3",
        lambda line: line["modes"] >= 7 and line["reverse_kl"] < 0.3,
    ),
)


# ---------------------------------------------------------------------- one training


def recipe(toy: str, method: str, *words: str) -> Recipe:
    """The recipe of a method on a toy: `mixture` with the toy's settings, then the method's, then further ones."""
    made, found = METHODS[method], read_recipe("mixture")
    found = settings.assign(found.replace(game=recast(found.game, made.game)), TOYS[toy].words.split())
    return settings.assign(found, [f"recipe={method}", *f"{made.words} {made.beside.get(toy, '')}".split(), *words])


def recast(game: Any, kind: type[Any]) -> Any:
    """The same in another game; further players begin as copies of the discriminator."""
    kept = {one: getattr(game, one) for one in registry.field_types(kind) if hasattr(game, one)}
    further = {one for one in registry.field_types(kind) if registry.slot_kind(kind, one) == "player"} - kept.keys()
    return kind(**kept, **dict.fromkeys(further, game.discriminator))


def points(engine: Engine) -> torch.Tensor:
    """Samples of the product as it stands, [COUNT, 2]."""
    with seeded(engine.seed, engine.clock, "toys"):
        model = engine.model()
        with torch.no_grad():
            return model(model.task().draw(COUNT))["sample"]


def coverage(engine: Engine, data: Dataset) -> dict[str, float]:
    """Mode coverage of the product as it stands."""
    assert data.centres is not None
    assert data.spread is not None
    return mode_coverage(points(engine), torch.from_numpy(data.centres), data.spread)


@functools.cache
def floor(toy: str, draws: int = 40) -> dict[str, float]:
    """The same metric for a perfect sampler with as many samples: means over some draws."""
    mixture = MIXTURES[TOYS[toy].data]
    centres = torch.from_numpy(mixture.centres)
    samples = (torch.from_numpy(mixture.sample(seed, COUNT)) for seed in range(draws))
    return means([mode_coverage(one, centres, mixture.spread) for one in samples])


def means(found: list[dict[str, float]]) -> dict[str, float]:
    """Mean of each number."""
    return {name: statistics.fmean(one[name] for one in found) for name in found[0]}


def moments(toy: Toy, made: Recipe, seed: int) -> Iterator[tuple[Engine, Dataset]]:
    """Train, and stop where the toy wants to be measured; the last stop is the end."""
    data = open_data(toy.data)
    total = made.length.samples(len(data.train))
    engine = Engine(made.game, data.signals, seed=seed, total=total)
    feed = Feed(data, made.batch, seed=seed)
    turns = -(-total // made.batch)
    for turn in range(1, turns + 1):
        engine.turn(feed)
        if turn == turns or (toy.every and turn > turns / 2 and turn % toy.every == 0):
            yield engine, data


def play(job: Job, words: tuple[str, ...] = ()) -> Line:
    """Result of one method on one toy with one seed, as it is kept."""
    toy, method, seed = job
    torch.set_num_threads(1)
    made, began, found = recipe(toy, method, *words), time.monotonic(), []
    line: Line = {"toy": toy, "method": method, "seed": seed, "settings": fingerprint(made)}
    try:
        found += [coverage(engine, data) for engine, data in moments(TOYS[toy], made, seed)]
        line |= means(found) | {"last_modes": found[-1]["modes"], "measurements": len(found)}
    except TrainingError as error:
        line |= {"failed": str(error)}
    return line | {"seconds": round(time.monotonic() - began, 1)}


# ---------------------------------------------------------------------- all of them


def wanted(jobs: list[Job], lines: list[Line], words: tuple[str, ...] = ()) -> dict[Job, Line | None]:
    """Result of each job where it is kept and its settings still hold."""
    kept = {(line["toy"], line["method"], line["seed"], line["settings"]): line for line in lines}
    return {job: kept.get((*job, fingerprint(recipe(job[0], job[1], *words)))) for job in jobs}


def bench(jobs: list[Job], path: Path, processes: int = 1, words: tuple[str, ...] = ()) -> list[Line]:
    """Play what is not kept yet, keep it, and give all results in the order of the jobs."""
    found = wanted(jobs, read_lines(path), words)
    missing = [job for job, line in found.items() if line is None]
    for line in played(missing, processes, words):
        line = append(path, line, "fp32")
        found[line["toy"], line["method"], line["seed"]] = line
        print(summary(line), file=sys.stderr, flush=True)
    return [line for line in found.values() if line is not None]


def played(jobs: list[Job], processes: int, words: tuple[str, ...]) -> Iterator[Line]:
    """Results as they come."""
    if processes == 1:
        yield from (play(job, words) for job in jobs)
        return
    with multiprocessing.get_context("spawn").Pool(processes, maxtasksperchild=1) as pool:
        yield from pool.imap_unordered(_play_with, [(job, words) for job in jobs])


def _play_with(given: tuple[Job, tuple[str, ...]]) -> Line:
    return play(*given)


def summary(line: Line) -> str:
    """One line about a result."""
    found = line.get("failed") or (
        f"{line['modes']:.1f} modes, {line['high_quality']:.1%} high quality, reverse KL {line['reverse_kl']:.4f}"
    )
    return f"{line['toy']} {line['method']} seed {line['seed']}: {found}, {line['seconds']:.0f} s"


# ---------------------------------------------------------------------- the table


def table(lines: list[Line]) -> str:
    """All results as Markdown: a table for each toy, then what must hold."""
    of = {toy: [line for line in lines if line["toy"] == toy] for toy in TOYS}
    return "\n\n".join([*(toy_table(toy, found) for toy, found in of.items() if found), verdicts(lines)])


def toy_table(toy: str, lines: list[Line]) -> str:
    """Results on one toy as Markdown: a row for each method, then a perfect sampler's."""
    count, when = len(MIXTURES[TOYS[toy].data].centres), "second half" if TOYS[toy].every else "end"
    seeds = " ".join(str(seed) for seed in sorted({line["seed"] for line in lines}))
    of = {name: [line for line in lines if line["method"] == name] for name in METHODS}
    perfect = floor(toy)
    rows = [
        f"### {toy}: {TOYS[toy].data}, {when} of training, {COUNT:,} samples, seeds {seeds}",
        "",
        f"| method | modes of {count} | high quality, % | reverse KL | modes at the end |",
        "|---|---|---|---|---|",
        *(_row(name, found) for name, found in of.items() if found),
        f"| *perfect sampler* | {count} | {100 * perfect['high_quality']:.1f} "
        f"| {perfect['reverse_kl']:.4f} | {count} |",
    ]
    return "\n".join(rows)


def _row(method: str, lines: list[Line]) -> str:
    lines = sorted(lines, key=lambda line: line["seed"])

    def each(write: Callable[[Line], str]) -> str:
        return ", ".join("failed" if "failed" in line else write(line) for line in lines)

    cells = [
        each(lambda line: f"{line['modes']:.3g}"),
        each(lambda line: f"{100 * line['high_quality']:.1f}"),
        each(lambda line: f"{line['reverse_kl']:.4f}" if line["reverse_kl"] < 0.1 else f"{line['reverse_kl']:.2f}"),
        each(lambda line: f"{line['last_modes']}"),
    ]
    return f"| {method} | {' | '.join(cells)} |"


def verdicts(lines: list[Line]) -> str:
    """Which of the lines that must hold do, over the seeds that were played."""
    rows = ["| toy | method | must | holds |", "|---|---|---|---|"]
    for must in MUSTS:
        for method in must.methods:
            found = [line for line in lines if (line["toy"], line["method"]) == (must.toy, method)]
            held = sum("failed" not in line and must.holds(line) for line in found)
            rows += [f"| {must.toy} | {method} | {must.text} | {held} of {len(found)} |"] if found else []
    return "\n".join(rows)


def footer(lines: list[Line]) -> str:
    """When, where and how; and what is not in the table."""
    days, last = sorted({line["date"] for line in lines}), lines[-1]
    machine = f"{last['processor']}, {last['cores']} cores, one thread each; {last['platform']}"
    versions = f"zerosum {last['zerosum']}, torch {last['torch']}, Python {last['python']}"
    absent = "\n".join(f"- {names}: {why}" for names, why in NOT_HERE.items())
    command = f"python -m benchmarks.toys {' '.join(sys.argv[1:])}".strip()
    return f"{days[0]} to {days[-1]}. {machine}. {versions}. `{command}`\n\nNot on points:\n\n{absent}"


def main() -> None:
    """Train what is missing and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toys", default=",".join(TOYS), help=f"of {', '.join(TOYS)}")
    parser.add_argument("--methods", default=",".join(METHODS), help="names, or `must` for those of the must lines")
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    jobs = chosen(options.toys.split(","), options.methods.split(","), options.seeds)
    lines = bench(jobs, options.out, options.processes)
    print(f"{table(lines)}\n\n{footer(lines)}")


def chosen(toys: list[str], methods: list[str], seeds: int) -> list[Job]:
    """All jobs that are asked for.

    Raises:
        SystemExit: there is no such toy or method.
    """
    unknown = [name for name in toys if name not in TOYS]
    unknown += [name for name in methods if name not in METHODS and name != "must"]
    if unknown:
        raise SystemExit(f"there is no {unknown[0]!r}; toys are {', '.join(TOYS)}, methods {', '.join(METHODS)}")
    pairs = [(toy, name) for toy in toys for name in METHODS if toy in METHODS[name].toys]
    if "must" in methods:
        obliged = {(must.toy, method) for must in MUSTS for method in must.methods}
        pairs = [pair for pair in pairs if pair in obliged or pair[1] in methods]
    else:
        pairs = [pair for pair in pairs if pair[1] in methods]
    return [(toy, name, seed) for toy, name in pairs for seed in range(seeds)]


if __name__ == "__main__":
    main()
