"""What the file says of callbacks, and a receiver that keeps them in a list."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import httpx
import pytest

from kafka_bridge.gateway.callbacks.app import callback_app
from kafka_bridge.gateway.callbacks.authentication import CallbackTokens
from kafka_bridge.gateway.callbacks.callback_outcome import CallbackOutcome
from kafka_bridge.gateway.callbacks.config import CallbackConfig
from kafka_bridge.gateway.callbacks.finished_jobs import FinishedJobs
from kafka_bridge.gateway.callbacks.receiver import CallbackReceiver
from kafka_bridge.gateway.http.config import HttpJob
from kafka_bridge.protocol.headers import Headers

JOB = "6f1c2f0a-8d4e-4b57-9a53-0c7d1be0a001"
PUBLIC_URL = "http://gateway.example/bridge"

Says: TypeAlias = Callable[..., CallbackConfig]


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> Says:
    """Give a function that returns what the file says of callbacks, its secret being there."""
    monkeypatch.setenv("CALLBACK_SECRET", "a secret that nobody can guess")

    def receiver(**values: Any) -> CallbackConfig:
        file = {"public_url": PUBLIC_URL, "secret": {"env": "CALLBACK_SECRET"}, **values}
        return CallbackConfig.model_validate(file)

    return receiver


def called_back(**values: Any) -> HttpJob:
    """Return a job type that a service calls back about."""
    return HttpJob.model_validate({"url": "http://service.example", "mode": "callback", **values})


@dataclass
class Receiving:
    """A receiver at work: what it kept, what it counted, and how it fails to keep more."""

    tokens: CallbackTokens
    client: httpx.AsyncClient = field(init=False)
    kept: list[tuple[str, bytes, Headers]] = field(default_factory=list)
    counted: list[CallbackOutcome] = field(default_factory=list)
    fails: Exception | None = None
    keeps_for: float = 0.0
    receiver: CallbackReceiver = field(init=False)

    async def publish(self, job_id: str, body: bytes, headers: Headers) -> None:
        """Keep a callback."""
        await asyncio.sleep(self.keeps_for)
        if self.fails is not None:
            raise self.fails
        self.kept.append((job_id, body, headers))

    async def call_back(
        self, content: Any, *, job_type: str = "work", token: str | None = None, **arguments: Any
    ) -> httpx.Response:
        """Call back as a service does; ``content`` is JSON, or bytes as they are."""
        token = token or self.tokens.url(JOB, job_type).rpartition("/")[2]
        url = f"{PUBLIC_URL}/callbacks/{token}"
        given = {"content" if isinstance(content, bytes) else "json": content}
        return await self.client.request(arguments.pop("method", "POST"), url, **given, **arguments)


Receive: TypeAlias = Callable[..., Receiving]


@pytest.fixture
async def receive(says: Says) -> AsyncIterator[Receive]:
    """Give a function that starts a receiver for jobs of type ``work``, without a network."""
    clients: list[httpx.AsyncClient] = []

    def start(job: dict[str, Any] | None = None, **file: Any) -> Receiving:
        config = says(**file)
        receiving = Receiving(CallbackTokens(config))
        receiver = CallbackReceiver(
            config, {"work": called_back(**(job or {}))}, FinishedJobs(), receiving.publish
        )
        receiving.receiver = receiver
        app = callback_app(receiver, "/bridge", receiving.counted.append)
        receiving.client = httpx.AsyncClient(transport=httpx.ASGITransport(app))
        clients.append(receiving.client)
        return receiving

    yield start
    for each in clients:
        await each.aclose()
