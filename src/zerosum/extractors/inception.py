"""Inception v3 as FID uses it: the network of 2015-12-05, its resize and its input range.

Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision"; chosen for the Frechet distance by
Heusel et al. 2017. It differs from the later Inception v3: 1008 classes, averages that leave the padding out, and a
maximum in the last block's pooling branch.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zerosum.core.download import download
from zerosum.core.errors import DataError
from zerosum.core.registry import register
from zerosum.extractors import weights
from zerosum.extractors.extractor import Extractor, ExtractorPart
from zerosum.extractors.preprocessing import to_channels

SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
NAMES = ("weights-inception-2015-12-05-6726825d.pth", "pt_inception-2015-12-05-6726825d.pth")  # the same bytes
URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{NAMES[0]}"
SIDE = 299  # pixels
RULE = (
    f"grey to 3 equal channels; to {SIDE}x{SIDE}, bilinear as in TensorFlow 1, source = target * scale; (x - 128) / 128"
)
Pair = tuple[int, int]


def resize(levels: Tensor, height: int, width: int) -> Tensor:
    """Resize `[N, C, H, W]` as TensorFlow 1 did, `align_corners=False`: source = target * (old / new), no half pixel.

    It shifts corners and does not antialias; published FIDs were measured with it. On MNIST it differs from half-pixel
    bilinear resizing by 11 grey levels on average.
    """
    top, bottom, down = _taps(levels.shape[2], height, levels.device)
    left, right, across = _taps(levels.shape[3], width, levels.device)
    rows = torch.lerp(levels[:, :, top], levels[:, :, bottom], down[:, None])
    return torch.lerp(rows[..., left], rows[..., right], across)


def _taps(old: int, new: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Indices of the source pixels on either side of each target pixel, and its position between them, 0 to 1."""
    source = torch.arange(new, dtype=torch.float32, device=device) * torch.tensor(old / new, device=device)
    before = source.long().clamp(max=old - 1)
    return before, (before + 1).clamp(max=old - 1), source - before


class BatchNorm(nn.Module):
    """Batch normalisation by stored statistics, without torch's batch counter, which these files may lack."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `[N, C, H, W]`."""
        mean, variance = self.get_buffer("running_mean"), self.get_buffer("running_var")
        return F.batch_norm(x, mean, variance, self.weight, self.bias, eps=1e-3)


class Conv(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int | Pair, stride: int = 1, padding: int | Pair = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = BatchNorm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[N, inputs, H, W]` to `[N, outputs, H', W']`."""
        return self.bn(self.conv(x)).relu()


def _mean(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


class Block35(nn.Module):
    """35x35: 1x1, 5x5, a double 3x3 and a pooled branch (figure 5 of the paper)."""

    def __init__(self, inputs: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = Conv(inputs, 64, 1)
        self.branch5x5_1 = Conv(inputs, 48, 1)
        self.branch5x5_2 = Conv(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = Conv(inputs, 64, 1)
        self.branch3x3dbl_2 = Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Conv(96, 96, 3, padding=1)
        self.branch_pool = Conv(inputs, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Join the branches."""
        five = self.branch5x5_2(self.branch5x5_1(x))
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), five, double, self.branch_pool(_mean(x))], 1)


class Shrink35(nn.Module):
    """35x35 to 17x17 (figure 10 of the paper)."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = Conv(inputs, 384, 3, 2)
        self.branch3x3dbl_1 = Conv(inputs, 64, 1)
        self.branch3x3dbl_2 = Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Conv(96, 96, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Join the branches."""
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, 2)], 1)


class Block17(nn.Module):
    """17x17: convolutions of 7x7 as 1x7 and 7x1 (figure 6 of the paper)."""

    def __init__(self, inner: int) -> None:
        super().__init__()

        def wide(inputs: int, outputs: int) -> Conv:
            return Conv(inputs, outputs, (1, 7), padding=(0, 3))

        def tall(inputs: int, outputs: int) -> Conv:
            return Conv(inputs, outputs, (7, 1), padding=(3, 0))

        self.branch1x1 = Conv(768, 192, 1)
        self.branch7x7_1 = Conv(768, inner, 1)
        self.branch7x7_2 = wide(inner, inner)
        self.branch7x7_3 = tall(inner, 192)
        self.branch7x7dbl_1 = Conv(768, inner, 1)
        self.branch7x7dbl_2 = tall(inner, inner)
        self.branch7x7dbl_3 = wide(inner, inner)
        self.branch7x7dbl_4 = tall(inner, inner)
        self.branch7x7dbl_5 = wide(inner, 192)
        self.branch_pool = Conv(768, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Join the branches."""
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), seven, double, self.branch_pool(_mean(x))], 1)


class Shrink17(nn.Module):
    """17x17 to 8x8."""

    def __init__(self) -> None:
        super().__init__()
        self.branch3x3_1 = Conv(768, 192, 1)
        self.branch3x3_2 = Conv(192, 320, 3, 2)
        self.branch7x7x3_1 = Conv(768, 192, 1)
        self.branch7x7x3_2 = Conv(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = Conv(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = Conv(192, 192, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Join the branches."""
        three = self.branch3x3_2(self.branch3x3_1(x))
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([three, seven, F.max_pool2d(x, 3, 2)], 1)


class Block8(nn.Module):
    """8x8: branches that end in 1x3 and 3x1 side by side (figure 7 of the paper)."""

    def __init__(self, inputs: int, maximum: bool = False) -> None:
        super().__init__()
        self.maximum = maximum  # pool the last branch by maximum instead of mean
        self.branch1x1 = Conv(inputs, 320, 1)
        self.branch3x3_1 = Conv(inputs, 384, 1)
        self.branch3x3_2a = Conv(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3_2b = Conv(384, 384, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = Conv(inputs, 448, 1)
        self.branch3x3dbl_2 = Conv(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = Conv(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = Conv(384, 384, (3, 1), padding=(1, 0))
        self.branch_pool = Conv(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Join the branches."""
        three = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = F.max_pool2d(x, 3, 1, 1) if self.maximum else _mean(x)
        ends = [self.branch3x3_2a(three), self.branch3x3_2b(three)]
        ends += [self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double)]
        return torch.cat([self.branch1x1(x), *ends, self.branch_pool(pooled)], 1)


class InceptionV3(nn.Module):
    """The network of FID; attributes are named as the keys of the public weight files. 23,850,960 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Conv(3, 32, 3, 2)
        self.Conv2d_2a_3x3 = Conv(32, 32, 3)
        self.Conv2d_2b_3x3 = Conv(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = Conv(64, 80, 1)
        self.Conv2d_4a_3x3 = Conv(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = Block35(192, 32), Block35(256, 64), Block35(288, 64)
        self.Mixed_6a = Shrink35(288)
        self.Mixed_6b, self.Mixed_6c = Block17(128), Block17(160)
        self.Mixed_6d, self.Mixed_6e = Block17(160), Block17(192)
        self.Mixed_7a = Shrink17()
        self.Mixed_7b, self.Mixed_7c = Block8(1280), Block8(2048, maximum=True)
        self.fc = nn.Linear(2048, 1008)

    def forward(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        """Map levels `[N, 1 or 3, H, W]` in 0..255 to pool3 features `[N, 2048]` and logits without bias `[N, 1008]`.

        The bias is left out as in the published inception scores (Salimans et al. 2016, their code).
        """
        x = (resize(to_channels(levels, 3), SIDE, SIDE) - 128) / 128
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(x, 3, 2))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        features = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x))).mean((2, 3))
        return features, F.linear(features, self.fc.weight)


@register("extractor", "inception")
@dataclass(frozen=True)
class Inception(ExtractorPart):
    """FID's Inception v3 of 2015-12-05: 2048 features (pool3), 1008 classes; for photographs.

    The weights (96 MB, Apache-2.0) are not part of zerosum. Published numbers use 50,000 fakes or the data's whole
    training set; with fewer than 2048 samples the covariance is rank-deficient.
    """

    needs_file: ClassVar[bool] = True
    path: str = ""  # the weights' file; empty: looked for in $ZEROSUM_DATA/weights and in caches, else fetched

    def make(self, shape: tuple[int, ...], device: torch.device | str) -> Extractor:
        """Load the weights from their file, downloading it first where it is missing.

        Raises:
            DataError: the file is missing and cannot be downloaded, or its checksum differs.
        """
        data = weights.read(self._file(), SHA256, f"the right one is {URL}")
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        tensors = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
        network = weights.fill(InceptionV3, tensors)
        return Extractor("inception-2015-12-05", SHA256, 2048, 1008, RULE, shape, network, device, chunk=50)

    def _file(self) -> Path:
        path = weights.find(self.path, NAMES)
        if path is not None:
            return path
        target = weights.download_folder() / NAMES[0]
        try:
            download(URL, SHA256, target)
        except OSError as error:
            looked = " or ".join(map(str, weights.places()))
            raise DataError(
                f"extractor 'inception': {' or '.join(NAMES)} is not in {looked}, and {URL} cannot be fetched "
                f"({error}). Put it there, or name yours with inception:path=FILE; {weights.alternatives()}"
            ) from error
        return target
