"""Two ranks at work: `python -m tests.ranks FOLDER` leaves what each of them found in FOLDER, for tests to look at."""

import os
import signal
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from tests import small
from zerosum.augmentations import ADA
from zerosum.core.engine import Engine
from zerosum.core.errors import TrainingError
from zerosum.core.memory import ALONE, Memory
from zerosum.core.meter import NotFiniteError
from zerosum.core.ranks import Ranks
from zerosum.core.team import share
from zerosum.critic import Outcome
from zerosum.data import Dataset, Feed, open_data
from zerosum.recipes import read_recipe

MLP = "mlp", "discriminator.dropout=0"
JOINT = {  # recipes that draw nothing but latents, and couple no samples of a batch
    "mlp": MLP,
    "points": ("mixture",),
    "lecam": (*MLP, "regularizers=r1+lecam:after=0"),
    "penalty": ("wgan-gp-small", "generator.norm=none"),
    "lengths": (*MLP, "regularizers=path-length:share=1,every=1"),
    "successive": (*MLP, "regularizers=successive-consistency"),
    "began": ("began-small", "regularizers="),
    "unrolled": ("unrolled", "depth=2"),
    "panel": ("gman-small", "discriminators=2", "generator.norm=none", "discriminator.norm=none"),
    "together": ("vae",),
    "routed": ("vae-gan-small", "generator.norm=none", "discriminator.norm=none", "encoder.norm=none"),
    "phases": ("aae-small", "regularizers=lecam:after=0"),
    "paired": ("pix2pix-small", "generator.dropout=0", "regularizers=lecam:after=0"),
    "multi-domain": (
        "stargan-small",
        "regularizers=r1",
        "size=16",
        *(f"{one}.optimizer=sgd" for one in ("translator", "discriminator")),
    ),
    "unpaired": ("cyclegan-small", "pool.size=20", "regularizers=lecam:after=0"),
}
OWN = {  # each rank draws for itself, and there are statistics, averages of styles and banks of images
    "dropout": ("mlp",),
    "augmented": ("dcgan", "data.flip=true", "augmentations=ada:p=0.5,interval=1,speed=1000"),
    "styles": ("stylegan2-ada-small",),
    "noise": ("pix2pix-small",),
    "bank": ("dagan-small",),
}
TURNS = 2


class Double(Feed):
    """Samples in float64."""

    def next(self):
        batch = super().next()
        return {name: x.double() if x.is_floating_point() else x for name, x in batch.items()}


def waves(x):
    """In place of normal numbers: the same for each sample."""
    return torch.arange(x[0].numel(), dtype=x.dtype).add(1).sin().view(x[0].shape).expand_as(x)


@contextmanager
def in_double(name):
    """Everything in float64, and constants for what penalties draw."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    with ExitStack() as stack:
        stack.callback(torch.set_default_dtype, usual)
        stack.enter_context(mock.patch.object(torch.Tensor, "float", torch.Tensor.double))
        stack.enter_context(mock.patch("torch.randn_like", waves))
        if name == "penalty":
            stack.enter_context(mock.patch("torch.rand", lambda *sizes, device: torch.full(sizes, 0.25)))
        yield


def digits(side):
    """Noise of that size in ten classes; scikit-learn takes a second to import."""
    values = np.random.default_rng(0).integers(0, 256, (40, side, side, 1), dtype=np.uint8)
    return Dataset("toy", values, np.arange(40) % 10, tuple("0123456789"), np.arange(40), np.arange(0), "")


def two_sets():
    """Noise as two sets of 20 and 30."""
    values = np.random.default_rng(0).integers(0, 256, (50, 16, 16, 1), dtype=np.uint8)
    domain = (np.arange(50) >= 20).astype(np.int64)
    nothing = np.arange(0)
    return Dataset("toy", values, None, (), np.arange(50), nothing, "", domains=("few", "more"), domain=domain)


def pairs():
    """Noise of one size beside other noise."""
    values = np.random.default_rng(0).integers(0, 256, (2, 40, 8, 8, 1), dtype=np.uint8)
    return Dataset("toy", values[0], None, (), np.arange(40), np.arange(0), "", inputs=values[1])


def seated(case, team, kind=Feed, seed=0):
    """Engine and feed of a case for one rank of a team."""
    name, *settings = case
    recipe = read_recipe(name, [*small.words(name), *settings])
    if recipe.data.domains:
        data = two_sets()
    elif recipe.data.pairs:
        data = pairs()
    elif name in small.DATA:
        data = open_data(small.DATA[name])
    else:
        data = digits(16 if name == "dcgan" else 8)  # smaller, it has no BatchNorm
    engine = Engine(recipe.game, data.signals, seed=seed, total=10_000, team=team)
    return engine, kind(data, recipe.batch, flip=recipe.data.flip, rank=team.rank, world=team.world)


def tensors_of(engine):
    """All that training changes, by name, as it is now."""
    state = engine.state()[0]
    return {f"{group}.{name}": one.clone() for group, found in state.items() for name, one in found.items()}


def jointly(team):
    """What training on joint batches led to, in float64."""
    found = {}
    for name, case in JOINT.items():
        with in_double(name):
            engine, feed = seated(case, team, Double)
            for _ in range(TURNS):
                engine.turn(feed)
            found[name] = tensors_of(engine) | {"position": torch.tensor(feed.position)}
    return found


def separately(team, folder):
    """State after some turns, and after some more with that of rank 0 loaded; what the next numbers were."""
    found = {}
    for name, case in OWN.items():
        engine, feed = seated(case, team)
        for _ in range(TURNS):
            engine.turn(feed)
        own, before = torch.rand(3), tensors_of(engine)
        if team.rank == 0:
            state, numbers = engine.state()
            torch.save(({group: dict(tensors) for group, tensors in state.items()}, numbers), folder / "state.pt")
        team.mean(torch.zeros(()))  # wait until it is there
        other, again = seated(case, team)
        other.load(*torch.load(folder / "state.pt"))
        again.position = other.clock
        team.mean(torch.zeros(()))
        for _ in range(2):
            engine.turn(feed)
            other.turn(again)
        found[name] = {"before": before, "own": own, "after": tensors_of(engine), "resumed": tensors_of(other)}
    return found


def calculated(team):
    """Means, their gradients and what else a team does with tensors."""
    rank = team.rank
    x = torch.tensor([1.0 + rank, 5.0 - 2 * rank], requires_grad=True)
    mean = team.mean(x)
    (first,) = torch.autograd.grad((rank + 1) * mean.square().sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    maps = torch.full((2, 3, 4, 4), float(rank)).to(memory_format=torch.channels_last)
    mixed = [torch.tensor(1.0 + rank), torch.full((2, 2), 4.0 * rank, dtype=torch.float64), maps]
    team.average_(mixed)
    alike = [torch.tensor(7 + rank), torch.tensor([rank == 0, True]), torch.full((3,), 0.1 + rank), maps + rank]
    team.agree_(alike)
    return {
        "mean": mean.detach(),
        "first": first.detach(),
        "second": second,
        "average": mixed,
        "dense": maps.is_contiguous(memory_format=torch.channels_last),
        "agreed": alike,
        "gathered": [team.gather(y) for y in (torch.tensor([rank, 8]), torch.tensor([[rank == 1]]), x)],
    }


def adapted(team):
    """Probabilities of adaptive augmentation after batches of 12 logits, of which this rank has its part."""
    part, found = ADA(p=0.5, interval=1, speed=120, target=0.5), []
    memory = Memory(part.memory(), team)
    for negative in (6, 2, 4):  # all of them in the part of the last rank
        own = share(torch.arange(12, 0, -1) - negative - 0.5, team)
        part.adapt(Outcome(own, -own, len(own), 0), memory)
        found.append(memory["p"].item())
    return found


def agreed(team):
    """First weights where each rank has a seed of its own; what all say where the loss of one rank is not finite."""
    engine, _ = seated(MLP, team, seed=team.rank)
    start = tensors_of(engine)
    logits = engine.network("discriminator")(torch.ones(4, 1, 8, 8))
    try:
        engine.update("discriminator", low=logits.mean(), odd=logits.mean() * (torch.nan if team.rank else 1))
    except NotFiniteError as error:
        return {"start": start, "error": str(error), "end": tensors_of(engine)}


def told(work, *args, **options):
    """Seconds until work ends in an error, and what that says."""
    began = time.monotonic()
    try:
        while True:
            work(*args, **options)
    except TrainingError as error:
        return time.monotonic() - began, str(error)


def deserted(rank, folder):
    """What rank 0 is told where rank 1 does not come, does not answer in a backward pass, and where it is killed."""
    absent = told(Ranks, rank, 2, f"file://{folder}/absent{rank}", timeout=0.5)
    team = Ranks(rank, 2, f"file://{folder}/silent", timeout=1)
    total = team.mean(torch.ones(1, requires_grad=True)).sum()
    silent = told(total.backward) if rank == 0 else time.sleep(1.5)
    team.close()
    team = Ranks(rank, 2, f"file://{folder}/killed", timeout=60)
    engine, feed = seated(OWN["dropout"], team)
    engine.turn(feed)
    if rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"absent": absent, "silent": silent, "killed": told(engine.turn, feed)}


def play(rank, folder):
    """All of it, as one rank."""
    torch.set_num_threads(1)
    team = Ranks(rank, 2, f"file://{folder}/meeting", timeout=60)
    found = {"joint": jointly(team), "own": separately(team, folder), "calculated": calculated(team)}
    found |= {"adapted": adapted(team), "agreed": agreed(team)}
    team.close()
    torch.save(found, folder / f"rank{rank}.pt")
    left = deserted(rank, folder)  # rank 1 ends here
    torch.save({"joint": jointly(ALONE), "adapted": adapted(ALONE), **left}, folder / "alone.pt")


if __name__ == "__main__":
    path = Path(sys.argv[1])
    torch.optim.SGD([torch.zeros(1, requires_grad=True)])  # torch imports half of itself at its first optimizer
    other = os.fork()  # all is imported once; nothing was computed, so there are no threads
    play(0 if other else 1, path)
    os.waitpid(other, 0)
