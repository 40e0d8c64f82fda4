"""zerosum trains, evaluates, compares and serves adversarial games.

    import zerosum

    run = zerosum.train("digits", recipe="dcgan", images="20k")
    images = run.sample(16)  # [16, C, H, W] in [-1, 1]

Importing zerosum is cheap: each name loads what it needs when it is first used.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as of `typing`, whose import takes longer than all of this: a Ctrl-C meanwhile is a traceback
if TYPE_CHECKING:
    from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Engine": "zerosum.core.engine",
    "Part": "zerosum.core.registry",
    "Recipe": "zerosum.recipes",
    "Run": "zerosum.runs",
    "ZerosumError": "zerosum.core.errors",
    "load_model": "zerosum.runs.storage.saved",
    "open_data": "zerosum.data",
    "register": "zerosum.core.registry",
    "resume": "zerosum.runs",
    "train": "zerosum.runs",
}
_MODULES = (
    "augmentations",
    "core",
    "critic",
    "data",
    "extractors",
    "games",
    "kinds",
    "latents",
    "metrics",
    "networks",
    "objectives",
    "optimizers",
    "recipes",
    "regularizers",
    "runs",
    "selection",
)

__all__ = sorted([*_HOMES, *_MODULES, "__version__"])


def __getattr__(name: str) -> Any:
    import importlib

    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"zerosum.{name}")
    raise AttributeError(f"module 'zerosum' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
