"""Several ranks: does every recipe train and resume on them, is it the same training, and how much faster is it?

    python -m benchmarks.ranks [--only recipes|equal|speed] [--recipes NAME ...]

recipes: each recipe trains on two ranks; another such training is stopped at half and resumed, and must end with the
         same bytes (weights, averages, moments, memory, numbers of the logs)
equal:   turns on two ranks against turns of one on the joint batch, in float64, penalties drawing constants, and with
         what couples the samples of a batch, or draws numbers, switched off where a setting can: equal to 1e-10, unless
         something is left that does, which is named
speed:   turns of dcgan at 32 px, batch 64, on two ranks of one thread, against one process of one thread; the machine
         should be idle. Beside it what the machine allows: two processes of half the batch that exchange nothing. All
         take turns, and ratios are medians over the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from tests import small
from tests.crew import Fork, at, command, set_up
from tests.ranks import Double, in_double, seated, tensors_of
from zerosum.core import registry
from zerosum.core.engine import Engine
from zerosum.core.memory import ALONE
from zerosum.core.ranks import Ranks
from zerosum.core.team import Team
from zerosum.data import Dataset, Feed
from zerosum.networks.minibatch import MinibatchDiscrimination, MinibatchStddev
from zerosum.recipes import read_recipe
from zerosum.runs.storage.logs import TIMES

IMAGES, HALF, TURNS = 96, 48, 2
EAGER = ["report=32", "samples=never", "evaluation=never", "checkpoint=32", "evaluator.count=20", "precision=fp32"]
CLOSE = 1e-10
ROUNDS, ROUND = 9, 8  # turns of a round
COUPLING = {  # kinds of layers that let samples of a batch know of each other, or draw numbers
    _BatchNorm: "batch statistics",
    MinibatchStddev: "minibatch layer",
    MinibatchDiscrimination: "minibatch layer",
    nn.Dropout: "dropout",
    nn.Dropout2d: "dropout",
}
PARTS = {
    "dragan": "spread of a batch",
    "feature-matching": "mean features of a batch",
    "pulling-away": "angles within a batch",
    "relativistic-average": "mean logits of a batch",
}
OFF = {"norm": "none", "dropout": "0", "minibatch": "none", "mixing": "0", "noise": "false"}
NOISY = ("stylegan2", "dagan")  # networks that draw noise or style mixing, or a bank's images


# ---------------------------------------------------------------------- recipes


def contents(run: Path) -> dict[str, object]:
    """All of a finished run that must be equal."""
    last = run / "checkpoints" / (run / "latest").read_text().strip()
    found: dict[str, object] = {path.name: path.read_bytes() for path in (*last.glob("*.safetensors"),)}
    found["model"] = (run / "model.safetensors").read_bytes()
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return found | {"metrics": [{key: one for key, one in line.items() if key not in TIMES} for line in lines]}


def trained(name: str, folder: Path) -> str:
    """What became of a recipe on two ranks, in words; `equal` where all is well."""
    data = small.DATA.get(name, "digits")
    train = ["train", data, "-r", name, *small.words(name), *EAGER, "--quiet", "--ranks", "2", "--images", IMAGES]
    jobs = {
        "whole": ([*train, "--out", folder / "whole"], None),
        "stopped": ([*train, "--out", folder / "resumed"], lambda: at(HALF, 1, 15)),
        "resumed": (["resume", folder / "resumed", "--quiet"], None),
    }
    for job, (arguments, prepare) in jobs.items():
        command(folder, job, arguments, prepare)
        told = json.loads((folder / f"{job}.json").read_text())
        if told["status"]:
            return f"FAILED, {job}: {told['err'][-600:]}"
    whole, resumed = contents(folder / "whole"), contents(folder / "resumed")
    different = [key for key in whole.keys() | resumed.keys() if whole.get(key) != resumed.get(key)]
    return f"DIFFERENT: {', '.join(sorted(different))}" if different else "equal"


def recipes(names: list[str], folder: Path) -> bool:
    """Train and resume every recipe."""
    set_up(folder / "cache")
    fine = 0
    for name in names:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            verdict = trained(name, Path(place))
        print(f"{name:<20} {verdict}", flush=True)
        fine += verdict == "equal"
    print(f"trained and resumed on two ranks, equal in every byte: {fine} of {len(names)}", flush=True)
    return fine == len(names)


# ---------------------------------------------------------------------- equal


def constant(*sizes: int | tuple[int, ...], **options: Any) -> torch.Tensor:
    """In place of uniform numbers."""
    return torch.full(sizes[0] if isinstance(sizes[0], tuple) else sizes, 0.25, **options)


def middle(*bounds: Any, device: Any = None) -> torch.Tensor:
    """In place of random whole numbers."""
    *ends, size = bounds
    return torch.full(tuple(size), sum(ends) // 2, device=device)


@contextmanager
def constants() -> Iterator[None]:
    """float64, and constants for what penalties draw."""
    with (
        in_double(""),
        mock.patch("torch.rand", constant),
        mock.patch("torch.rand_like", lambda x: torch.full_like(x, 0.25)),
        mock.patch("torch.randint", middle),
    ):
        yield


def couplings(engine: Engine) -> list[str]:
    """What makes ranks differ from one process, in words."""
    layers = [layer for module in engine.modules.values() for layer in module.modules()]
    found = {words for kind, words in COUPLING.items() for layer in layers if isinstance(layer, kind)}
    game = engine.game
    parts = (*getattr(game, "regularizers", ()), getattr(game, "objective", None))
    found |= {PARTS[part.name] for part in parts if part is not None and part.name in PARTS}
    found |= {"augmentation" for _ in getattr(game, "augmentations", ())}
    networks = [player.network for player in game.players().values()]
    noisy = [one for one in networks if one.name.startswith(NOISY) and getattr(one, "noise", True)]
    return sorted(found | {"noise of networks" for _ in noisy})


def switched_off(name: str) -> list[str]:
    """Settings without which samples of a batch would know of each other, or numbers be drawn."""
    game = read_recipe(name).game
    words = ["augmentations="] if getattr(game, "augmentations", ()) else []
    for player in registry.field_types(type(game)):
        network = getattr(getattr(game, player), "network", None)
        fields = set() if network is None else registry.field_types(type(network)).keys() & OFF.keys()
        if getattr(network, "labels", "") == "norm":  # the class enters there
            fields -= {"norm"}
        words += [f"{player}.{field}={OFF[field]}" for field in sorted(fields)]
    return words


def played(name: str, team: Team) -> tuple[dict[str, torch.Tensor], list[str]]:
    """State after some turns in float64, and what couples samples."""
    with constants():
        engine, feed = seated((name, *switched_off(name)), team, Double)
        for _ in range(TURNS):
            engine.turn(feed)
        return tensors_of(engine), couplings(engine)


def distance(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    """Largest difference of two states, of numbers below 1 absolute, of others relative."""
    kept = [key for key in a if "_spread" not in key]  # a deviation within each rank's part
    return max(float(((a[key] - b[key]).abs() / b[key].abs().clamp(min=1)).max()) for key in kept if a[key].numel())


def equal(names: list[str], folder: Path) -> bool:
    """Compare two ranks with one in float64."""
    other = os.fork()
    team, found = Ranks(0 if other else 1, 2, f"file://{folder}/meeting", timeout=100), {}
    for name in names:
        found[name] = played(name, team)[0]
    team.close()
    if not other:
        os._exit(0)
    os.waitpid(other, 0)
    fine = free = 0
    for name in names:
        state, coupled = played(name, ALONE)
        apart = distance(found[name], state)
        free += not coupled
        fine += not coupled and apart < CLOSE
        verdict = "DIFFERENT" if not coupled and not apart < CLOSE else "equal" if apart < CLOSE else "differs"
        print(f"{name:<20} {verdict:<9} {apart:.1e} {', '.join(coupled)}", flush=True)
    print(f"equal to {CLOSE:g} where nothing couples samples: {fine} of {free}", flush=True)
    return fine == free


# ---------------------------------------------------------------------- speed


def seconds(engine: Engine, feed: Feed) -> float:
    """Of a turn."""
    began = time.perf_counter()
    for _ in range(ROUND):
        engine.turn(feed)
    return (time.perf_counter() - began) / ROUND


def speed(folder: Path) -> bool:
    """Time turns of dcgan at 32 px: alone, on two ranks, and in two processes that exchange nothing."""
    recipe, everything = read_recipe("dcgan"), np.arange(2_000)
    values = np.random.default_rng(0).integers(0, 256, (2_000, 32, 32, 1), dtype=np.uint8)
    data = Dataset("noise", values, None, (), everything, everything[:0], "")
    other = os.fork()
    team = Ranks(0 if other else 1, 2, f"file://{folder}/timing", timeout=100)
    alone, apart = (Feed(data, size) for size in (recipe.batch, recipe.batch // 2))
    shared = Feed(data, recipe.batch, rank=team.rank, world=team.world)
    work = []
    for who, feed in ((ALONE, alone), (ALONE, apart), (team, shared)):
        engine = Engine(recipe.game, data.signals, total=10**6, team=who)
        work.append((engine, feed))
        engine.turn(feed)
    rounds = []
    for _ in range(ROUNDS):
        took = [torch.tensor(seconds(*work[0]) if other else 0.0)]  # the other waits
        for pair in work[1:]:
            team.mean(torch.zeros(()))
            took.append(team.gather(torch.tensor([seconds(*pair)])).amax())  # the slower process
        rounds.append(torch.stack(took))
    team.close()
    if not other:
        os._exit(0)
    os.waitpid(other, 0)
    times = torch.stack(rounds)
    one, limit, both = (1e3 * times).median(0).values.tolist()
    print(f"dcgan, 32 px, batch {recipe.batch}: {one:.0f} ms a turn alone, {both:.0f} ms on two ranks,")
    print(f"{limit:.0f} ms in two processes of batch {recipe.batch // 2} that exchange nothing")
    faster, most = ((times[:, 0] / times[:, n]).median().item() for n in (2, 1))
    print(f"two ranks of one thread are {faster:.2f} x as fast as one; without exchanges it would be {most:.2f} x")
    return faster >= 1.7


def main() -> None:
    """Run what is asked for, each part in a process of its own; the exit status is 1 where a part fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("recipes", "equal", "speed"))
    parser.add_argument("--recipes", nargs="+", default=list(registry.registered("recipe")))
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.optim.SGD([torch.zeros(1, requires_grad=True)])  # torch imports half of itself at its first optimizer
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        parts = {
            "recipes": lambda: recipes(options.recipes, folder),
            "equal": lambda: equal(options.recipes, folder),
            "speed": lambda: speed(folder),
        }
        asked = [options.only] if options.only else list(parts)
        failed = [name for name in asked if Fork(lambda part=parts[name]: sys.exit(not part())).wait(3_600)]
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
