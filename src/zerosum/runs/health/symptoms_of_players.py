"""What can go wrong with the numbers and between the players, by name.

Limits are measured: `benchmarks/health.py` has the trainings that each must find, and those that none may.
"""

from __future__ import annotations

from zerosum.runs.health.advice import bounds, inward, offer, penalty, reconstructs, slower, swings, weighed
from zerosum.runs.health.history import WINDOW, History
from zerosum.runs.health.symptom import Seen, symptom

LARGEST_STEP, USUAL_STEP, SMALLEST_STEP = 0.12, 0.01, 1e-7  # change of a player's weights by one update, of their size
EXPLODED, VANISHED = 100.0, 1e-3  # gradient norm, of that at the start; of its peak
LOST, WON, LEFT = 0.25, 0.99, 0.02  # share of right verdicts; share of the loss at chance that is left
FLAT, CHANCE = 0.02, 0.1  # spread of logits over samples, of its peak; of right verdicts, from a half to either side
SWING, SWINGS, SWINGS_OVER = 0.3, 4, 8  # of right verdicts from report to report; how many, in how many reports


# ---------------------------------------------------------------------- numbers


@symptom("not-finite", "error", "a number overflowed or became NaN, mostly because the updates are too large")
def not_finite(history: History) -> Seen:
    """A loss, gradient or weight was not finite."""
    events = [line for line in history.reports if "not_finite" in line]
    if not events:
        return None
    times = f" ({len(events)} times)" if len(events) > 1 else ""
    return events[-1]["not_finite"].partition(". ")[0] + times, offer(
        history, slower(history, 10), *penalty(history), "on_nan=rollback"
    )


@symptom(
    "learning-rate-too-high", "warning", "the weights are thrown about, and what the start gave them is lost at once"
)
def learning_rate(history: History) -> Seen:
    """One update replaced a good part of the weights."""
    seen, options = [], []
    for player in ("generator", "discriminator"):
        images, step = max(history.all(f"{player}_step"), key=lambda one: one[1], default=(0, 0.0))
        if step > LARGEST_STEP:
            seen.append(f"one update moved the {player}'s weights by {step:.0%} of their size, at {images:,} images")
            options.append(slower(history, step / USUAL_STEP, (player,)))
    return ("; ".join(seen), offer(history, " ".join(options))) if seen else None


@symptom("exploding-gradients", "error", "the players drive each other out of bounds", WINDOW)
def exploding(history: History) -> Seen:
    """Gradients of both players many times larger than at the start (a generator alone may begin with almost none)."""
    players = "generator", "discriminator"
    begun = max(history.first(f"{player}_gradient") or 0 for player in players)
    for player in players:
        now = history.recent(f"{player}_gradient")
        if begun and now and min(now) > EXPLODED * begun:
            times = now[-1] / begun
            seen = f"the {player}'s gradient has norm {now[-1]:.3g}, {times:,.0f} times the largest of the start"
            return seen, offer(history, *penalty(history), slower(history, 4))
    return None


@symptom("vanishing-gradients", "error", "the generator learns nothing any more", WINDOW)
def vanishing(history: History) -> Seen:
    """A generator's gradient that has almost vanished."""
    peak = max((value for _, value in history.all("generator_gradient")), default=0.0)
    now = history.recent("generator_gradient")
    if not now or max(now) >= VANISHED * peak:
        return None
    seen = f"the generator's gradient has norm {now[-1]:.3g}, it was {peak:.3g}"
    objectives = "objective=non-saturating", "objective=hinge"
    return seen, offer(history, *inward(history), *objectives, *penalty(history), slower(history, 10))


# ---------------------------------------------------------------------- the players


def _rest(history: History, player: str) -> list[float]:
    """The last steps of a player that does not move although it has a gradient; nothing of one that moves."""
    steps, now = history.last(f"{player}_step", 2), history.last(f"{player}_gradient", 1)
    peak = max((value for _, value in history.all(f"{player}_gradient")), default=0.0)
    still = bool(steps) and max(steps) < SMALLEST_STEP
    return steps if still and (not now or now[0] >= VANISHED * peak) else []


@symptom("generator-frozen", "error", "the generator does not change, so its samples cannot get better")
def generator_frozen(history: History) -> Seen:
    """Updates that leave the generator's weights where they are."""
    steps = _rest(history, "generator")
    if not steps:
        return None
    rate = history.rate("generator")
    return f"its updates move its weights by {steps[-1]:.1g} of their size (lr={rate})", offer(
        history, "generator.lr=2e-4"
    )


@symptom(
    "discriminator-loses",
    "error",
    "the discriminator is too weak or does not learn, so it teaches the generator nothing",
    WINDOW,
)
def discriminator_loses(history: History) -> Seen:
    """A discriminator that does not move, or takes fakes for real more often than real samples."""
    steps = _rest(history, "discriminator")
    if steps:
        rate = history.rate("discriminator")
        seen = f"the discriminator's updates move its weights by {steps[-1]:.1g} of their size (lr={rate})"
        return seen, offer(history, "discriminator.lr=2e-4")
    right = history.recent("pairwise_accuracy")
    if not right or max(right) > LOST or reconstructs(history.recipe.game):
        return None
    seen = f"it ranks a real sample above a fake in {right[-1]:.0%} of pairs; chance is 50%"
    updates = getattr(history.recipe.game, "discriminator_updates", 1)
    calmer = slower(history, 4, ("generator",))
    return seen, offer(history, *weighed(history, 0.1), f"discriminator_updates={updates + 1}", calmer)


@symptom(
    "discriminator-wins",
    "warning",
    "the discriminator has nothing left to learn, and the generator no way to gain on it",
    WINDOW,
)
def discriminator_wins(history: History) -> Seen:
    """A discriminator that is always right, at a loss that cannot fall further."""
    right, losses, span = (
        history.recent("pairwise_accuracy"),
        history.recent("discriminator.adversarial"),
        bounds(history.recipe.game),
    )
    if not right or not losses or span is None:
        return None
    left = [max(0.0, loss - span[0]) / (span[1] - span[0]) for loss in losses]
    if min(right) < WON or max(left) > LEFT:
        return None
    seen = f"it ranks real above fake in {right[-1]:.1%} of pairs, and {left[-1]:.1%} of its loss at chance is left"
    return seen, offer(history, *penalty(history), slower(history, 4, ("discriminator",)))


@symptom(
    "discriminator-collapse",
    "error",
    "the discriminator says the same of every sample, as where its last units died, so it teaches nothing",
    WINDOW,
)
def discriminator_collapse(history: History) -> Seen:
    """Verdicts at chance level, from logits that hardly differ between samples any more.

    On points a game can end: then the logits of a good generator's opponent are even, too.
    """
    if history.on_points:
        return None
    spreads, right = history.recent("real_spread"), history.recent("pairwise_accuracy")
    peak = max((value for _, value in history.all("real_spread")), default=0.0)
    if not spreads or not right or max(spreads) > FLAT * peak:
        return None
    if max(abs(share - 0.5) for share in right) > CHANCE:
        return None
    seen = (
        f"logits of real samples spread by {spreads[-1]:.2g}, it was {peak:.2g}, and {right[-1]:.0%} of pairs are right"
    )
    calmer = slower(history, 2, ("generator",))
    falling = "generator.schedule=linear discriminator.schedule=linear"
    return seen, offer(history, f"{calmer} {falling}", calmer, *penalty(history), "the checkpoint `best`")


@symptom("oscillation", "warning", "the players chase each other in circles, and neither gains")
def oscillation(history: History) -> Seen:
    """Verdicts that swing from one end to the other, again and again."""
    right = history.last("pairwise_accuracy", SWINGS_OVER)
    turns = [here for here in swings(right) if here >= SWING]
    if len(turns) < SWINGS:
        return None
    seen = f"the share of right verdicts swung by {min(turns):.0%} or more {len(turns)} times in {len(right)} reports"
    return seen, offer(history, *penalty(history), slower(history, 2))
