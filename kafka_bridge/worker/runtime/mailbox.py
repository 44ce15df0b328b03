"""How other threads have the polling thread do something."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any


class Mailbox:
    """What other threads have the polling thread do."""

    def __init__(self) -> None:
        self._calls: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._come = threading.Event()

    def call_soon(self, call: Callable[..., None], *arguments: Any) -> None:
        """Have this called, with these arguments, on the polling thread, soon."""
        self._calls.append((call, arguments))
        if not self._come.is_set():
            self._come.set()

    def wait(self, seconds: float) -> None:
        """Wait until something is posted."""
        self._come.wait(seconds)

    def run_pending(self) -> None:
        """Do what was posted."""
        self._come.clear()
        while self._calls:
            call, arguments = self._calls.popleft()
            call(*arguments)
