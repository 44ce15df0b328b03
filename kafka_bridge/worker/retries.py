"""Retries inside the worker, for faults that pass within seconds or minutes."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)
from tenacity.wait import wait_base

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.worker.durations import Duration, in_seconds
from kafka_bridge.worker.errors import errors_in, is_final

OnRetry: TypeAlias = Callable[[int, BaseException, float], None]
"""Gets the number of the failed call, from 1, its exception, and the seconds until the next."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before a retry: timedeltas, or seconds. The names are Temporal's.

    Before the nth retry: ``initial_interval`` * ``backoff_coefficient`` ** (n - 1), at most
    ``maximum_interval``, plus the jitter.

    :param initial_interval: the pause before the first retry
    :param backoff_coefficient: each further pause is this many times as long
    :param maximum_interval: no pause is longer than this
    :param jitter: up to this much is added at random, so that jobs that failed together are not
        retried together
    :raises ConfigurationError: a duration is negative or infinite, or
        ``backoff_coefficient`` is below 1
    """

    initial_interval: Duration = 1.0
    backoff_coefficient: float = 2.0
    maximum_interval: Duration = 60.0
    jitter: Duration = 1.0

    def __post_init__(self) -> None:
        given = (self.initial_interval, self.maximum_interval, self.jitter)
        are_possible = all(0 <= in_seconds(each) < math.inf for each in given)
        if not (are_possible and 1 <= self.backoff_coefficient < math.inf):
            raise ConfigurationError(
                f"invalid {self}: durations must be finite and not negative, backoff_coefficient "
                "must be finite and at least 1"
            )

    def wait(self) -> wait_base:
        """Return the same rule as an object of tenacity."""
        initial, maximum = in_seconds(self.initial_interval), in_seconds(self.maximum_interval)
        jitter = wait_random(0, in_seconds(self.jitter))
        return wait_exponential(initial, maximum, self.backoff_coefficient) + jitter


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, how soon and after which errors a handler is called again.

    :param retries: how many times after the first call; 0 for no retry
    :param non_retryable_errors: exception classes after which the handler is not called again, and
        an exception group that contains one. ``ApplicationError(retryable=False)`` always counts
    :raises ConfigurationError: ``retries`` is negative, or ``non_retryable_errors`` contains
        something that is not a subclass of ``Exception``
    """

    retries: int = 0
    backoff: Backoff = field(default_factory=Backoff)
    non_retryable_errors: tuple[type[Exception], ...] = ()

    def __post_init__(self) -> None:
        if self.retries < 0:
            raise ConfigurationError(f"retries must be 0 or more, not {self.retries}")
        for each in self.non_retryable_errors:
            if not (isinstance(each, type) and issubclass(each, Exception)):
                raise ConfigurationError(
                    f"non_retryable_errors must contain exception classes, not {each!r}"
                )

    def call(
        self,
        function: Callable[[], Any],
        sleep: Callable[[float], None],
        on_retry: OnRetry,
    ) -> Any:
        """Call a function until it returns or no retry is left; then raise its last exception.

        :param sleep: waits the given number of seconds; an exception that it raises passes
        :param on_retry: called before the pause of each retry
        """
        if self.retries == 0:
            return function()
        return Retrying(sleep=sleep, **self._rules(on_retry))(function)

    async def call_async(self, function: Callable[[], Any], on_retry: OnRetry) -> Any:
        """Do the same with a function that returns an awaitable."""
        if self.retries == 0:
            return await function()
        return await AsyncRetrying(sleep=asyncio.sleep, **self._rules(on_retry))(function)

    def _rules(self, on_retry: OnRetry) -> dict[str, Any]:
        def before_sleep(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            if error is not None:
                on_retry(state.attempt_number, error, state.upcoming_sleep)

        return {
            "stop": stop_after_attempt(self.retries + 1),
            "wait": self.backoff.wait(),
            "retry": retry_if_exception(self._is_retryable),
            "before_sleep": before_sleep,
            "reraise": True,
        }

    def _is_retryable(self, error: BaseException) -> bool:
        if not isinstance(error, Exception) or isinstance(error, self.non_retryable_errors):
            return False
        return not any(is_final(each, self.non_retryable_errors) for each in errors_in(error))
