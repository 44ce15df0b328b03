"""Middleware: code around each job, such as tracing, the choice of a tenant, or a Sentry scope."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.worker.context import JobContext
from kafka_bridge.worker.signatures import is_coroutine_function, label

CallNext: TypeAlias = Callable[[], Any]
"""Runs the rest: the next middleware, or the handler. In an async middleware it is awaited."""


@dataclass(frozen=True, slots=True)
class Middleware:
    """A function that gets the job and :data:`CallNext`, and returns the result of the job."""

    function: Callable[[JobContext, CallNext], Any]
    is_async: bool

    @classmethod
    def of(cls, function: Callable[[JobContext, CallNext], Any]) -> Middleware:
        """Return a function as a middleware.

        :raises ConfigurationError: it does not take ``(job, call_next)``, or is a generator
        """
        name = f"middleware {label(function)}"
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise ConfigurationError(
                f"{name} is a generator: call call_next() where it has the yield, and return its "
                "result"
            )
        try:
            inspect.signature(function).bind(None, None)
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"{name} must take (job, call_next): {error}") from None
        return cls(function, is_coroutine_function(inspect.unwrap(function)))
