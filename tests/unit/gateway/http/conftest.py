"""A scripted service, and jobs that a gateway runs on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, TypeAlias

import pytest

from kafka_bridge.gateway import outbound
from kafka_bridge.gateway.config import GatewayConfig
from kafka_bridge.gateway.gateway import Gateway
from kafka_bridge.gateway.http import polling
from kafka_bridge.testing import FakeClock
from kafka_bridge.testing.jobs import JobOutcome, run_job
from kafka_bridge.worker.runtime import reporter
from unit.gateway.http.scripted import ScriptedService, serving
from unit.gateway.started_job import JOB
from unit.loop_time import LoopTime

POLLING = {"interval": 1, "maximum": 1}
"""Seconds of the fake clock. They are longer than the pause between two events with progress, so
each report is published."""
SOON = {"initial": 0.01, "maximum": 0.02, "jitter": 0}

Do: TypeAlias = Callable[..., JobOutcome]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """Give the clock that pauses between polls move, and by which events are published."""
    clock = FakeClock()
    monkeypatch.setattr(polling, "asyncio", SimpleNamespace(sleep=clock.async_sleep))
    for module in (polling, outbound, reporter):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedService]:
    """Give a scripted service; while it is silent, timeouts pass without a real wait."""
    with serving(LoopTime(monkeypatch).skip) as service:
        yield service


@pytest.fixture
def do(service: ScriptedService) -> Do:
    """Give a function that runs a job of type ``work`` on the service."""

    def run(
        job: dict[str, Any] | None = None,
        payload: Any = None,
        service_config: dict[str, Any] | None = None,
        **arguments: Any,
    ) -> JobOutcome:
        config = GatewayConfig.model_validate(
            {
                "services": {
                    "it": {"url": service.url, "retries": SOON, "timeout": 60}
                    | (service_config or {})
                },
                "jobs": {"work": {"service": "it", "polling": POLLING} | (job or {})},
            }
        )
        given: dict[str, Any] = {"correlation_id": JOB, "timeout": 60.0} | arguments
        return run_job(Gateway(config).worker, "work", payload, **given)

    return run
