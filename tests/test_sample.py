"""Samples: what they start from, the way between two of them, and the files that they are written to."""

import dataclasses
import io
import json
import shutil
import subprocess

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from tests.small import trained, words
from zerosum.cli.main import app
from zerosum.core.errors import RecipeError, RunError, ZerosumWarning
from zerosum.data import open_data, to_images
from zerosum.networks.space import Space
from zerosum.recipes import read_recipe
from zerosum.runs.evaluation import neighbours
from zerosum.runs.storage import outputs
from zerosum.runs.storage.saved import load_model, save_model
from zerosum.runs.storage.trained import TrainedModel
from zerosum.runs.view import animation, pictures, sample, video

IMAGES = Space((1, 8, 8), 100, 10)


def make(path, recipe="mlp", *settings, space=IMAGES, seed=0):
    """A generator file of untrained weights."""
    chosen = read_recipe(recipe, [*words(recipe), *settings])
    classes = tuple(f"digit {number}" for number in range(space.classes))
    save_model(path, trained(chosen, space.signals, classes, 123, seed=seed))
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return make(tmp_path_factory.mktemp("plain") / "g.safetensors")


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    return make(tmp_path_factory.mktemp("classes") / "g.safetensors", "mlp", "generator.labels=concat")


@pytest.fixture(scope="module")
def styled(tmp_path_factory):
    path = make(tmp_path_factory.mktemp("styles") / "g.safetensors", "stylegan2")
    generator = load_model(path)
    average = generator.model.networks["generator"].average
    average += torch.linspace(-1, 1, len(average))
    save_model(path, generator)
    return path


@pytest.fixture(scope="module")
def points(tmp_path_factory):
    return make(tmp_path_factory.mktemp("points") / "g.safetensors", "mixture", space=Space((2,), 2, 0))


def call(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments])


def arrays(path):
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


# ---------------------------------------------------------------------- ways


def ends(*shape):
    generator = torch.Generator().manual_seed(3)
    return torch.randn(*shape, generator=generator), 2 * torch.randn(*shape, generator=generator)


def test_slerp_follows_the_great_arc():
    a, b = torch.tensor([[3.0, 0.0, 0.0]]), torch.tensor([[0.0, 5.0, 0.0]])
    third = torch.tensor([[1 / 3]])
    # 30 degrees from a to b; lengths weigh as directions do
    expected = [[3 * np.sin(np.pi / 3), 5 * np.sin(np.pi / 6), 0.0]]
    np.testing.assert_allclose(animation.slerp(a, b, third), expected, rtol=1e-6)
    c = torch.tensor([[np.cos(2.0), np.sin(2.0), 0.0]])  # an obtuse angle of 2 radians
    found = animation.slerp(torch.tensor([[1.0, 0, 0]]), c.float(), torch.tensor([[0.25]]))
    np.testing.assert_allclose(found, [[np.cos(0.5), np.sin(0.5), 0.0]], atol=1e-6)


def test_slerp_meets_its_ends_and_keeps_the_length_of_normal_latents():
    a, b = ends(20, 512)
    for share, end in ((0.0, a), (1.0, b)):
        torch.testing.assert_close(animation.slerp(a, b, torch.full((20, 1), share)), end, atol=1e-6, rtol=1e-6)
    middle = animation.slerp(a, b / 2, torch.full((20, 1), 0.5)).norm(dim=1)
    straight = animation.lerp(a, b / 2, torch.full((20, 1), 0.5)).norm(dim=1)
    assert (middle / a.norm(dim=1) - 1).abs().max() < 0.1
    assert (straight / a.norm(dim=1) - np.sqrt(0.5)).abs().max() < 0.1


def test_slerp_between_parallel_and_opposite_latents_is_straight():
    a, b = torch.tensor([[1.0, 2.0], [1.0, 2.0]]), torch.tensor([[3.0, 6.0], [-1.0, -2.0]])
    found = animation.slerp(a, b, torch.full((2, 1), 0.25))
    torch.testing.assert_close(found, torch.tensor([[1.5, 3.0], [0.5, 1.0]]))


def test_a_way_around_meets_every_latent_once_and_comes_back():
    z = ends(3, 7)[0]
    found, labels = animation.walk(z, torch.tensor([4, 5, 6]), 7, 4, around=True)
    assert found.shape == (12, 7)
    torch.testing.assert_close(found[::4], z)
    torch.testing.assert_close(found[9], animation.slerp(z[2:], z[:1], torch.tensor([[0.25]]))[0])
    assert labels.tolist() == [4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 4, 4]


def test_a_way_from_end_to_end_shows_both_ends_of_each_pair():
    z = ends(3, 7)[0]
    found, labels = animation.walk(z, None, 0, 5, around=False)
    assert labels is None
    assert found.shape == (10, 7)
    torch.testing.assert_close(found[[0, 4, 5, 9]], z[[0, 1, 1, 2]])
    torch.testing.assert_close(found[1], 0.75 * z[0] + 0.25 * z[1])


@pytest.mark.parametrize(
    ("latent", "spherical"),
    [
        ("normal:size=9", 9),
        ("truncated:size=9", 9),
        ("uniform:size=9", 0),
        ("infogan:noise=5,categories=3", 5),
    ],
)
def test_normal_numbers_go_on_arcs_and_others_straight(tmp_path, latent, spherical):
    drawn = sample.draft(make(tmp_path / "g.safetensors", "mlp", f"latent={latent}"), count=2)
    assert drawn.spherical == spherical
    a, b = drawn.latents[:1], drawn.latents[1:]
    half = drawn.walk(3, around=False).latents[1:2]
    straight, arc = (a + b) / 2, animation.slerp(a[:, :spherical], b[:, :spherical], torch.tensor([[0.5]]))
    torch.testing.assert_close(half[:, spherical:], straight[:, spherical:])
    torch.testing.assert_close(half[:, :spherical], arc)
    assert spherical == 0 or not torch.allclose(half[:, :spherical], straight[:, :spherical], atol=1e-3)


# ---------------------------------------------------------------------- numbers of samples


class Noisy(torch.nn.Linear):
    """A layer that draws noise of its own, in evaluation too."""

    def forward(self, x):
        return super().forward(x) + torch.rand(len(x), 1)


KINDS = {
    "plain": ("mlp", []),
    "convolutional": ("dcgan", ["generator.labels=norm"]),
    "residual": ("sngan", []),
    "styles": ("stylegan2", []),
    "codes": ("infogan", []),
    "uniform": ("mlp", ["latent=uniform"]),
    "truncated": ("mlp", ["latent=truncated"]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_sample_i_of_a_seed_is_the_same_in_any_count_batch_and_order(tmp_path, kind):
    recipe, settings = KINDS[kind]
    generator = load_model(make(tmp_path / "g.safetensors", recipe, *settings))
    whole = generator.sample(150, seed=3)
    for start, count in ((0, 1), (0, 5), (10, 7), (63, 2), (64, 1), (100, 50)):
        assert torch.equal(generator.sample(count, seed=3, start=start), whole[start : start + count])
        latents, labels = generator.latents(count, 3, start), generator.labels(count, start=start)
        assert torch.equal(latents, generator.latents(150, 3)[start : start + count])
        assert labels is None or torch.equal(labels, generator.labels(150)[start : start + count])
    assert not torch.equal(generator.sample(5, seed=4), whole[:5])
    assert len({image.numpy().tobytes() for image in generator.latents(150, 3)}) == 150
    assert generator.sample(0).shape == (0, 1, 8, 8)


def test_noise_of_a_network_belongs_to_the_number_of_a_sample(place):
    generator = load_model(place)
    first = next(one for one in generator.model.networks["generator"].modules() if isinstance(one, torch.nn.Linear))
    first.__class__ = Noisy
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    whole = generator.sample(40)
    assert torch.equal(torch.rand(3), expected)  # the surrounding randomness is untouched
    assert torch.equal(generator.sample(9, start=12), whole[12:21])
    latent = generator.latents(1).expand(40, -1)
    first, other = generator.decode(latent, None, seed=1), generator.decode(latent, None, seed=2)
    assert not (first.flatten(1) == other.flatten(1)).all(1).any()  # noise is the seed's too
    assert torch.equal(generator.decode(latent[:9], None, start=12, seed=2), other[12:21])
    latent = latent[:20]
    assert len({image.numpy().tobytes() for image in generator.decode(latent, None)}) == 20


def test_parts_of_an_archive_are_the_whole(conditional, tmp_path):
    for name, options in (("all", ["-n", 30]), ("a", ["-n", 13]), ("b", ["-n", 17, "--start", 13])):
        assert call("sample", conditional, *options, "-o", tmp_path / f"{name}.npz").exit_code == 0
    whole, a, b = (arrays(tmp_path / f"{name}.npz") for name in ("all", "a", "b"))
    for name in ("images", "labels"):
        assert np.array_equal(whole[name], np.concatenate([a[name], b[name]]))
    assert call("sample", conditional, "-n", 2, "--start", 29, "-o", f"{tmp_path}/files/").exit_code == 0
    assert sorted(str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*.png")) == [
        *("files/digit 0/000030.png", "files/digit 9/000029.png"),
    ]


def test_arrays_and_files_are_written_while_samples_are_made(place, tmp_path, monkeypatch):
    def whole(drawn, report):
        pytest.fail("all samples at once need memory for all")

    expected = sample.draft(place, count=40).render()
    monkeypatch.setattr(sample.Draft, "render", whole)
    found = arrays(sample.write(sample.draft(place, count=40), tmp_path / "s.npz"))["images"]
    assert np.array_equal(found, expected)
    sample.write(sample.draft(place, count=40), f"{tmp_path}/files/")
    with Image.open(tmp_path / "files" / "000039.png") as last:
        assert np.array_equal(np.asarray(last), expected[39, :, :, 0])


@pytest.mark.parametrize("latent", ["normal", "uniform", "truncated", "infogan:noise=88"])
def test_blocks_leave_the_distribution_as_it_is(tmp_path, latent):
    generator = load_model(make(tmp_path / "g.safetensors", "mlp", f"latent={latent}"))
    found = generator.latents(6400, 1).double()
    torch.manual_seed(0)
    wanted = generator.recipe.game.latent(6400).double()
    assert (found.mean(0) - wanted.mean(0)).abs().max() < 0.08  # 4.5 standard errors of a difference
    torch.testing.assert_close(found.std(0), wanted.std(0), rtol=0.06, atol=0.01)
    assert found.T.corrcoef().fill_diagonal_(0)[:80, :80].abs().max() < 0.06
    blocks = found.reshape(100, 64, -1)
    assert blocks[:, 0].std(0).mean().item() == pytest.approx(
        wanted.std(0).mean().item(), rel=0.03
    )  # first of each block


# ---------------------------------------------------------------------- forms


@pytest.mark.parametrize(("form", "kind"), [(".gif", "GIF"), (".webp", "WEBP"), (".apng", "PNG")])
def test_moving_pictures_are_looped_and_show_every_frame(place, tmp_path, form, kind):
    path = sample.write(sample.draft(place, count=3), tmp_path / f"way{form}", 4)
    expected = sample.draft(place, count=3).walk(4, around=True).render()
    with Image.open(path) as moving:
        assert moving.format == kind
        assert moving.n_frames == 12
        assert moving.size == (256, 256)
        assert moving.info["loop"] == 0
        for frame in (0, 7, 11):
            moving.seek(frame)
            moving.load()
            assert moving.info["duration"] == 40
            shown = np.asarray(moving.convert("L"))[16::32, 16::32]
            assert np.abs(shown.astype(int) - expected[frame, :, :, 0]).max() <= 1  # WebP rounds grey by one


def test_a_png_of_a_way_has_a_row_for_each_pair(place, tmp_path):
    path = sample.write(sample.draft(place, count=3), tmp_path / "way.png", 5)
    with Image.open(path) as picture:
        assert picture.size == (5 * 66 + 2, 2 * 66 + 2)
        shown = np.asarray(picture)
    images = sample.draft(place, count=3).render()[..., 0]
    assert np.array_equal(shown[2 + 4 : 66 : 8, 2 + 4 : 66 : 8], images[0])
    assert np.array_equal(shown[68 + 4 : 132 : 8, 4 * 66 + 2 + 4 :: 8], images[2])


def test_frames_are_arrays_and_files_too(conditional, tmp_path):
    found = arrays(sample.write(sample.draft(conditional, count=3), tmp_path / "way.npz", 4))
    assert found["images"].shape == (12, 8, 8, 1)
    assert found["labels"].tolist() == [0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 0, 0]
    assert call("sample", conditional, "-n", 3, "--interpolate", 4, "-o", f"{tmp_path}/files/").exit_code == 0
    names = sorted(path.name for path in (tmp_path / "files" / "digit 1").iterdir())
    assert names == [f"00000{number}.png" for number in (2, 3, 4, 5)]


def test_points_go_through_latents_as_arrays_only(points, tmp_path):
    found = arrays(sample.write(sample.draft(points, count=3), tmp_path / "way.npz", 4))
    assert found["points"].shape == (12, 2)
    for out, interpolate in (("way.gif", 4), ("way.png", 4), ("files/", None)):
        with pytest.raises(RunError, match=r"points have no files of their own; use --out FILE\.npz"):
            sample.write(sample.draft(points), f"{tmp_path}/{out}", interpolate)
    assert sample.write(sample.draft(points), tmp_path / "s.png").exists()


def test_colours_move_as_colours(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3), dtype=np.uint8)
    with Image.open(io.BytesIO(animation.encode(images, ".webp"))) as moving:
        moving.seek(2)
        assert np.array_equal(np.asarray(moving.convert("RGB"))[32::64, 32::64], images[2])


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize("shape", [(1, 9, 7), (3, 8, 8)])
def test_mp4_shows_every_frame_at_even_sizes(tmp_path, shape):
    smooth = torch.linspace(-1, 1, 6)[:, None, None, None].expand(6, *shape)
    images = to_images(smooth)
    path = tmp_path / "way.mp4"
    outputs.write(path, video.encode(images))
    probe = ["-select_streams", "v:0", "-count_frames", "-show_entries"]
    wanted = "stream=width,height,nb_read_frames,r_frame_rate,pix_fmt:format_tags=comment"
    ran = subprocess.run(
        ["ffprobe", "-v", "error", *probe, wanted, "-of", "json", path], capture_output=True, check=True
    )
    told = json.loads(ran.stdout)
    (stream,) = told["streams"]
    assert (stream["nb_read_frames"], stream["r_frame_rate"], stream["pix_fmt"]) == ("6", "25/1", "yuv420p")
    scale = 256 // max(shape[1:])
    assert (stream["width"], stream["height"]) == (2 * -(-shape[2] * scale // 2), 2 * -(-shape[1] * scale // 2))
    assert told["format"]["tags"]["comment"] == outputs.MARK.decode()
    raw = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "gray", "-"],
        capture_output=True,
        check=True,
    ).stdout
    frames = np.frombuffer(raw, np.uint8).reshape(6, stream["height"], stream["width"])
    assert np.abs(frames[:, 100, 100].astype(int) - images[:, 4, 4, 0]).max() <= 4
    outputs.write(path, video.encode(images))  # it is zerosum's


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_a_way_as_mp4(place, tmp_path):
    assert call("sample", place, "-n", 2, "--interpolate", 3, "-o", tmp_path / "w.mp4").exit_code == 0
    assert (tmp_path / "w.mp4").read_bytes()[4:8] == b"ftyp"


def test_without_ffmpeg_other_forms_are_offered(place, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    done = call("sample", place, "-n", 2, "--interpolate", 3, "-o", tmp_path / "w.mp4")
    assert done.exit_code == 2
    assert "written by the program ffmpeg, which is not found; install it, or use FILE.webp" in done.stderr
    (tmp_path / "ffmpeg").write_text("#!/bin/sh\necho no such encoder >&2; exit 3\n")
    (tmp_path / "ffmpeg").chmod(0o755)
    with pytest.raises(RunError, match=r"ffmpeg cannot write \.mp4 here \(no such encoder\); use FILE\.webp"):
        sample.write(sample.draft(place, count=2), tmp_path / "w.mp4", 3)


# ---------------------------------------------------------------------- classes on the way

WAYS = {
    "one-hot": ("mlp", ["generator.labels=concat"]),
    "embedding": ("dcgan", ["generator.labels=embed"]),
    "scales and shifts": ("mlp", ["generator.norm=batch", "generator.labels=norm"]),
    "beside chunks": ("biggan", []),
    "styles": ("stylegan2", ["generator.labels=embed"]),
    "basis": ("r3gan", ["generator.labels=embed"]),
}


def steps(frames):
    """How far each frame is from the one before."""
    return (frames[1:] - frames[:-1]).flatten(1).norm(dim=1)


def jump(frames):
    """The largest step, in mean steps."""
    return (steps(frames).max() / steps(frames).mean()).item()


@pytest.mark.parametrize("kind", WAYS)
def test_a_way_from_class_to_class_never_jumps(tmp_path, kind):
    recipe, settings = WAYS[kind]
    generator = load_model(make(tmp_path / "g.safetensors", recipe, *settings))
    with torch.no_grad():
        for name, one in generator.model.networks["generator"].named_parameters():  # classes look different
            if "embedding" in name or one.shape[:1] == (10,):
                one.add_(torch.randn_like(one))
    drawn = sample.Draft(generator, generator.latents(3), torch.tensor([7, 0, 4]))
    way = drawn.walk(40, around=True)
    assert way.shares.sum(1).allclose(torch.ones(120))
    assert way.shares[[0, 40, 80]].argmax(1).tolist() == [7, 0, 4]
    blended = torch.cat(list(generator.chunks(way.latents, way.shares)))
    ends = generator.decode(drawn.latents, drawn.labels)
    torch.testing.assert_close(blended[[0, 40, 80]], ends, rtol=1e-4, atol=1e-4)
    assert jump(blended) < 0.5 * jump(generator.decode(way.latents, way.labels))
    assert torch.equal(torch.from_numpy(way.render()), torch.from_numpy(to_images(blended)))


def test_a_way_of_a_generator_that_starts_from_images_never_jumps(tmp_path):
    generator = load_model(make(tmp_path / "g.safetensors", "dagan-small"))
    bank = generator.model.networks["generator"].bank
    bank.images.copy_(torch.randint(256, bank.images.shape).to(torch.uint8))
    bank.seen.fill_(bank.each)
    drawn = sample.Draft(generator, generator.latents(3), torch.tensor([7, 0, 4]))
    way = drawn.walk(40, around=True)
    made = torch.from_numpy(way.render()).float()
    ends = torch.from_numpy(drawn.render()).float()
    assert (made[[0, 40, 80]] - ends).abs().max() <= 1
    others = generator.decode(way.latents, way.labels) * 127.5  # each frame from an image of its own
    assert steps(made).max() < 0.2 * steps(others).median()


def test_a_generator_that_cannot_blend_stays_in_a_class(conditional, tmp_path, monkeypatch):
    generator = load_model(conditional)
    monkeypatch.setattr(TrainedModel, "blends", False)
    drawn = sample.Draft(generator, generator.latents(3), torch.tensor([7, 0, 4]))
    for around, labels in ((True, [7] * 6), (False, [7, 7, 0, 0])):
        with pytest.warns(ZerosumWarning, match="cannot blend classes, so each walk stays in its first class"):
            way = drawn.walk(2, around=around)
        assert way.labels.tolist() == labels
        assert way.shares is None
    done = call("sample", conditional, "-n", 3, "--interpolate", 3, "-o", tmp_path / "w.gif")
    assert done.exit_code == 0
    assert "cannot blend classes" in done.stderr
    one = call("sample", conditional, "-n", 3, "--interpolate", 3, "--label", "digit 3", "-o", tmp_path / "w.gif")
    assert "blend" not in one.stderr


# ---------------------------------------------------------------------- truncation


def test_truncation_of_latents_is_a_shortcut(place, tmp_path):
    short = sample.draft(place, count=20, truncation=0.7)
    long = sample.draft(place, count=20, latent="truncated:threshold=0.7")
    assert torch.equal(short.latents, long.latents)
    assert 0.6 < short.latents.abs().max() <= 0.7
    assert short.psi is None
    assert short.notes == "latents cut at 0.7"
    assert sample.draft(place, count=20).notes == ""
    done = call("sample", place, "--truncation", 0.7, "-o", tmp_path / "s.npz")
    assert "latents cut at 0.7" in done.stderr


def test_truncation_of_styles_moves_them_towards_their_average(styled, tmp_path):
    generator = load_model(styled)
    latents = generator.latents(5, seed=3)
    with torch.no_grad():
        G = generator.model.networks["generator"]
        w = G.mapping(latents)
        expected = G.synthesis(G.average + 0.3 * (w - G.average)).clamp(-1, 1)
    drawn = sample.draft(styled, count=5, seed=3, truncation=0.3)
    assert torch.equal(drawn.latents, latents)  # styles are cut, latents are not
    assert "psi 0.3" in drawn.notes
    found = drawn.render()
    assert np.array_equal(found, ((expected + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy())
    assert not np.array_equal(found, sample.draft(styled, count=5, seed=3).render())
    still = sample.draft(styled, count=5, truncation=0.0).render()
    assert np.abs(still.astype(int) - still[:1]).max() <= 1  # psi 0: everything is the average


# ---------------------------------------------------------------------- latents, kept


def test_kept_latents_give_the_same_images_again(conditional, tmp_path):
    kept = tmp_path / "kept.npz"
    first = ["sample", conditional, "-n", 7, "--seed", 5, "--label", "digit 3", "--save-latents", kept]
    assert call(*first, "-o", tmp_path / "a.npz").exit_code == 0
    assert call("sample", conditional, "--latents", kept, "-o", tmp_path / "b.npz").exit_code == 0
    a, b, latents = (arrays(tmp_path / name) for name in ("a.npz", "b.npz", "kept.npz"))
    assert np.array_equal(a["images"], b["images"])
    assert a["labels"].tolist() == b["labels"].tolist() == [3] * 7
    assert latents["latents"].dtype == np.float32
    assert np.array_equal(latents["latents"], load_model(conditional).latents(7, seed=5).numpy())
    found = sample.draft(conditional, latents=kept, count=2, label="4")
    assert found.labels.tolist() == [4, 4]
    assert np.array_equal(found.latents, latents["latents"][:2])


def test_kept_latents_bring_the_place_and_the_seed_of_noise_along(place, tmp_path):
    drawn = sample.draft(place, count=20, seed=5, start=12)
    first = next(one for one in drawn.model.model.networks["generator"].modules() if isinstance(one, torch.nn.Linear))
    first.__class__ = Noisy
    sample.save_latents(tmp_path / "kept.npz", drawn)
    again = dataclasses.replace(sample.draft(place, latents=tmp_path / "kept.npz", start=7), model=drawn.model)
    assert (again.start, again.seed) == (19, 5)
    assert np.array_equal(again.render(), drawn.render()[7:])


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        ({"latents": np.full((2, 100), "x")}, "is not an .npz of latents .*values of type"),
        ({"latents": np.full((2, 100), np.nan)}, "some of its latents are not finite"),
        ({"latents": np.zeros((2, 100)), "labels": np.array([0.5, 0])}, "its labels do not fit"),
        ({"latents": np.zeros((2, 100)), "seed": np.zeros(3)}, "seed and start must be whole numbers"),
    ],
)
def test_odd_files_of_latents_are_refused_in_words(conditional, tmp_path, arrays, text):
    np.savez(tmp_path / "odd.npz", **arrays)
    with pytest.raises(RunError, match=text):
        sample.draft(conditional, latents=tmp_path / "odd.npz")


def test_damaged_files_of_latents_are_refused_in_words(conditional, tmp_path):
    file = tmp_path / "kept.npz"
    sample.save_latents(file, sample.draft(conditional, count=2))
    whole = file.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], whole[:150] + bytes([whole[150] ^ 255]) + whole[151:]):
        file.write_bytes(damaged)
        with pytest.raises(RunError, match=r"is not an .npz of latents"):
            sample.draft(conditional, latents=file)


def test_kept_latents_go_to_another_generator(conditional, place, tmp_path):
    drawn = sample.draft(conditional, count=7)
    sample.save_latents(tmp_path / "kept.npz", drawn)
    other = sample.draft(place, latents=tmp_path / "kept.npz")
    assert torch.equal(other.latents, drawn.latents)
    assert other.labels is None
    sample.save_latents(tmp_path / "plain.npz", other)
    back = sample.draft(conditional, latents=tmp_path / "plain.npz")
    assert back.labels.tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_latents_that_do_not_fit_are_refused(place, points, conditional, tmp_path):
    kept = tmp_path / "kept.npz"
    sample.save_latents(kept, sample.draft(place, count=4))
    for options, text in (
        ({"count": 5}, r"--count 5: .*kept.npz holds 4 latents"),
        ({"seed": 0}, "--seed and --latents exclude each other"),
        ({"latent": "normal"}, "--latent and --latents exclude each other"),
        ({"truncation": 0.5}, "--truncation and --latents exclude each other"),
    ):
        with pytest.raises(RunError, match=text):
            sample.draft(place, latents=kept, **options)
    with pytest.raises(RunError, match=r"latents of 100 numbers, and this model takes \d"):
        sample.draft(points, latents=kept)
    with pytest.raises(
        RunError, match=r"nowhere.npz: there is no such file; `zerosum sample --save-latents` writes one"
    ):
        sample.draft(place, latents=tmp_path / "nowhere.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(RunError, match=r"text.npz is not an .npz of latents"):
        sample.draft(place, latents=tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", images=np.zeros(3))
    with pytest.raises(RunError, match=r"other.npz has no array `latents` \[N, K\]"):
        sample.draft(place, latents=tmp_path / "other.npz")
    np.savez(tmp_path / "labels.npz", latents=np.zeros((2, 100)), labels=np.array([0, 10]))
    with pytest.raises(RunError, match="its labels do not fit this model's 10 classes; name one"):
        sample.draft(conditional, latents=tmp_path / "labels.npz")
    with pytest.raises(RunError, match=r"--save-latents .*kept.txt: latents are kept as FILE.npz"):
        sample.save_latents(tmp_path / "kept.txt", sample.draft(place, count=1))


# ---------------------------------------------------------------------- neighbours


def test_neighbours_of_copies_are_the_originals(place, tmp_path, monkeypatch):
    data = open_data("digits", load_model(place).recipe.data, seed=0)
    copies = data.values[data.train][[5, 1616, 70]]
    monkeypatch.setattr(sample.Draft, "render", lambda drawn, report: copies)
    found = neighbours.neighbours(sample.draft(place, count=3), "digits", 4)
    assert np.array_equal(found.nearest[:, 0], copies)
    assert found.distances[:, 0].tolist() == [0, 0, 0]
    base = data.values[data.train].reshape(-1, 64).astype(float)
    expected = np.sort(np.sqrt(((base - copies[1].reshape(64)) ** 2).mean(1)))[:4]
    np.testing.assert_allclose(found.distances[1], expected, rtol=1e-6)


def test_neighbours_are_a_picture(place, tmp_path):
    out = tmp_path / "n.png"
    done = call("sample", place, "-n", 3, "--neighbours", "digits", "--k", 2, "-o", out, "--json")
    assert done.exit_code == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["count"] == 3
    assert np.shape(said["distances"]) == (3, 2)
    found = neighbours.neighbours(sample.draft(place, count=3), "digits", 2)
    with Image.open(out) as picture:
        shown = np.asarray(picture)
    assert shown.shape == (3 * 66 + 2, 68 + 8 + 2 * 66 + 2)
    assert np.array_equal(shown[66 + 2 + 4 : 132 : 8, 2 + 4 : 66 : 8], found.samples[1, :, :, 0])
    second = 68 + 8 + 66  # column of the second neighbour
    assert np.array_equal(shown[66 + 2 + 4 : 132 : 8, second + 2 + 4 : second + 66 : 8], found.nearest[1, 1, :, :, 0])


def test_a_bad_image_among_neighbours_can_be_left_out(place, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(6):
        Image.fromarray(np.full((8, 8), 40 * index, np.uint8)).save(folder / f"{index}.png")
    (folder / "3.png").write_bytes(b"no picture")
    words = ("sample", place, "-n", 2, "--neighbours", folder, "--k", 2, "-o", tmp_path / "n.png")
    refused = call(*words)
    assert refused.exit_code == 2
    assert "3.png" in refused.stderr
    assert "--skip-bad" in " ".join(refused.stderr.split())
    assert call(*words, "--skip-bad").exit_code == 0
    assert (tmp_path / "n.png").is_file()


def test_many_neighbours_stand_in_blocks():
    samples = np.arange(7, dtype=np.uint8)[:, None, None, None] * np.ones((7, 8, 8, 1), np.uint8)
    others = 100 + samples[:, None].repeat(1, 1)
    shown = pictures.beside(samples, others, tile=8)[..., 0]
    rows = 4  # two blocks: 4 and 3 rows
    block = (8 + 4) + 1 + (8 + 4) + 4
    assert shown.shape == (rows * 10 + 2, 2 * block - 4)
    assert shown[2 + 10 * 3, 2] == 3
    assert shown[2, block + 2] == 4
    assert shown[2 + 10 * 2, block + 12 + 1 + 2] == 106
    assert (shown[2 + 10 * 3 :, block:] == 255).all()  # there is no eighth
    assert (shown[:, 12:13] == 255).all()


def test_neighbours_that_cannot_be_found_are_refused(place, points, tmp_path):
    drawn = sample.draft(place, count=2)
    with pytest.raises(RunError, match="fewer than --k 2000"):
        neighbours.neighbours(drawn, "digits", 2000)
    with pytest.raises(RunError, match="this model makes points"):
        neighbours.neighbours(sample.draft(points, count=2), "ring8")
    np.save(tmp_path / "colour.npy", np.zeros((9, 8, 8, 3), np.uint8))
    with pytest.raises(RunError, match=r"images of \[3, 8, 8\] .*this model makes \[1, 8, 8\]"):
        neighbours.neighbours(drawn, tmp_path / "colour.npy", 1)
    with pytest.raises(RunError, match=r"--out .*n.npz: neighbours are a picture; use FILE.png"):
        neighbours.write_neighbours(drawn, tmp_path / "n.npz", "digits")


# ---------------------------------------------------------------------- errors, progress


def test_options_that_do_not_fit_are_refused(place, styled, tmp_path):
    uniform = make(tmp_path / "u.safetensors", "mlp", "latent=uniform")
    for options, text in (
        ({"truncation": 0.0}, "--truncation 0: a threshold of latents must be above 0, for example 0.7"),
        ({"truncation": 0.5, "latent": "normal"}, "--truncation and --latent exclude each other"),
        ({"label": "3"}, "this model takes no labels; train one with"),
    ):
        with pytest.raises(RunError, match=text):
            sample.draft(place, **options)
    with pytest.raises(RunError, match="trained on 'uniform' ones; leave it out, or ask for --latent truncated"):
        sample.draft(uniform, truncation=0.5)
    with pytest.raises(RecipeError, match="did you mean 'truncated'"):
        sample.draft(place, latent="truncatd:threshold=1")
    assert sample.draft(styled, truncation=0.0, latent="truncated").notes.startswith("styles moved")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            ["-o", "s.jpg"],
            "'.jpg' is not a form of samples; use FILE.npz, FILE.png or FOLDER/ (with --interpolate also",
        ),
        (["-o", "s.gif"], "s.gif: nothing moves without --interpolate"),
        (
            ["-o", "s.gif", "--interpolate", "5", "-n", "1"],
            "--interpolate 5, 1 latents: there must be at least",
        ),
        (["--interpolate", "1"], "--interpolate"),
        (["--neighbours", "digits", "--interpolate", "5"], "--neighbours and --interpolate exclude each other"),
        (["--neighbours", "digit"], "digit"),
    ],
)
def test_a_wrong_command_exits_2_and_writes_nothing(place, tmp_path, monkeypatch, options, text):
    monkeypatch.chdir(tmp_path)
    done = call("sample", place, *options)
    assert done.exit_code == 2
    assert text in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(place, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot write .*choose another --out"):
        sample.write(sample.draft(place, count=2), tmp_path / "file" / "s.npz")


def test_numbers_of_samples_have_defaults(place, tmp_path):
    assert json.loads(call("sample", place, "-o", tmp_path / "s.png", "--json").stdout)["count"] == 64
    way = json.loads(call("sample", place, "--interpolate", 2, "-o", tmp_path / "s.png", "--json").stdout)
    assert way["count"] == 8


def test_progress_is_told_when_it_takes_long(place, tmp_path, monkeypatch):
    from zerosum.cli import looking

    assert "sampling" not in call("sample", place, "-n", 300, "-o", tmp_path / "s.npz").stderr
    monkeypatch.setattr(looking, "PATIENCE", -1.0)
    assert "sampling 300/300" in call("sample", place, "-n", 300, "-o", tmp_path / "s.npz").stderr
    assert "sampling" not in call("sample", place, "-n", 300, "-o", tmp_path / "s.npz", "--quiet").stderr
    heard = []
    sample.draft(place, count=600).render(lambda *words: heard.append(words))
    assert {(what, total) for what, _, total in heard} == {("sampling", 600)}
    assert [done for _, done, _ in heard] == sorted({done for _, done, _ in heard})
    assert heard[-1][1] == 600
