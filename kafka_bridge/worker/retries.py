"""Trying again inside the worker, for faults that pass within seconds or minutes."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

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
from kafka_bridge.worker.errors import errors_in, is_final


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before a job is tried again, in seconds.

    Before the nth retry: ``initial`` * ``factor`` ** (n - 1), at most ``maximum``, and up to
    ``jitter`` more at random, so that many jobs that failed together do not come back together.

    :raises ConfigurationError: a number makes no sense
    """

    initial: float = 1.0
    factor: float = 2.0
    maximum: float = 60.0
    jitter: float = 1.0

    def __post_init__(self) -> None:
        seconds = (self.initial, self.maximum, self.jitter)
        if not (all(0 <= each < math.inf for each in seconds) and 1 <= self.factor < math.inf):
            raise ConfigurationError(
                f"{self} makes no sense: seconds must be finite and not negative, factor must be "
                "finite and at least 1"
            )

    def wait(self) -> wait_base:
        """Return it as tenacity wants it."""
        return wait_exponential(self.initial, self.maximum, self.factor) + wait_random(
            0, self.jitter
        )


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, how soon and after what a handler is called again.

    :param retries: how many times after the first one, 0 for never
    :param non_retryable: exceptions after which it is not; as well as an ``ApplicationError``
        that says of itself that it is not retryable. Exception groups are looked into
    :raises ConfigurationError: ``retries`` is negative, or ``non_retryable`` holds something else
    """

    retries: int = 0
    backoff: Backoff = field(default_factory=Backoff)
    non_retryable: tuple[type[Exception], ...] = ()

    def __post_init__(self) -> None:
        if self.retries < 0:
            raise ConfigurationError(f"retries must not be negative, as {self.retries} is")
        for each in self.non_retryable:
            if not (isinstance(each, type) and issubclass(each, Exception)):
                raise ConfigurationError(f"non_retryable must hold exception classes, not {each!r}")

    def call(
        self,
        function: Callable[[], Any],
        sleep: Callable[[float], None],
        tell: Callable[[int, BaseException, float], None],
    ) -> Any:
        """Call a function until it returns, or no retry is left; then its last exception passes.

        :param sleep: waits so many seconds; what it raises ends it all
        :param tell: told of each failure that is tried again: the number of the call, from 1, the
            exception, and the seconds until the next one
        """
        if self.retries == 0:
            return function()
        return Retrying(sleep=sleep, **self._rules(tell))(function)

    async def call_async(
        self, function: Callable[[], Any], tell: Callable[[int, BaseException, float], None]
    ) -> Any:
        """Do the same with a function that gives an awaitable."""
        if self.retries == 0:
            return await function()
        return await AsyncRetrying(sleep=asyncio.sleep, **self._rules(tell))(function)

    def _rules(self, tell: Callable[[int, BaseException, float], None]) -> dict[str, Any]:
        def before_sleep(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            if error is not None:
                tell(state.attempt_number, error, state.upcoming_sleep)

        return {
            "stop": stop_after_attempt(self.retries + 1),
            "wait": self.backoff.wait(),
            "retry": retry_if_exception(self._is_worth_it),
            "before_sleep": before_sleep,
            "reraise": True,
        }

    def _is_worth_it(self, error: BaseException) -> bool:
        if not isinstance(error, Exception) or isinstance(error, self.non_retryable):
            return False
        return not any(is_final(each, self.non_retryable) for each in errors_in(error))
