"""LeNet-5 of a public repository: a second, independent classifier of digits, used in papers on private GANs."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zerosum.core.errors import DataError
from zerosum.core.registry import register
from zerosum.extractors import weights
from zerosum.extractors.extractor import Extractor, ExtractorPart
from zerosum.extractors.preprocessing import BILINEAR, GREY, to_channels, to_sides

SHA256 = "e4bed3817dd7723c605580e7b7393538a5dfc3508aacc4890b07e7f07c16bebf"
NAMES = ("lenet_abdulfatir_mnist_v2.pth", "lenet.pth")
ORIGIN = "it is models/lenet.pth of github.com/abdulfatir/gan-metrics-pytorch (Apache-2.0)"
RULE = f"{GREY}; to 32x32, {BILINEAR}; 0..255 to 0..1"


class LeNet(nn.Module):
    """LeNet-5 with tanh and max pooling, after LeCun et al. 1998; layers are named as there. 61,706 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.convnet = nn.ModuleDict({"c1": nn.Conv2d(1, 6, 5), "c3": nn.Conv2d(6, 16, 5), "c5": nn.Conv2d(16, 120, 5)})
        self.fc = nn.ModuleDict({"f6": nn.Linear(120, 84), "f7": nn.Linear(84, 10)})

    def forward(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        """Map levels `[N, 1 or 3, H, W]` in 0..255 to features tanh(F6) `[N, 84]` and logits `[N, 10]`."""
        x = to_sides(to_channels(levels, 1) / 255, 32, 32)
        x = F.max_pool2d(self.convnet["c1"](x).tanh(), 2)
        x = F.max_pool2d(self.convnet["c3"](x).tanh(), 2)
        x = self.convnet["c5"](x).tanh().flatten(1)
        features = self.fc["f6"](x).tanh()
        return features, self.fc["f7"](features)


@register("extractor", "lenet")
@dataclass(frozen=True)
class LeNetMnist(ExtractorPart):
    """The public LeNet-5 for MNIST of gan-metrics-pytorch: 84 features between -1 and 1, 10 classes.

    98.79 % accuracy on MNIST's test set. Its file is not part of zerosum.
    """

    needs_file: ClassVar[bool] = True
    path: str = ""  # lenet.pth; empty: looked for in $ZEROSUM_DATA/weights and in the cache

    def make(self, shape: tuple[int, ...], device: torch.device | str) -> Extractor:
        """Load the weights from their file; images of another size are resized, colour becomes grey.

        Raises:
            DataError: the file is missing, or its checksum differs.
        """
        path = weights.find(self.path, NAMES)
        if path is None:
            looked = " or ".join(map(str, weights.places()))
            raise DataError(
                f"extractor 'lenet': {NAMES[0]} is not in {looked}; {ORIGIN}, "
                f"name yours with lenet:path=FILE; {weights.alternatives()}"
            )
        state = torch.load(io.BytesIO(weights.read(path, SHA256, ORIGIN)), map_location="cpu", weights_only=True)
        network = weights.fill(LeNet, state)
        return Extractor("lenet-mnist", SHA256, 84, 10, RULE, shape, network, device)
