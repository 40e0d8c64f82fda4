"""Image sizes of the convolutional networks: a base of 4 to 7 pixels, doubled up to 256."""

from __future__ import annotations

from zerosum.core.errors import RecipeError
from zerosum.networks.space import Space

_LARGEST = 256  # pixels; beyond it these networks are too shallow to be worth the memory


def supported_sides() -> list[int]:
    """Sides of the square images that these networks take, in pixels: 4, 5, 6 or 7 times 2, 4, 8 ... up to 256."""
    return sorted(base << halvings for base in (4, 5, 6, 7) for halvings in range(1, 7) if base << halvings <= _LARGEST)


def plan(name: str, space: Space) -> tuple[int, tuple[int, int]]:
    """Halvings from the image to its base, and the base (height, width), the smaller of 4 to 7.

    Raises:
        RecipeError: the data are points, or images of a size that does not halve to such a base.
    """
    if not space.is_image:
        raise RecipeError(f"network {name!r} works on images, and these are {space}; use {_instead(name)}")
    height, width = space.shape[1:]
    small = min(height, width)
    halvings = next((k for k in range(1, 7) if 4 <= small >> k <= 7), 0)
    step = 1 << halvings
    if not halvings or height % step or width % step or max(height, width) > _LARGEST:
        raise RecipeError(_unsupported(name, space, small))
    return halvings, (height // step, width // step)


def latent_size(name: str, space: Space) -> int:
    """Size of the latent.

    Raises:
        RecipeError: there is no latent.
    """
    if not space.latent:
        raise RecipeError(f"network {name!r} needs a latent; set latent=normal:size=100")
    return space.latent


def _instead(name: str) -> str:
    """The fully connected network of the same role."""
    return name.replace("dcgan", "mlp") if "dcgan" in name else f"mlp-{name.rpartition('-')[2]}"


def _unsupported(name: str, space: Space, side: int) -> str:
    sides = supported_sides()
    below = max((size for size in sides if size <= side), default=None)
    above = min((size for size in sides if size >= side), default=None)
    near = sorted({size for size in (below, above) if size})
    best = min(near, key=lambda size: abs(size - side))
    return (
        f"network {name!r} does not take {space}: a side must be 4, 5, 6 or 7 times 2, 4, 8, 16, 32 or 64, "
        f"at most {_LARGEST}; nearest: {' and '.join(map(str, near))}; set size={best}"
    )
