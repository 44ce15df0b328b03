"""Connections to one service: at most so many, each used by one request at a time."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

IDLE_SECONDS = 5.0
"""How long a connection that nobody uses stays open: as httpx has it."""


class ConnectionPool:
    """Hands out clients of httpx, each with one connection. For one event loop.

    They keep no cookies: a client is used for one job after another, and a session cookie of one
    would be sent with the next.

    httpx's own pool looks at each of its connections, whenever a request begins and ends: with a
    hundred of them that takes twice as long as the request itself.

    :param most: how many are open at a time; who asks for more waits
    :param tls: whose certificates to trust
    """

    def __init__(self, most: int, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._places = asyncio.Semaphore(most)
        self._idle: deque[tuple[float, httpx.AsyncClient]] = deque()

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncIterator[httpx.AsyncClient]:
        """Give a client for one request at a time: the one used last, so that few stay open."""
        async with self._places:
            client = self._idle.pop()[1] if self._idle else self._new()
            try:
                yield client
            finally:
                self._idle.append((time.monotonic(), client))
                await self._close_idle()

    def _new(self) -> httpx.AsyncClient:
        # Each request has a time-out of its own, for the whole of it.
        return httpx.AsyncClient(
            verify=self._tls,
            timeout=None,  # noqa: S113
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            limits=httpx.Limits(keepalive_expiry=IDLE_SECONDS),
        )

    async def _close_idle(self) -> None:
        while self._idle and self._idle[0][0] < time.monotonic() - IDLE_SECONDS:
            await self._idle.popleft()[1].aclose()
