"""Games: who plays and in which order. A game never names a method."""

from zerosum.games.adversarial_autoencoder import AdversarialAutoencoder
from zerosum.games.autoencoder import VariationalAutoencoder
from zerosum.games.image import ImageGame
from zerosum.games.joint import JointGame
from zerosum.games.lookahead import LookaheadGame
from zerosum.games.multidomain import MultiDomainGame
from zerosum.games.paired import PairedGame
from zerosum.games.pairs import PairsGame
from zerosum.games.panel import PanelGame
from zerosum.games.unpaired import UnpairedGame
from zerosum.games.vae_gan import VAEGAN

__all__ = [
    "VAEGAN",
    "AdversarialAutoencoder",
    "ImageGame",
    "JointGame",
    "LookaheadGame",
    "MultiDomainGame",
    "PairedGame",
    "PairsGame",
    "PanelGame",
    "UnpairedGame",
    "VariationalAutoencoder",
]
