"""Somebody who found a gateway's callback port."""

from __future__ import annotations

import contextlib
import json
import socket
from collections import Counter
from collections.abc import Iterator
from random import Random

import httpx

from kafka_bridge.gateway.callbacks.authentication import CallbackTokens

from .background import repeating
from .odd_values import odd_result, odd_text

PAUSE_SECONDS = 0.2
HALF_OPEN = 20
"""Connections that are held open with half a request."""


class OddCaller:
    """Calls a callback port with odd requests.

    ``answers`` counts by HTTP status.

    :param tokens: makes URLs that are good, for some of the calls
    """

    def __init__(self, port: int, tokens: CallbackTokens, seed: int) -> None:
        self.answers: Counter[int] = Counter()
        self._port = port
        self._tokens = tokens
        self._chance = Random(seed)
        self._half_open: list[socket.socket] = []
        self._client = httpx.Client(trust_env=False, timeout=30)

    @contextlib.contextmanager
    def calling(self) -> Iterator[None]:
        """Call while the block runs."""
        with contextlib.closing(self._client), repeating(self._step, PAUSE_SECONDS):
            yield
        for each in self._half_open:
            each.close()

    def _step(self) -> None:
        self._chance.choice((self._call, self._call, self._raw))()

    def _call(self) -> None:
        job = f"{self._chance.getrandbits(128):032x}"
        path = self._chance.choice(
            (
                self._tokens.url(job, "fuzz.called-back").rpartition("/")[2],
                self._tokens.url(odd_text(self._chance)[:50], "no such type").rpartition("/")[2],
                "forged.token",
                "x" * 5_000,
            )
        )
        bodies = (
            json.dumps({"status": "completed", "result": odd_text(self._chance)}).encode(),
            json.dumps({"status": odd_text(self._chance)}).encode(),
            odd_result(self._chance)[0],
            b"x" * 2_000_000,
            b"",
        )
        with contextlib.suppress(httpx.TransportError):  # it may close on us
            url = f"http://127.0.0.1:{self._port}/callbacks/{path}"
            answer = self._client.post(url, content=self._chance.choice(bodies))
            self.answers[answer.status_code] += 1

    def _raw(self) -> None:
        """Send what is not HTTP, or half of it."""
        begins = (
            b"",
            b"POST /callbacks/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf",
            b"GET / HTTP/1.1\r\n" + b"A: " + b"a" * 100_000,
            b"\x16\x03\x01\x02\x00\x01\x00",
            self._chance.randbytes(200),
        )
        with contextlib.suppress(OSError):
            connection = socket.create_connection(("127.0.0.1", self._port), timeout=5)
            self._half_open.append(connection)
            connection.sendall(self._chance.choice(begins))
        while len(self._half_open) > HALF_OPEN:
            self._half_open.pop(0).close()
