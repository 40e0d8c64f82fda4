"""The monitor: holds the history of a training against every symptom, live or from the files of a run."""

from __future__ import annotations

import dataclasses
import itertools
import warnings
from pathlib import Path

from zerosum.core.errors import DamagedError, RecipeError, ZerosumWarning
from zerosum.recipes import Recipe
from zerosum.runs.health.history import WINDOW, Finding, History, Line
from zerosum.runs.health.symptoms import SYMPTOMS
from zerosum.runs.storage.directory import RunDirectory
from zerosum.runs.storage.logs import read_evaluations, read_reports

LEAST_REPORTS = 2  # in which something has to last


def examine(history: History) -> list[Finding]:
    """What is wrong by the last report; the reports before know since when.

    Two numbers on a line (the Dirac-GAN) are right when they rest at 0, which looks like every failure but one.
    """
    findings = []
    on_a_line = history.facts.get("shape") == [1]
    for symptom in SYMPTOMS:
        if on_a_line and symptom.name != "not-finite":
            continue
        evidence = symptom.look(history)
        if evidence is not None:
            what, advice = evidence
            began = since(symptom.name, history)
            findings.append(Finding(symptom.name, symptom.severity, began, what, symptom.meaning, advice))
    return findings


def early(history: History) -> str | None:
    """Why it is too early to call a training healthy, with the numbers; None where every symptom can be seen."""
    waiting = [symptom for symptom in SYMPTOMS if symptom.needs]
    reports = sum(map(is_report, history.reports))
    if history.facts.get("shape") == [1] or (history.images >= WINDOW and reports >= LEAST_REPORTS):
        return None
    needed = max(symptom.needs for symptom in waiting)
    if history.images < needed:
        what = f"{history.images:,} of the {needed:,} images"
    else:
        what = f"{reports} of the {LEAST_REPORTS} reports"
    return f"too early to judge: {what} that {', '.join(symptom.name for symptom in waiting)} need"


def note(history: History) -> list[Finding]:
    """Write what is wrong by the last report into that report, and return it."""
    findings = examine(history)
    if findings:
        history.reports[-1]["findings"] = {one.name: one.seen for one in findings}
    return findings


def since(name: str, history: History) -> int:
    """Images at the first of the reports in a row, up to the last one, that have found it."""
    began = history.images
    for line in reversed(history.reports[:-1]):
        if is_report(line) and name not in line.get("findings", {}):
            break
        began = line["images"]
    return began


def is_report(line: Line) -> bool:
    """False for an event, such as a rollback."""
    return "images_per_second" in line


def replay(history: History) -> list[Finding]:
    """All that was wrong at any time of a training: what lasts first, then what is over."""
    past = History(history.recipe, history.data)  # as much of the history as was known at a time
    lasting: dict[str, Finding] = {}
    over: list[Finding] = []
    for line in history.reports:
        past.reports.append({key: value for key, value in line.items() if key != "findings"})
        if is_report(line):
            later = history.evaluations[len(past.evaluations) :]
            past.evaluations.extend(itertools.takewhile(lambda one: one["images"] < past.images, later))
            current = {one.name: one for one in note(past)}
            ended = [one for name, one in lasting.items() if name not in current]
            over += [dataclasses.replace(one, until=line["images"]) for one in ended]
            lasting = current
    past.evaluations[:] = history.evaluations
    return [*examine(past), *over]  # with the last evaluation, and events after reports


def read_history(place: str | Path) -> History:
    """The history of a run, from its files; a recipe that cannot be read is warned of, and done without.

    Raises:
        RunError: there is no such run.
    """
    run = RunDirectory.open(place)
    reports, evaluations = read_reports(run.metrics), read_evaluations(run.evaluations)
    try:
        recipe = run.recipe(partly=True)
    except RecipeError as error:
        warnings.warn(f"{error.faults[0]}; so advice may not fit it", ZerosumWarning, stacklevel=2)
        recipe = Recipe()
    try:
        data = run.environment()["data"]
    except DamagedError as error:
        warnings.warn(f"{error}; what depends on the data is not checked", ZerosumWarning, stacklevel=2)
        data = {}
    return History(recipe, data, reports, evaluations)


def diagnose(place: str | Path) -> list[Finding]:
    """Everything that was wrong in a run, what lasts first; computed anew from its files.

    Raises:
        RunError: there is no such run.
    """
    return replay(read_history(place))


def lines(findings: list[Finding]) -> list[str]:
    """A few lines of text for each finding."""
    text = []
    for one in findings:
        when = f"since {one.since:,} images" if one.until is None else f"from {one.since:,} to {one.until:,} images"
        text += [f"{one.severity}: {one.name} {when}", f"  seen:  {one.seen}", f"  means: {one.meaning}"]
        text += [f"  try:   {one.advice}"] if one.until is None else []
    return text
