"""Networks: parts that build `nn.Module`s for a space, and initializations of their weights.

Every network is called as `network(x, label=None)`. Generators take latents `[N, latent]` and give samples
`[N, *shape]`, images in [-1, 1]; discriminators take samples and give logits `[N]`. The field `labels` says how the
class `[N]` enters; all but labels=none and labels=classifier need it. Generators that name the trait `blends` take
shares of classes `[N, classes]` in its place.
"""

from zerosum.networks.acgan import ACGANGenerator
from zerosum.networks.began import BEGANDiscriminator, BEGANGenerator
from zerosum.networks.biggan import BigGANDiscriminator, BigGANGenerator
from zerosum.networks.dagan import DAGANDiscriminator, DAGANGenerator
from zerosum.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from zerosum.networks.dirac import DiracDiscriminator, DiracGenerator
from zerosum.networks.initialization import Default, Glorot, He, LeCun, Normal, Orthogonal
from zerosum.networks.joint import DCGANEncoder, JointDCGANDiscriminator, JointMLPDiscriminator, MLPEncoder
from zerosum.networks.mlp import MLPDiscriminator, MLPGenerator
from zerosum.networks.patch import MultiscaleDiscriminator, PatchDiscriminator
from zerosum.networks.r3gan import R3GANDiscriminator, R3GANGenerator
from zerosum.networks.resnet import ResNetDiscriminator, ResNetGenerator
from zerosum.networks.stargan import StarGANDiscriminator, StarGANTranslator
from zerosum.networks.stylegan2 import StyleGAN2Generator
from zerosum.networks.stylegan2_discriminator import StyleGAN2Discriminator
from zerosum.networks.translator import ResNetTranslator
from zerosum.networks.unet import UNetTranslator

__all__ = [
    "ACGANGenerator",
    "BEGANDiscriminator",
    "BEGANGenerator",
    "BigGANDiscriminator",
    "BigGANGenerator",
    "DAGANDiscriminator",
    "DAGANGenerator",
    "DCGANDiscriminator",
    "DCGANEncoder",
    "DCGANGenerator",
    "Default",
    "DiracDiscriminator",
    "DiracGenerator",
    "Glorot",
    "He",
    "JointDCGANDiscriminator",
    "JointMLPDiscriminator",
    "LeCun",
    "MLPDiscriminator",
    "MLPEncoder",
    "MLPGenerator",
    "MultiscaleDiscriminator",
    "Normal",
    "Orthogonal",
    "PatchDiscriminator",
    "R3GANDiscriminator",
    "R3GANGenerator",
    "ResNetDiscriminator",
    "ResNetGenerator",
    "ResNetTranslator",
    "StarGANDiscriminator",
    "StarGANTranslator",
    "StyleGAN2Discriminator",
    "StyleGAN2Generator",
    "UNetTranslator",
]
