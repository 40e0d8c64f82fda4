"""The health monitor: says what goes wrong in a training, by name, with numbers and with the option that may mend it.

    findings = diagnose("runs/digits-dcgan")      # from the files of a run
    findings = examine(Course(recipe, data, reports, evaluations))

course.py    what is known of a training, and what a finding is
probe.py     what a report measures beside the losses
facts.py     what can be known of data before a training
symptoms.py  one function for each thing that can go wrong, and the limits
advice.py    what to try, as options of the recipe at hand
monitor.py   all symptoms over a course, live or from files
"""

from zerosum.runs.health.course import Course, Finding
from zerosum.runs.health.facts import facts
from zerosum.runs.health.monitor import diagnose, early, examine, lines, note, read_course, replay
from zerosum.runs.health.probe import Probe

__all__ = [
    "Course",
    "Finding",
    "Probe",
    "diagnose",
    "early",
    "examine",
    "facts",
    "lines",
    "note",
    "read_course",
    "replay",
]
