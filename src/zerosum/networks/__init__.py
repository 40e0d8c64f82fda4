"""Networks: parts that build `nn.Module`s for a space, and initializations of their weights.

Every network is called as `network(x, label=None)`. Generators take latents `[N, latent]` and give samples
`[N, *shape]`, images through tanh; discriminators take samples and give logits `[N]`. Those with `labels=true` need the
classes, `[N]`.
"""

from zerosum.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from zerosum.networks.initialization import Default, Glorot, He, LeCun, Normal, Orthogonal
from zerosum.networks.mlp import MLPDiscriminator, MLPGenerator

__all__ = [
    "DCGANDiscriminator",
    "DCGANGenerator",
    "Default",
    "Glorot",
    "He",
    "LeCun",
    "MLPDiscriminator",
    "MLPGenerator",
    "Normal",
    "Orthogonal",
]
