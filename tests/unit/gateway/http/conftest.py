"""A scripted service, and jobs that a gateway has it do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest

from kafka_bridge.gateway.config import GatewayConfig
from kafka_bridge.gateway.gateway import Gateway
from kafka_bridge.testing.jobs import JobOutcome, run_job
from unit.gateway.http.scripted import Scripted, serving

JOB = "6f1c2f0a-8d4e-4b57-9a53-0c7d1be0a001"
QUICK = {"interval": 0.02, "maximum": 0.05}
SOON = {"initial": 0.01, "maximum": 0.02, "jitter": 0}

Do: TypeAlias = Callable[..., JobOutcome]


@pytest.fixture
def service() -> Iterator[Scripted]:
    """Give a service that answers as a test says."""
    with serving() as script:
        yield script


@pytest.fixture
def do(service: Scripted) -> Do:
    """Give a function that has the service do a job of type ``work``, as the file says."""

    def run(
        job: dict[str, Any] | None = None,
        payload: Any = None,
        service_says: dict[str, Any] | None = None,
        **arguments: Any,
    ) -> JobOutcome:
        config = GatewayConfig.model_validate(
            {
                "services": {
                    "it": {"url": service.url, "retries": SOON, "timeout": 5} | (service_says or {})
                },
                "jobs": {"work": {"service": "it", "polling": QUICK} | (job or {})},
            }
        )
        given: dict[str, Any] = {"correlation_id": JOB, "timeout": 20.0} | arguments
        return run_job(Gateway(config).worker, "work", payload, **given)

    return run
