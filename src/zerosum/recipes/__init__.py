"""Recipes: named games with every field filled in.

Importing this package registers every part of zerosum, also those that no recipe uses.
"""

from zerosum import (
    augmentations,
    extractors,
    games,
    latents,
    networks,
    objectives,
    optimizers,
    pools,
    regularizers,
    selection,
)
from zerosum.metrics import suite
from zerosum.recipes import (
    autoencoders,
    convolutional,
    domains,
    multilayer,
    points,
    r3gan,
    residual,
    styles,
    translation,
    variational,
)
from zerosum.recipes.evaluator import EvaluatorPart
from zerosum.recipes.recipe import Recipe, read_recipe, recipe

REGISTERED = (  # modules whose import puts parts and recipes into the registry
    *(
        augmentations,
        extractors,
        games,
        latents,
        networks,
        objectives,
        optimizers,
        pools,
        regularizers,
        selection,
        suite,
    ),
    *(autoencoders, convolutional, domains, multilayer, points, r3gan, residual, styles, translation, variational),
)

__all__ = ["EvaluatorPart", "Recipe", "read_recipe", "recipe"]
