"""What a check finds, and what to do about it. ``kafka-bridge doctor`` prints findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from kafka_bridge.protocol.errors import KafkaBridgeError
from kafka_bridge.protocol.sanitize import one_line


class Level(StrEnum):
    """How serious a finding is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found.

    :ivar level: ERROR: jobs do not work or can be lost, or there was no answer. WARNING: it may be
        intended, or it cannot be known here. OK: as it should be
    :ivar text: what was found
    :ivar advice: what to do about it; empty if there is nothing to do, or the text says it
    """

    level: Level
    text: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One question, such as whether the brokers answer.

    :ivar subject: what is checked, in a few words: ``topic jobs.requests``
    :ivar run: yields the findings; its argument is the number of seconds that it may take. It may
        raise: the error is then the finding
    """

    subject: str
    run: Callable[[float], Iterable[Finding]]


def failed(failure: Exception) -> Finding:
    """Return the finding for an error that a check raised."""
    if isinstance(failure, KafkaBridgeError):  # its text says what to do
        return error(one_line(str(failure)))
    return error(one_line(f"the check failed: {type(failure).__name__}: {failure}"))


def ok(text: str, advice: str = "") -> Finding:
    """Return a finding about something that is as it should be."""
    return Finding(Level.OK, text, advice)


def warning(text: str, advice: str = "") -> Finding:
    """Return a finding about something that may be intended, or is not known."""
    return Finding(Level.WARNING, text, advice)


def error(text: str, advice: str = "") -> Finding:
    """Return a finding about something that prevents jobs, or can lose them."""
    return Finding(Level.ERROR, text, advice)
