"""Retries inside the worker: how often, how soon, and after which errors."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.worker import ApplicationError, Backoff, JobStopped, StopReason, Worker
from kafka_bridge.worker.retries import RetryPolicy

Reported = list[tuple[int, str, float]]


def calls_of(
    policy: RetryPolicy, *errors: BaseException, is_async: bool
) -> tuple[int, Reported, list[float], BaseException | None]:
    """Call a function that raises these errors in turn; return calls, reports, pauses, error."""
    calls, reported, pauses = 0, Reported(), list[float]()

    def function() -> str:
        nonlocal calls
        calls += 1
        if calls <= len(errors):
            raise errors[calls - 1]
        return "done"

    async def coroutine() -> str:
        return function()

    def on_retry(attempt: int, error: BaseException, seconds: float) -> None:
        reported.append((attempt, str(error), seconds))

    try:
        if is_async:
            asyncio.run(policy.call_async(coroutine, on_retry))
        else:
            policy.call(function, pauses.append, on_retry)
    except BaseException as error:
        return calls, reported, pauses, error
    return calls, reported, pauses, None


@pytest.mark.parametrize("is_async", [False, True])
def test_last_error_passes_once_no_retry_is_left(is_async: bool) -> None:
    """Two retries are three calls; the first two failures are reported."""
    errors = [ValueError(str(number)) for number in range(3)]
    policy = RetryPolicy(2, Backoff(initial_interval=0.001, jitter=0))
    calls, reported, _, error = calls_of(policy, *errors, is_async=is_async)
    assert (calls, error) == (3, errors[2])
    assert reported == [(1, "0", 0.001), (2, "1", 0.002)]
    assert calls_of(policy, *errors[:2], is_async=is_async)[3] is None


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    "error",
    [
        KeyError("named"),
        ApplicationError("no use", retryable=False),
        JobStopped(StopReason.CANCELLED, "cleared"),
        asyncio.CancelledError(),
        SystemExit(1),
        ExceptionGroup("g", [ValueError("passes"), KeyError("named")]),
        ExceptionGroup("g", [ExceptionGroup("g", [ApplicationError("no", retryable=False)])]),
        BaseExceptionGroup("g", [JobStopped(StopReason.CANCELLED, "cleared"), ValueError()]),
    ],
)
def test_non_retryable_error_passes_at_once(error: BaseException, is_async: bool) -> None:
    """Named exceptions and subclasses, ApplicationErrors that say so, and requests to stop."""
    policy = RetryPolicy(3, Backoff(initial_interval=0.001), (LookupError,))
    assert calls_of(policy, error, is_async=is_async) == (1, [], [], error)


@pytest.mark.parametrize("is_async", [False, True])
def test_group_of_retryable_errors_is_retried(is_async: bool) -> None:
    """A group is not itself a reason to stop."""
    group = ExceptionGroup("g", [ValueError("passes"), ExceptionGroup("g", [OSError("too")])])
    policy = RetryPolicy(1, Backoff(initial_interval=0.001, jitter=0), (LookupError,))
    calls, *_, error = calls_of(policy, group, is_async=is_async)
    assert (calls, error) == (2, None)


def test_pauses_grow_to_their_limit() -> None:
    """Each is the one before times the factor, at most the maximum."""
    policy = RetryPolicy(
        5, Backoff(initial_interval=1, backoff_coefficient=3, maximum_interval=20, jitter=0)
    )
    pauses = calls_of(policy, *[ValueError()] * 5, is_async=False)[2]
    assert pauses == [1, 3, 9, 20, 20]


def test_backoff_takes_timedeltas() -> None:
    """A duration is a timedelta or seconds, as everywhere in the public API."""
    backoff = Backoff(timedelta(seconds=2), 3, timedelta(seconds=5), timedelta(0))
    assert calls_of(RetryPolicy(3, backoff), *[ValueError()] * 3, is_async=False)[2] == [2, 5, 5]
    with pytest.raises(ConfigurationError, match="durations must be finite and not negative"):
        Backoff(initial_interval=timedelta(seconds=-1))


def test_jitter_is_added_to_the_pause() -> None:
    """Jobs that failed together are not retried together, and never too early."""
    policy = RetryPolicy(30, Backoff(initial_interval=1, backoff_coefficient=1, jitter=0.5))
    pauses = calls_of(policy, *[ValueError()] * 30, is_async=False)[2]
    assert all(1 <= pause <= 1.5 for pause in pauses)
    assert len(set(pauses)) > 10


def test_stop_request_during_a_pause_ends_the_job() -> None:
    """The exception of the sleep passes, and the handler is not called again."""
    calls = 0

    def function() -> None:
        nonlocal calls
        calls += 1
        raise ValueError

    def sleep(_: float) -> None:
        raise JobStopped(StopReason.CANCELLED, "cleared")

    with pytest.raises(JobStopped):
        RetryPolicy(3).call(function, sleep, lambda *_: None)
    assert calls == 1


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Backoff(initial_interval=-1), "durations must be finite and not negative"),
        (
            lambda: Backoff(maximum_interval=-0.1),
            "Backoff(initial_interval=1.0, backoff_coefficient=2.0, maximum_interval=-0.1",
        ),
        (lambda: Backoff(jitter=-1), "durations must be finite and not negative"),
        (lambda: Backoff(initial_interval=math.nan), "durations must be finite and not negative"),
        (lambda: Backoff(maximum_interval=math.inf), "durations must be finite and not negative"),
        (
            lambda: Backoff(backoff_coefficient=0.9),
            "backoff_coefficient must be finite and at least 1",
        ),
        (
            lambda: Backoff(backoff_coefficient=math.nan),
            "backoff_coefficient must be finite and at least 1",
        ),
        (lambda: RetryPolicy(-1), "retries must be 0 or more, not -1"),
        (lambda: RetryPolicy(non_retryable_errors=(1,)), "must contain exception classes, not 1"),  # type: ignore[arg-type]
        (
            lambda: RetryPolicy(non_retryable_errors=(KeyboardInterrupt,)),  # type: ignore[arg-type]
            "must contain exception classes, not <class 'KeyboardInterrupt'>",
        ),
    ],
)
def test_impossible_number_is_refused(make: Callable[[], Any], words: str) -> None:
    """When the handler is registered, not when a job fails for the first time."""
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        make()


def test_decorator_refuses_an_impossible_number() -> None:
    """Its arguments go into the policy."""
    with pytest.raises(ConfigurationError, match="retries must be 0 or more"):
        Worker("g").job("a.job", retries=-2)
