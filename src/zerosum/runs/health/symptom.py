"""What a symptom is: it looks at the history of a training and says what it sees, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from zerosum.runs.health.history import History

Seen = tuple[str, str] | None  # what was seen, and what to try


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
