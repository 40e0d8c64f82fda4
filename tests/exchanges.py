"""Exchanges as games make them, from samples or from logits that are already there."""

from dataclasses import dataclass

from zerosum.core.memory import Memory
from zerosum.core.team import Alone
from zerosum.critic import Answer, Critic, Exchange


class Witness(Critic):
    """A critic that keeps what it is shown, with its label, before it is augmented and packed."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.shown = []

    def examine(self, x, given):
        self.shown.append((x, given["label"]))
        return super().examine(x, given)


class Two(Alone):
    """A team of two, which tells what the other one has whenever a mean is taken."""

    world = 2

    def __init__(self, *others):
        self.others = iter(others)

    def mean(self, x):
        return (x + next(self.others)) / 2


@dataclass(frozen=True)
class Witnessed(Exchange):
    """An exchange that tells what a regularizer showed its critic."""

    @property
    def shown(self):
        """Samples of the regularizer's own making, and their labels."""
        return [(x, label) for x, label in self.critic.shown if x is not self.real.x and x is not self.fake.x]


def exchange(
    player,
    generator=None,
    discriminator=None,
    real=None,
    fake=None,
    label=None,
    latent=None,
    *,
    tracks=(),
    precise=None,
    logits=None,
    features=None,
    pack=1,
    clock=0,
    augmentations=(),
):
    """An update of a player.

    `tracks`: samples, of "real" and "fake", that gradients are taken at. `precise`: whether scores are float32 under
    mixed precision; as in a game, where anything is tracked. `logits`, `features`: of real and fake, in place of what
    the discriminator would say.
    """
    critic = Witness(discriminator, augmentations, pack, precise=bool(tracks) if precise is None else precise)
    given = {"label": label}
    a = critic(real, track="real" in tracks, grad=player == "discriminator", **given)
    b = critic(fake, track="fake" in tracks, **given)
    if logits is not None or features is not None:
        said = zip(logits or (None, None), features or (None, None), strict=True)
        a._answer, b._answer = (Answer(logit, feature, (logit,)) for logit, feature in said)
    return Witnessed(player, critic, a, b, generator, latent, clock)


def remembered(part, **tensors):
    """Memory of a part: as it starts, or with these tensors."""
    return Memory(part.memory() | tensors)


def cost(part, update, memory=None):
    """What a regularizer costs in an update; one that remembers starts anew where no memory is given."""
    if not hasattr(part, "memory"):
        return part(update)
    return part(update, remembered(part) if memory is None else memory)
