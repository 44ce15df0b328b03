"""Wait for something with a deadline."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from kafka_bridge.testing.local_airflow.errors import ApiUnavailable, WaitTimedOut

if TYPE_CHECKING:
    from collections.abc import Callable

POLL_SECONDS = 0.2
T = TypeVar("T")


def wait_until(
    probe: Callable[[], T | None], *, what: str, timeout: float, state: Callable[[], str]
) -> T:
    """Call ``probe`` until it returns something other than None, and return that.

    An API server that does not answer counts as "not yet": it may have been stopped on purpose.
    After ``timeout`` seconds raises :class:`WaitTimedOut` with ``what`` and ``state()``.
    """
    deadline = time.monotonic() + timeout
    unanswered = ""
    while True:
        try:
            found = probe()
            unanswered = ""
        except ApiUnavailable as error:
            found, unanswered = None, f"\n{error}"
        if found is not None:
            return found
        if time.monotonic() >= deadline:
            raise WaitTimedOut(f"Waited {timeout:g} s for {what}.{unanswered}\n{state()}")
        time.sleep(POLL_SECONDS)
