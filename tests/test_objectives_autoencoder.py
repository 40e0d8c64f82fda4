"""BEGAN and EBGAN: closed forms, BEGAN's feedback, and its balance in a small game."""

import pytest
import torch
from torch import nn

from tests.exchanges import Two, remembered
from tests.logits import gradient
from zerosum.core.errors import RecipeError
from zerosum.core.memory import Bound, Memory
from zerosum.critic import Outcome
from zerosum.objectives import BEGAN, EBGAN


def errors(real, fake):
    """End of a turn with these mean reconstruction errors, spread over samples."""
    spread = torch.tensor([0.5, 1.0, 1.5])
    return Outcome(-real * spread, -fake * spread, batch=3, clock=0)


def remembering(k=0.0):
    return remembered(BEGAN(), k=torch.tensor(k))


def test_memory_begins_at_zero():
    memory = BEGAN().memory()
    assert {name: (value.item(), value.shape, value.dtype) for name, value in memory.items()} == {
        "k": (0.0, (), torch.float32),
        "convergence": (0.0, (), torch.float32),
    }
    assert BEGAN.watched == ("k", "convergence")


@pytest.mark.parametrize(
    ("real", "fake", "before", "k", "convergence"),
    [
        (0.2, 0.1, 0.3, 0.3, 0.2),  # balanced: nothing moves
        (0.2, 0.3, 0.0, 0.0, 0.4),  # fakes too bad: k wants below 0
        (0.2, 0.3, 0.3, 0.28, 0.4),
        (0.2, 0.04, 0.3, 0.306, 0.26),  # fakes too good: k rises, the discriminator looks at them more
        (0.9, 0.0, 0.99, 1.0, 1.35),
    ],
)
def test_feedback_follows_the_balance(real, fake, before, k, convergence):
    memory = remembering(before)
    kept = memory["k"]
    BEGAN(gamma=0.5, gain=0.1).adapt(errors(real, fake), memory)
    assert memory["k"].item() == pytest.approx(k, abs=1e-6)
    assert memory["convergence"].item() == pytest.approx(convergence, abs=1e-6)
    assert memory["k"] is kept  # changed in place, so the checkpoint sees it


def test_feedback_follows_the_mean_errors_of_all_ranks():
    memory = Memory(remembering(0.3), Two(-0.3, -0.03))  # mean logits of the other rank
    BEGAN(gamma=0.5, gain=0.1).adapt(errors(0.1, 0.05), memory)
    assert memory["k"].item() == pytest.approx(0.306, abs=1e-6)  # as with errors of 0.2 and 0.04
    assert memory["convergence"].item() == pytest.approx(0.26, abs=1e-6)


def test_feedback_carries_no_gradient_and_is_float32():
    memory, outcome = remembering(0.5), errors(0.4, 0.1)
    real, fake = (logits.bfloat16().requires_grad_() for logits in (outcome.real, outcome.fake))
    BEGAN().adapt(Outcome(real, fake, batch=3, clock=0), memory)
    assert not memory["k"].requires_grad
    assert memory["k"].dtype == memory["convergence"].dtype == torch.float32


def test_without_feedback_the_discriminator_is_a_plain_auto_encoder():
    real, fake = torch.tensor([-0.3, -0.7], requires_grad=True), torch.tensor([-0.9, -0.1], requires_grad=True)
    loss = BEGAN().discriminator(real, fake, remembering())
    assert loss.item() == pytest.approx(0.5)
    assert gradient(loss, real).tolist() == [-0.5, -0.5]
    assert gradient(BEGAN().discriminator(real, fake, remembering()), fake).tolist() == [0, 0]
    assert gradient(BEGAN().discriminator(real, fake, remembering(0.4)), fake).tolist() == pytest.approx([0.2, 0.2])


def test_a_perfect_auto_encoder_leaves_nothing_to_lose():
    zero = torch.zeros(4)
    assert BEGAN().discriminator(zero, zero, remembering(0.7)) == 0
    assert BEGAN().generator(zero) == 0
    assert EBGAN(margin=0.6).discriminator(zero, zero).item() == pytest.approx(0.6)
    assert EBGAN().generator(zero) == 0


def play(objective, turns=450):
    """Ratios E L(y) / E L(x) over the last third of a game between two small networks on 4-D data."""
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Linear(4, 8), nn.ELU(), nn.Linear(8, 2), nn.Linear(2, 8), nn.ELU(), nn.Linear(8, 4))
    decoder = nn.Sequential(nn.Linear(2, 16), nn.ELU(), nn.Linear(16, 4))
    steps = [torch.optim.Adam(network.parameters(), lr=2e-3, betas=(0.5, 0.9)) for network in (encoder, decoder)]
    mixing = torch.randn(4, 4)
    real_errors, fake_errors, feedback = [], [], []
    memory = Memory(objective.memory())
    objective = Bound(objective, memory)

    def logits(x):
        return -(x - encoder(x)).abs().mean(1)

    for _ in range(turns):
        real, fake = torch.randn(32, 4) @ mixing, decoder(torch.rand(32, 2) * 2 - 1)
        outcome = Outcome(logits(real), logits(fake.detach()), batch=32, clock=0)
        losses = [lambda outcome=outcome: objective.discriminator(outcome.real, outcome.fake)]
        losses += [lambda fake=fake: objective.generator(logits(fake))]
        for step, loss in zip(steps, losses, strict=True):
            step.zero_grad()
            loss().backward()
            step.step()
        objective.adapt(outcome)
        real_errors.append(-outcome.real.mean().item())
        fake_errors.append(-outcome.fake.mean().item())
        feedback.append(memory["k"].item())
    last = turns // 3
    return sum(fake_errors[-last:]) / sum(real_errors[-last:]), feedback


@pytest.mark.parametrize("gamma", [0.5, 0.7])
def test_the_game_settles_at_the_diversity_ratio(gamma):
    ratio, feedback = play(BEGAN(gamma=gamma, gain=0.02))
    assert ratio == pytest.approx(gamma, rel=0.1)
    assert min(feedback) >= 0
    assert 0 < feedback[-1] < 1  # a feedback of the wrong sign ends at a bound


def test_the_margin_forgives_fakes_that_are_bad_enough():
    real, fake = torch.tensor([-0.1, -0.3]), torch.tensor([-0.2, -0.9], requires_grad=True)
    loss = EBGAN(margin=0.5).discriminator(real, fake)
    assert loss.item() == pytest.approx(0.2 + 0.3 / 2)  # the margin is of each sample, not of the mean
    assert gradient(loss, fake).tolist() == [0.5, 0]


def test_values_out_of_range_are_refused():
    with pytest.raises(RecipeError, match=r"objective 'began': gamma: 1\.5 must be at least 0 and at most 1"):
        BEGAN(gamma=1.5)
    with pytest.raises(RecipeError, match=r"objective 'ebgan': margin: 0\.0 must be above 0"):
        EBGAN(margin=0)
