"""Connections to a service: used again, and closed when they are idle."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import pytest

from kafka_bridge.gateway.http import connection_pool
from kafka_bridge.gateway.http.connection_pool import IDLE_SECONDS, ConnectionPool
from kafka_bridge.testing import FakeClock
from unit.gateway.started_job import until

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@dataclass
class Listener:
    """A service that counts its connections; each of its answers takes a moment."""

    url: str = ""
    opened: int = 0
    now: int = 0
    most: int = 0
    requests: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        self.opened += 1
        self.now += 1
        self.most = max(self.most, self.now)
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                await asyncio.sleep(0.01)
                writer.write(ANSWER)
        self.now -= 1
        writer.close()


@contextlib.asynccontextmanager
async def listening() -> AsyncIterator[Listener]:
    """Serve inside the block."""
    listener = Listener()
    server = await asyncio.start_server(listener.serve, "127.0.0.1", 0)
    listener.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server:
        yield listener


async def ask(open_: ConnectionPool, listener: Listener) -> None:
    """Send one request."""
    async with open_.client() as client:
        assert (await client.get(listener.url)).json() == {}


def test_connections_are_used_again_and_limited() -> None:
    """Sixty requests, thirty at a time, use three connections; later ones use the last."""

    async def run() -> Listener:
        open_ = ConnectionPool(3, httpx.create_ssl_context())
        async with listening() as listener:
            for _ in range(2):
                await asyncio.gather(*(ask(open_, listener) for _ in range(30)))
        return listener

    listener = asyncio.run(run())
    assert (len(listener.requests), listener.opened, listener.most) == (60, 3, 3)


def test_idle_connections_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a burst, connections that later requests do not need are closed."""
    clock = FakeClock()
    monkeypatch.setattr(connection_pool, "time", clock)

    async def run() -> Listener:
        open_ = ConnectionPool(20, httpx.create_ssl_context())
        async with listening() as listener:
            await asyncio.gather(*(ask(open_, listener) for _ in range(20)))
            assert listener.now == 20
            clock.advance(IDLE_SECONDS + 1)
            await ask(open_, listener)
            await until(lambda: listener.now == 1)
        return listener

    assert asyncio.run(run()).now <= 1
