"""What a service says of a job, read as the file says, whether it was asked or calls back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from kafka_bridge.gateway.expressions import ExpressionFailed, JmesPath
from kafka_bridge.gateway.http.config import Answer, ErrorAnswer, ProgressAnswer
from kafka_bridge.gateway.http.states import State, known_words, meaning
from kafka_bridge.gateway.outside_text import excerpt, number_of, text_of
from kafka_bridge.protocol.messages import Progress
from kafka_bridge.worker import ApplicationError

_RESULT = JmesPath.parse("result")


@dataclass(frozen=True, slots=True)
class Report:
    """A service's word on a job. ``result`` and ``error`` come with its end only.

    ``unknown_word`` is the word for its state, where that had to be taken for "running".
    """

    state: State
    progress: Progress | None = None
    message: str | None = None
    result: Any = None
    error: ApplicationError | None = None
    unknown_word: str | None = None


class AnswerUnreadable(Exception):
    """An answer does not say how the job is; the text says what was looked for, and what came."""


def read_answer(answer: Answer, body: Any) -> Report:
    """Return what an answer says.

    :param body: the answer, as JSON gives it
    :raises AnswerUnreadable: it does not say how the job is
    """
    try:
        state, unknown = _state(answer, body)
        return Report(
            state,
            unknown_word=unknown,
            progress=_progress(answer.progress, body),
            message=text_of(answer.message.search(body)),
            result=(answer.result or _RESULT).search(body) if state is State.SUCCEEDED else None,
            error=_error(answer.error, body) if state is State.FAILED else None,
        )
    except ExpressionFailed as error:
        raise AnswerUnreadable(f"{error}; the answer is {excerpt(body)}") from None


def _state(answer: Answer, body: Any) -> tuple[State, str | None]:
    """Return the state, and the word for it where nobody knows that."""
    found = answer.state.search(body)
    word = json.dumps(found) if isinstance(found, bool) else str(found)
    if (state := meaning(answer, word)) is not None:
        return state, None
    if answer.running is None and isinstance(found, str | int | float):
        return State.RUNNING, word
    raise AnswerUnreadable(
        f"{answer.state.text!r} should say how the job is ({', '.join(known_words(answer))}), but "
        f"is {excerpt(found)} in {excerpt(body)}"
    )


def _progress(where: ProgressAnswer, body: Any) -> Progress | None:
    """Return the progress, None where there is none that makes sense: the job goes on without."""
    completed = number_of(where.completed.search(body))
    if completed is None:
        return None
    total = None if where.total is None else number_of(where.total.search(body))
    unit = None if where.unit is None else text_of(where.unit.search(body))
    return Progress(completed, total, unit)


def _error(where: ErrorAnswer, body: Any) -> ApplicationError:
    retryable = where.retryable.search(body)
    return ApplicationError(
        text_of(where.message.search(body)) or f"the service says no more than {excerpt(body)}",
        type=text_of(where.type.search(body)) or "job_failed",
        details=text_of(where.details.search(body)) or "",
        retryable=retryable if isinstance(retryable, bool) else True,
    )
