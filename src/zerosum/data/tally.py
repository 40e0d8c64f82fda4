"""What was decided about a set's images while they were decoded, counted and put into words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from zerosum.data.counting import counted
from zerosum.data.preparation import Preparation

Size = tuple[int, int]  # (height, width)
SHOWN = 5  # files that are named


@dataclass(frozen=True)
class Look:
    """One image before it was made equal to the others."""

    size: Size  # as it is seen, after EXIF rotation
    channels: int  # 1 or 3 by its mode for a picture, without transparency; any number for an array
    clear: bool  # some of its pixels are transparent
    deep: bool  # more than 8 bits
    frames: bool = False  # more than one, as of an animation
    ink: bool = False  # CMYK
    mended: bool = False  # its metadata are damaged, and were left aside


@dataclass
class Tally:
    """Looks at all images of a set."""

    sizes: Counter[Size] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    mended: list[str] = field(default_factory=list)  # names of files

    def add(self, name: str, look: Look) -> None:
        """Count one image."""
        self.sizes[look.size] += 1
        self.kinds["grey" if look.channels == 1 else "colour" if look.channels == 3 else "several"] += 1
        self.kinds["clear"] += look.clear
        self.kinds["deep"] += look.deep
        self.kinds["frames"] += look.frames
        self.kinds["ink"] += look.ink
        if look.mended:
            self.mended.append(name)

    def notes(self, preparation: Preparation, shape: tuple[int, int, int], range_: str) -> tuple[str, ...]:
        """One line for each decision that changed pixels; `range_` is that about images of more than 8 bits."""
        height, width, channels = shape
        lines = [
            resizing(self.sizes, (height, width), preparation),
            self._colours(channels),
            self._transparency(preparation, channels),
            self._frames(),
            self._ink(),
            self._depth() + (f"; {range_}" if range_ else ""),
            self._metadata(),
        ]
        return tuple(line for line in lines if line)

    def _colours(self, channels: int) -> str:
        grey, colour = self.kinds["grey"], self.kinds["colour"]
        if channels < 3:
            return f"channels: {become(colour, 'colour')} grey" if colour else ""
        return f"channels: {become(grey, 'grey')} colour" if grey else ""

    def _transparency(self, preparation: Preparation, channels: int) -> str:
        clear = self.kinds["clear"]
        if channels in (2, 4):
            mention = clear or preparation.channels != "auto"  # two or four channels of an array mean anything
            return f"transparency: kept as the last of {channels} channels; {images(clear)} with it" if mention else ""
        other = f"background={preparation.background}; channels={channels + 1} keeps it"
        return f"transparency: {images(clear)} laid on {preparation.background} ({other})" if clear else ""

    def _frames(self) -> str:
        frames = self.kinds["frames"]
        several = f"{images(frames)} {'has' if frames == 1 else 'have'} several"
        return f"frames: {several}; only the first is used" if frames else ""

    def _ink(self) -> str:
        ink = self.kinds["ink"]
        return f"inks: {become(ink, 'CMYK')} RGB" if ink else ""

    def _depth(self) -> str:
        deep = self.kinds["deep"]
        return f"depth: {images(deep)} of more than 8 bits reduced to 8 bits" if deep else ""

    def _metadata(self) -> str:
        if not self.mended:
            return ""
        return f"metadata: damaged in {images(len(self.mended))}, and ignored ({some(self.mended)})"


def resizing(sizes: Counter[Size], to: Size, preparation: Preparation) -> str:
    """What fitting images of these sizes to one size did to them; empty where all had it."""
    resized = Counter({size: count for size, count in sizes.items() if size != to})
    if not resized:
        return ""
    low, high = min(resized), max(resized)
    from_ = "x".join(map(str, low)) if low == high else f"{len(resized):,} sizes, {_text(low)} to {_text(high)},"
    line = f"size: {images(resized.total())} of {from_} resized to {_text(to)} (height x width)"
    smaller = sum(count for size, count in resized.items() if _scale(size, to, preparation) > 1)
    return line + _loss(resized, to, preparation) + (f"; enlarged: {smaller:,}" if smaller else "")


def _loss(sizes: Counter[Size], to: Size, preparation: Preparation) -> str:
    """What the pixels pay for the change of shape: a share cut away, or bars, or another aspect."""
    shares = {size: _cut(size, to) for size in sizes}
    worst = max(shares.values())
    if worst < 0.001:
        return ""
    mean = sum(shares[size] * count for size, count in sizes.items()) / sizes.total()
    share = f"{mean:.1%} of the pixels" + (f" on average, {worst:.1%} at most" if worst - mean > 0.001 else "")
    if preparation.fit == "crop":
        return f"; cut away at the edges: {share} (fit=pad keeps them)"
    if preparation.fit == "pad":
        return f"; black bars: {share}"
    return f"; stretched: one side by {1 / (1 - worst):.2f} more than the other at most"


def _cut(size: Size, to: Size) -> float:
    """Share of an image's area outside the largest crop that has the target's aspect (for bars: of the target's)."""
    aspect, target = size[0] / size[1], to[0] / to[1]
    return 1 - min(aspect, target) / max(aspect, target)


def _scale(size: Size, to: Size, preparation: Preparation) -> float:
    factors = (to[0] / size[0], to[1] / size[1])
    return min(factors) if preparation.fit == "pad" else max(factors)


def _text(size: Size) -> str:
    return f"{size[0]}x{size[1]}"


def images(count: int, kind: str = "") -> str:
    """A number of images in words."""
    return counted(count, f"{kind} image".lstrip())


def become(count: int, kind: str) -> str:
    """That so many images of a kind become something else."""
    return f"{images(count, kind)} become{'s' if count == 1 else ''}"


def some(names: Sequence[str]) -> str:
    """The first few of many names."""
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
