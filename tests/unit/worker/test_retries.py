"""Trying again inside the worker: how often, how soon, after what."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable
from typing import Any

import pytest

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.worker import ApplicationError, Backoff, JobStopped, StopReason, Worker
from kafka_bridge.worker.retries import RetryPolicy

Told = list[tuple[int, str, float]]


def calls_of(
    policy: RetryPolicy, *errors: BaseException, is_async: bool
) -> tuple[int, Told, list[float], BaseException | None]:
    """Call what raises these errors in turn; return calls, what was told, pauses and the end."""
    calls, told, pauses = 0, Told(), list[float]()

    def function() -> str:
        nonlocal calls
        calls += 1
        if calls <= len(errors):
            raise errors[calls - 1]
        return "done"

    async def coroutine() -> str:
        return function()

    def tell(attempt: int, error: BaseException, seconds: float) -> None:
        told.append((attempt, str(error), seconds))

    try:
        if is_async:
            asyncio.run(policy.call_async(coroutine, tell))
        else:
            policy.call(function, pauses.append, tell)
    except BaseException as error:
        return calls, told, pauses, error
    return calls, told, pauses, None


@pytest.mark.parametrize("is_async", [False, True])
def test_last_error_passes_once_no_retry_is_left(is_async: bool) -> None:
    """Two retries are three calls; who waits is told of the first two failures."""
    errors = [ValueError(str(number)) for number in range(3)]
    policy = RetryPolicy(2, Backoff(initial=0.001, jitter=0))
    calls, told, _, error = calls_of(policy, *errors, is_async=is_async)
    assert (calls, error) == (3, errors[2])
    assert told == [(1, "0", 0.001), (2, "1", 0.002)]
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
def test_what_a_retry_cannot_help_passes_at_once(error: BaseException, is_async: bool) -> None:
    """Named exceptions and their kin, what says so of itself, and all that is to end the job."""
    policy = RetryPolicy(3, Backoff(initial=0.001), (LookupError,))
    assert calls_of(policy, error, is_async=is_async) == (1, [], [], error)


@pytest.mark.parametrize("is_async", [False, True])
def test_group_of_errors_that_may_pass_is_tried_again(is_async: bool) -> None:
    """A group alone is no reason to give up."""
    group = ExceptionGroup("g", [ValueError("passes"), ExceptionGroup("g", [OSError("too")])])
    policy = RetryPolicy(1, Backoff(initial=0.001, jitter=0), (LookupError,))
    calls, *_, error = calls_of(policy, group, is_async=is_async)
    assert (calls, error) == (2, None)


def test_pauses_grow_to_their_limit() -> None:
    """Each is the one before times the factor, at most the maximum."""
    policy = RetryPolicy(5, Backoff(initial=1, factor=3, maximum=20, jitter=0))
    pauses = calls_of(policy, *[ValueError()] * 5, is_async=False)[2]
    assert pauses == [1, 3, 9, 20, 20]


def test_jitter_is_added_to_the_pause() -> None:
    """Jobs that failed together do not come back together, and none comes too soon."""
    policy = RetryPolicy(30, Backoff(initial=1, factor=1, jitter=0.5))
    pauses = calls_of(policy, *[ValueError()] * 30, is_async=False)[2]
    assert all(1 <= pause <= 1.5 for pause in pauses)
    assert len(set(pauses)) > 10


def test_pause_that_is_ended_ends_the_job() -> None:
    """What the sleep raises passes: no further call."""
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
        (lambda: Backoff(initial=-1), "seconds must be finite and not negative"),
        (lambda: Backoff(maximum=-0.1), "Backoff(initial=1.0, factor=2.0, maximum=-0.1"),
        (lambda: Backoff(jitter=-1), "seconds must be finite and not negative"),
        (lambda: Backoff(initial=math.nan), "seconds must be finite and not negative"),
        (lambda: Backoff(maximum=math.inf), "seconds must be finite and not negative"),
        (lambda: Backoff(factor=0.9), "factor must be finite and at least 1"),
        (lambda: Backoff(factor=math.nan), "factor must be finite and at least 1"),
        (lambda: RetryPolicy(-1), "retries must not be negative, as -1 is"),
        (lambda: RetryPolicy(non_retryable=(1,)), "must hold exception classes, not 1"),  # type: ignore[arg-type]
        (
            lambda: RetryPolicy(non_retryable=(KeyboardInterrupt,)),  # type: ignore[arg-type]
            "must hold exception classes, not <class 'KeyboardInterrupt'>",
        ),
    ],
)
def test_number_that_makes_no_sense_is_refused(make: Callable[[], Any], words: str) -> None:
    """When the handler is registered, not when a job fails for the first time."""
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        make()


def test_decorator_refuses_them_too() -> None:
    """What it is given goes into the policy."""
    with pytest.raises(ConfigurationError, match="retries must not be negative"):
        Worker("g").job("a.job", retries=-2)
