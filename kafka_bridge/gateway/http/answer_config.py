"""The keys that say how to read the status of a job in a service's answers and callbacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from kafka_bridge.gateway.expressions import Expression, JmesPath
from kafka_bridge.gateway.strict_model import Problem, Strict


class ProgressAnswer(Strict):
    """Where in an answer the progress stands."""

    completed: Expression = JmesPath.parse("progress.completed || progress")
    total: Expression | None = JmesPath.parse("progress.total")
    unit: Expression | None = JmesPath.parse("progress.unit")


class ErrorAnswer(Strict):
    """Where in an answer the error stands."""

    type: Expression = JmesPath.parse("error.type || error.code || code")
    message: Expression = JmesPath.parse("error.message || error || message")
    details: Expression = JmesPath.parse("error.details || details")
    retryable: Expression = JmesPath.parse("error.retryable")


Words = Annotated[tuple[str, ...], Field(min_length=1)]


class Answer(Strict):
    """How to read what a service says of a job, when polled or when it calls back.

    ``succeeded``, ``failed`` and ``cancelled`` are the words for the ends of a job, by default
    those that most services use; their case makes no difference unless the file lists both.

    :ivar running: the words for a job that goes on; by default all that are not in the others
    :ivar result: where the result stands; by default ``result``, and in synchronous mode the whole
        answer
    """

    state: Expression = JmesPath.parse("status")
    succeeded: Words | None = None
    failed: Words | None = None
    cancelled: Words | None = None
    running: Words | None = None
    progress: ProgressAnswer = ProgressAnswer()
    message: Expression = JmesPath.parse("message")
    result: Expression | None = None
    error: ErrorAnswer = ErrorAnswer()

    def problems(self) -> Iterator[Problem]:
        """Yield words that mean two things."""
        meaning: dict[str, str] = {}
        for state in ("succeeded", "failed", "cancelled", "running"):
            for word in getattr(self, state) or ():
                if meaning.setdefault(word, state) != state:
                    yield Problem((state,), f"{word!r} means {meaning[word]} already")
