"""Optimizers by the size of their steps, schedules at exact points."""

import dataclasses
import itertools
import math

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from zerosum import optimizers
from zerosum.core.errors import RecipeError
from zerosum.core.registry import parse, registered
from zerosum.optimizers import SGD, Adam, AdamW, Constant, Cosine, Halving, LateLinear, Linear, RMSprop

every_optimizer = pytest.mark.parametrize(
    "part", [cls() for cls in registered("optimizer").values()], ids=lambda part: part.name
)
every_schedule = pytest.mark.parametrize("cls", list(registered("schedule").values()), ids=lambda cls: cls.name)


def step(part, gradient, start=1.0):
    weight = nn.Parameter(torch.full((3,), float(start)))
    weight.grad = torch.full((3,), float(gradient))
    part.build([weight]).step()
    return (weight - start).mean().item()


def test_exports_are_the_registered_parts():
    parts = [*registered("optimizer").values(), *registered("schedule").values()]
    assert set(optimizers.__all__) == {cls.__name__ for cls in parts if cls.__module__.startswith("zerosum.")}


@pytest.mark.parametrize("gradient", [1e-3, 50.0, -50.0])
def test_sizes_of_first_steps(gradient):
    sign = math.copysign(1, gradient)
    assert step(Adam(lr=2e-4), gradient, start=0) == pytest.approx(-2e-4 * sign, rel=1e-4)
    assert step(RMSprop(lr=5e-5), gradient, start=0) == pytest.approx(-5e-4 * sign, rel=1e-3)
    assert step(SGD(lr=1e-2), gradient, start=0) == pytest.approx(-1e-2 * gradient, rel=1e-5)
    assert step(AdamW(lr=2e-4, weight_decay=0), gradient, start=0) == pytest.approx(-2e-4 * sign, rel=1e-4)


def test_weight_decay_shrinks_weights_apart_from_the_gradient():
    assert step(AdamW(lr=1e-2, weight_decay=0.5), 0.0, start=2.0) == pytest.approx(-1e-2 * 0.5 * 2, rel=1e-4)
    assert step(Adam(lr=1e-2), 0.0, start=2.0) == 0


def test_fields_reach_the_optimizer():
    weight = [nn.Parameter(torch.zeros(2))]
    assert (
        Adam(1e-3, 0, 0.99, 1e-6).build(weight).defaults.items()
        >= {"lr": 1e-3, "betas": (0.0, 0.99), "eps": 1e-6}.items()
    )
    assert AdamW(beta1=0.5).build(weight).defaults.items() >= {"betas": (0.5, 0.999), "weight_decay": 0.01}.items()
    rmsprop = RMSprop(1e-3, 0.9, 1e-6, 0.3).build(weight).defaults
    assert rmsprop.items() >= {"lr": 1e-3, "alpha": 0.9, "eps": 1e-6, "momentum": 0.3}.items()
    assert (
        SGD(momentum=0.9).build(weight).defaults.items()
        >= {"momentum": 0.9, "nesterov": False, "weight_decay": 0}.items()
    )
    assert all(type(beta) is float for beta in Adam(beta1=0).build(weight).defaults["betas"])


def trajectory(part, build, steps=20):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 1))
    optimizer = build(part, list(net.parameters()))
    x = torch.randn(16, 5)
    for _ in range(steps):
        optimizer.zero_grad()
        (net(x).squeeze(1) - x[:, 0]).square().mean().backward()
        optimizer.step()
    return nn.utils.parameters_to_vector(net.parameters())


@every_optimizer
def test_the_fast_kernel_follows_the_plain_one(part):
    field_names = {field.name for field in dataclasses.fields(part)}

    def plain(part, params):
        fast = part.build(params)
        settings = {key: value for key, value in fast.defaults.items() if key in field_names or key == "betas"}
        return type(fast)(params, **settings, foreach=False)

    part = part.replace(lr=1e-2)
    fast = trajectory(part, lambda part, params: part.build(params))
    torch.testing.assert_close(fast, trajectory(part, plain), rtol=1e-4, atol=1e-6)
    assert (fast - trajectory(part, lambda part, params: part.build(params), steps=0)).abs().max() > 1e-2


@every_optimizer
def test_the_fastest_kernel_is_chosen(part):
    defaults = part.build([nn.Parameter(torch.zeros(2))]).defaults
    assert defaults.get("fused") is (True if part.name != "rmsprop" else None)
    assert part.build([nn.Parameter(torch.zeros(2, device="meta"))]).defaults["foreach"] is True
    assert parse("optimizer", str(part)) == part


@every_optimizer
def test_state_round_trips_exactly(part):
    def resumed(part, params):
        optimizer = part.build(params)
        for p in params:
            p.grad = torch.ones_like(p)
        before = [p.detach().clone() for p in params]
        optimizer.step()
        again = part.build(params)
        again.load_state_dict(optimizer.state_dict())
        with torch.no_grad():
            for p, value in zip(params, before, strict=True):
                p.copy_(value)
        return again

    def kept(part, params):
        optimizer = part.build(params)
        before = [p.detach().clone() for p in params]
        for p in params:
            p.grad = torch.ones_like(p)
        optimizer.step()
        with torch.no_grad():
            for p, value in zip(params, before, strict=True):
                p.copy_(value)
        return optimizer

    assert torch.equal(trajectory(part, resumed), trajectory(part, kept))


@pytest.mark.parametrize(("text", "message"), [
    ("adam:lr=0", "lr: 0.0 must be above 0"),
    ("adam:beta1=1", "beta1: 1.0 must be at least 0 and at most 0.999999"),
    ("rmsprop:alpha=1", "alpha: 1.0 must be at least 0"),
    ("sgd:nesterov=true", "has no field 'nesterov'"),
    ("adamw:weight_decay=-1", "weight_decay: -1.0 must be at least 0"),
])  # fmt: skip
def test_settings_outside_their_range_are_refused(text, message):
    with pytest.raises(RecipeError, match=message):
        parse("optimizer", text)


@every_schedule
def test_schedules_warm_up_in_a_straight_line(cls):
    schedule, cold = cls(warmup=1000), cls()
    for images in (0, 1, 250, 999, 1000, 5000):
        expected = min(1, images / 1000) * cold.factor(images, 10_000)
        assert schedule.factor(images, 10_000) == pytest.approx(expected, rel=1e-12)
    assert parse("schedule", str(schedule)) == schedule
    assert cold.factor(0, 10_000) == 1


def test_a_late_fall_takes_what_is_left_of_the_run():
    schedule = LateLinear(hold=0.75, final=0.2)
    assert [schedule.factor(at, 1000) for at in (0, 750, 1000, 2000)] == pytest.approx([1, 1, 0.2, 0.2], abs=1e-12)
    assert schedule.factor(875, 1000) == pytest.approx(0.6, abs=1e-12)
    assert LateLinear().factor(75, 100) == 0.5
    with pytest.raises(RecipeError, match="ends with the run, and this one has no length"):
        schedule.factor(0, None)
    with pytest.raises(RecipeError, match="hold=1 leaves nothing to fall in"):
        LateLinear(hold=1)


@pytest.mark.parametrize("cls", [Linear, Cosine])
def test_schedules_fall_from_start_to_end_and_hold(cls):
    schedule = cls(start=2000, end=6000, final=0.1)
    values = [schedule.factor(images, 10_000) for images in range(0, 10_001, 100)]
    assert values[:21] == [1.0] * 21
    assert values[60:] == [pytest.approx(0.1, abs=1e-12)] * 41
    assert all(before > after for before, after in itertools.pairwise(values[20:61]))
    assert schedule.factor(4000, 10_000) == pytest.approx(0.55, abs=1e-12)
    assert schedule.factor(4000, None) == schedule.factor(4000, 77)  # its own end decides


@pytest.mark.parametrize("cls", [Linear, Cosine])
def test_a_decay_whose_end_is_only_guessed_waits_for_its_start(cls):
    schedule = cls(start=1000)
    assert schedule.factor(500, 800.0) == 1  # a slow beginning: the end seems to come before the start
    assert schedule.factor(1500, 2000.0) == cls().factor(500, 1000)


def test_schedules_at_exact_points():
    assert Linear().factor(2500, 10_000) == 0.75
    assert Cosine().factor(2500, 10_000) == pytest.approx((1 + math.sqrt(0.5)) / 2, rel=1e-12)
    assert Linear().factor(10_000, 10_000) == 0
    assert Cosine(final=0.25).factor(10_000, 10_000) == 0.25
    assert Linear(final=0.1).factor(10_000, 10_000) == 0.1
    assert Constant().factor(10**9, None) == 1


def test_halving_is_a_staircase_that_ends():
    schedule = Halving(every=1000, final=0.2, warmup=100)
    images = (50, 100, 999, 1000, 1999, 2000, 2999, 3000, 10**9)
    assert [schedule.factor(at, None) for at in images] == [0.5, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.2, 0.2]
    with pytest.raises(RecipeError, match="every=0 would halve for ever; set every=1600k, or schedule=constant"):
        Halving(every=0)
    assert parse("schedule", str(schedule)) == schedule


@pytest.mark.parametrize("cls", [Linear, Cosine])
def test_schedules_say_what_is_wrong(cls):
    with pytest.raises(
        RecipeError, match=f"schedule '{cls.name}': end=0 means the length of the run.*set {cls.name}:end=200k"
    ):
        cls().factor(0, None)
    with pytest.raises(RecipeError, match="start=50k is not before the end at 20k images; lower start"):
        cls(start=50_000).check(20_000)
    with pytest.raises(RecipeError, match="start=3k is not before the end at 3k images"):
        cls(start=3000, end=3000)
    for total in (None, 50_001):
        cls(start=50_000).check(total)


AHEAD = (
    Adam(beta1=0.5, beta2=0.9, eps=1e-3),
    Adam(beta1=0.0),
    AdamW(beta1=0.8, weight_decay=0.5),
    RMSprop(alpha=0.9, eps=1e-3),
    RMSprop(alpha=0.8, momentum=0.7),
    SGD(),
    SGD(momentum=0.9),
)
every_step_ahead = pytest.mark.parametrize("part", AHEAD, ids=str)


def gradients(steps, kind):
    """Gradients of very different sizes and both signs; one weight never has any."""
    drawn = torch.randn(steps, 6, generator=torch.Generator().manual_seed(1), dtype=kind)
    return drawn * torch.tensor([1e-4, 1e-2, 1, 30, -5, 0], dtype=kind)


@every_step_ahead
@pytest.mark.parametrize("warm", [0, 3])
@pytest.mark.parametrize(("kind", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_steps_ahead_are_those_of_the_optimizer(part, warm, kind, tolerance):
    weight = nn.Parameter(torch.linspace(-2, 3, 6, dtype=kind))
    optimizer = part.build([weight])
    optimizer.param_groups[0]["lr"] = 0.05  # a schedule's, not the part's
    coming = gradients(warm + 5, kind)
    for gradient in coming[:warm]:
        weight.grad = gradient.clone()
        optimizer.step()
    ahead, moments = weight.detach().clone(), {key: one.clone() for key, one in optimizer.state.get(weight, {}).items()}
    for gradient in coming[warm:]:
        given, kept = ahead.clone(), {key: one.clone() for key, one in moments.items()}
        after, found = part.ahead(ahead, gradient, moments, 0.05)
        assert torch.equal(ahead, given)  # nothing in place
        assert all(torch.equal(one, kept[key]) for key, one in moments.items())
        ahead, moments = after, found
        weight.grad = gradient.clone()
        optimizer.step()
        torch.testing.assert_close(ahead, weight.detach(), rtol=tolerance, atol=tolerance)
    remembered = {key: one for key, one in optimizer.state.get(weight, {}).items() if torch.is_tensor(one)}
    for key in remembered.keys() & moments.keys():
        torch.testing.assert_close(moments[key], remembered[key], rtol=10 * tolerance, atol=tolerance)
    assert remembered.keys() - moments.keys() <= {"step"}  # where the formula does not depend on it


@every_step_ahead
def test_gradients_flow_through_steps_ahead(part):
    def steps(weight, *coming):
        moments = {}
        for gradient in coming:
            weight, moments = part.ahead(weight, gradient, moments, 0.05)
        return weight

    weight = torch.tensor([0.3, -2.0, 1.5], dtype=torch.float64, requires_grad=True)
    coming = [torch.tensor(one, dtype=torch.float64, requires_grad=True) for one in ([0.2, -3, 1], [1, 0.5, -2])]
    assert torch.autograd.gradcheck(steps, (weight, *coming))


@every_step_ahead
def test_a_weight_without_gradient_stays_and_makes_no_nan(part):
    weight, gradient = torch.tensor([1.0, -2.0], requires_grad=True), torch.zeros(2, requires_grad=True)
    moved, moments = part.ahead(weight, gradient, {}, 0.05)
    moved, _ = part.ahead(moved, gradient, moments, 0.05)
    shrunk = (1 - 0.05 * getattr(part, "weight_decay", 0)) ** 2
    torch.testing.assert_close(moved, weight * shrunk)
    found = torch.autograd.grad(moved.sum(), (weight, gradient))
    assert all(one.isfinite().all() for one in found)


@pytest.mark.parametrize("part", [Adam(), AdamW(weight_decay=0.1)])
def test_weights_in_channels_last_reach_the_kernel_as_they_lie_in_memory(part):
    torch.manual_seed(0)
    shapes = [(32, 16, 3, 3), (16, 3, 17, 17), (8, 4, 3, 3), (64, 80)]
    first = [torch.randn(shape) for shape in shapes]
    weights = [[nn.Parameter(in_channels_last(one)) for one in first] for _ in range(2)]
    betas, decay = (part.beta1, part.beta2), {"weight_decay": 0.1} if part.name == "adamw" else {}
    plain = getattr(torch.optim, type(part).__name__)(weights[1], lr=part.lr, betas=betas, fused=True, **decay)
    own, seen = part.build(weights[0]), Seen()
    for _ in range(3):
        gradients = [in_channels_last(torch.randn(shape)) for shape in shapes]
        for side in weights:
            for weight, gradient in zip(side, gradients, strict=True):
                weight.grad = gradient.clone(memory_format=torch.preserve_format)
        plain.step()
        with seen:
            own.step()
    assert all(torch.equal(*both) for both in zip(*weights, strict=True))
    assert all(weight.shape == shape for weight, shape in zip(weights[0], shapes, strict=True))
    assert seen.contiguous == [[True, True, False, True]] * 12  # the third is small; four lists, three steps
    moments = [own.state[weight]["exp_avg"] for weight in weights[0]]
    assert all(torch.equal(own_one, plain.state[w]["exp_avg"]) for own_one, w in zip(moments, weights[1], strict=True))


def in_channels_last(x):
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x


class Seen(TorchDispatchMode):
    """Notes which tensors a fused kernel is given contiguous, list by list."""

    def __init__(self):
        super().__init__()
        self.contiguous = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if "_fused_adam" in str(function):
            self.contiguous += [[x.is_contiguous() for x in tensors] for tensors in args[:4]]
        return function(*args, **kwargs or {})
