"""The keys that say how to read the status of a job in a service's answers and callbacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from kafka_bridge.gateway.expressions import Expression, JmesPath
from kafka_bridge.gateway.strict_model import Problem, Strict


class ProgressAnswer(Strict):
    """The expressions for the progress in an answer."""

    completed: Expression = JmesPath.parse("progress.completed || progress")
    total: Expression | None = JmesPath.parse("progress.total")
    unit: Expression | None = JmesPath.parse("progress.unit")


class ErrorAnswer(Strict):
    """The expressions for the error in an answer."""

    type: Expression = JmesPath.parse("error.type || error.code || code")
    message: Expression = JmesPath.parse("error.message || error || message")
    details: Expression = JmesPath.parse("error.details || details")
    retryable: Expression = JmesPath.parse("error.retryable")


Words = Annotated[tuple[str, ...], Field(min_length=1)]


class Answer(Strict):
    """How to read the status of a job in an answer to polling or in a callback.

    ``succeeded``, ``failed`` and ``cancelled`` are the words for the terminal states, by default
    those that most services use. Upper and lower case are equal unless the file lists both.

    :ivar running: the words for a running job; by default all words that are not listed elsewhere
    :ivar result: the expression for the result; by default ``result``, and in synchronous mode the
        whole answer
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
        """Yield the words that are listed for two states."""
        meaning: dict[str, str] = {}
        for state in ("succeeded", "failed", "cancelled", "running"):
            for word in getattr(self, state) or ():
                if meaning.setdefault(word, state) != state:
                    yield Problem((state,), f"{word!r} is already listed under {meaning[word]}")
