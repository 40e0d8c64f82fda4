"""What fits in a game of a generator against discriminators: traits, classes, second heads, packs."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from zerosum.core import registry
from zerosum.core.compatibility import Traits, data_traits, misfits, misplaced
from zerosum.core.game import Setup, role
from zerosum.core.signals import Signal, Signals
from zerosum.core.slots import Described

if TYPE_CHECKING:
    from zerosum.games.adversarial import Adversarial

NO_LABEL = Signal("none")
LABELLED = {"labels", "classifier", "pairs"}  # traits of a discriminator that asks for classes: a pair is two of one
HEADS = {"classifier": "labels=none", "codes": "codes=0"}  # trait of a head that only a regularizer trains: without it


def adversarial_faults(game: Adversarial, signals: Signals, batch: int | None) -> list[str]:
    """What does not fit, a sentence each: what, why, and how to mend it."""
    labels = [] if misplaced(game, signals) else _labels(game)
    if faults := one_set(game, signals):
        return faults
    return [*_traits(game, signals), *_heads(game), *_packs(game, batch), *labels]


def one_set(game: Described, signals: Signals) -> list[str]:
    """What is wrong with data that are not one set of samples."""
    if signals.get("label", NO_LABEL).kind == "attributes":
        return [
            f"game {game.name!r} knows no attributes, but one class for each image at most; set data.attributes=, or "
            "take a recipe that translates among attributes, such as stargan"
        ]
    if "sample" in signals:
        return []
    return [
        f"game {game.name!r} plays with one set of samples, and these data are {' and '.join(signals)}; leave "
        "data.domains empty, or take a recipe that translates, such as cyclegan"
    ]


def _traits(game: Adversarial, signals: Signals) -> list[str]:
    """Hold each part beside what it needs and what it clashes with.

    What acts between players (objective, selection, augmentations, regularizers) may find what it needs with any of
    them, or in the latent. It clashes with the discriminators, or with the generator where that pays for it, or with
    both; an auto-encoder that judges may disturb those too.
    """
    players, critics = game.players(), _critics(game)
    faults = []
    objective = data_traits(signals) | game.objective.traits() | game.latent.traits()
    present = objective.union(*(player.network.traits() for player in players.values()))
    brought = players["generator"].network.traits()
    paid = {"generator": brought | (critics & {"autoencoder"}), "both": brought | critics}
    for part in (game.objective, game.selection, *game.augmentations, *game.regularizers):
        faults += misfits(part, present, paid.get(getattr(part, "player", ""), critics) | objective)
    return list(dict.fromkeys(faults))  # several players may have one network


def _critics(game: Setup) -> Traits:
    """Traits of all discriminators."""
    networks = [player.network for name, player in game.players().items() if role(name) == "discriminator"]
    return frozenset().union(*(network.traits() for network in networks))


def _labels(game: Setup) -> list[str]:
    """Classes must reach who makes samples and who judges them, or neither."""
    critics = _critics(game)
    brought = "labels" in game.players()["generator"].network.traits()
    judged = bool(critics & LABELLED)
    if brought and not judged:
        return [
            "the generator is told a class and no discriminator asks for it, so nothing would tie samples to classes; "
            f"set {_ways(game, 'discriminator')}, or generator.labels=none"
        ]
    if judged and not brought:
        return [
            f"the discriminator asks for a class that the generator is not told; set {_ways(game, 'generator')}, or "
            "discriminator.labels=none"
        ]
    return []


def uses_labels(game: Setup) -> bool:
    """True where the classes of the data reach the networks."""
    return any(player.network.traits() & LABELLED for player in game.players().values())


def with_labels(game: Setup) -> str:
    """What would let the classes in, as `; a=b c=d would`; nothing where the networks cannot be told them."""
    roles = [
        role(name)
        for trait in ("generator", "discriminator")
        for name, player in game.players().items()
        if trait in player.network.traits()
    ]
    roles = list(dict.fromkeys(roles))
    words = [f"{of}.labels={_label_ways(game, of)[0]}" for of in roles if _label_ways(game, of)]
    return f"; {' '.join(words)} would" if words and len(words) == len(roles) else ""


def _ways(game: Setup, of: str) -> str:
    """How the class may enter the network of a role, or what to do where it cannot."""
    ways = _label_ways(game, of)
    return f"{of}.labels={' or '.join(ways)}" if ways else f"{of}.network to one that can be told the class"


def _label_ways(game: Setup, of: str) -> list[str]:
    network = next(player.network for name, player in game.players().items() if role(name) == of)
    kind = registry.field_types(type(network)).get("labels")
    return [way for way in get_args(kind) if way not in ("none", "classifier")]


def _heads(game: Adversarial) -> list[str]:
    """A second head of a discriminator that nothing trains would make noise of what it gives."""
    faults = []
    for trait, without in HEADS.items():
        if trait in _critics(game) and not any(trait in part.needs for part in game.regularizers):
            trainers = [name for name, part in registry.registered("regularizer").items() if trait in part().needs]
            faults.append(
                f"nothing trains the discriminator's second head ({trait}); add regularizers={' or '.join(trainers)}, "
                f"or set discriminator.{without}"
            )
    return faults


def _packs(game: Adversarial, batch: int | None) -> list[str]:
    faults = []
    alone = sorted(_critics(game) & {"labels", "classifier", "codes", "autoencoder", "joint", "pairs"})
    if game.pack > 1 and alone:
        faults.append(
            f"pack={game.pack} with {alone[0]!r}: a pack gets one logit, and its samples differ in what this "
            "discriminator tells of each; set pack=1, or choose a discriminator without it"
        )
    if batch is not None and batch % game.pack:
        nearest = max(1, round(batch / game.pack)) * game.pack
        faults.append(f"batch={batch} cannot be divided into packs of {game.pack}; set batch={nearest}")
    return faults
