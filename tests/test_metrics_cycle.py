"""What comes back of a translation, and whether it lay hidden in it."""

import pytest
import torch

from zerosum.metrics import cycle_errors
from zerosum.metrics.evidence import Evidence, Samples
from zerosum.metrics.suite import CycleError
from zerosum.runs.evaluation.verdict import better


def images(seed=0, count=6, side=12):
    return torch.randint(0, 256, (count, side, side, 3), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)


def faint(x):
    """Almost grey everywhere; the images are still there, at a hundredth of their contrast."""
    return 128 + (x.float() - 128) / 100


def amplified(y):
    return (128 + (y.float() - 128) * 100).clamp(0, 255)


def negative(x):
    return 255 - x.float()


def samples(values):
    return Samples(values, None, torch.zeros(len(values), 0), None)


def judged(translated, back, given=None, **settings):
    """What the metric measures and warns of."""
    given = images() if given is None else given
    evidence = Evidence(samples(given), samples(translated), given=given, back=back)
    metric = CycleError(**settings)
    measures = metric(evidence)
    return {name: one.value for name, one in measures.items()}, metric.warns(evidence, measures)


def test_errors_are_means_of_differences_of_grey_levels():
    given = torch.zeros(2, 2, 2, 1)
    given[1] = 100
    translated = torch.full((2, 2, 2, 1), 30.0)
    found = cycle_errors(given, translated, lambda y: y + 20, noise=0)
    assert found.error.tolist() == found.noisy.tolist() == [50, 50]
    assert found.change.tolist() == [30, 70]
    assert found.constant.tolist() == [50, 50]
    assert found.hidden == 0  # nothing is known that noise could take away
    assert cycle_errors(given, translated.expand(2, 2, 2, 3), lambda y: y[..., :1]).change is None


def test_noise_takes_away_what_was_hidden_and_nothing_else():
    given = images()
    hiding = cycle_errors(given, faint(given), amplified)
    assert hiding.error.max() < 1e-3
    assert hiding.hidden > 0.9
    open_ = cycle_errors(given, negative(given), negative)
    assert open_.error.max() == 0
    assert open_.noisy.mean() == pytest.approx(4 * (2 / torch.pi) ** 0.5, rel=0.1)  # of |noise| of four grey levels
    assert open_.hidden < 0.01  # noise comes back as it went
    again = cycle_errors(given, faint(given), amplified)
    assert torch.equal(again.noisy, hiding.noisy)
    assert not torch.equal(cycle_errors(given, faint(given), amplified, seed=1).noisy, hiding.noisy)


def test_the_metric_says_what_an_error_is_worth():
    found, warning = judged(negative(images()).to(torch.uint8), negative)
    assert found["cycle-error"] == 0
    assert found["change"] == pytest.approx(float((255 - 2 * images().float()).abs().mean()))
    assert warning is None
    found, warning = judged(images(), lambda y: y)
    assert (found["cycle-error"], found["change"]) == (0, 0)
    assert warning == "the translation leaves images as they are, so that they come back means nothing"
    hidden = (128 + (images().float() - 128) / 10).round().to(torch.uint8)
    _, warning = judged(hidden, lambda y: (128 + (y.float() - 128) * 10).clamp(0, 255), noise=8.0)
    assert warning == "noise of 8 grey levels keeps images from coming back: their translations hide them"


def test_the_baseline_is_the_mean_image():
    given = images()
    evidence = Evidence(samples(given), samples(given[:4]), given=given, back=lambda y: y)
    expected = (given[:4].double() - given[:4].double().mean(0)).abs().mean()
    assert CycleError().trivial(evidence)["cycle-error"] == pytest.approx(float(expected))


def test_of_a_change_neither_end_is_better():
    line = {"metric": "change", "protocol": {"part": "cycle-error"}}
    assert better(line) == "neither end is better"
    assert better({**line, "floor": 3.0}) == "near its floor is better"


def test_what_the_metric_needs():
    real = samples(images())
    told = "a task that leads back; evaluate a translation between two sets, each into the other"
    assert CycleError().missing(Evidence(real, real)) == f"needs {told}"
    points = samples(torch.zeros(3, 2))
    assert CycleError().missing(Evidence(points, points, given=points.values, back=lambda y: y)) == "needs images"
