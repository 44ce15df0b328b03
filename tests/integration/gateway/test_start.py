"""A gateway starts before its brokers do."""

from __future__ import annotations

from contextlib import closing

from integration.gateway.conftest import SetUp
from integration.gateway.service import CountingService
from integration.jobs import events
from kafka_bridge.testing.brokers.forwarding import ForwardedPort
from kafka_bridge.testing.ports import free_port


def test_gateway_with_callbacks_goes_on_trying_until_a_broker_answers(
    set_up: SetUp, service: CountingService
) -> None:
    """As a worker does; then it receives callbacks and runs jobs."""
    stage = set_up(
        {"count": {"service": "counts", "mode": "callback"}},
        port=free_port(),
        services={"counts": {"url": service.url}},
    )
    port = free_port()
    gateway = stage.start(ready=False, KAFKA_BRIDGE_BOOTSTRAP_SERVERS=f"127.0.0.1:{port}")
    gateway.until_said(f"No Kafka broker at 127.0.0.1:{port} has answered for 3 s")
    host, _, target = stage.config.bootstrap_servers.split(",")[0].rpartition(":")
    with closing(ForwardedPort(port, (host, int(target)))):
        gateway.until_said("Ready for jobs")
        job = stage.request("count", {"number": 1, "seconds": 0.1})
        stage.publish(job)
        assert events(stage.config, stage.responses, job.correlation_id)[-1].state == "SUCCEEDED"
        assert gateway.stop() == 0
    assert set(service.callbacks) == {202}


def test_sigterm_ends_a_gateway_that_waits_for_its_brokers(set_up: SetUp) -> None:
    """With exit code 0: nothing has failed."""
    stage = set_up({"count": {"url": "http://127.0.0.1:9", "mode": "callback"}}, port=free_port())
    gateway = stage.start(ready=False, KAFKA_BRIDGE_BOOTSTRAP_SERVERS=f"127.0.0.1:{free_port()}")
    gateway.until_said("No Kafka broker at")
    assert gateway.stop() == 0
    assert "Stopped" in gateway.said.splitlines()[-1]
