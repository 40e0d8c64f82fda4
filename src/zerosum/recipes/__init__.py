"""Recipes: named games with every field filled in."""

from zerosum.recipes.image import dcgan, lsgan, mixture, mlp, mlp_keras, rpgan, wgan, wgan_gp
from zerosum.recipes.recipe import Recipe, read_recipe, recipe

__all__ = [
    "Recipe",
    "dcgan",
    "lsgan",
    "mixture",
    "mlp",
    "mlp_keras",
    "read_recipe",
    "recipe",
    "rpgan",
    "wgan",
    "wgan_gp",
]
