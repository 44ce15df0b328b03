"""Reads the status of a job from a service's answer or callback, as the file configures it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from kafka_bridge.gateway.expressions import ExpressionFailed, JmesPath
from kafka_bridge.gateway.http.answer_config import Answer, ErrorAnswer, ProgressAnswer
from kafka_bridge.gateway.untrusted_text import excerpt, number_of, text_of
from kafka_bridge.protocol.messages import Progress
from kafka_bridge.worker import ApplicationError

_RESULT = JmesPath.parse("result")


class ServiceState(StrEnum):
    """The state of a job at the service, whatever word the service uses."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


USUAL_WORDS: Mapping[ServiceState, tuple[str, ...]] = {
    ServiceState.SUCCEEDED: (
        *("completed", "complete", "succeeded", "success", "successful"),
        *("done", "finished"),
    ),
    ServiceState.FAILED: ("failed", "failure", "error", "errored", "timed_out", "timeout"),
    ServiceState.CANCELLED: ("cancelled", "canceled", "aborted", "revoked"),
    ServiceState.RUNNING: (
        *("running", "in_progress", "inprogress", "processing", "executing", "working", "active"),
        *("started", "starting", "pending", "queued", "waiting", "scheduled", "accepted"),
        *("submitted", "created", "new", "initializing", "retrying", "retry", "paused"),
        *("cancelling", "canceling", "stopping"),
    ),
}
"""The words of common job services: Airflow, Argo, Azure, Celery, GitHub, GitLab, Google Cloud,
Jenkins, Slurm, Spark, Step Functions. Words that only some of them use for a terminal state, such
as "stopped" or "terminated", are left out."""


@dataclass(frozen=True, slots=True)
class StatusReport:
    """What a service reports about a job. Only final reports have ``result`` or ``error``.

    ``unknown_word`` is the word for the state, if it is unknown and counts as running.
    """

    state: ServiceState
    progress: Progress | None = None
    message: str | None = None
    result: Any = None
    error: ApplicationError | None = None
    unknown_word: str | None = None


class AnswerUnreadable(Exception):
    """An answer does not contain the state of the job; the message says what was expected."""


def read_answer(answer: Answer, body: Any) -> StatusReport:
    """Return the report in an answer.

    :param body: the JSON value of the answer
    :raises AnswerUnreadable: the answer does not contain the state of the job
    """
    try:
        state, unknown = _state(answer, body)
        return StatusReport(
            state,
            unknown_word=unknown,
            progress=_progress(answer.progress, body),
            message=text_of(answer.message.search(body)),
            result=(answer.result or _RESULT).search(body)
            if state is ServiceState.SUCCEEDED
            else None,
            error=_error(answer.error, body) if state is ServiceState.FAILED else None,
        )
    except ExpressionFailed as error:
        raise AnswerUnreadable(f"{error}; the answer is {excerpt(body)}") from None


def _state(answer: Answer, body: Any) -> tuple[ServiceState, str | None]:
    """Return the state, and the word for it if it is unknown."""
    found = answer.state.search(body)
    word = json.dumps(found) if isinstance(found, bool) else str(found)
    if (state := meaning(answer, word)) is not None:
        return state, None
    if answer.running is None and isinstance(found, str | int | float):
        return ServiceState.RUNNING, word
    raise AnswerUnreadable(
        f"{answer.state.text!r} must be the state of the job ({', '.join(known_words(answer))}), "
        f"but it is {excerpt(found)} in {excerpt(body)}"
    )


def _progress(where: ProgressAnswer, body: Any) -> Progress | None:
    """Return the progress, None if it is missing or invalid, which is not an error."""
    completed = number_of(where.completed.search(body))
    if completed is None:
        return None
    total = None if where.total is None else number_of(where.total.search(body))
    unit = None if where.unit is None else text_of(where.unit.search(body))
    return Progress(completed, total, unit)


def _error(where: ErrorAnswer, body: Any) -> ApplicationError:
    retryable = where.retryable.search(body)
    return ApplicationError(
        text_of(where.message.search(body)) or f"no error message in {excerpt(body)}",
        type=text_of(where.type.search(body)) or "job_failed",
        details=text_of(where.details.search(body)) or "",
        retryable=retryable if isinstance(retryable, bool) else True,
    )


def meaning(answer: Answer, word: str) -> ServiceState | None:
    """Return the state that a word means, None if it is unknown.

    Words in the file are compared exactly first, then without regard to case. The usual words of a
    state are used if the file lists no words for it.
    """
    listed = {
        state: words for state in ServiceState if (words := getattr(answer, state)) is not None
    }
    for state, words in listed.items():
        if word in words:
            return state
    for state, words in listed.items():
        if word.casefold() in map(str.casefold, words):
            return state
    plain = re.sub(r"[\s-]+", "_", word.strip().casefold())
    for state, words in USUAL_WORDS.items():
        if state not in listed and plain in words:
            return state
    return None


def known_words(answer: Answer) -> list[str]:
    """Return the known words for an error message; of the usual ones, one per state."""
    ends = [ServiceState.SUCCEEDED, ServiceState.FAILED, ServiceState.CANCELLED]
    words = [word for state in ends for word in getattr(answer, state) or USUAL_WORDS[state][:1]]
    return words + list(answer.running or ["or any other word for running"])
