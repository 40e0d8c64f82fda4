"""What can go wrong where samples have targets, by name; limits are measured as those of the players."""

from __future__ import annotations

from zerosum.runs.health.advice import offer, weighed
from zerosum.runs.health.history import WINDOW, History
from zerosum.runs.health.symptom import Seen, symptom

HEEDED = 0.02  # change of a verdict by the input beside a target, of the deviation of verdicts
BLURRED = 0.45  # contrast of outputs, of that of their targets, in the mean


@symptom("condition-ignored", "warning", "outputs are made to look real, but not to fit their inputs", WINDOW)
def condition_ignored(history: History) -> Seen:
    """A discriminator whose verdict on a target hardly changes with the input beside it."""
    changes = history.recent("condition")
    if not changes or max(changes) >= HEEDED:
        return None
    seen = f"another input beside a target changes a verdict by {changes[-1]:.2g} of their deviation"
    return seen, offer(history, "conditional=true", *weighed(history, 0.1), "inputs that tell their targets apart")


@symptom("averaged-blur", "warning", "outputs are means of all that an input may become, which is blur", WINDOW)
def averaged_blur(history: History) -> Seen:
    """Outputs that lack the fine contrast of their targets."""
    shares = history.recent("contrast")
    if not shares or (mean := sum(shares) / len(shares)) >= BLURRED:
        return None
    weight = getattr(history.recipe.game, "distance", 0.0)
    seen = f"neighbouring pixels of outputs differ by {mean:.0%} of what those of their targets do"
    return seen, offer(history, "adversarial=1", f"distance={weight / 10:g}", "more images")
