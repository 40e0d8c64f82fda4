"""FID's Inception: names, shapes and pooling of the network, TensorFlow 1's resize, and where its file comes from."""

import hashlib
import io
import urllib.error

import numpy as np
import pytest
import torch

from zerosum.core import download
from zerosum.core.errors import DataError, RecipeError
from zerosum.extractors import inception
from zerosum.extractors.inception import Block8, Block17, Block35, Inception, InceptionV3, Shrink17, Shrink35, resize


@pytest.fixture(scope="module")
def network():
    """Random weights that keep activations of a usual size through all layers."""
    torch.manual_seed(0)
    made = InceptionV3().eval().requires_grad_(False)
    for name, value in made.state_dict().items():
        if name.endswith("conv.weight"):
            torch.nn.init.kaiming_normal_(value)
        elif name.endswith(("bn.bias", "running_mean", "fc.bias")):
            value.normal_(0, 0.1)
    return made


@pytest.fixture
def levels():
    return torch.randint(256, (2, 3, 20, 31), generator=torch.Generator().manual_seed(1)).float()


# ---------------------------------------------------------------------- resize


def tensorflow1(image, height, width):
    """`resize_bilinear(align_corners=False)` of TensorFlow 1, pixel by pixel, `[H, W]`."""
    old_height, old_width = image.shape
    out = np.zeros((height, width))
    for row in range(height):
        for column in range(width):
            y, x = row * (old_height / height), column * (old_width / width)
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, old_height - 1), min(x0 + 1, old_width - 1)
            top = image[y0, x0] * (1 - (x - x0)) + image[y0, x1] * (x - x0)
            bottom = image[y1, x0] * (1 - (x - x0)) + image[y1, x1] * (x - x0)
            out[row, column] = top * (1 - (y - y0)) + bottom * (y - y0)
    return out


@pytest.mark.parametrize("size", [(41, 50), (20, 31), (7, 13), (33, 12)], ids=["up", "same", "down", "both"])
def test_resize_is_tensorflow_1s(levels, size):
    found = resize(levels, *size)
    assert found.shape == (2, 3, *size)
    for n in range(2):
        for c in range(3):
            assert np.abs(found[n, c].numpy() - tensorflow1(levels[n, c].numpy(), *size)).max() < 2e-3


def test_resize_keeps_the_first_corner_and_repeats_the_last_pixel():
    found = resize(torch.tensor([[[[0.0, 10.0], [20.0, 40.0]]]]), 4, 4)[0, 0]
    expected = [[0, 5, 10, 10], [10, 17.5, 25, 25], [20, 30, 40, 40], [20, 30, 40, 40]]
    assert found.tolist() == expected


def test_resize_at_299_is_far_from_half_pixel_bilinear():
    image = torch.zeros(1, 1, 28, 28)
    image[0, 0, 7:21, 7:21] = 255
    half_pixel = torch.nn.functional.interpolate(image, (299, 299), mode="bilinear", align_corners=False)
    assert 3 < (resize(image, 299, 299) - half_pixel).abs().mean() < 20
    assert torch.equal(resize(half_pixel, 299, 299), half_pixel)


# ---------------------------------------------------------------------- network

BLOCK35 = [
    "branch1x1",
    "branch5x5_1",
    "branch5x5_2",
    "branch3x3dbl_1",
    "branch3x3dbl_2",
    "branch3x3dbl_3",
    "branch_pool",
]
SHRINK35 = ["branch3x3", "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"]
BLOCK17 = [
    "branch1x1",
    *(f"branch7x7_{i}" for i in (1, 2, 3)),
    *(f"branch7x7dbl_{i}" for i in range(1, 6)),
    "branch_pool",
]
SHRINK17 = ["branch3x3_1", "branch3x3_2", *(f"branch7x7x3_{i}" for i in (1, 2, 3, 4))]
BLOCK8 = [
    "branch1x1", "branch3x3_1", "branch3x3_2a", "branch3x3_2b", "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3a",
    "branch3x3dbl_3b", "branch_pool",
]  # fmt: skip
LAYERS = [
    *("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3"),
    *(f"Mixed_5{b}.{branch}" for b in "bcd" for branch in BLOCK35),
    *(f"Mixed_6a.{branch}" for branch in SHRINK35),
    *(f"Mixed_6{b}.{branch}" for b in "bcde" for branch in BLOCK17),
    *(f"Mixed_7a.{branch}" for branch in SHRINK17),
    *(f"Mixed_7{b}.{branch}" for b in "bc" for branch in BLOCK8),
]
KEYS = ["conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"]


def test_keys_are_those_of_the_public_files(network):
    expected = {f"{layer}.{key}" for layer in LAYERS for key in KEYS} | {"fc.weight", "fc.bias"}
    assert set(network.state_dict()) == expected
    assert len(LAYERS) == 94  # convolutions


def test_it_has_the_published_number_of_parameters(network):
    # Inception v3 without its second head has 23,834,568 at 1000 classes
    assert sum(p.numel() for p in network.parameters()) == 23_834_568 + 8 * 2049


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        ("Mixed_5b.branch5x5_2", (64, 48, 5, 5)),
        ("Mixed_5b.branch_pool", (32, 192, 1, 1)),
        ("Mixed_6a.branch3x3", (384, 288, 3, 3)),
        ("Mixed_6b.branch7x7_2", (128, 128, 1, 7)),
        ("Mixed_6c.branch7x7_3", (192, 160, 7, 1)),
        ("Mixed_6e.branch7x7dbl_2", (192, 192, 7, 1)),
        ("Mixed_6e.branch7x7dbl_5", (192, 192, 1, 7)),
        ("Mixed_7a.branch7x7x3_2", (192, 192, 1, 7)),
        ("Mixed_7b.branch3x3_2a", (384, 384, 1, 3)),
        ("Mixed_7c.branch3x3dbl_3b", (384, 384, 3, 1)),
        ("Mixed_7c.branch1x1", (320, 2048, 1, 1)),
    ],
)
def test_shapes_of_weights(network, layer, shape):
    assert tuple(network.state_dict()[f"{layer}.conv.weight"].shape) == shape


def test_sides_and_channels_inside_are_the_papers(network, levels):
    seen = {}

    def note(name):
        return lambda module, inputs, output: seen.update({name: tuple(output.shape[1:])})

    hooks = [module.register_forward_hook(note(name)) for name, module in network.named_children()]
    network(levels)
    for hook in hooks:
        hook.remove()
    assert seen["Conv2d_1a_3x3"] == (32, 149, 149)
    assert seen["Conv2d_2b_3x3"] == (64, 147, 147)
    assert seen["Conv2d_4a_3x3"] == (192, 71, 71)
    assert [seen[f"Mixed_5{b}"] for b in "bcd"] == [(256, 35, 35), (288, 35, 35), (288, 35, 35)]
    assert [seen[f"Mixed_6{b}"] for b in "abcde"] == [(768, 17, 17)] * 5
    assert [seen[f"Mixed_7{b}"] for b in "abc"] == [(1280, 8, 8), (2048, 8, 8), (2048, 8, 8)]


def test_features_and_logits(network, levels):
    inner = {}
    hook = network.Mixed_7c.register_forward_hook(lambda module, inputs, output: inner.update(x=output))
    entry = network.Conv2d_1a_3x3.register_forward_hook(lambda module, inputs, output: inner.update(entry=inputs[0]))
    features, logits = network(levels)
    hook.remove()
    entry.remove()
    assert features.shape == (2, 2048)
    assert logits.shape == (2, 1008)
    assert torch.allclose(features, inner["x"].mean((2, 3)))
    assert torch.allclose(logits, features @ network.fc.weight.T, atol=1e-4)  # without the bias
    assert torch.allclose(inner["entry"], (resize(levels, 299, 299) - 128) / 128)
    assert (features[0] - features[1]).abs().max() > 1e-3


def ones(block):
    """Make a block's pooled branch give what its pooling gave: sum over inputs, times 1."""
    block.eval().requires_grad_(False)
    block.branch_pool.conv.weight.fill_(1.0)
    return block


def test_averages_leave_the_padding_out():
    x = torch.ones(1, 4, 5, 5)
    pooled = ones(Block35(4, 3))(x)[:, -3:]
    assert torch.allclose(
        pooled, torch.full((1, 3, 5, 5), 4 / (1 + 1e-3) ** 0.5)
    )  # with padding corners were 4/9 of it


@pytest.mark.parametrize("maximum", [False, True])
def test_only_the_last_block_pools_by_maximum(network, maximum):
    x = torch.zeros(1, 2, 4, 4)
    x[0, 0, 0, 0] = 12.0
    pooled = ones(Block8(2, maximum))(x)[0, -1] * (1 + 1e-3) ** 0.5
    corner = [12, 12, 12, 12] if maximum else [12 / 4, 12 / 6, 12 / 6, 12 / 9]
    assert torch.allclose(pooled[:2, :2].flatten(), torch.tensor(corner).float(), atol=1e-4)
    assert (network.Mixed_7b.maximum, network.Mixed_7c.maximum) == (False, True)


@pytest.mark.parametrize(
    ("block", "inputs", "ends"),
    [
        (Block35(192, 32), 192, {"branch1x1": 64, "branch5x5_2": 64, "branch3x3dbl_3": 96, "branch_pool": 32}),
        (Shrink35(288), 288, {"branch3x3": 384, "branch3x3dbl_3": 96, "": 288}),
        (Block17(128), 768, {"branch1x1": 192, "branch7x7_3": 192, "branch7x7dbl_5": 192, "branch_pool": 192}),
        (Shrink17(), 768, {"branch3x3_2": 320, "branch7x7x3_4": 192, "": 768}),
        (
            Block8(1280),
            1280,
            {"branch1x1": 320, "branch3x3_2a": 384, "branch3x3_2b": 384, "branch3x3dbl_3a": 384, "branch3x3dbl_3b": 384,
             "branch_pool": 192},
        ),
    ],
    ids=["35", "35 to 17", "17", "17 to 8", "8"],
)  # fmt: skip
def test_branches_are_joined_in_the_papers_order(block, inputs, ends):
    block.requires_grad_(False)
    expected = []
    for number, (end, channels) in enumerate(ends.items(), 1):  # "": what was pooled passes as it is
        if end:
            block.get_submodule(end).conv.weight.zero_()
            block.get_submodule(end).bn.bias.fill_(number)
        expected += [number if end else 0.5] * channels
    assert block(torch.full((1, inputs, 9, 9), 0.5))[0, :, 1, 1].tolist() == expected


def test_grey_is_three_equal_channels(network, levels):
    grey = levels[:1, :1]
    assert torch.equal(network(grey)[0], network(grey.expand(-1, 3, -1, -1))[0])


# ---------------------------------------------------------------------- the file


@pytest.fixture
def file(network, tmp_path, monkeypatch):
    """A file like the published one: counters of batch normalisation may be there."""
    state = dict(network.state_dict())
    state["Conv2d_1a_3x3.bn.num_batches_tracked"] = torch.tensor(0)
    path = tmp_path / "inception.pth"
    torch.save(state, path)
    monkeypatch.setattr(inception, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """No file in any usual place, and no network."""
    monkeypatch.setenv("ZEROSUM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))

    def refuse(*args, **kwargs):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(download.urllib.request, "urlopen", refuse)
    return tmp_path


def test_build_fills_the_network_from_a_file(network, file):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    extractor = Inception(path=str(file)).build((1, 20, 31))
    assert torch.equal(torch.get_rng_state(), before)
    assert extractor.identity == f"inception-2015-12-05@{inception.SHA256[:12]}"
    assert (extractor.size, extractor.classes, extractor.shape) == (2048, 1008, (1, 20, 31))
    images = torch.randint(256, (3, 20, 31, 1), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    seen = extractor(images)
    features, logits = network(images.permute(0, 3, 1, 2).float())
    assert torch.allclose(seen.values, features, rtol=1e-3, atol=1e-4)
    assert torch.allclose(seen.probabilities, logits.double().softmax(1), rtol=1e-2, atol=1e-6)


def test_published_hash_and_names_agree():
    assert len(inception.SHA256) == 64
    assert all(name.endswith(f"-{inception.SHA256[:8]}.pth") for name in inception.NAMES)
    assert inception.URL.startswith("https://")


def test_a_wrong_file_is_refused(tmp_path):
    path = tmp_path / "pt_inception-2015-12-05-6726825d.pth"
    path.write_bytes(b"half a download")
    found = hashlib.sha256(b"half a download").hexdigest()
    with pytest.raises(DataError) as caught:
        Inception(path=str(path)).build((3, 32, 32))
    assert f"{path}: has sha256 {found}, expected {inception.SHA256}" in str(caught.value)
    assert f"the right one is {inception.URL}" in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.pth: there is no such file of weights"):
        Inception(path=str(tmp_path / "none.pth")).build((3, 32, 32))


def test_points_are_refused_before_anything_is_fetched(nowhere):
    with pytest.raises(RecipeError, match=r"extractor 'inception' looks at images \[C, H, W\]"):
        Inception().build((2,))


def test_without_file_and_network_the_error_says_how_to_get_it(nowhere):
    with pytest.raises(DataError) as caught:
        Inception().build((3, 32, 32))
    text = str(caught.value)
    looked = [str(nowhere / "cache" / "weights"), str(nowhere / "hub" / "checkpoints")]
    ways = ["no route", "inception:path=FILE", "these need no file", "mnist-cnn", "pca"]
    assert [part for part in (*inception.NAMES, inception.URL, *looked, *ways) if part not in text] == []
    assert "lenet" not in text
    assert "timm" not in text
    assert not list(nowhere.rglob("*.part"))


@pytest.mark.parametrize("place", ["data/weights", "cache/weights", "hub/checkpoints"])
@pytest.mark.parametrize("name", inception.NAMES)
def test_usual_places_are_searched(nowhere, monkeypatch, file, place, name):
    monkeypatch.setenv("ZEROSUM_DATA", str(nowhere / "data"))
    (nowhere / place).mkdir(parents=True)
    file.rename(nowhere / place / name)
    assert Inception()._file() == nowhere / place / name


def answer(monkeypatch, content):
    asked = []

    def urlopen(url, timeout):
        asked.append((url, timeout))
        stream = io.BytesIO(content)
        stream.headers = {}
        return stream

    monkeypatch.setattr(download.urllib.request, "urlopen", urlopen)
    return asked


def test_a_download_is_checked_and_kept(nowhere, file, monkeypatch):
    content = file.read_bytes()
    asked = answer(monkeypatch, content)
    assert Inception().build((3, 24, 24)).sha256 == inception.SHA256
    assert Inception().build((3, 24, 24)).sha256 == inception.SHA256  # now from the cache
    assert asked == [(inception.URL, download.TIMEOUT)]
    kept = nowhere / "cache" / "weights"
    assert [path.name for path in kept.iterdir()] == [inception.NAMES[0]]
    assert (kept / inception.NAMES[0]).read_bytes() == content


def test_a_download_of_other_bytes_is_not_kept(nowhere, monkeypatch):
    answer(monkeypatch, b"a login page")
    with pytest.raises(DataError, match=f"{inception.URL}: has sha256 .*it was not kept"):
        Inception().build((3, 24, 24))
    assert not list((nowhere / "cache" / "weights").iterdir())
