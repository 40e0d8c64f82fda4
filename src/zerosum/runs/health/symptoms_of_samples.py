"""What can go wrong with samples, and with the data, by name; limits are measured as those of the players."""

from __future__ import annotations

from typing import Any

from zerosum.metrics.suite.copies import CT_OF_COPIES
from zerosum.runs.health.advice import offer, penalty, slower
from zerosum.runs.health.history import WINDOW, History
from zerosum.runs.health.symptom import Seen, symptom

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
LEAST_RATE = 0.1  # nats by which the latents of a sample tell it from others
FEW, DIFFERENT = 500, 0.5  # training samples; share that differs


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


@symptom("posterior-collapse", "error", "latents say nothing of a sample, so all samples are rebuilt alike", WINDOW)
def posterior_collapse(history: History) -> Seen:
    """A divergence from the prior that has vanished, though it costs something."""
    beta = getattr(history.recipe.game, "beta", 1.0)
    rates = history.recent("encoder.rate")
    if not beta or not rates or max(rates) / beta >= LEAST_RATE:
        return None
    deviation = getattr(history.recipe.game, "deviation", 0.0)
    surer = f"deviation={deviation / 4:g}" if getattr(history.recipe.game, "likelihood", "") == "gaussian" else ""
    seen = f"the latents of a sample carry {rates[-1] / beta:.2g} nats"
    return seen, offer(history, f"beta={min(beta / 10, 1.0):g}", surer, "a decoder with fewer layers")


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
