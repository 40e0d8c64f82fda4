"""What `benchmarks/identity.py` plays: every recipe, and settings that no recipe has; all of it in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple


class Case(NamedTuple):
    """A recipe with settings, by a name that stays."""

    name: str
    recipe: str
    settings: tuple[str, ...] = ()
    data: str = "digits"
    precision: str = "fp32"

    def text(self) -> str:
        """All that decides what is played."""
        return " ".join([self.recipe, *self.settings, "on", self.data, "in", self.precision])


POINTS = {"mixture": "ring8", "pacgan": "ring8", "unrolled": "ring8", "veegan": "ring8", "dirac": "dirac"}
PAIRS = {"cyclegan": "digits-inverted", "cyclegan-small": "digits-inverted"}
MADE = dict.fromkeys(("pix2pix", "pix2pix-small"), ("data.pairs=edges",))  # settings that make pairs of the data
BF16 = (
    "dcgan",
    "stylegan2-ada-small",
    "wgan-gp",
    "began",
    "gman",
    "unrolled",
    "veegan",
    "dagan",
    "cyclegan",
    "vae-gan",
    "aae",
)
TOLD = "discriminator.labels=projection discriminator.norm=none"  # a discriminator of DCGAN's that is told the class
VARIANTS = {  # name: recipe (or recipe@data) and settings
    # classes
    "labels-concat": f"dcgan generator.labels=concat {TOLD}",
    "labels-embed": "dcgan generator.labels=embed discriminator.labels=embed",
    "labels-norm": "dcgan generator.labels=norm discriminator.labels=concat discriminator.spectral=true",
    "labels-mlp": "mlp generator.labels=embed discriminator.labels=projection",
    "labels-styles": "stylegan2-small generator.labels=embed discriminator.labels=projection",
    "labels-r3gan": "r3gan-small generator.labels=embed discriminator.labels=projection",
    "labels-classifier": "sngan-small generator.labels=norm discriminator.labels=classifier "
    "regularizers=auxiliary-classifier:fakes=false,every=2",
    # packs, pairs of logits
    "pack": "dcgan pack=2",
    "pack-penalty": "wgan-gp-small pack=2",
    "pack-relativistic": "rpgan pack=2 augmentations=ada:signal=pairs selection=top-k",
    "relativistic-average": "rpgan objective=relativistic-average pack=4 fresh_fakes=true",
    "relativistic-hinge": "mixture objective=relativistic:loss=hinge discriminator_updates=2 pack=2",
    # the image game
    "generator-updates": "dcgan generator_updates=3 fresh_fakes=true",
    "shared-fakes": "mlp fresh_fakes=false discriminator_updates=2 generator_updates=2 regularizers=r1:every=2",
    "selection": "mlp selection=top-k:share=0.5 adversarial=0.7 objective=hinge",
    "codes": "infogan latent=infogan:noise=8 discriminator.network=mlp-discriminator:codes=12",
    # the clock
    "schedules": "dcgan generator.schedule=linear:warmup=16,end=40 discriminator.schedule=cosine:warmup=16,final=0.1",
    "moving-weights": "rpgan regularizers=r1:gamma=1,final=0.2,until=24,every=2+r2:gamma=1,final=0.5,until=20 "
    "augmentations=ada:control=ramp,p=0.5,shape=linear",
    "lecam-one-sided": "dcgan regularizers=lecam:form=one-sided,after=8",
    # parts that no recipe has
    "jacobian-clamping": "mlp regularizers=jacobian-clamping:every=2",
    "content": "dcgan regularizers=content:every=2+feature-matching:of=pixels",
    "content-pairs": "dagan-small regularizers=content:reference=place",
    "successive-consistency": f"dcgan regularizers=successive-consistency generator.labels=concat {TOLD}",
    "orthogonal-both": "dcgan regularizers=orthogonal:player=both,norms=true+pulling-away:of=features",
    "both-players": "wgan-gp-small regularizers=zcr+dragan:every=2 augmentations=diffaugment",
    "flip-shift": "dcgan augmentations=flip+shift:pixels=1",
    "crop-rotation": "mlp augmentations=crop:where=both+rotation:where=both,border=reflect",
    "scale": "dcgan augmentations=scale:where=both,probability=0.5+ada:control=fixed,p=0.4,cutout=0.5",
    "adamw-rmsprop": "mlp generator.optimizer=adamw discriminator.optimizer=rmsprop:momentum=0.5 latent=truncated",
    "lecun-orthogonal": "mlp generator.average=none generator.initialization=lecun "
    "discriminator.initialization=orthogonal",
    "minibatch-stddev": "dcgan discriminator.minibatch=stddev discriminator.norm=layer",
    # further games
    "panel-mean": "gman-small aggregation=mean shared=true discriminators=2 regularizers=lecam:after=8+r1:every=2",
    "panel-max": "gman-small aggregation=max discriminators=2 discriminator_updates=2 pack=2 augmentations=ada "
    "regularizers=successive-consistency+feature-matching:every=2",
    "panel-labels": "gman-small discriminators=2 generator.labels=concat discriminator.labels=projection",
    "lookahead-plain": "unrolled objective=non-saturating zero_sum=false generator_updates=2 discriminator_updates=2 "
    "regularizers=r1:every=2+feature-matching",
    "lookahead-rmsprop": "unrolled discriminator.optimizer=rmsprop depth=2 pack=2",
    "lookahead-images": "unrolled@digits depth=2 augmentations=ada generator.labels=concat "
    "discriminator.labels=projection",
    "joint-images": "veegan@digits generator.network=dcgan-generator:labels=concat "
    "discriminator.network=joint-dcgan-discriminator:labels=concat,norm=none reconstructor.network=dcgan-encoder "
    "discriminator_updates=2 augmentations=ada+flip regularizers=r1:every=2+feature-matching:every=2 "
    "reconstructor.average=ema",
    "joint-labels": "veegan@digits generator.labels=concat discriminator.labels=concat noise=0 regularizers=lecam",
    "vae-gan-parts": "vae-gan-small discriminator.norm=none discriminator_updates=2 augmentations=ada:p=0.5 pack=2 "
    "regularizers=r1:every=2+feature-matching",
    "aae-parts": "aae-small decoder.labels=concat discriminator.labels=projection discriminator_updates=2 "
    "latent=uniform regularizers=gradient-penalty:every=2+lecam:after=8 augmentations=flip",
    "unpaired-identity": "cyclegan-small identity=5 objective=hinge pool.size=9 augmentations=ada:p=0.5+flip "
    "regularizers=r1:every=2+lecam:after=8",
    "paired-several": "pix2pix-small objective=hinge augmentations=ada:p=0.5+flip discriminator.network="
    "multiscale-discriminator:channels=8,layers=1 regularizers=r1:every=2+content:of=layers,reference=place",
    "pairs-augmented": "dagan-small objective=relativistic augmentations=diffaugment+flip "
    "regularizers=r2:every=2+lecam:after=8",
}  # fmt: skip


def cases(recipes: Iterable[str]) -> list[Case]:
    """Every recipe, some of them in bf16, and all variants."""

    def case(name: str, recipe: str, *settings: str, **how: Any) -> Case:
        settings = (*MADE.get(recipe, ()), *settings)
        return Case(name, recipe, settings, **{"data": (POINTS | PAIRS).get(recipe, "digits"), **how})

    listed = [case(name, name) for name in recipes]
    listed += [case(f"{name} bf16", name, precision="bf16") for name in BF16]
    for name, text in VARIANTS.items():
        (recipe, _, data), settings = text.split()[0].partition("@"), text.split()[1:]
        listed.append(case(f"+{name}", recipe, *settings, **({"data": data} if data else {})))
    return listed
