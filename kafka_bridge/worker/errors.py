"""The error of a FAILED event, made from the exception that a handler raised."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterator

from kafka_bridge.protocol.messages import ErrorType, JobFailure
from kafka_bridge.protocol.sanitize import (
    DETAILS_BYTES,
    ERROR_MESSAGE_BYTES,
    NAME_BYTES,
    block,
    one_line,
)
from kafka_bridge.worker.cancellation import JobStopped

NAMED_ERRORS = 5
"""How many other errors of a group the message names."""


class ApplicationError(Exception):
    """Raise it in a handler to choose the error that the Airflow task gets.

    The name and the idea are Temporal's.

    :param message: what went wrong, for a person
    :param type: a short, stable name of the error, by default ``ApplicationError``
    :param details: text that helps to find the cause; by default the traceback, "" for no details
    :param retryable: False if a retry cannot help: neither the worker nor the Airflow task retries
    """

    def __init__(
        self,
        message: str,
        *,
        type: str = "ApplicationError",  # noqa: A002  the protocol's own word
        details: str | None = None,
        retryable: bool = True,
    ) -> None:
        super().__init__(message)
        self.type = type
        self.details = details
        self.retryable = retryable


def invalid_payload(message: str) -> ApplicationError:
    """Return the error for a payload that the handler cannot use; a retry would not help."""
    return ApplicationError(message, type=ErrorType.INVALID_PAYLOAD, details="", retryable=False)


def failure_of(
    error: BaseException, non_retryable_errors: tuple[type[Exception], ...] = ()
) -> JobFailure:
    """Return the failure that a FAILED event carries for an exception of a handler.

    Exceptions are retryable: the Airflow task decides whether to retry, unless the handler raises
    an :class:`ApplicationError` with ``retryable=False``. Of an exception group, one error counts
    (:func:`decisive`), and the message names the others.

    :param non_retryable_errors: exceptions after which the worker does not retry
    """
    counts = decisive(error, non_retryable_errors)
    message = _message(counts) + _others(error, counts)
    if not isinstance(counts, ApplicationError):
        return failure(_name(counts), message, _traceback(error), retryable=True)
    details = _traceback(error) if counts.details is None else counts.details
    return failure(counts.type, message, details or None, retryable=counts.retryable)


def failure(
    error_type: str, message: str, details: str | None = None, *, retryable: bool
) -> JobFailure:
    """Return a failure whose texts are cut to what fits into a record."""
    return JobFailure(
        one_line(_text(error_type), NAME_BYTES) or "Error",
        block(_text(message), ERROR_MESSAGE_BYTES),
        None if details is None else block(_text(details), DETAILS_BYTES),
        bool(retryable),
    )


def errors_in(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors of an exception group, nested ones too, in order; else the error itself."""
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if isinstance(each, BaseExceptionGroup):
            waiting.extend(reversed(each.exceptions))
        else:
            yield each


def decisive(
    error: BaseException, non_retryable_errors: tuple[type[Exception], ...] = ()
) -> BaseException:
    """Return the error that counts: of a group, the first one of the most important kind.

    Errors after which no retry helps come first, then every other :class:`ApplicationError`, then
    all other exceptions, and last those that only report that the job, or a task of it, was
    stopped.
    """

    def rank(each: BaseException) -> int:
        if is_final(each, non_retryable_errors):
            return 0
        if isinstance(each, ApplicationError):
            return 1
        return 3 if is_stop(each) else 2

    return min(errors_in(error), key=rank)


def is_final(error: BaseException, non_retryable_errors: tuple[type[Exception], ...]) -> bool:
    """Tell whether the worker must not retry after this error, which is not a group."""
    if isinstance(error, ApplicationError) and not error.retryable:
        return True
    return isinstance(error, non_retryable_errors)


def is_stop(error: BaseException) -> bool:
    """Tell whether an error, or each one in a group, only reports that the job was stopped."""
    return all(isinstance(each, JobStopped | asyncio.CancelledError) for each in errors_in(error))


def _others(error: BaseException, counts: BaseException) -> str:
    others = [_name(each) for each in errors_in(error) if each is not counts]
    if not others:
        return ""
    more = "" if len(others) <= NAMED_ERRORS else ", …"
    return f" (and {len(others)} more: {', '.join(others[:NAMED_ERRORS])}{more})"


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return f"(an exception of type {_name(error)} whose text cannot be read)"


def _name(error: BaseException) -> str:
    kind = type(error)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def _traceback(error: BaseException) -> str | None:
    """Return the traceback from the handler's first frame on."""
    frames = error.__traceback__
    while frames is not None and _is_plumbing(frames.tb_frame.f_globals.get("__name__", "")):
        frames = frames.tb_next
    try:
        return "".join(traceback.format_exception(type(error), error, frames))
    except Exception:  # groups nested too deep, or exceptions with a faulty __str__
        return None


def _is_plumbing(module: str) -> bool:
    """Tell whether a frame belongs to this package, or to a library that calls the handler."""
    return f"{module}.".startswith(
        (f"{__package__}.", "tenacity.", "concurrent.futures.", "contextlib.", "asyncio.")
    )


def _text(value: object) -> str:
    """Return any value as text: code without type checks passes numbers and dictionaries."""
    return value if isinstance(value, str) else str(value)
