"""Points of a training on both its clocks, images and seconds; what is due between two of them, and its pace."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from zerosum.core.values import Length

RECENT = 30.0  # seconds over which a rate is taken


@dataclass(frozen=True)
class Moment:
    """A point of a training, on both clocks."""

    images: int
    seconds: float

    def count(self, every: Length, per_epoch: int) -> int:
        """How many times an interval has passed since the start."""
        if not every.amount:
            return 0
        images = every.samples(per_epoch)
        return self.images // images if images else int(self.seconds // every.amount)

    def after(self, other: Moment) -> Moment:
        """What has passed since another moment."""
        return Moment(self.images - other.images, self.seconds - other.seconds)

    @property
    def rate(self) -> float:
        """Images in a second, of what has passed."""
        return self.images / max(self.seconds, 1e-9)


class Standing(NamedTuple):
    """Where a training stands: share of the whole that is done, seconds that it took, seconds that are left."""

    share: float
    seconds: float
    left: float

    def __str__(self) -> str:
        return f"{self.share:4.0%}, {clock(self.seconds)} done, {clock(self.left)} left"


class Pace:
    """How fast a training goes, by what the host knows: a device is not waited for.

    Args:
        length: of the whole.
        start: where it begins, or goes on.
        share: of the whole that was done then.
    """

    def __init__(self, length: Length, start: Moment, share: float) -> None:
        self.length, self.start, self.share = length, start, share
        self._recent = deque([start])

    def rate(self, now: Moment) -> str:
        """Images in a second, of late."""
        self._recent.append(now)
        while len(self._recent) > 2 and now.seconds - self._recent[1].seconds > RECENT:
            self._recent.popleft()
        rate = now.after(self._recent[0]).rate
        return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s"

    def standing(self, now: Moment, share: float) -> Standing:
        """Where it stands with this share of the whole done; `left` is infinite before the first update."""
        done = share - self.share
        left = now.after(self.start).seconds * (1 - share) / done if done > 0 else math.inf
        return Standing(share, now.seconds, self.length.amount - now.seconds if self.length.unit == "seconds" else left)


def clock(seconds: float) -> str:
    """Seconds as 0:05 or 1:02:03; ? where they are not known."""
    if math.isinf(seconds):
        return "?"
    minutes, seconds = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
