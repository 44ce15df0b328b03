"""How other threads have the polling thread do something."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


class Posts:
    """What other threads have the polling thread do."""

    def __init__(self) -> None:
        self._calls: deque[Callable[[], None]] = deque()
        self._come = threading.Event()

    def post(self, call: Callable[[], None]) -> None:
        """Have this called on the polling thread, soon."""
        self._calls.append(call)
        if not self._come.is_set():
            self._come.set()

    def wait(self, seconds: float) -> None:
        """Wait until something is posted."""
        self._come.wait(seconds)

    def work_off(self) -> None:
        """Do what was posted."""
        self._come.clear()
        while self._calls:
            self._calls.popleft()()
