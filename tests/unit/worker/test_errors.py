"""Exceptions as the error that the Airflow task gets."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from kafka_bridge.protocol.codec import decode, encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.messages import JobFailure, JobState, StatusEvent
from kafka_bridge.protocol.sanitize import DETAILS_BYTES, ERROR_MESSAGE_BYTES, NAME_BYTES
from kafka_bridge.worker.errors import ApplicationError, failure_of
from kafka_bridge.worker.handlers import Handler

from .samples import run_job


class Outer:
    """Holds an exception whose name has a dot."""

    class TooHot(Exception):
        """An exception of the service's own."""


class Unprintable(Exception):
    """An exception whose text cannot be read."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def raised(error: BaseException) -> BaseException:
    """Return an exception with a traceback."""
    try:
        raise error  # noqa: TRY301  that is what it is for
    except BaseException as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ValueError("bad value"), "ValueError", "bad value"),
        (KeyError("name"), "KeyError", "'name'"),
        (Outer.TooHot("90 °C"), f"{__name__}.Outer.TooHot", "90 °C"),
        (SystemExit(3), "SystemExit", "3"),
        (asyncio.CancelledError(), "asyncio.exceptions.CancelledError", ""),
    ],
)
def test_exception_keeps_its_type_and_message(
    error: BaseException, kind: str, message: str
) -> None:
    """Builtins go by their bare name, others by their full one; all may be retried."""
    failure = failure_of(raised(error))
    assert (failure.type, failure.message, failure.retryable) == (kind, message, True)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            ApplicationError("no such table", type="table_missing", details="t1", retryable=False),
            JobFailure("table_missing", "no such table", "t1", retryable=False),
        ),
        (
            ApplicationError("later", details=""),
            JobFailure("ApplicationError", "later", None, retryable=True),
        ),
    ],
)
def test_application_error_chooses_every_field(
    error: ApplicationError, expected: JobFailure
) -> None:
    """What the handler says is what the task gets; empty details are none."""
    assert failure_of(raised(error)) == expected


def test_application_error_has_a_traceback_unless_it_has_details() -> None:
    """Without details of its own it carries the traceback."""
    details = failure_of(raised(ApplicationError("oh"))).details
    assert details is not None
    assert details.startswith("Traceback (most recent call last):")
    assert details.endswith("ApplicationError: oh\n")


def test_values_of_wrong_types_are_written_as_text() -> None:
    """A type, details or flag that is no text or bool is written as text, not lost with the job."""
    error = ApplicationError("oh", type=404, details={"a": 1}, retryable=0)  # type: ignore[arg-type]
    assert failure_of(raised(error)) == JobFailure("404", "oh", "{'a': 1}", retryable=False)


def test_empty_type_is_called_error() -> None:
    """The protocol wants a type: an empty one gets a name."""
    assert failure_of(ApplicationError("oh", type="")).type == "Error"


def deep_inside(_: Any) -> None:
    """Fail in a function that the handler calls."""
    raise ValueError("deep inside")


def sync_handler(job: Any) -> None:
    """Fail two frames down."""
    deep_inside(job)


async def async_handler(job: Any) -> None:
    """Fail two frames down, as a coroutine."""
    await asyncio.sleep(0)
    deep_inside(job)


@pytest.mark.parametrize("function", [sync_handler, async_handler])
def test_traceback_begins_at_the_handler(function: Callable[..., Any]) -> None:
    """Frames of the bridge, and of the future that a coroutine ran in, tell nothing: left out."""
    event = run_job(Handler.of("a.job", function))[-1]
    assert event.error is not None
    details = event.error.details
    assert details is not None
    frames = [line.rpartition(" in ")[2] for line in details.splitlines() if "File " in line]
    assert frames == [function.__name__, "deep_inside"]
    assert details.endswith("ValueError: deep inside\n")


def test_traceback_has_the_cause() -> None:
    """What led to the exception is in the details too."""
    try:
        try:
            deep_inside(None)
        except ValueError as error:
            raise LookupError("above it") from error
    except LookupError as error:
        details = failure_of(error).details
    assert details is not None
    assert "ValueError: deep inside" in details
    assert "direct cause of the following exception" in details


@pytest.mark.parametrize("encoding", [Encoding.AVRO, Encoding.JSON])
def test_lone_surrogates_can_be_sent(encoding: Encoding) -> None:
    """A file name that is no UTF-8 in an error's text does not keep the task from hearing of it."""
    error = failure_of(raised(OSError("no file 'a\udcff'")))
    assert error.message == r"no file 'a\udcff'"
    event = StatusEvent(
        correlation_id="0d3b9a52-61f4-4c0e-9b7d-3f2a1c5e7d01",
        event_id="e",
        sequence=0,
        state=JobState.FAILED,
        occurred_at=run_job(None)[0].occurred_at,
        worker_id="w",
        error=error,
    )
    assert decode(StatusEvent, encode(event, encoding)).error == error


def test_exception_without_text_still_ends_its_job() -> None:
    """An exception whose own text fails is reported by its type."""
    failure = failure_of(raised(Unprintable()))
    assert failure.type == f"{__name__}.Unprintable"
    assert "whose text cannot be read" in failure.message


@pytest.mark.parametrize("letter", ["x", "é", "𝄞"])
@pytest.mark.parametrize("fits", [True, False])
def test_long_message_loses_its_middle(letter: str, fits: bool) -> None:
    """Beginning and end stay, the size is stated, and limits count bytes, not characters."""
    width = len(letter.encode())
    text = "<" + letter * ((ERROR_MESSAGE_BYTES if fits else 10_000_000) // width - 2) + ">"
    message = failure_of(ValueError(text)).message
    assert (message == text) is fits
    assert message.startswith(f"<{letter}")
    assert message.endswith(f"{letter}>")
    assert len(message.encode()) <= ERROR_MESSAGE_BYTES
    assert fits or f"{len(text.encode()):,} bytes in all" in message


def test_very_long_texts_are_cut_to_fit_into_a_record() -> None:
    """A traceback through long texts, a type and details without end: each is cut to its limit."""
    details = failure_of(raised(ValueError("y" * 1_000_000))).details
    assert details is not None
    assert len(details.encode()) <= DETAILS_BYTES
    assert details.startswith("Traceback")
    own = failure_of(ApplicationError("oh", type="t" * 10**6, details="é" * 10**6))
    assert own.details is not None
    assert len(own.details.encode()) <= DETAILS_BYTES
    assert len(own.type) <= NAME_BYTES


FATAL = ApplicationError("no such bucket", type="bucket_missing", details="", retryable=False)
CHOSEN = ApplicationError("later", type="store_busy", details="busy")
GROUP = "unhandled errors in a TaskGroup"


def grouped(*errors: BaseException) -> BaseException:
    """Return a group within a group, as task groups within task groups raise them."""
    return raised(BaseExceptionGroup(GROUP, [BaseExceptionGroup(GROUP, errors)]))


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([FATAL], JobFailure("bucket_missing", "no such bucket", None, retryable=False)),
        (
            [ValueError("bad"), CHOSEN, FATAL],
            JobFailure(
                "bucket_missing",
                "no such bucket (and 2 more: ValueError, "
                "kafka_bridge.worker.errors.ApplicationError)",
                None,
                retryable=False,
            ),
        ),
        (
            [KeyError("a"), CHOSEN],
            JobFailure("store_busy", "later (and 1 more: KeyError)", "busy", retryable=True),
        ),
    ],
)
def test_error_in_a_group_is_the_jobs_error(
    errors: list[BaseException], expected: JobFailure
) -> None:
    """However deep: what no retry can help comes first, then what the handler chose in words."""
    assert failure_of(grouped(*errors)) == expected


def test_first_of_plain_errors_in_a_group_counts() -> None:
    """Its type and message, the traceback of all; a stopped task beside it does not hide it."""
    failure = failure_of(grouped(asyncio.CancelledError(), OSError("disk"), KeyError("k")))
    assert (failure.type, failure.retryable) == ("OSError", True)
    assert failure.message == "disk (and 2 more: asyncio.exceptions.CancelledError, KeyError)"
    assert failure.details is not None
    assert "KeyError: 'k'" in failure.details


def test_exception_named_non_retryable_counts_first_in_a_group() -> None:
    """It is why the worker does not try again, so it is what the task reads."""
    group = grouped(ValueError("passes"), FileNotFoundError("never there"))
    assert failure_of(group, (FileNotFoundError,)).type == "FileNotFoundError"


def test_group_of_many_and_deep_groups_still_ends_its_job() -> None:
    """A hundred errors are counted, five are named; nesting without end is no error of its own."""
    many = failure_of(grouped(*[ValueError(str(n)) for n in range(100)]))
    assert many.message.startswith("0 (and 99 more: ValueError, ")
    assert many.message.endswith(", …)")
    deep: Exception = ValueError("deep inside")
    for _ in range(5_000):
        deep = ExceptionGroup("g", [deep])
    assert failure_of(deep).message == "deep inside"


def test_handler_runs_on_a_thread_of_its_own() -> None:
    """A sync handler may block: neither the polling thread nor the event loop waits for it."""
    seen: list[threading.Thread] = []
    run_job(Handler.of("a.job", lambda _: seen.append(threading.current_thread())))
    assert [thread.name for thread in seen] == ["kafka-bridge-job"]
