"""Games: who plays and in which order. A game never names a method."""

from zerosum.games.autoencoder import VariationalAutoencoder
from zerosum.games.image import ImageGame
from zerosum.games.joint import JointGame
from zerosum.games.lookahead import LookaheadGame
from zerosum.games.pairs import PairsGame
from zerosum.games.panel import PanelGame
from zerosum.games.unpaired import UnpairedGame

__all__ = [
    "ImageGame",
    "JointGame",
    "LookaheadGame",
    "PairsGame",
    "PanelGame",
    "UnpairedGame",
    "VariationalAutoencoder",
]
