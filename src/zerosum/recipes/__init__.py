"""Recipes: named games with every field filled in.

Importing this package puts every part of zerosum on the shelf, also those that no recipe uses.
"""

# ruff: noqa: F401
from zerosum import (
    augmentations,
    extractors,
    games,
    latents,
    networks,
    objectives,
    optimizers,
    regularizers,
    selection,
)
from zerosum.metrics import suite
from zerosum.recipes import autoencoders, convolutional, multilayer, points, r3gan, residual, styles, variational
from zerosum.recipes.judging import Judging
from zerosum.recipes.recipe import Recipe, read_recipe, recipe

__all__ = ["Judging", "Recipe", "read_recipe", "recipe"]
