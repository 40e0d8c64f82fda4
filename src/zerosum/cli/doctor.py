"""`zerosum doctor`: what went wrong in a run, or goes wrong in one under way."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from zerosum.cli.command import Json, Trust, Use, answer, command, say, tell


@command
def doctor(
    run: Annotated[str, typer.Argument(help="A run directory, finished or not.")],
    use: Use = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Say what goes wrong in a run, what it means and what to try. Only its files are read.

    A finding is an answer, so the exit status is 0 with and without: --json tells them apart by `healthy`, which is
    null where it is too early to judge.
    """
    from zerosum.core import usercode
    from zerosum.runs import health
    from zerosum.runs.storage import code

    usercode.use(*use or ())
    code.try_load(run, trust=trust)
    history = health.read_history(run)
    findings = health.replay(history)
    lasting = [one for one in findings if one.until is None]
    early = health.early(history)
    if as_json:
        listed = [dataclasses.asdict(one) for one in findings]
        healthy = False if lasting else None if early else True
        answer({"run": run, "images": history.images, "healthy": healthy, "early": early, "findings": listed})
        return
    for line in health.lines(findings):
        tell(line)
    if not history.reports:
        say("nothing has been reported yet")
    elif early:
        say(f"{run}: {early}" + ("" if lasting else "; nothing is wrong so far"))
    elif not lasting:
        say(f"{run}: nothing is wrong at {history.images:,} images")
