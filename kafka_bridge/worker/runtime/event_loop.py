"""The event loop of a process that runs handlers, on a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

LOOP_STOP_SECONDS = 1.0


@contextlib.contextmanager
def event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Run an event loop on a thread of its own, for handlers that are coroutines."""
    loop = asyncio.new_event_loop()
    stopping = threading.Event()

    def run() -> None:
        while not stopping.is_set():
            # asyncio lets these two through where a task of a handler's own raises them.
            with contextlib.suppress(SystemExit, KeyboardInterrupt):
                loop.run_forever()

    thread = threading.Thread(target=run, name="kafka-bridge-async", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        stopping.set()
        loop.call_soon_threadsafe(loop.stop)
        thread.join(LOOP_STOP_SECONDS)
        if not thread.is_alive():  # else a handler blocks it, and that must not hold up the end
            loop.close()
