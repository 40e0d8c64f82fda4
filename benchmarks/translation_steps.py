"""Two loops of translators as a well-known repository plays them, which our steps are held against.

pytorch-CycleGAN-and-pix2pix (Zhu, Park and others), written again plainly: networks are frozen by `requires_grad`, each
discriminator has a backward pass of its own, Adam as PyTorch has it, float32, the usual layout of tensors. Both loops
take the networks of our own recipe by name, as an engine calls them, and yield the images of a step.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

POOL = 50  # translated images that the discriminators of CycleGAN see again
Sides = tuple[Tensor, Tensor]  # images [N, C, H, W] of both


def pix2pix(networks: Mapping[str, nn.Module], data: Sides, distance: float) -> Iterator[int]:
    """The discriminator, then the translator; images [N, C, H, W] of both sides, one pair at a time."""
    G, D = networks["generator"], networks["discriminator"]
    adam_g, adam_d = (adam(one) for one in (G, D))
    gan, l1 = nn.BCEWithLogitsLoss(), nn.L1Loss()
    for x, y in endless(data):
        made = G(x)
        requires_grad(True, D)
        adam_d.zero_grad()
        seen = D(torch.cat([x, made], 1).detach())
        fake = gan(seen, torch.zeros_like(seen))
        seen = D(torch.cat([x, y], 1))
        real = gan(seen, torch.ones_like(seen))
        ((fake + real) * 0.5).backward()
        adam_d.step()
        requires_grad(False, D)
        adam_g.zero_grad()
        seen = D(torch.cat([x, made], 1))
        fooled, away = gan(seen, torch.ones_like(seen)), l1(made, y) * distance
        (fooled + away).backward()
        adam_g.step()
        real.item(), fake.item(), fooled.item(), away.item()
        yield len(x)


def cyclegan(networks: Mapping[str, nn.Module], data: Sides, cycle: float) -> Iterator[int]:
    """Both translators, then both discriminators; images [N, C, H, W] of both sets, one of each at a time."""
    G, F, A, B = (networks[name] for name in ("a_to_b", "b_to_a", "a", "b"))
    adam_g, adam_d = adam(G, F), adam(A, B)
    gan, l1, pool_a, pool_b = nn.MSELoss(), nn.L1Loss(), Pool(), Pool()
    for a, b in endless(data):
        fake_b, fake_a = G(a), F(b)
        back_a, back_b = F(fake_b), G(fake_a)
        requires_grad(False, A, B)
        adam_g.zero_grad()
        seen_a, seen_b = A(fake_a), B(fake_b)
        fooled = gan(seen_b, torch.ones_like(seen_b)) + gan(seen_a, torch.ones_like(seen_a))
        cycles = (l1(back_a, a) + l1(back_b, b)) * cycle
        (fooled + cycles).backward()
        adam_g.step()
        requires_grad(True, A, B)
        adam_d.zero_grad()
        costs = [told_apart(A, a, pool_a(fake_a), gan), told_apart(B, b, pool_b(fake_b), gan)]
        adam_d.step()
        fooled.item(), cycles.item(), [cost.item() for cost in costs]
        yield len(a)


def told_apart(D: nn.Module, real: Tensor, fake: Tensor, gan: nn.Module) -> Tensor:
    """Loss of one discriminator after its backward pass, []."""
    seen_real, seen_fake = D(real), D(fake.detach())
    cost = (gan(seen_real, torch.ones_like(seen_real)) + gan(seen_fake, torch.zeros_like(seen_fake))) * 0.5
    cost.backward()
    return cost


class Pool:
    """The last translated images, one of which takes the place of a new one half of the time."""

    def __init__(self) -> None:
        self.images: list[Tensor] = []

    def __call__(self, x: Tensor) -> Tensor:
        """Images [N, C, H, W] in the place of new ones."""
        given = []
        for one in x.detach().unsqueeze(1):
            if len(self.images) < POOL:
                self.images.append(one)
            elif random.random() > 0.5:
                place = random.randrange(POOL)
                one, self.images[place] = self.images[place].clone(), one
            given.append(one)
        return torch.cat(given)


def endless(data: Sides) -> Iterator[list[Tensor]]:
    """Batches of one from both sides, epoch after epoch."""
    loader = DataLoader(TensorDataset(*data), batch_size=1, shuffle=True)
    return itertools.chain.from_iterable(itertools.repeat(loader))


def adam(*networks: nn.Module) -> torch.optim.Adam:
    """The optimizer of all of them together."""
    return torch.optim.Adam(itertools.chain(*(one.parameters() for one in networks)), lr=2e-4, betas=(0.5, 0.999))


def requires_grad(wanted: bool, *networks: nn.Module) -> None:
    """Freeze networks, or wake them."""
    for network in networks:
        network.requires_grad_(wanted)
