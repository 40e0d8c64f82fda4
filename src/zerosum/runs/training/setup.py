"""Feed and engine of a training."""

from __future__ import annotations

from typing import Any

import torch

from zerosum.core.engine import Engine
from zerosum.core.team import Team
from zerosum.data import Dataset, Feed
from zerosum.recipes import Recipe


def set_up(recipe: Recipe, dataset: Dataset, environment: dict[str, Any], team: Team) -> tuple[Feed, Engine]:
    """Feed and engine of one rank, as they are before the first turn."""
    device, data = torch.device(environment["device"]), recipe.data
    feed = Feed(
        dataset,
        recipe.batch,
        seed=recipe.seed,
        flip=data.flip,
        balanced=data.balanced,
        device=device,
        rank=team.rank,
        world=team.world,
    )
    engine = Engine(
        recipe.game,
        dataset.signals,
        seed=recipe.seed,
        device=device,
        precision=environment["precision"],
        total=recipe.length.samples(feed.per_epoch),
        team=team,
    )
    return feed, engine
