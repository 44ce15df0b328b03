"""A hub follows whether its reader is live, whatever becomes of the metrics."""

from __future__ import annotations

import asyncio
import math
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from kafka_bridge.airflow.triggerer import hub
from kafka_bridge.kafka.config import KafkaConfig


async def test_metrics_that_cannot_be_reported_do_not_stop_the_time_outs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Silence would prove nothing for ever, and no job of the process would run out of time."""
    reader = SimpleNamespace(is_open=True, health=SimpleNamespace(is_live=False))
    monkeypatch.setattr(hub, "ResponseReader", lambda *_, **__: reader)
    monkeypatch.setattr(hub, "WATCH_SECONDS", 0.01)
    has_failed, is_live = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().set_exception_handler(lambda *_: has_failed.set())

    def report(_: object) -> None:
        if watching.live_since != math.inf:
            is_live.set()
        raise RuntimeError("statsd")

    metrics = Mock(report=report)
    watching = hub.ResponseHub(KafkaConfig({"bootstrap.servers": "x:9"}), "responses", metrics)
    async with asyncio.timeout(30):
        await has_failed.wait()
        assert not is_live.is_set()
        reader.health.is_live = True
        await is_live.wait()
    reader.is_open = False
