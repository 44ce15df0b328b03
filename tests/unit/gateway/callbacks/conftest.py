"""Configurations of callbacks, and a receiver that stores callbacks in a list."""

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

Callbacks: TypeAlias = Callable[..., CallbackConfig]


@pytest.fixture
def callbacks(monkeypatch: pytest.MonkeyPatch) -> Callbacks:
    """Give a function that returns a configuration of callbacks; its secret is set."""
    monkeypatch.setenv("CALLBACK_SECRET", "a secret that nobody can guess")

    def config(**values: Any) -> CallbackConfig:
        file = {"public_url": PUBLIC_URL, "secret": {"env": "CALLBACK_SECRET"}, **values}
        return CallbackConfig.model_validate(file)

    return config


def callback_job(**values: Any) -> HttpJob:
    """Return a job type in callback mode."""
    return HttpJob.model_validate({"url": "http://service.example", "mode": "callback", **values})


@dataclass
class ReceiverInMemory:
    """A receiver that stores callbacks in a list instead of Kafka.

    :ivar stored: the stored callbacks: job id, body and headers
    :ivar outcomes: the outcome of each callback
    :ivar error: why callbacks cannot be stored, if they cannot
    :ivar store_seconds: how long it takes to store one
    """

    tokens: CallbackTokens
    client: httpx.AsyncClient = field(init=False)
    stored: list[tuple[str, bytes, Headers]] = field(default_factory=list)
    outcomes: list[CallbackOutcome] = field(default_factory=list)
    error: Exception | None = None
    store_seconds: float = 0.0
    receiver: CallbackReceiver = field(init=False)

    async def store(self, job_id: str, body: bytes, headers: Headers) -> None:
        """Store a callback."""
        await asyncio.sleep(self.store_seconds)
        if self.error is not None:
            raise self.error
        self.stored.append((job_id, body, headers))

    async def post(
        self, content: Any, *, job_type: str = "work", token: str | None = None, **arguments: Any
    ) -> httpx.Response:
        """Send a callback as a service does; ``content`` is a JSON value, or bytes."""
        token = token or self.tokens.url(JOB, job_type).rpartition("/")[2]
        url = f"{PUBLIC_URL}/callbacks/{token}"
        given = {"content" if isinstance(content, bytes) else "json": content}
        return await self.client.request(arguments.pop("method", "POST"), url, **given, **arguments)


StartReceiver: TypeAlias = Callable[..., ReceiverInMemory]


@pytest.fixture
async def start_receiver(callbacks: Callbacks) -> AsyncIterator[StartReceiver]:
    """Give a function that starts a receiver for jobs of type ``work``, without a network."""
    clients: list[httpx.AsyncClient] = []

    def start(job: dict[str, Any] | None = None, **file: Any) -> ReceiverInMemory:
        config = callbacks(**file)
        started = ReceiverInMemory(CallbackTokens(config))
        receiver = CallbackReceiver(
            config, {"work": callback_job(**(job or {}))}, FinishedJobs(), started.store
        )
        started.receiver = receiver
        app = callback_app(receiver, "/bridge", started.outcomes.append)
        started.client = httpx.AsyncClient(transport=httpx.ASGITransport(app))
        clients.append(started.client)
        return started

    yield start
    for each in clients:
        await each.aclose()
