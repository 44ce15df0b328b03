"""Exceptions as the error that a FAILED event carries."""

from __future__ import annotations

import traceback

from kafka_bridge.protocol.messages import ErrorType, JobFailure

MESSAGE_CHARACTERS = 4_000
DETAILS_CHARACTERS = 32_000
"""Enough for a long traceback, and far below what a broker takes in one record."""


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


def failure_of(error: BaseException) -> JobFailure:
    """Return what a FAILED event says of an exception that a handler raised.

    Exceptions count as retryable: whether to retry is for the Airflow task to say, unless the
    handler knows better (:class:`ApplicationError`).
    """
    if isinstance(error, ApplicationError):
        details = _traceback(error) if error.details is None else error.details
        return failure(error.type, _message(error), details or None, retryable=error.retryable)
    return failure(_name(error), _message(error), _traceback(error), retryable=True)


def failure(
    error_type: str, message: str, details: str | None = None, *, retryable: bool
) -> JobFailure:
    """Return a failure whose texts fit into a record, whatever they hold."""
    return JobFailure(
        _text(error_type, 200) or "Error",
        _text(message, MESSAGE_CHARACTERS),
        None if details is None else _text(details, DETAILS_CHARACTERS),
        bool(retryable),
    )


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


def _traceback(error: BaseException) -> str:
    """Return the traceback without the frames before the handler's, which tell nothing."""
    frames = error.__traceback__
    while frames is not None and _is_plumbing(frames.tb_frame.f_globals.get("__name__", "")):
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames))


def _is_plumbing(module: str) -> bool:
    """Tell whether a frame is this package's, or of what it calls handlers with."""
    return f"{module}.".startswith((f"{__package__}.", "tenacity.", "concurrent.futures."))


def _text(value: object, characters: int) -> str:
    """Return text that has a UTF-8 form and is not too long: the middle goes first."""
    text = str(value).encode("utf-8", "backslashreplace").decode("utf-8")
    if len(text) <= characters:
        return text
    half = characters // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"
