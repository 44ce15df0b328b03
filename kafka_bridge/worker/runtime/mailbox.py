"""Calls that other threads leave for the polling thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any


class Mailbox:
    """Calls for the polling thread, in order. Other threads add them; it runs them."""

    def __init__(self) -> None:
        self._calls: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._has_calls = threading.Event()

    def call_soon(self, call: Callable[..., None], *arguments: Any) -> None:
        """Have a function called on the polling thread soon. Any thread may call this."""
        self._calls.append((call, arguments))
        if not self._has_calls.is_set():
            self._has_calls.set()

    def wait(self, seconds: float) -> None:
        """Wait until there is a call, but no longer than ``seconds``."""
        self._has_calls.wait(seconds)

    def run_pending(self) -> None:
        """Run all calls, also those that are added meanwhile."""
        self._has_calls.clear()
        while self._calls:
            call, arguments = self._calls.popleft()
            call(*arguments)
