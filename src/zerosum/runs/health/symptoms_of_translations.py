"""What can go wrong with translations between two sets, by name; limits are those of the metric `cycle-error`."""

from __future__ import annotations

from statistics import fmean

from zerosum.metrics.cycle import NOISE
from zerosum.metrics.suite.cycle import HIDDEN, STILL
from zerosum.runs.health.advice import offer
from zerosum.runs.health.history import WINDOW, History
from zerosum.runs.health.symptom import Seen, symptom

TOLD = 0.75  # share of right verdicts of the discriminators; below it images may pass for real as they are
LINES = 5  # last lines of reports that are looked through for names of translations
WEIGHTS = "cycle", "reconstruction"  # of the way there and back, by the names that games give it


def translations(history: History) -> list[str]:
    """Names of the translations that were measured lately."""
    keys = [key for line in history.reports[-LINES:] for key in line if key.startswith("cycle_error-")]
    return list(dict.fromkeys(key.partition("-")[2] for key in keys))


def lighter(history: History) -> str:
    """A fifth of the weight of the way there and back."""
    weights = {name: getattr(history.recipe.game, name, 0.0) for name in WEIGHTS}
    return next((f"{name}={weight / 5:g}" for name, weight in weights.items() if weight), "")


@symptom(
    "identity-mapping",
    "warning",
    "what leaves images as they are costs no cycle loss, and no translation is learnt",
    WINDOW,
)
def identity_mapping(history: History) -> Seen:
    """Translations equal to their images, which the discriminators tell from real ones."""
    right = [min(values) for key in verdicts(history) if (values := history.recent(key))]
    if not right or fmean(right) < TOLD:
        return None
    for name in translations(history):
        change, constant = history.recent(f"change-{name}"), history.recent(f"constant_error-{name}")
        if change and constant and max(change) < STILL * min(constant):
            seen = (
                f"{name} changes images by {change[-1]:.2g} of 255 grey levels, and discriminators rank real above "
                f"translated in {fmean(right):.0%} of pairs"
            )
            return seen, offer(history, "identity=0", lighter(history))
    return None


def verdicts(history: History) -> list[str]:
    """Names of the numbers that say how often a discriminator is right."""
    keys = [key for line in history.reports[-LINES:] for key in line if key.startswith("pairwise_accuracy")]
    return list(dict.fromkeys(keys))


@symptom(
    "steganography",
    "warning",
    "translations carry their images in a pattern that nobody sees, so that these come back says nothing of them",
    WINDOW,
)
def steganography(history: History) -> Seen:
    """Images that come back, but not if their translation got faint noise."""
    for name in translations(history):
        hidden = history.recent(f"hidden-{name}")
        if hidden and min(hidden) > HIDDEN:
            error = history.recent(f"cycle_error-{name}")
            seen = (
                f"after {name} images come back but for {error[-1]:.2g} of 255 grey levels; noise of {NOISE:g} in "
                f"their translations takes {hidden[-1]:.0%} of what comes back"
            )
            return seen, offer(history, lighter(history), "more data")
    return None
