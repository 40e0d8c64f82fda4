"""Three loops that a person might write, which zerosum's speed is held against; each yields the images of a step.

(a) the MLP GAN of a well-known tutorial, (b) a DCGAN in the manner of PyTorch's example, (c) our arithmetic by hand.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data import Dataset as TorchDataset

from zerosum.core.average import update_average
from zerosum.data import Dataset, Feed

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
            real = feed.next()["sample"]
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
