"""The meter: what waits for a report, what is finite of it, and how exactly it is summed."""

import math

import pytest
import torch

from zerosum.core.meter import Meter, NotFiniteError, not_finite, precise


def test_a_value_waits_until_the_report_takes_it():
    meter = Meter()
    meter.watch(step=torch.tensor(2.0))
    assert meter.knows("step")
    assert not meter.knows("gradient")
    assert meter.take("report") == {"step": 2.0}
    assert not meter.knows("step")


def test_finite_means_stay_and_the_others_are_left_out():
    meter = Meter()
    for value in (1.0, 4.0):
        meter.watch(step=torch.tensor(value), logit=torch.tensor(math.inf))
    meter.note("generator", torch.tensor(3.0), {"adversarial": torch.tensor(3.0)})
    expected = {"step": 2.5, "generator.adversarial": 3.0}
    assert meter.finite() == expected
    assert meter.finite() == expected
    with pytest.raises(NotFiniteError, match="logit inf"):
        meter.take("report")


def test_sums_are_in_float64_where_the_device_has_it():
    assert precise(torch.device("cpu")) is torch.float64
    assert precise(torch.device("mps")) is torch.float32


@pytest.mark.parametrize(("total", "what"), [(math.nan, "loss"), (2.0, "gradient")])
def test_what_is_not_finite_is_named_with_all_numbers(total, what):
    losses = {"adversarial": torch.tensor(total), "r1": torch.tensor(0.5)}
    error = not_finite("discriminator-2", 1200, losses, torch.tensor(total), torch.tensor(math.inf))
    assert str(error) == (
        f"the {what} of the discriminator-2 is not finite after 1,200 samples (adversarial {total:g}, r1 0.5, gradient "
        "inf); its weights were not changed. Lower discriminator.lr, or add a regularizer such as r1"
    )
