"""Recipes: named games with every field filled in.

Importing this package registers every part of zerosum, also those that no recipe uses.
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
    pools,
    regularizers,
    selection,
)
from zerosum.metrics import suite
from zerosum.recipes import autoencoders, convolutional, multilayer, points, r3gan, residual, styles, variational
from zerosum.recipes.evaluator import EvaluatorPart
from zerosum.recipes.recipe import Recipe, read_recipe, recipe

__all__ = ["EvaluatorPart", "Recipe", "read_recipe", "recipe"]
