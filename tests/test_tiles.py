"""Images of any size: what a network sees of them, and what is seen where tiles meet."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

import zerosum
from zerosum.core.clock import seeded
from zerosum.core.signals import Signal
from zerosum.data import to_images
from zerosum.networks import ResNetTranslator
from zerosum.runs.view.tiles import spread
from zerosum.runs.view.transform import transform


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (8, 8), (50, 9), (31, 70)])
@pytest.mark.parametrize(("step", "tile", "overlap"), [(8, 16, 4), (4, 4, 2), (64, 16, 4), (3, 20, 19)])
def test_a_network_that_changes_nothing_gives_the_image_back(size, step, tile, overlap):
    shapes = []

    def network(x):
        shapes.append(tuple(x.shape[-2:]))
        return torch.cat([x, -x], 1)

    x = torch.rand(2, 3, *size)
    y = spread(network, x, step, tile, overlap)
    assert torch.allclose(y, torch.cat([x, -x], 1), atol=1e-6)
    assert len(set(shapes)) == 1  # one size for all, so that each pixel is computed alike
    for side in shapes[0]:
        assert side % step == 0
        assert 0 < side <= max(step, tile)


def test_tiles_begin_where_a_network_with_strides_begins():
    """Averages of blocks of 4x4 pixels are the same in tiles as in the whole image."""
    x = torch.rand(1, 1, 84, 60)
    blocks = lambda x: F.interpolate(F.avg_pool2d(x, 4), scale_factor=4)  # noqa: E731
    assert torch.allclose(spread(blocks, x, 4, 24, 8), blocks(x), atol=1e-6)


def test_an_end_is_filled_up_with_its_mirror_image():
    seen = []
    spread(lambda x: seen.append(x) or x, torch.arange(5.0).expand(1, 1, 8, 5), 8)
    assert seen[0][0, 0, 0].tolist() == [0, 1, 2, 3, 4, 3, 2, 1]


def seam(image, tile, overlap):
    """Largest step from a column to the next of what a network makes that gives each tile a brightness of its own."""
    made = spread(lambda x: x.mean((-2, -1), keepdim=True).expand_as(x), image, 1, tile, overlap)
    return float(made.diff(dim=-1).abs().max())


def test_tiles_that_differ_have_no_edge_between_them():
    ramp = torch.linspace(0, 1, 200).expand(1, 1, 20, 200)
    assert seam(ramp, 40, 0) > 0.1
    assert seam(ramp, 40, 20) < 0.01  # twice what the image itself changes by from pixel to pixel


def test_a_translator_shows_no_seams_beyond_what_it_changes_from_pixel_to_pixel():
    """Instance norm makes each tile's statistics its own."""
    image = {"x": Signal("image", (1, 32, 32))}
    with seeded(0):
        network = ResNetTranslator(channels=4, blocks=1).build(image, image).eval()
        x = F.interpolate(torch.randn(1, 1, 12, 24), scale_factor=16, mode="bicubic")
    with torch.no_grad():
        made, whole = spread(network, x, 8, tile=96, overlap=48), network(x)
    across = made.diff(dim=-1).abs().mean((0, 1, 2))  # of each border between columns
    ends = [start + end - 1 for start in (0, 48, 96, 144, 192, 240, 288) for end in (0, 96) if 0 < start + end < 384]
    assert across[ends].max() < 1.5 * across.mean()
    assert (made - whole).abs().mean() < 0.5 * (whole - whole.mean()).abs().mean()


@pytest.fixture(scope="module")
def translator(tmp_path_factory):
    settings = ["generators.channels=2", "generators.blocks=1", "discriminators.channels=2", "size=16",
                "evaluation=never", "samples=never"]  # fmt: skip
    out = tmp_path_factory.mktemp("tiles") / "run"
    return zerosum.train("digits-inverted", "cyclegan-small", settings, images=8, out=out, threads=1, quiet=True)


def opened(file):
    with Image.open(file) as image:
        return np.asarray(image)


def test_files_keep_their_size_or_get_that_of_the_training(translator, tmp_path):
    files = {"a.png": ("L", (20, 31)), "b.png": ("RGB", (20, 31)), "c.png": ("RGBA", (16, 16)), "d.png": ("1", (3, 90))}
    for name, (mode, size) in files.items():
        Image.new(mode, size).save(tmp_path / name)
    named = [tmp_path / name for name in files]
    for size, wanted in (("own", [size for _, size in files.values()]), ("training", 4 * [(16, 16)])):
        done = transform(translator.path, "translate", named, tmp_path / size, task="a_to_b", size=size)
        assert [opened(file).shape[1::-1] for file in done.files] == wanted
        assert opened(done.sheet).max() == 255
    assert np.array_equal(*(opened(tmp_path / "own" / name) for name in ("a.png", "b.png")))  # black is black


def test_a_model_file_translates_both_ways_and_back(translator, tmp_path):
    moved = tmp_path / "both.safetensors"
    moved.write_bytes((translator.path / "model.safetensors").read_bytes())
    given = np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)
    Image.fromarray(given).save(tmp_path / "a.png")
    there = transform(moved, "translate", [tmp_path / "a.png"], tmp_path / "there", task="a_to_b")
    back = transform(moved, "translate", there.files, tmp_path / "back", task="b_to_a")
    x = torch.from_numpy(given)[None, None] / 127.5 - 1
    y = translator.model.translate(x, "a_to_b")
    assert np.array_equal(opened(there.files[0]), to_images(y)[0, :, :, 0])
    again = translator.model.translate(
        torch.from_numpy(opened(there.files[0]).copy())[None, None] / 127.5 - 1, "b_to_a"
    )
    assert np.array_equal(opened(back.files[0]), to_images(again)[0, :, :, 0])
