"""Sends callbacks as fast as they are accepted, or at a fixed rate, with little CPU."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

CONNECTIONS = 32
ACCEPTED = 202


@dataclass(frozen=True)
class Callback:
    """A callback: the URL, and the body as JSON."""

    url: str
    body: bytes

    def request(self) -> bytes:
        """Return the request as the bytes that go over a connection."""
        parts = urlsplit(self.url)
        return (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(self.body)}\r\n\r\n"
        ).encode() + self.body


class Connection:
    """One connection for many requests."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect to the host of a URL."""
        parts = urlsplit(url)
        return cls(*await asyncio.open_connection(parts.hostname, parts.port))

    async def send(self, callback: Callback) -> None:
        """Send a callback, and return when it is accepted.

        :raises RuntimeError: the callback was refused
        """
        self._writer.write(callback.request())
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.partition(b":")[2])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        )
        body = await self._reader.readexactly(length)
        if int(head.split(maxsplit=2)[1]) != ACCEPTED:
            raise RuntimeError(f"a callback was refused: {head.decode()}{body.decode()}")

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()


@contextlib.asynccontextmanager
async def _connections(url: str, count: int) -> AsyncIterator[list[Connection]]:
    opened = [await Connection.open(url) for _ in range(count)]
    try:
        yield opened
    finally:
        for each in opened:
            each.close()


async def at_once(callbacks: Sequence[Callback]) -> float:
    """Send callbacks in this order over some connections; return the accepted ones per second."""
    left = deque(callbacks)

    async def work(connection: Connection) -> None:
        while left:
            await connection.send(left.popleft())

    async with _connections(callbacks[0].url, CONNECTIONS) as opened:
        begin = time.perf_counter()
        await asyncio.gather(*(work(each) for each in opened))
        return len(callbacks) / (time.perf_counter() - begin)


async def at_a_pace(
    callbacks: Sequence[Callback], a_second: float
) -> tuple[dict[str, float], list[float]]:
    """Send callbacks at a fixed rate.

    :param a_second: how many to send each second
    :return: by URL, when the callback was sent, in seconds since 1970; and how long each one took
        to be accepted
    """
    sent, took = dict[str, float](), list[float]()
    async with _connections(callbacks[0].url, CONNECTIONS) as opened:
        idle = asyncio.Queue[Connection]()
        for each in opened:
            idle.put_nowait(each)

        async def send(callback: Callback) -> None:
            sent[callback.url] = begin = time.time()
            connection = await idle.get()
            await connection.send(callback)
            took.append(time.time() - begin)
            idle.put_nowait(connection)

        first = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number, callback in enumerate(callbacks):
                await asyncio.sleep(first + number / a_second - time.monotonic())
                group.create_task(send(callback))
    return sent, took
