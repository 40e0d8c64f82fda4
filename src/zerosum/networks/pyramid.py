"""Widths of the stages between the base and the image."""

from __future__ import annotations

__all__ = ["pyramid"]


def pyramid(channels: int, halve_above: int, base: tuple[int, int], halvings: int) -> list[int]:
    """Maps of each stage, from the base on: `channels` up to a side of `halve_above` pixels, then half each time."""
    widths = []
    for stage in range(halvings + 1):
        doublings = -(-(min(base) << stage) // halve_above) - 1  # 0 where the side is at most halve_above
        widths.append(max(1, channels >> doublings.bit_length()))
    return widths
