"""What fits in a game of translators against discriminators of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zerosum.core.compatibility import Traits, data_traits, misfits
from zerosum.core.game import role
from zerosum.core.signals import Signals
from zerosum.games.checks import LABELLED

if TYPE_CHECKING:
    from zerosum.games.paired import PairedGame
    from zerosum.games.unpaired import UnpairedGame

ASKING = LABELLED | {"codes", "joint"}  # traits of a discriminator that judges more than a sample


def translation_faults(game: PairedGame | UnpairedGame, signals: Signals, also: Traits = frozenset()) -> list[str]:
    """What does not fit where translators learn from discriminators of images; `also`: traits of the game itself.

    A part clashes with the networks of the player that pays for it, as in `_traits`.
    """
    traits = {name: player.network.traits() for name, player in game.players().items()}
    judging = frozenset().union(*(own for name, own in traits.items() if "discriminator" in game.roles[role(name)]))
    making = frozenset().union(*(own for name, own in traits.items() if "translator" in game.roles[role(name)]))
    always = data_traits(signals) | game.objective.traits()
    paid = {"generator": making | (judging & {"autoencoder"}), "both": making | judging}
    faults = []
    for part in (game.objective, *game.augmentations, *game.regularizers):
        near = paid.get(getattr(part, "player", ""), judging)
        faults += misfits(part, always | making | judging | also, always | near)
    for name, own in traits.items():
        if asked := sorted(own & ASKING):
            faults.append(f"{name}.network judges images beside {asked[0]!r}, and here it sees nothing else")
    return faults
