"""Games: who plays and in which order. A game never names a method."""

from zerosum.games.image import ImageGame

__all__ = ["ImageGame"]
