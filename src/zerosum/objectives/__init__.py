"""Adversarial losses: what the two players minimise, as formulas on logits.

A logit is any real number; higher looks more real. Logits are `[N]`, or patch maps `[N, 1, h, w]`: every loss is the
mean over all of them, in float32, and a discriminator's loss is the sum (not half the sum) of its two means.
Below s_r is a real logit, s_f a fake one, sp the softplus. Each objective has

    discriminator(real, fake) -> []     what the discriminator minimises
    generator(fake, real=None) -> []    what the generator minimises; only an objective with `pairs` looks at `real`
    reward(logit) -> logit's shape      pay of each sample for a policy; rises with the logit

and traits: "zero-level" where the sign of a logit says real or fake, "reconstruction" where logits are minus the
errors of an auto-encoder. An objective that remembers (BEGAN's k) takes its `memory` in the losses that look at it
and moves it in `adapt(outcome, memory)` at the end of a turn.
"""

from zerosum.objectives.began import BEGAN
from zerosum.objectives.ebgan import EBGAN
from zerosum.objectives.hinge import Hinge
from zerosum.objectives.least_squares import LeastSquares
from zerosum.objectives.minimax import Minimax
from zerosum.objectives.non_saturating import NonSaturating
from zerosum.objectives.relativistic import Relativistic
from zerosum.objectives.relativistic_average import RelativisticAverage
from zerosum.objectives.reverse_kl import ReverseKL
from zerosum.objectives.wasserstein import Wasserstein

__all__ = [
    "BEGAN",
    "EBGAN",
    "Hinge",
    "LeastSquares",
    "Minimax",
    "NonSaturating",
    "Relativistic",
    "RelativisticAverage",
    "ReverseKL",
    "Wasserstein",
]
