"""ADA: what it draws, how p moves, and that gradients go through it, twice."""

import math
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from tests.exchanges import Two, remembered
from zerosum.augmentations import ADA
from zerosum.augmentations.geometry import blits, general_maps
from zerosum.augmentations.resampling import resample
from zerosum.core.errors import RecipeError
from zerosum.core.memory import Memory
from zerosum.core.registry import parse
from zerosum.critic import Outcome

MANY = 4000


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def at(p, **fields):
    """An augmentation with a memory of this p."""
    part = ADA(**fields)
    return lambda images: part(images, remembered(part, p=torch.tensor(float(p))))


def near(share, chance, count=MANY, sigmas=4.5):
    return abs(float(share) - chance) < sigmas * math.sqrt(chance * (1 - chance) / count)


def forward(inverse):
    return np.linalg.inv(inverse.double().numpy())


# ---------------------------------------------------------------------------------------------- what is drawn


def canvas(height=32, width=16):
    return torch.zeros(MANY, 1, height, width)


def test_pixels_move_by_mirrors_right_angles_and_whole_shifts():
    maps = forward(blits(canvas(), torch.tensor(1.0)))
    assert np.allclose(maps, maps.round())
    linear = maps[:, :2, :2].round().astype(int)
    assert near((np.linalg.det(linear) < 0).mean(), 0.5)
    kinds, counts = np.unique(linear.reshape(MANY, 4), axis=0, return_counts=True)
    assert len(kinds) == 8
    assert all(near(count / MANY, 1 / 8) for count in counts)
    for axis, farthest in ((0, 2), (1, 4)):  # x moves within an eighth of 16, y of 32
        steps = maps[:, axis, 2].round().astype(int)
        for step in range(-farthest, farthest + 1):
            chance = (0.5 if abs(step) == farthest else 1) / (2 * farthest)
            assert near((steps == step).mean(), chance), (axis, step)
        assert abs(steps).max() == farthest
    assert abs(np.corrcoef(maps[:, 0, 2], maps[:, 1, 2])[0, 1]) < 4.5 / math.sqrt(MANY)


def test_each_move_of_pixels_has_its_own_chance():
    maps = forward(blits(canvas(64, 64), torch.tensor(0.3)))
    linear = maps[:, :2, :2].round()
    assert near((np.linalg.det(linear) < 0).mean(), 0.15)
    plain = (linear == np.eye(2)).all((1, 2))
    assert near(plain.mean(), 0.85 * (1 - 0.3 * 0.75))
    assert near((maps[:, :2, 2] != 0).any(1).mean(), 0.3 * (1 - 1 / 16**2))


def test_geometry_scales_stretches_turns_and_shifts():
    maps = forward(general_maps(canvas(), torch.tensor(1.0)))
    linear = maps[:, :2, :2]
    determinant = np.linalg.det(linear)
    assert (determinant > 0).all()
    sizes = np.linalg.svd(linear, compute_uv=False)
    scale, stretch = np.log2(determinant) / 2, np.log2(sizes[:, 0] / sizes[:, 1]) / 2
    assert abs(scale.mean()) < 4.5 * 0.2 / math.sqrt(MANY)
    assert abs(scale.std() / 0.2 - 1) < 4.5 / math.sqrt(2 * MANY)
    assert abs(np.sqrt((stretch**2).mean()) / 0.2 - 1) < 4.5 / math.sqrt(2 * MANY)
    turn = np.arctan2(linear[:, 1, 0] - linear[:, 0, 1], linear[:, 0, 0] + linear[:, 1, 1])
    before = linear.transpose(0, 2, 1) @ linear  # its axes are where the turn before the stretch put them
    after = linear @ linear.transpose(0, 2, 1)
    axes = [np.arctan2(2 * m[:, 0, 1], m[:, 0, 0] - m[:, 1, 1]) for m in (before, after)]
    for angle in (turn, *axes):
        counts = np.histogram(angle, bins=8, range=(-math.pi, math.pi))[0]
        assert abs(counts - MANY / 8).max() < 4.5 * math.sqrt(MANY * 7 / 64)
    for both in (axes[0] - axes[1], axes[0] + axes[1]):
        assert abs(np.cos(both).mean()) < 4.5 / math.sqrt(2 * MANY)
    for axis, spread in ((0, 16 / 8), (1, 32 / 8)):
        shift = maps[:, axis, 2]
        assert abs(shift.mean()) < 4.5 * spread / math.sqrt(MANY)
        assert abs(shift.std() / spread - 1) < 4.5 / math.sqrt(2 * MANY)
    drawn = np.abs(np.stack([scale, stretch, maps[:, 0, 2], maps[:, 1, 2]]))
    assert abs(np.corrcoef(drawn) - np.eye(4)).max() < 4.5 / math.sqrt(MANY)


def test_each_change_of_geometry_has_its_own_chance_and_two_turns_share_one():
    maps = forward(general_maps(canvas(), torch.tensor(0.3)))
    linear = maps[:, :2, :2]
    assert near((abs(np.linalg.det(linear) - 1) > 1e-5).mean(), 0.3)
    sizes = np.linalg.svd(linear, compute_uv=False)
    assert near((sizes[:, 0] / sizes[:, 1] > 1 + 1e-5).mean(), 0.3)
    turned = abs(linear[:, 0, 1]) + abs(linear[:, 1, 0]) > 1e-5
    assert near(turned.mean(), 0.3)
    shifted = (abs(maps[:, :2, 2]) > 1e-5).any(1)
    assert near(shifted.mean(), 0.3)
    assert abs(np.corrcoef(turned, shifted)[0, 1]) < 4.5 / math.sqrt(MANY)


def test_a_single_turn_is_by_any_angle_alike():
    maps = forward(general_maps(canvas(8, 8).repeat(8, 1, 1, 1), torch.tensor(0.1)))
    sizes = np.linalg.svd(maps[:, :2, :2], compute_uv=False)
    plain = maps[sizes[:, 0] / sizes[:, 1] < 1 + 1e-5]  # not stretched, so the turn can be read off
    angles = np.arctan2(plain[:, 1, 0], plain[:, 0, 0])
    angles = angles[abs(angles) > 1e-5]  # of two turns in one of 39
    counts = np.histogram(angles, bins=8, range=(-math.pi, math.pi))[0]
    assert abs(counts - len(angles) / 8).max() < 4.5 * math.sqrt(len(angles) * 7 / 64)


def test_pixels_move_before_geometry():
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    dot = torch.exp(-((x - 36) ** 2 + (y - 27) ** 2) / 18).expand(32, 1, -1, -1)
    torch.manual_seed(3)
    made = at(0.9, pipeline="bg")(dot)
    torch.manual_seed(3)
    p = torch.tensor(0.9)
    first, second = blits(dot, p), general_maps(dot, p)
    right, wrong = resample(resample(dot, first), second), resample(resample(dot, second), first)
    inside = (slice(None), slice(None), slice(20, 44), slice(20, 44))  # away from the border, which is mirrored twice
    fault = [(made[inside] - other[inside]).square().mean().sqrt() for other in (right, wrong)]
    assert fault[0] < 0.05 * fault[1]


@pytest.mark.parametrize("pipeline", ["b", "g", "bg"])
def test_moves_leave_colours_alone(pipeline):
    colours = torch.randn(32, 3, 1, 1).expand(-1, -1, 8, 8)
    assert torch.allclose(at(1, pipeline=pipeline)(colours), colours, atol=1e-5)


def test_colours_leave_places_alone():
    x = torch.randn(32, 3, 1, 1).expand(-1, -1, 8, 8)
    made = at(1, pipeline="c")(x)
    assert torch.allclose(made, made[:, :, :1, :1].expand_as(made), atol=1e-6)
    assert not torch.allclose(made, x, atol=0.1)


def test_the_share_of_colours():
    grey = torch.randn(MANY, 1, 2, 2)
    assert torch.equal(at(1, pipeline="c", colour=0)(grey), grey)
    same = (at(1, pipeline="c", colour=0.5)(grey) == grey).flatten(1).all(1).float().mean()
    assert near(same, 0.5 * 0.5 * 0.75)
    same = (at(0.6, pipeline="c", colour=0.5)(grey) == grey).flatten(1).all(1).float().mean()
    assert near(same, 0.7 * 0.7 * 0.85)


def test_the_share_of_holes():
    x = torch.ones(MANY, 1, 8, 8)
    for p, share, chance in ((1, 1.0, 1.0), (0.5, 0.4, 0.2), (5, 0.4, 0.4), (1, 0.0, 0.0)):
        made = at(p, pipeline="g", cutout=share)(x)
        holed = (made.abs() < 1e-3).flatten(1).any(1).float().mean()
        assert near(holed, chance) if 0 < chance < 1 else holed == chance
    made = at(1, pipeline="g", cutout=1)(x)
    assert float((made == 0).float().mean(dim=(1, 2, 3)).max()) == 0.25
    assert float((made == 0).float().mean(dim=(1, 2, 3)).min()) == 0.25 / 4


# ---------------------------------------------------------------------------------------------- as a whole

PIPELINES = ["b", "g", "c", "bg", "bc", "gc", "bgc"]


@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.parametrize("shape", [(8, 3, 8, 8), (8, 1, 7, 10)], ids=str)
def test_no_probability_is_the_identity_bit_for_bit(pipeline, shape):
    x = torch.randn(shape)
    assert torch.equal(at(0, pipeline=pipeline, cutout=1)(x), x)
    assert torch.equal(at(0, pipeline=pipeline)(x.contiguous(memory_format=torch.channels_last)), x)


@pytest.mark.parametrize("shape", [(16, 3, 8, 8), (16, 1, 28, 28), (16, 3, 12, 20)], ids=str)
def test_every_image_gets_its_own_draw_and_every_call_a_new_one(shape):
    x = torch.randn(1, *shape[1:]).expand(shape)
    kept = x.clone()
    change = at(1)
    torch.manual_seed(1)
    first, second = change(x), change(x)
    torch.manual_seed(1)
    assert torch.equal(change(x), first)
    assert first.shape == x.shape
    assert first.isfinite().all()
    for made in (first, second):
        apart = torch.cdist(made.flatten(1), torch.cat([made, x[:1]]).flatten(1)) + torch.eye(16, 17)
        assert apart.min() > 0.1
    assert (first - second).flatten(1).abs().amax(1).min() > 0.1
    assert torch.equal(x, kept)


def test_a_probability_above_one_acts_as_one():
    x = torch.randn(32, 3, 8, 8)
    made = []
    for p in (1, 34.266):
        torch.manual_seed(1)
        made.append(at(p, colour=0.5, cutout=0.5)(x))
    assert torch.equal(*made)


def smooth_critic(seed=0):
    weights = torch.randn(5, 3 * 4 * 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) / 10
    return lambda x: (x.flatten(1) @ weights.T).tanh().sum(1)


def test_gradients_reach_the_images_and_equal_differences():
    def change(x):
        torch.manual_seed(5)
        return at(0.7, cutout=0.5)(x)

    x = torch.randn(3, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(change, x)
    assert torch.autograd.gradgradcheck(lambda x: change(x).pow(2), x, fast_mode=True)
    generated = torch.randn(16, 3, 8, 8, requires_grad=True)
    (gradient,) = torch.autograd.grad(at(1)(generated).square().sum(), generated)
    assert gradient.flatten(1).abs().amax(1).min() > 0


def test_r1_through_ada_equals_finite_differences():
    critic, change = smooth_critic(), at(0.8)

    def logits(x):
        torch.manual_seed(7)
        return critic(change(x))

    x = torch.randn(4, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(logits(x).sum(), x, create_graph=True)
    r1 = gradient.square().flatten(1).sum(1).mean()
    steps = 1e-5 * torch.eye(48, dtype=torch.float64).view(48, 1, 3, 4, 4)
    with torch.no_grad():
        by_hand = torch.stack([(logits(x + step) - logits(x - step)) / 2e-5 for step in steps])
    assert r1.item() == pytest.approx(by_hand.square().sum(0).mean().item(), rel=1e-6)
    assert r1 > 0.01
    (second,) = torch.autograd.grad(r1, x)
    assert second.isfinite().all()
    assert second.abs().max() > 1e-3


def test_mixed_precision_changes_nothing():
    x, change = torch.randn(8, 3, 8, 8), at(0.8)
    torch.manual_seed(2)
    plain = change(x)
    torch.manual_seed(2)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(change(x), plain)


# ---------------------------------------------------------------------------------------------- how p moves


def after(part, *signals, batch=64, memory=None, clock=0):
    """Memory after turns in which this share of real logits was positive."""
    memory = remembered(part) if memory is None else memory
    for signal in signals:
        positive = round(signal * batch)
        real = torch.cat([torch.full((positive,), 0.1), torch.full((batch - positive,), -7.0)])
        part.adapt(turn(real, batch=batch, clock=clock), memory)
    return memory


def turn(real, fake=None, batch=None, clock=0):
    """End of a turn with these logits."""
    return Outcome(real, torch.zeros_like(real) if fake is None else fake, batch or len(real), clock)


def test_four_batches_of_64_move_p_by_the_papers_step():
    part = ADA()
    assert float(after(part, 1, 1, 1)["p"]) == 0
    assert float(after(part, 1, 1, 1, 1)["p"]) == pytest.approx(5.12e-4, rel=1e-6)
    assert float(after(part, *[1] * 7)["p"]) == pytest.approx(5.12e-4, rel=1e-6)
    assert float(after(part, *[1] * 8)["p"]) == pytest.approx(2 * 5.12e-4, rel=1e-6)
    assert float(after(part.replace(p=0.5), *[0.5] * 4)["p"]) == pytest.approx(0.5 - 5.12e-4, abs=1e-7)
    assert float(after(part.replace(interval=2, speed=1000), 1, 1, batch=10)["p"]) == pytest.approx(0.02, rel=1e-6)


def test_the_signs_and_the_batch_are_those_of_all_ranks():
    for other, direction in ((64, 1), (0, -1)):  # signs of the other rank; r is 1, or 0.5
        memory = Memory(ADA(p=0.5).memory(), Two(*[other] * 4))
        after(ADA(speed=10_000), *[1] * 4, memory=memory)
        assert float(memory["p"]) == pytest.approx(0.5 + direction * 2 * 64 * 4 / 10_000)


def test_p_rises_from_0_to_1_in_exactly_the_images_of_its_speed():
    part = ADA(speed=25_600)
    memory = after(part, *[1] * 399)
    assert float(memory["p"]) == pytest.approx(0.99, abs=1e-5)
    assert float(after(part, 1, memory=memory)["p"]) == pytest.approx(1, abs=1e-5)
    assert float(after(part, *[1] * 4, memory=memory)["p"]) == pytest.approx(1.01, abs=1e-5)  # it goes on


def test_the_signs_of_all_batches_since_the_last_adjustment_count():
    start = ADA(p=0.5, speed=1000)
    step = 64 * 4 / 1000
    assert float(after(start, 1, 1, 1, 0.25)["p"]) == pytest.approx(0.5 + step)  # r = (1 + 1 + 1 - 0.5) / 4 = 0.625
    assert float(after(start, 1, 1, 1, 0.125)["p"]) == pytest.approx(0.5 - step)  # r = 0.5625
    assert float(after(start, 0.125, 1, 1, 1)["p"]) == pytest.approx(0.5 - step)
    assert float(after(start, 0, 0, 0, 0, 1, 1, 1, 1)["p"]) == pytest.approx(0.5)  # the first four are forgotten
    assert float(after(start.replace(target=0.5), *[0.75] * 4)["p"]) == 0.5  # right on the target
    assert float(after(start.replace(target=-0.5), *[0.5] * 4)["p"]) == pytest.approx(0.5 + step)


def test_p_never_falls_below_zero():
    assert float(after(ADA(), *[0] * 4)["p"]) == 0
    assert float(after(ADA(p=0.1, speed=1000), *[0] * 4)["p"]) == 0
    assert float(after(ADA(p=0.1, speed=1000), *[0] * 4, *[1] * 4)["p"]) == pytest.approx(0.256)


def test_the_size_of_logits_does_not_count_and_zero_is_neither():
    part = ADA(interval=1, speed=100, p=0.5, target=0.1)
    memory = remembered(part)
    part.adapt(turn(torch.tensor([1e-9, 0.0, 0.0, -1e9])), memory)
    assert float(memory["p"]) == pytest.approx(0.46)
    part.adapt(turn(torch.tensor([1e-9, 1e-9, 0.0, -1e9])), memory)
    assert float(memory["p"]) == pytest.approx(0.50)


def test_patch_maps_and_packs_count_logits_for_the_sign_and_images_for_the_step():
    part = ADA(interval=1, speed=100, target=0.2)
    memory = remembered(part)
    patches = -torch.ones(4, 1, 3, 3)
    patches.view(-1)[:22] = 1  # 22 of 36: r = 0.22; of the four means three are positive
    part.adapt(turn(patches, batch=4), memory)
    assert float(memory["p"]) == pytest.approx(0.04)
    part.adapt(turn(torch.ones(2), batch=8), memory)
    assert float(memory["p"]) == pytest.approx(0.12)


def test_pairs_compare_real_with_fake():
    real, fake = torch.tensor([5.0, 5.0, 5.0, 5.0]), torch.tensor([4.0, 4.0, 4.0, 6.0])
    for signal, direction in (("real", 1), ("pairs", -1)):
        part = ADA(interval=1, speed=100, p=0.5, signal=signal)  # r is 1, or 0.5
        memory = remembered(part)
        part.adapt(turn(real, fake), memory)
        assert float(memory["p"]) == pytest.approx(0.5 + 0.04 * direction)
        part.adapt(turn(real - 100, fake - 102), memory)  # r is -1, or 1
        assert float(memory["p"]) == pytest.approx(0.5)


def test_fixed_stays():
    part = ADA(control="fixed", p=0.3)
    before, memory = remembered(part), remembered(part)
    after(part, *[1] * 12, memory=memory)
    assert {name: float(value) for name, value in memory.items()} == {n: float(v) for n, v in before.items()}
    assert float(memory["p"]) == pytest.approx(0.3)


@pytest.mark.parametrize(("shape", "quarter"), [("linear", 0.25), ("cosine", (1 - math.sqrt(0.5)) / 2)])
def test_a_ramp_follows_the_clock(shape, quarter):
    part = ADA(control="ramp", p=0.6, until=1000, shape=shape)
    memory = remembered(part)
    assert float(memory["p"]) == 0
    for images, share in ((0, 0), (250, quarter), (500, 0.5), (750, 1 - quarter), (1000, 1), (9000, 1)):
        after(part, 0, memory=memory, clock=images)
        assert float(memory["p"]) == pytest.approx(0.6 * share, abs=1e-6)


def test_what_is_remembered_moves_on_exactly():
    part = ADA(speed=1000)
    signals = [1, 0.9, 0.7, 0.2, 1, 1, 1, 0.9, 0.9, 0.3, 0.8]
    whole = after(part, *signals)
    for stop in range(len(signals)):
        saved = Memory({name: value.clone() for name, value in after(part, *signals[:stop]).items()})
        again = after(part, *signals[stop:], memory=saved)
        assert all(torch.equal(again[name], whole[name]) for name in whole)
    assert set(whole) == {"p", "signs", "count", "batches"}
    assert int(whole["batches"]) == 3
    assert int(whole["count"]) == 3 * 64


@pytest.mark.parametrize("fields", ["", "signal=pairs", "control=ramp,p=0.5", "control=fixed,p=0.2", "cutout=0.5"])
def test_neither_images_nor_p_wait_for_a_device(fields, monkeypatch):
    """Tensors without values show it: whatever looks at a value fails."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # does not know the meta device
    part = parse("augmentation", f"ada:{fields}")
    memory = Memory({name: value.to("meta") for name, value in part.memory().items()})
    logits = torch.zeros(4, device="meta")
    part.adapt(turn(logits), memory)
    assert part(torch.zeros(4, 3, 8, 8, device="meta"), memory).shape == (4, 3, 8, 8)


def test_gradients_of_logits_are_let_go():
    part = ADA(interval=1)
    memory = remembered(part)
    part.adapt(turn(torch.ones(4, requires_grad=True) * 2), memory)
    assert not memory["p"].requires_grad


# ---------------------------------------------------------------------------------------------- as a part


def test_needs_and_clashes_follow_the_fields():
    assert set(ADA().needs) == {"images", "zero-level"}
    assert "ada:signal=pairs" in ADA().needs["zero-level"]
    assert set(ADA(signal="pairs").needs) == {"images"}
    assert set(ADA().clashes) == set(ADA(signal="pairs").clashes) == {"autoencoder"}
    for part in (ADA(control="fixed", p=0.2), ADA(control="ramp", p=0.55)):
        assert set(part.needs) == {"images"}
        assert part.clashes == {}
        assert str(part.replace(control="adaptive").p) in str(part)
    for text in ("ada:signal=pairs", "ada:control=fixed,p=0.2", "ada:control=ramp,p=0.55"):
        assert text in ADA().needs["zero-level"]
        parse("augmentation", text)


def test_text_and_faults():
    part = parse("augmentation", "ada:pipeline=bg,control=ramp,p=0.55,until=2M,speed=100k,target=-0.2")
    assert part == ADA("bg", "ramp", p=0.55, until=2_000_000, speed=100_000, target=-0.2)
    assert parse("augmentation", str(part)) == part
    assert part.where == "both"
    for text, fault in (
        ("pipeline=gb", "pipeline: 'gb' is not allowed"),
        ("p=1.5", "p: 1.5 must be at least 0 and at most 1"),
        ("speed=0", "speed: 0 must be at least 1"),
        ("until=0", "until: 0 must be at least 1"),
        ("interval=0", "interval: 0 must be at least 1"),
        ("target=2", "target: 2.0 must be at least -1 and at most 1"),
        ("cutout=-1", "cutout: -1.0 must be at least 0 and at most 1"),
    ):
        with pytest.raises(RecipeError) as raised:
            parse("augmentation", f"ada:{text}")
        assert fault in str(raised.value)
