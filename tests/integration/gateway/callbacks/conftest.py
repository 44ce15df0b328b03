"""Gateways' sides of callbacks on the session's broker."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx
import pytest

from integration.gateway.callbacks.receivers import SECRET_VARIABLE, Gateway, gateway
from integration.jobs import config_of
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.testing import Broker

if TYPE_CHECKING:
    from conftest import TopicFactory

Start: TypeAlias = Callable[..., Gateway]


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the secret that all gateways of a test share."""
    monkeypatch.setenv(SECRET_VARIABLE, "what the gateways of a test share")


@pytest.fixture
def config(real_broker: Broker) -> KafkaConfig:
    """Give the configuration of the session's broker."""
    return config_of(real_broker.bootstrap_servers)


@pytest.fixture
def topic(topics: TopicFactory) -> str:
    """Give a topic of callbacks."""
    return topics("callbacks", partitions=3)


@pytest.fixture
def start(config: KafkaConfig, topic: str) -> Iterator[Start]:
    """Give a function that starts a gateway's side of callbacks; it ends with the test."""
    with contextlib.ExitStack() as stack:

        def run(**values: Any) -> Gateway:
            return stack.enter_context(gateway(config, topic, **values))

        yield run


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """Give a client, as a service that calls back has one."""
    async with httpx.AsyncClient(timeout=30) as client:
        yield client
