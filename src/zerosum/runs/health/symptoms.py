"""All that can go wrong, in the order in which it is told: a module registers its symptoms as it is imported."""

from zerosum.runs.health import symptoms_of_players, symptoms_of_samples, symptoms_of_targets, symptoms_of_translations
from zerosum.runs.health.symptom import SYMPTOMS

__all__ = ["SYMPTOMS", "symptoms_of_players", "symptoms_of_samples", "symptoms_of_targets", "symptoms_of_translations"]
