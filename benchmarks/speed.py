"""Images per second of zerosum beside three loops that a person might write, as ratios taken in one run.

    python -m benchmarks.speed [--rounds 12] [--seconds 3]

(a) tutorial: the MLP GAN of a well-known tutorial as it stands: DataLoader, per-image transforms, BCE, plain Adam
(b) plain:    a DCGAN at 32 px in the manner of PyTorch's example: NCHW, fp32, `.item()` per loss
(c) by hand:  our own arithmetic in a straight line, without recipe, engine or run, for MLP and DCGAN-32

The contenders take turns, so that a change of the machine's speed meets all of them; a ratio is the median over the
rounds. MNIST is taken from $ZEROSUM_DATA where it is; random images of the same size are as good for timing.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data import Dataset as TorchDataset

from zerosum.core.average import update_average
from zerosum.core.errors import DataError
from zerosum.core.space import Space
from zerosum.core.values import Length
from zerosum.data import Dataset, Feed, open_data
from zerosum.networks import DCGANDiscriminator, DCGANGenerator, MLPDiscriminator, MLPGenerator, Normal
from zerosum.recipes import read_recipe
from zerosum.runs.directory import RunDirectory
from zerosum.runs.environment import choose_precision, describe
from zerosum.runs.progress import Display
from zerosum.runs.training import Training

Step = Callable[[], int]  # plays one step, returns its images


def mnist() -> Dataset:
    """MNIST, or random images of its size."""
    try:
        return open_data("mnist")
    except DataError:
        return arrays(np.random.default_rng(0).integers(0, 256, (60_000, 28, 28, 1), dtype=np.uint8))


def arrays(values: np.ndarray) -> Dataset:
    """A data set of arrays in memory."""
    everything = np.arange(len(values))
    return Dataset("random", values, None, (), everything, everything[:0], "0" * 64)


# ---------------------------------------------------------------------- (a) the tutorial's loop


class Transformed(TorchDataset[Tensor]):
    """Images decoded and normalised one by one, as ToTensor and Normalize(0.5, 0.5) do."""

    def __init__(self, images: np.ndarray) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        image = Image.fromarray(self.images[index])
        tensor = torch.from_numpy(np.array(image, copy=True)).view(28, 28, 1).permute(2, 0, 1).contiguous()
        return tensor.to(torch.float32).div(255).sub_(0.5).div_(0.5)


def tutorial(images: np.ndarray) -> Iterator[int]:
    """The tutorial's step, batch after batch."""

    class Generator(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(100, 256), nn.Linear(256, 512)
            self.fc3, self.fc4 = nn.Linear(512, 1024), nn.Linear(1024, 784)

        def forward(self, x: Tensor) -> Tensor:
            for layer in (self.fc1, self.fc2, self.fc3):
                x = F.leaky_relu(layer(x), 0.2)
            return torch.tanh(self.fc4(x))

    class Discriminator(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(784, 1024), nn.Linear(1024, 512)
            self.fc3, self.fc4 = nn.Linear(512, 256), nn.Linear(256, 1)

        def forward(self, x: Tensor) -> Tensor:
            for layer in (self.fc1, self.fc2, self.fc3):
                x = F.dropout(F.leaky_relu(layer(x), 0.2), 0.3)
            return torch.sigmoid(self.fc4(x))

    G, D, criterion, batch = Generator(), Discriminator(), nn.BCELoss(), 128
    optimizer_g, optimizer_d = (torch.optim.Adam(one.parameters(), lr=2e-4) for one in (G, D))
    loader = DataLoader(Transformed(images), batch_size=batch, shuffle=True, drop_last=True)
    for x in itertools.chain.from_iterable(itertools.repeat(loader)):
        D.zero_grad()
        real = criterion(D(x.view(-1, 784)), torch.ones(batch, 1))
        fake = criterion(D(G(torch.randn(batch, 100))), torch.zeros(batch, 1))
        loss = real + fake
        loss.backward()
        optimizer_d.step()
        loss.item()
        G.zero_grad()
        loss = criterion(D(G(torch.randn(batch, 100))), torch.ones(batch, 1))
        loss.backward()
        optimizer_g.step()
        loss.item()
        yield batch


# ---------------------------------------------------------------------- (b) a plain DCGAN at 32 px


def plain_dcgan(images: np.ndarray) -> Iterator[int]:
    """A DCGAN loop as most people write it."""
    G = nn.Sequential(
        *(nn.ConvTranspose2d(100, 256, 4, 1, 0, bias=False), nn.BatchNorm2d(256), nn.ReLU(True)),
        *(nn.ConvTranspose2d(256, 128, 4, 2, 1, bias=False), nn.BatchNorm2d(128), nn.ReLU(True)),
        *(nn.ConvTranspose2d(128, 64, 4, 2, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(True)),
        *(nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False), nn.Tanh()),
    )
    D = nn.Sequential(
        *(nn.Conv2d(3, 64, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)),
        *(nn.Conv2d(64, 128, 4, 2, 1, bias=False), nn.BatchNorm2d(128), nn.LeakyReLU(0.2, True)),
        *(nn.Conv2d(128, 256, 4, 2, 1, bias=False), nn.BatchNorm2d(256), nn.LeakyReLU(0.2, True)),
        *(nn.Conv2d(256, 1, 4, 1, 0, bias=False), nn.Flatten(0), nn.Sigmoid()),
    )
    optimizer_g, optimizer_d = (torch.optim.Adam(one.parameters(), lr=2e-4, betas=(0.5, 0.999)) for one in (G, D))
    criterion, batch = nn.BCELoss(), 64
    one, zero = torch.ones(batch), torch.zeros(batch)
    tensors = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().float().div(127.5).sub(1)
    loader = DataLoader(TensorDataset(tensors), batch_size=batch, shuffle=True, drop_last=True)
    for (x,) in itertools.chain.from_iterable(itertools.repeat(loader)):
        D.zero_grad()
        real = criterion(D(x), one)
        real.backward()
        fakes = G(torch.randn(batch, 100, 1, 1))
        fake = criterion(D(fakes.detach()), zero)
        fake.backward()
        optimizer_d.step()
        G.zero_grad()
        loss = criterion(D(fakes), one)
        loss.backward()
        optimizer_g.step()
        real.item(), fake.item(), loss.item()
        yield batch


# ---------------------------------------------------------------------- (c) our arithmetic by hand


def by_hand(
    dataset: Dataset, networks: tuple[nn.Module, nn.Module], batch: int, beta1: float, shared: bool, bf16: bool
) -> Iterator[int]:
    """The arithmetic of the mlp and dcgan recipes in a straight line."""
    G, D = (one.to(memory_format=torch.channels_last) for one in networks)
    average = copy.deepcopy(G).requires_grad_(False)
    of_g, of_d = list(G.parameters()), list(D.parameters())
    optimizer_g, optimizer_d = (torch.optim.Adam(p, lr=2e-4, betas=(beta1, 0.999), fused=True) for p in (of_g, of_d))
    feed, total = Feed(dataset, batch), torch.zeros(2, dtype=torch.float64)
    while True:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16, cache_enabled=False):
            real, _ = feed.next()
            with torch.set_grad_enabled(shared):
                fake = G(torch.randn(batch, 100))
            loss = F.softplus(-D(real).float()).mean() + F.softplus(D(fake.detach()).float()).mean()
        optimizer_d.zero_grad()
        loss.backward(inputs=of_d)
        optimizer_d.step()
        total[0] += loss.detach()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16, cache_enabled=False):
            fake = fake if shared else G(torch.randn(batch, 100))
            loss = F.softplus(-D(fake).float()).mean()
        optimizer_g.zero_grad()
        loss.backward(inputs=of_g)
        optimizer_g.step()
        update_average(average, G, 0.995)
        total[1] += loss.detach()
        yield batch


# ---------------------------------------------------------------------- zerosum itself


def ours(name: str, dataset: Dataset, folder: Path, precision: str) -> Iterator[int]:
    """A whole training of ours, turn by turn, with everything that is due after each."""
    recipe = read_recipe(
        name, ["samples=never", "evaluation=never", "checkpoint=never", "autosave=never", "report=5000"]
    )
    recipe = recipe.replace(length=Length(10**12), precision=precision)
    environment = describe(torch.device("cpu"), precision) | {"data": {}}
    run = RunDirectory.create(folder / f"{name}-{precision}", recipe, environment, [])
    training = Training(run, recipe, dataset, environment, Display(quiet=True))
    before = training.now
    while True:
        training.engine.turn(training.feed)
        now = training.now
        training.after(before, now)
        yield now.images - before.images
        before = now


# ---------------------------------------------------------------------- timing


def race(contenders: dict[str, Iterator[int]], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Images per second of each contender in each round; the first round only warms up."""
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, steps in contenders.items():
            images, began = 0, time.perf_counter()
            while time.perf_counter() - began < (seconds if number else 1.0):
                images += next(steps)
            if number:
                rates[name].append(images / (time.perf_counter() - began))
    return rates


def ratio(rates: dict[str, list[float]], fast: str, slow: str) -> float:
    """Median over the rounds of the ratio of two contenders."""
    return statistics.median(a / b for a, b in zip(rates[fast], rates[slow], strict=True))


def matmul_peak(dtype: torch.dtype, size: int = 2048) -> float:
    """Best measured matrix product in GFLOP/s."""
    a, b = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    best = float("inf")
    for _ in range(8):
        began = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best / 1e9


def flops(step: Iterator[int]) -> float:
    """GFLOP that one image costs, counted by PyTorch over one step."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        images = next(step)
    return counter.get_total_flops() / images / 1e9


def main() -> None:
    """Race and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    torch.manual_seed(0)
    digits, photos = mnist(), arrays(np.random.default_rng(0).integers(0, 256, (8192, 32, 32, 3), dtype=np.uint8))
    precision = choose_precision("auto", torch.device("cpu"), image=True)
    machine = describe(torch.device("cpu"), precision)
    print(
        f"{machine['processor']}, {machine['threads']} threads, torch {machine['torch']}, {precision}, "
        f"data {digits.name}"
    )
    bf16 = precision == "bf16"
    space, flat = Space((3, 32, 32), 100), Space((1, 28, 28), 100)
    dcgan = DCGANGenerator().build(space), DCGANDiscriminator().build(space)
    for network in dcgan:
        Normal(0.02).apply(network)
    mlp = MLPGenerator().build(flat), MLPDiscriminator().build(flat)
    with tempfile.TemporaryDirectory() as folder:
        rates = race(
            {
                "mlp": ours("mlp", digits, Path(folder), precision),
                "mlp tutorial (a)": tutorial(np.asarray(digits.values[..., 0])[digits.train]),
                "mlp by hand (c)": by_hand(digits, mlp, 128, 0.9, read_recipe("mlp").game.fresh_fakes is False, bf16),
            },
            options.rounds,
            options.seconds,
        )
        rates |= race(
            {
                "dcgan-32": ours("dcgan", photos, Path(folder), precision),
                "dcgan-32 plain (b)": plain_dcgan(photos.values),
                "dcgan-32 by hand (c)": by_hand(photos, dcgan, 64, 0.5, True, bf16),
            },
            options.rounds,
            options.seconds,
        )
        for name, values in rates.items():
            print(
                f"{name:<22}{statistics.median(values):9,.0f} images/s  (from {min(values):,.0f} to {max(values):,.0f})"
            )
        print(f"(a) mlp against the tutorial's loop      {ratio(rates, 'mlp', 'mlp tutorial (a)'):.2f} x")
        print(f"(b) dcgan-32 against a plain loop        {ratio(rates, 'dcgan-32', 'dcgan-32 plain (b)'):.2f} x")
        for name in ("mlp", "dcgan-32"):
            print(
                f"(c) overhead against by hand, {name:<10} "
                f"{100 * (ratio(rates, f'{name} by hand (c)', name) - 1):+.1f} %"
            )
        peaks = {name: matmul_peak(dtype) for name, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32))}
        work = flops(ours("lsgan", photos, Path(folder), "fp32")) * statistics.median(rates["dcgan-32"])
        shares = ", ".join(
            f"{work / peak:.0%} of the measured {name} matmul peak ({peak:,.0f} GFLOP/s)"
            for name, peak in peaks.items()
        )
        print(f"dcgan-32 does {work:,.0f} GFLOP/s: {shares}")


if __name__ == "__main__":
    main()
