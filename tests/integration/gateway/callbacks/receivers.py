"""Receivers of callbacks on real Kafka, and services that call back over the loopback."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from kafka_bridge.gateway.callbacks.callback_outcome import CallbackOutcome
from kafka_bridge.gateway.callbacks.channel import CallbackChannel
from kafka_bridge.gateway.callbacks.config import CallbackConfig
from kafka_bridge.gateway.callbacks.inbox import JobCallbacks
from kafka_bridge.gateway.http.config import HttpJob
from kafka_bridge.kafka.config import KafkaConfig

SECRET_VARIABLE = "TEST_CALLBACK_SECRET"
RETRY_SECONDS = 0.05
WAIT_SECONDS = 90.0
"""An upper bound for a very busy machine: a broker may need a minute to start."""


@dataclass
class Gateway:
    """A gateway's side of callbacks: where it takes them, and what became of them."""

    channel: CallbackChannel
    port: int = 0
    outcomes: Counter[CallbackOutcome] = field(default_factory=Counter)
    failed: threading.Event = field(default_factory=threading.Event)

    def url(self, job: str) -> str:
        """Return a job's callback URL as a proxy in front of this gateway passes it on."""
        return f"http://127.0.0.1:{self.port}{urlsplit(self.channel.url(job, 'work')).path}"


@contextlib.contextmanager
def gateway(config: KafkaConfig, topic: str, **values: Any) -> Iterator[Gateway]:
    """Run a gateway's side of callbacks inside the block."""
    file = {
        "public_url": "http://gateway.example",
        "secret": {"env": SECRET_VARIABLE},
        "port": 0,
        "topic": topic,
        **values,
    }
    job = HttpJob.model_validate({"url": "http://service.example", "mode": "callback"})
    running = Gateway(CallbackChannel(CallbackConfig.model_validate(file), {"work": job}))

    def count(outcome: CallbackOutcome) -> None:
        running.outcomes[outcome] += 1

    with running.channel.open(config, count, running.failed.set) as running.port:
        yield running


def progress(completed: int) -> dict[str, Any]:
    """Return a callback that says how far a job is."""
    return {"status": "running", "progress": {"completed": completed, "total": 10}}


def end(result: object = None) -> dict[str, Any]:
    """Return a callback that says that a job has succeeded."""
    return {"status": "completed", "result": result}


async def until_taken(client: httpx.AsyncClient, url: str, body: dict[str, Any]) -> int:
    """Call back as a service does that tries again; return the status that it was content with."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            with contextlib.suppress(httpx.TransportError):
                status = (await client.post(url, json=body)).status_code
                if status < 500:
                    return status
            await asyncio.sleep(RETRY_SECONDS)


async def hear(callbacks: JobCallbacks) -> dict[str, Any]:
    """Return the next callback."""
    async with asyncio.timeout(WAIT_SECONDS):
        return await callbacks.next()


async def hears_nothing(callbacks: JobCallbacks, seconds: float = 0.3) -> bool:
    """Tell whether no callback comes for a while."""
    try:
        async with asyncio.timeout(seconds):
            await callbacks.next()
    except TimeoutError:
        return True
    return False
