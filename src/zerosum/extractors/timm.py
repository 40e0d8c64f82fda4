"""Networks of the timm package by name, DINOv2 among them."""

from __future__ import annotations

import hashlib
import importlib
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from zerosum.core.errors import DataError, RecipeError, shown
from zerosum.core.registry import register
from zerosum.core.values import Natural
from zerosum.extractors import weights
from zerosum.extractors.extractor import Extractor, ExtractorPart, exact
from zerosum.extractors.preprocessing import to_channels, to_sides


class Prepared(nn.Module):
    """A network of timm behind its resize and its normalisation."""

    def __init__(self, network: nn.Module, side: int, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.network, self.side = network, side
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    def forward(self, levels: Tensor) -> tuple[Tensor, None]:
        """Map levels `[N, 1 or 3, H, W]` in 0..255 to pooled features `[N, D]`."""
        pixels = to_sides(to_channels(levels, 3), self.side, self.side, "bicubic").clamp(0, 255) / 255
        return self.network((pixels - self.get_buffer("mean")) / self.get_buffer("std")), None


@register("extractor", "timm")
@dataclass(frozen=True)
class Timm(ExtractorPart):
    """A pretrained network of the package timm: its pooled features, no classes.

    DINOv2's ViT-L/14 at 224 pixels is what Stein et al. 2023 recommend in place of Inception: its Frechet distance
    agrees better with human judgement.
    """

    needs_file: ClassVar[bool] = True
    model: str = "vit_large_patch14_dinov2.lvd142m"  # timm's name, with the tag of its weights
    side: Natural = 224  # pixels of the input; 0: the model's own, needed where its size cannot change

    def make(self, shape: tuple[int, ...], device: torch.device | str) -> Extractor:
        """Have timm build the network; it downloads the weights where its cache lacks them.

        Raises:
            RecipeError: timm is not installed, cannot be imported, or the model's name is a place.
            DataError: timm cannot build the network.
        """
        timm = self._timm()
        network = self._create(timm)
        config = timm.data.resolve_model_data_config(network)
        side = self.side or config["input_size"][-1]
        prepared = Prepared(network, side, config["mean"], config["std"]).eval()
        with torch.no_grad(), exact("cpu"):
            size = prepared(torch.zeros(1, 3, side, side))[0].shape[1]
        mean, std = ("/".join(f"{value:g}" for value in config[key]) for key in ("mean", "std"))
        rule = (
            f"grey to 3 equal channels; to {side}x{side}, bicubic with half-pixel centres, antialiased where it "
            f"shrinks, clipped; (0..255 / 255 - {mean}) / {std}"
        )
        return Extractor(f"timm-{self.model}-{side}", digest(network), size, 0, rule, shape, prepared, device, chunk=50)

    def _timm(self) -> Any:
        try:
            return importlib.import_module("timm")
        except ModuleNotFoundError as error:
            if error.name == "timm":
                raise RecipeError(
                    f"extractor 'timm': the package timm is not installed: pip install timm; {weights.alternatives()}"
                ) from error
            raise self._broken(error) from error
        except Exception as error:  # a torchvision that does not fit torch raises RuntimeError
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> RecipeError:
        what = f"{type(error).__name__}: {error}"
        return RecipeError(f"extractor 'timm': timm is there, but its import fails ({what}); mend that first")

    def _create(self, timm: Any) -> nn.Module:
        if ":" in self.model:  # hf-hub:, local-dir: a recipe of a stranger's run could name them, and pickles run code
            raise RecipeError(
                f"extractor 'timm': model {shown(self.model)} names a place; only timm's own weights are taken, by one "
                "of the names of timm.list_pretrained()"
            )
        size = {"img_size": self.side} if self.side else {}
        try:
            with torch.random.fork_rng(devices=[]):  # timm draws weights before it loads them
                return timm.create_model(self.model, pretrained=True, num_classes=0, **size)
        except Exception as error:  # timm and the hub raise anything, from RuntimeError to httpx.ConnectError
            raise DataError(
                f"extractor 'timm': {self.model} cannot be made ({type(error).__name__}: {error}). "
                "Its name must be one of timm.list_pretrained(); where there is no network, its weights must be in the "
                f"hub's cache already ($HF_HOME); {weights.alternatives()}"
            ) from error


def digest(network: nn.Module) -> str:
    """Hash all weights with their names, in the order of the names."""
    hasher = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        hasher.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
        hasher.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return hasher.hexdigest()
