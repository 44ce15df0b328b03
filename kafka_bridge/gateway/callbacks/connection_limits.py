"""Connections to the receiver of callbacks: how many, and how long they may say nothing.

uvicorn bounds a connection only between two requests. One that is opened and never used, or whose
headers come one byte a minute, stays for ever; enough of them take all file descriptors of the
process, and its probes, its Kafka connections and its jobs get none.
"""

from __future__ import annotations

import asyncio
import resource
import time
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEAD_SECONDS = 10.0
"""How long the headers of a request may take, from the connection, or the request before, on."""
MOST_HEAD_BYTES = 64 * 1024
MOST_CONNECTIONS = 1_000
DESCRIPTOR_SHARE = 4
"""No more than a quarter of the process's file descriptors are for callbacks."""
ACCEPTED_AT_ONCE = 32
"""How many connections are accepted before those that are open are looked at again."""


def most_connections() -> int:
    """Return how many connections may be open at a time."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return max(ACCEPTED_AT_ONCE, min(MOST_CONNECTIONS, soft // DESCRIPTOR_SHARE))


class BoundedProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """uvicorn's connection, which has a time to send its headers and may have to give way.

    Where there are too many, the one that has been sending its request for the longest is closed
    for the new one. So a probe, or a service that is quick, is answered whoever else is connected.

    :param most: how many may be open at a time
    """

    def __init__(self, *args: Any, most: int, **options: Any) -> None:
        super().__init__(*args, **options)
        self._most = most
        self._late: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self.waiting_since = time.monotonic()

    @property
    def is_receiving(self) -> bool:
        """Whether a request is still to come, or on its way: nobody works on it yet."""
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    @property
    def _awaits_head(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request; make room where there are too many connections."""
        super().connection_made(transport)
        self._wait_for_head()
        if len(self.connections) > self._most:
            self._make_room()

    def _make_room(self) -> None:
        is_open = [each for each in self.connections if not each.transport.is_closing()]
        if len(is_open) > self._most:
            others = [each for each in is_open if each is not self and each.is_receiving]
            (min(others, key=_waiting_since) if others else self).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take a part of a request."""
        super().data_received(data)
        if not self._awaits_head:
            self._stop_waiting()
            return
        if self.cycle is not None and self.cycle.more_body:
            return  # the rest of a body that was answered before it had come
        # The part that ends the headers is not counted: much of a body may come with it.
        self._head_bytes += len(data)
        if self._head_bytes > MOST_HEAD_BYTES:
            self.transport.abort()

    def on_response_complete(self) -> None:
        """Go on with the next request, which has its own time."""
        super().on_response_complete()
        if self._awaits_head and not self.transport.is_closing():
            self._wait_for_head()

    def _wait_for_head(self) -> None:
        self._stop_waiting()
        self._head_bytes, self.waiting_since = 0, time.monotonic()
        self._late = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def _waiting_since(connection: BoundedProtocol) -> float:
    return connection.waiting_since
