"""The health monitor: says what goes wrong in a training, by name, with numbers and with the option that may mend it.

    findings = diagnose("runs/digits-dcgan")      # from the files of a run
    findings = examine(History(recipe, data, reports, evaluations))

history.py    what is known of a training, and what a finding is
diagnostics.py, diagnostics_of_pairs.py, diagnostics_of_translations.py  what a report measures beside the losses
facts.py     what can be known of data before a training
symptom.py   what a symptom is
symptoms_of_players.py, symptoms_of_samples.py, symptoms_of_targets.py, symptoms_of_translations.py
             one function for each thing that can go wrong, and the limits
symptoms.py  all of them
advice.py    what to try, as options of the recipe at hand
monitor.py   all symptoms over a history, live or from files
"""

from zerosum.runs.health.diagnostics import Diagnostics
from zerosum.runs.health.facts import facts
from zerosum.runs.health.history import Finding, History
from zerosum.runs.health.monitor import diagnose, early, examine, lines, note, read_history, replay

__all__ = [
    "Diagnostics",
    "Finding",
    "History",
    "diagnose",
    "early",
    "examine",
    "facts",
    "lines",
    "note",
    "read_history",
    "replay",
]
