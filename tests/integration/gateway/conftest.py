"""Gateways as programs, and the service that they have do the work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
import yaml

from integration.gateway.service import CountingService, serving
from integration.jobs import config_of
from integration.worker.programs import Stage
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.testing import Broker

if TYPE_CHECKING:
    from conftest import TopicFactory

SetUp: TypeAlias = Callable[..., Stage]


@pytest.fixture
def service() -> Iterator[CountingService]:
    """Give a service that counts what it is asked."""
    with serving() as service:
        yield service


@pytest.fixture
def set_up(
    real_broker: Broker,
    producer: RecordProducer,
    topics: TopicFactory,
    unique_name: Callable[[str], str],
    tmp_path: Path,
) -> Iterator[SetUp]:
    """Give a function that lays a stage for gateways with a file; ``port`` is for callbacks."""
    stages: list[Stage] = []

    def lay(jobs: dict[str, Any], *, port: int | None = None, **rest: Any) -> Stage:
        stage = Stage(
            config_of(real_broker.bootstrap_servers),
            producer,
            requests=topics("requests", 4),
            responses=topics("responses", 4),
            dead_letters=topics("dead-letters"),
            control=topics("control", 1),
            group=unique_name("gateway"),
            folder=tmp_path,
            runs=("gateway", "run", str(tmp_path / "gateway.yaml")),
        )
        file = {
            "group_id": stage.group,
            "request_topic": stage.requests,
            "dead_letter_topic": stage.dead_letters,
            "control_topic": stage.control,
            "jobs": jobs,
            **rest,
        }
        if port is not None:
            (tmp_path / "secret").write_text("a secret of this test's own")
            file["callbacks"] = {
                "public_url": f"http://127.0.0.1:{port}",
                "port": port,
                "secret": {"file": str(tmp_path / "secret")},
                "topic": topics("callbacks", 2),
            }
        (tmp_path / "gateway.yaml").write_text(yaml.safe_dump(file, sort_keys=False))
        stages.append(stage)
        return stage

    yield lay
    for stage in stages:
        stage.close()
