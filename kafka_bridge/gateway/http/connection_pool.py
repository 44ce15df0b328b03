"""A pool of connections to one service; one request at a time uses a connection."""

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
"""How long an unused connection stays open; the default of httpx."""


class ConnectionPool:
    """A pool of httpx clients with one connection each, for one event loop.

    Clients store no cookies, because different jobs use them one after another: a session cookie of
    one job would be sent with the next.

    The pool of httpx checks all its connections at the beginning and end of each request. With a
    hundred connections this takes twice as long as the request itself.

    :param limit: the maximum number of open connections; further requests wait
    :param tls: the trusted certificates
    """

    def __init__(self, limit: int, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._slots = asyncio.Semaphore(limit)
        self._idle: deque[tuple[float, httpx.AsyncClient]] = deque()

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        """Give a client inside the block; the one used last, so that few connections stay open."""
        async with self._slots:
            client = self._idle.pop()[1] if self._idle else self._new()
            try:
                yield client
            finally:
                self._idle.append((time.monotonic(), client))
                await self._close_idle()

    def _new(self) -> httpx.AsyncClient:
        # Each request has its own timeout, which covers all of it.
        return httpx.AsyncClient(
            verify=self._tls,
            timeout=None,  # noqa: S113
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            limits=httpx.Limits(keepalive_expiry=IDLE_SECONDS),
        )

    async def _close_idle(self) -> None:
        while self._idle and self._idle[0][0] < time.monotonic() - IDLE_SECONDS:
            await self._idle.popleft()[1].aclose()
