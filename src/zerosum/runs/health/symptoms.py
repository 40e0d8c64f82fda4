"""What can go wrong, by name. A symptom looks at the history of a training and says what it sees, or nothing.

Limits are measured: `benchmarks/health.py` has the trainings that each must find, and those that none may.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from zerosum.metrics.suite.copies import CT_OF_COPIES
from zerosum.runs.health.advice import bounds, inward, offer, penalty, reconstructs, slower, swings, weighed
from zerosum.runs.health.history import WINDOW, History

Seen = tuple[str, str] | None  # what was seen, and what to try

LARGEST_STEP, USUAL_STEP, SMALLEST_STEP = 0.12, 0.01, 1e-7  # change of a player's weights by one update, of their size
EXPLODED, VANISHED = 100.0, 1e-3  # gradient norm, of that at the start; of its peak
LOST, WON, LEFT = 0.25, 0.99, 0.02  # share of right verdicts; share of the loss at chance that is left
FLAT, CHANCE = 0.02, 0.1  # spread of logits over samples, of its peak; of right verdicts, from a half to either side
SWING, SWINGS, SWINGS_OVER = 0.3, 4, 8  # of right verdicts from report to report; how many, in how many reports
DUPLICATES, FEW_DUPLICATES, PATIENCE = (
    0.5,
    0.1,
    100_000,
)  # share of samples; what is few; images until there must be few
UNEVEN, NARROW = 1.0, 0.1  # nats of label-kl; recall, of that of real samples
COPIED = 0.4  # distance to training samples, of that between them
DECLINE = 0.25  # of the distance from floor to baseline, by which an evaluation is worse than the best one
BY_HEART = 0.5  # Somers' D of training over held-out samples
RUNAWAY = 0.85  # probability of each augmentation
FEW, DIFFERENT = 500, 0.5  # training samples; share that differs


@dataclass(frozen=True)
class Symptom:
    """A name for something wrong, and how to see it."""

    name: str
    severity: Literal["warning", "error"]
    meaning: str
    look: Callable[[History], Seen]
    needs: int = 0  # images before which it says nothing


SYMPTOMS: list[Symptom] = []


def symptom(
    name: str, severity: Literal["warning", "error"], meaning: str, needs: int = 0
) -> Callable[[Any], Callable[[History], Seen]]:
    """Put a function on the list of symptoms."""

    def put(look: Callable[[History], Seen]) -> Callable[[History], Seen]:
        SYMPTOMS.append(Symptom(name, severity, meaning, look, needs))
        return look

    return put


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
            seen.append(f"one update moved the {player}'s weights by {step:.0%} of their size, by {images:,} images")
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


# ---------------------------------------------------------------------- samples


@symptom("mode-collapse", "error", "the generator makes few different samples, whatever the latent", WINDOW)
def mode_collapse(history: History) -> Seen:
    """Many duplicates among fakes, suddenly or for too long; or good samples of only a small part of the data."""
    twice = history.recent("duplicates")
    before = min((value for _, value in history.all("duplicates")), default=1.0)
    late = before < FEW_DUPLICATES or history.images >= PATIENCE
    advice = offer(history, "discriminator.minibatch=stddev", "pack=2", *penalty(history))
    if twice and min(twice) > DUPLICATES and late:
        wide = history.last("fake_distance", 1) + history.last("real_distance", 1)
        apart = f"; two of them are {wide[0]:.2g} apart, two real ones {wide[1]:.2g}" if len(wide) == 2 else ""
        return f"{twice[-1]:.0%} of samples have a near duplicate in their batch{apart}", advice
    return _judged_collapse(history, advice)


def _judged_collapse(history: History, advice: str) -> Seen:
    if history.images < WINDOW:  # what has learnt nothing yet draws few different samples, too
        return None
    recall, precision, labels = (history.judged(name) for name in ("recall", "precision", "label-kl"))
    if labels and labels["value"] > UNEVEN:
        return f"the classes of samples diverge from those of the data by {labels['value']:.2f} nats (label-kl)", advice
    if not (recall and precision and recall.get("floor") and precision.get("floor")):
        return None
    if recall["value"] >= NARROW * recall["floor"] or precision["value"] <= 0.5 * precision["floor"]:
        return None
    seen = f"recall {recall['value']:.2f} at precision {precision['value']:.2f}"
    return f"{seen}; real samples have {recall['floor']:.2f} and {precision['floor']:.2f}", advice


@symptom("decline", "warning", "the samples were better before; what was trained since has spoiled them", WINDOW)
def decline(history: History) -> Seen:
    """An evaluation far worse than an earlier one, measured by the distance from floor to baseline."""
    if history.images < WINDOW or not history.evaluations:
        return None
    followed = history.evaluations[0]["metric"]  # the first of each evaluation decides what is best
    lines = [line for line in history.evaluations if line["metric"] == followed]
    last, sign = lines[-1], -1 if lines[-1].get("higher_is_better") else 1
    if None in (last.get("floor"), last.get("baseline")) or last["baseline"] == last["floor"]:
        return None
    best = min(lines, key=lambda line: sign * line["value"])
    lost = sign * (last["value"] - best["value"]) / abs(last["baseline"] - last["floor"])
    if lost < DECLINE:
        return None
    seen = f"{followed} {last['value']:.3g} at {last['images']:,} images, {best['value']:.3g} at {best['images']:,}"
    return seen, offer(history, *penalty(history), slower(history, 2), "best.safetensors, which is kept")


@symptom("memorisation", "error", "the generator repeats training samples", WINDOW)
def memorisation(history: History) -> Seen:
    """Samples nearer to training samples than these are to each other, or than held-out ones are."""
    advice = offer(history, "augmentations=diffaugment", "more data", "the checkpoint `best`")
    near = history.recent("copying")
    if near and max(near) < COPIED:
        return f"samples lie at {near[-1]:.0%} of the usual distance from a training sample to the next", advice
    features, pixels = history.judged("ct"), history.judged("ct-pixels")
    if features and pixels and max(features["value"], pixels["value"]) < CT_OF_COPIES:
        seen = f"CT score {features['value']:.1f} on features, {pixels['value']:.1f} on pixels"
        return f"{seen}; below {CT_OF_COPIES:g} are copies", advice
    return None


@symptom(
    "overfitting", "warning", "the discriminator knows its training samples by heart; what it teaches is noise", WINDOW
)
def overfitting(history: History) -> Seen:
    """Higher logits for training samples than for held-out ones."""
    known = history.recent("overfitting", 3)
    if not known or min(known) < BY_HEART:
        return None
    share = (1 + known[-1]) / 2
    seen = f"it ranks a training sample above a held-out one in {share:.0%} of pairs; chance is 50%"
    return seen, offer(history, "augmentations=diffaugment", "augmentations=ada", "more data")


@symptom(
    "ada-runs-away",
    "warning",
    "augmentation hides the data, and the generator begins to make augmented samples",
    WINDOW,
)
def ada_runs_away(history: History) -> Seen:
    """An adaptive probability near 1 or beyond."""
    adaptive = any(
        getattr(part, "control", "") == "adaptive" for part in getattr(history.recipe.game, "augmentations", ())
    )
    p = history.recent("ada.p")
    if not adaptive or not p or min(p) < RUNAWAY:
        return None
    return f"p is {p[-1]:.2f}", offer(history, *penalty(history), "augmentations=ada:control=fixed,p=0.5", "more data")


# ---------------------------------------------------------------------- data


def _of_images(history: History) -> dict[str, Any]:
    """Facts of images; points may be few on purpose."""
    return {} if history.on_points else history.facts


@symptom("one-image-repeated", "error", "there is nothing to learn but one sample")
def repeated(history: History) -> Seen:
    """All training samples are equal."""
    facts = _of_images(history)
    if facts.get("distinct") != 1:
        return None
    looked = facts["looked_at"]
    return ("there is 1 training sample" if looked == 1 else f"all {looked:,} training samples are equal"), "other data"


@symptom("few-images", "warning", "both players can learn so few samples by heart")
def few(history: History) -> Seen:
    """Fewer different training samples than a network remembers."""
    facts = _of_images(history)
    if not 1 < facts.get("distinct", FEW) < FEW:
        return None
    looked, distinct = facts["looked_at"], facts["distinct"]
    seen = f"{looked:,} training samples" + (f", of which {distinct:,} are different" if distinct < looked else "")
    return seen, offer(history, "more data", "augmentations=diffaugment", "augmentations=ada")


@symptom("repeated-images", "warning", "what is repeated is learnt as often")
def doubles(history: History) -> Seen:
    """Many training samples are equal."""
    facts = _of_images(history)
    looked, distinct = facts.get("looked_at", 1), facts.get("distinct", 1)
    if distinct == 1 or distinct > DIFFERENT * looked:
        return None
    return f"of {looked:,} training samples {looked - distinct:,} are copies of others", "the data without doubles"
