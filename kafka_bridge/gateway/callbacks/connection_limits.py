"""Limits for connections to the callback receiver: their number, and the time to send headers.

uvicorn closes idle connections only between two requests. A connection that is never used, or that
sends one byte of headers per minute, stays open forever. Enough of them use up the file descriptors
that the process needs for its probes, its Kafka connections and its jobs.
"""

from __future__ import annotations

import asyncio
import resource
import time
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEAD_SECONDS = 10.0
"""The timeout for the headers of a request, from the connection or from the last request on."""
MAX_HEAD_BYTES = 64 * 1024
MAX_CONNECTIONS = 1_000
DESCRIPTOR_SHARE = 4
"""Callbacks use at most a quarter of the process's file descriptors."""
ACCEPTED_AT_ONCE = 32
"""How many connections are accepted in a row before open ones are served again."""


def max_connections() -> int:
    """Return the maximum number of open connections."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(ACCEPTED_AT_ONCE, min(MAX_CONNECTIONS, soft // DESCRIPTOR_SHARE))


class BoundedProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """A connection of uvicorn with a timeout for headers, which may be closed for a new one.

    If there are too many connections, the one that has been sending its request for the longest is
    closed. A probe or a quick service is therefore answered, however many others are connected.

    :param limit: the maximum number of open connections
    """

    def __init__(self, *args: Any, limit: int, **options: Any) -> None:
        super().__init__(*args, **options)
        self._limit = limit
        self._head_timeout: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self.waiting_since = time.monotonic()

    @property
    def is_receiving(self) -> bool:
        """Whether the connection waits for a request, or for the rest of one."""
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    @property
    def _awaits_head(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: Any) -> None:
        """Wait for a request; close a connection if there are too many."""
        super().connection_made(transport)
        self._wait_for_head()
        if len(self.connections) > self._limit:
            self._close_oldest()

    def _close_oldest(self) -> None:
        is_open = [each for each in self.connections if not each.transport.is_closing()]
        if len(is_open) > self._limit:
            others = [each for each in is_open if each is not self and each.is_receiving]
            (min(others, key=_waiting_since) if others else self).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Process a part of a request."""
        super().data_received(data)
        if not self._awaits_head:
            self._stop_waiting()
            return
        if self.cycle is not None and self.cycle.more_body:
            return  # the rest of a body that was answered before it arrived
        # The part that ends the headers is not counted: much of a body may come with it.
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self.transport.abort()

    def on_response_complete(self) -> None:
        """Wait for the next request, which has its own timeout."""
        super().on_response_complete()
        if self._awaits_head and not self.transport.is_closing():
            self._wait_for_head()

    def _wait_for_head(self) -> None:
        self._stop_waiting()
        self._head_bytes, self.waiting_since = 0, time.monotonic()
        self._head_timeout = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._head_timeout is not None:
            self._head_timeout.cancel()
            self._head_timeout = None


def _waiting_since(connection: BoundedProtocol) -> float:
    return connection.waiting_since
