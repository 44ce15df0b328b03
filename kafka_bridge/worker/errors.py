"""Exceptions as the error that a FAILED event carries."""

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
"""How many of the other errors in a group the message names."""


class ApplicationError(Exception):
    """What a handler raises to choose the error that the Airflow task gets.

    :param message: what went wrong, for a person
    :param type: a short name for it that does not change, by default ``ApplicationError``
    :param details: whatever helps to find the cause; by default the traceback, "" for nothing
    :param retryable: False when trying again cannot help: the task then fails without retries

    The name and the idea are Temporal's.
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
    """Return the error that it is when a payload cannot be used: to try again would not help."""
    return ApplicationError(message, type=ErrorType.INVALID_PAYLOAD, details="", retryable=False)


def failure_of(error: BaseException, non_retryable: tuple[type[Exception], ...] = ()) -> JobFailure:
    """Return what a FAILED event says of an exception that a handler raised.

    Exceptions count as retryable: whether to retry is for the Airflow task to say, unless the
    handler knows better (:class:`ApplicationError`). Of an exception group, one error counts
    (:func:`decisive`), and the message names the others.

    :param non_retryable: exceptions that the handler's retries do not repeat
    """
    counts = decisive(error, non_retryable)
    message = _message(counts) + _others(error, counts)
    if not isinstance(counts, ApplicationError):
        return failure(_name(counts), message, _traceback(error), retryable=True)
    details = _traceback(error) if counts.details is None else counts.details
    return failure(counts.type, message, details or None, retryable=counts.retryable)


def failure(
    error_type: str, message: str, details: str | None = None, *, retryable: bool
) -> JobFailure:
    """Return a failure whose texts fit into a record, whatever they hold."""
    return JobFailure(
        one_line(_text(error_type), NAME_BYTES) or "Error",
        block(_text(message), ERROR_MESSAGE_BYTES),
        None if details is None else block(_text(details), DETAILS_BYTES),
        bool(retryable),
    )


def errors_in(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors in an exception group, however deep, in their order; else the error."""
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if isinstance(each, BaseExceptionGroup):
            waiting.extend(reversed(each.exceptions))
        else:
            yield each


def decisive(
    error: BaseException, non_retryable: tuple[type[Exception], ...] = ()
) -> BaseException:
    """Return the error that counts: of a group, the first of the foremost kind.

    First come errors after which no retry helps, then other :class:`ApplicationError`, then any
    other exception, and last those that only say that the job, or a task of it, was stopped.
    """

    def rank(each: BaseException) -> int:
        if is_final(each, non_retryable):
            return 0
        if isinstance(each, ApplicationError):
            return 1
        return 3 if is_stop(each) else 2

    return min(errors_in(error), key=rank)


def is_final(error: BaseException, non_retryable: tuple[type[Exception], ...]) -> bool:
    """Tell whether no retry in the worker helps after this error, which is not a group."""
    if isinstance(error, ApplicationError) and not error.retryable:
        return True
    return isinstance(error, non_retryable)


def is_stop(error: BaseException) -> bool:
    """Tell whether an error, or each one in a group, only says that the job was stopped."""
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
        return f"(an exception of type {_name(error)}, which cannot say what it is)"


def _name(error: BaseException) -> str:
    kind = type(error)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def _traceback(error: BaseException) -> str | None:
    """Return the traceback without the frames before the handler's, which tell nothing."""
    frames = error.__traceback__
    while frames is not None and _is_plumbing(frames.tb_frame.f_globals.get("__name__", "")):
        frames = frames.tb_next
    try:
        return "".join(traceback.format_exception(type(error), error, frames))
    except Exception:  # groups nested too deep, or exceptions with a mind of their own
        return None


def _is_plumbing(module: str) -> bool:
    """Tell whether a frame is this package's, or of what it calls handlers with."""
    return f"{module}.".startswith((f"{__package__}.", "tenacity.", "concurrent.futures."))


def _text(value: object) -> str:
    """Return any value as text: services without type checks pass numbers and dictionaries."""
    return value if isinstance(value, str) else str(value)
