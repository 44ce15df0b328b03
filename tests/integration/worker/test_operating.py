"""What a worker says of itself: logs that have their job and no secret, metrics, health."""

from __future__ import annotations

import json
import socket
import time
from contextlib import closing
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

import pytest

from integration.jobs import WAIT_SECONDS, events
from integration.worker.programs import Stage
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.testing.brokers.forwarding import ForwardedPort
from kafka_bridge.testing.ports import free_port

if TYPE_CHECKING:
    from conftest import Eventually

PASSWORD = "correct-horse-battery-staple"
SECRETS: dict[str, Any] = {
    "KAFKA_BRIDGE_KAFKA_SASL_USERNAME": "me",
    "KAFKA_BRIDGE_KAFKA_SASL_PASSWORD": PASSWORD,
    "KAFKA_BRIDGE_KAFKA_SASL_MECHANISM": "PLAIN",
    "KAFKA_BRIDGE_KAFKA_DEBUG": "conf,security,broker,cgrp",
    "KAFKA_BRIDGE_LOG_LEVEL": "debug",
}


def test_password_is_never_logged(stage: Stage) -> None:
    """Not at level debug, not by librdkafka telling its whole configuration, not when jobs fail."""
    worker = stage.start(**SECRETS)
    for job in (stage.request("note"), stage.request("fail", "on purpose")):
        stage.publish(job)
        events(stage.config, stage.responses, job.correlation_id)
    assert worker.stop() == 0
    assert "sasl.password = [redacted]" in worker.said
    assert "Failure: on purpose" in worker.said
    assert PASSWORD not in worker.said


@pytest.mark.long
def test_password_is_not_in_the_error_of_a_worker_that_was_refused(stage: Stage) -> None:
    """A broker that wants no SASL ends the worker with an error in words, the address in it."""
    worker = stage.start(
        ready=False, KAFKA_BRIDGE_KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT", **SECRETS
    )
    assert worker.process.wait(WAIT_SECONDS) == 1
    servers = stage.config.bootstrap_servers
    assert f"kafka-bridge: Kafka at {servers} refused this client while" in worker.said
    assert "'security.protocol' is SASL_PLAINTEXT, and the listener at" in worker.said
    assert PASSWORD not in worker.said


def test_every_line_of_a_handler_has_its_job(stage: Stage) -> None:
    """On threads, on the event loop and on threads that it lends, with jobs side by side.

    So have the worker's own lines about a job, also about one that it cannot read. And every line
    of the process, whoever wrote it, is one JSON object.
    """
    worker = stage.start("--log-format", "json", "--concurrency", "4")
    jobs = [stage.request(kind) for kind in ("tell", "tell.async") * 4]
    failing = stage.request("fail", "on\npurpose")
    unreadable = new_correlation_id()
    stage.publish(*jobs, failing)
    stage.producer.publish(stage.requests, unreadable.encode(), b"?", [])
    worker.until_said(f"to the dead-letter topic {stage.dead_letters}")
    for job in (*jobs, failing):
        events(stage.config, stage.responses, job.correlation_id)
    assert worker.stop() == 0
    lines = [json.loads(line) for line in worker.said.splitlines()]
    assert {"timestamp", "level", "logger", "message"} <= set.intersection(*map(set, lines))
    assert lines[0]["message"].endswith(f"from topic {stage.requests}, concurrency 4")
    assert lines[-1]["message"] == "Stopped"
    told = [line for line in lines if line["logger"] == "services"]
    assert len(told) == 4 + 2 * 4
    for line in told:
        assert line["message"] == f"told {line['correlation_id']}"
        assert line["job_type"] in {"tell", "tell.async"}
    (failed,) = [line for line in lines if r"on\npurpose" in line["message"]]
    assert failed["correlation_id"] == failing.correlation_id
    (set_aside,) = [
        line
        for line in lines
        if f"to the dead-letter topic {stage.dead_letters}" in line["message"]
    ]
    assert set_aside["correlation_id"] == unreadable


def test_worker_goes_on_trying_until_a_broker_answers(stage: Stage) -> None:
    """After 3 s it logs the address and the variable that sets it; then it works as ever."""
    port = free_port()
    worker = stage.start(ready=False, KAFKA_BRIDGE_BOOTSTRAP_SERVERS=f"127.0.0.1:{port}")
    worker.until_said(f"No Kafka broker at 127.0.0.1:{port} has answered for 3 s")
    assert "(the address is from KAFKA_BRIDGE_BOOTSTRAP_SERVERS)" in worker.said
    host, _, target = stage.config.bootstrap_servers.split(",")[0].rpartition(":")
    with closing(ForwardedPort(port, (host, int(target)))):
        worker.until_said("Ready for jobs")
        job = stage.request("note")
        stage.publish(job)
        assert events(stage.config, stage.responses, job.correlation_id)[-1].state == "SUCCEEDED"
        assert worker.stop() == 0
    assert "A Kafka broker answered after" in worker.said


def test_sigterm_ends_a_worker_that_waits_for_its_brokers_at_once(stage: Stage) -> None:
    """With exit code 0: nothing has failed."""
    worker = stage.start(ready=False, KAFKA_BRIDGE_BOOTSTRAP_SERVERS=f"127.0.0.1:{free_port()}")
    worker.until_said("No Kafka broker at")
    began = time.monotonic()
    assert worker.stop() == 0
    assert time.monotonic() - began < 10  # Python itself needs a second to end on a busy machine
    assert "Stopped" in worker.said.splitlines()[-1]


def test_metrics_and_health_are_those_of_the_worker(stage: Stage, eventually: Eventually) -> None:
    """Not ready while it learns, ready then; what it did is counted; the port ends with it."""
    port = free_port()
    worker = stage.start("--metrics-port", str(port), "--metrics-host", "127.0.0.1")
    eventually(lambda: get(port, "/health/ready")[0] == 200, "the worker is ready")
    assert get(port, "/health/live") == (200, "ok\n")
    done, failed = stage.request("note"), stage.request("fail", "on purpose")
    stage.publish(done, failed)
    for job in (done, failed):
        events(stage.config, stage.responses, job.correlation_id)
    metrics = get(port, "/metrics")[1].splitlines()
    prefix = "kafka_bridge_worker_"
    assert f"{prefix}partitions 4.0" in metrics
    assert f'{prefix}jobs_accepted_total{{job_type="note"}} 1.0' in metrics
    for job_type, state in (("note", "SUCCEEDED"), ("fail", "FAILED")):
        labels = f'{{job_type="{job_type}",state="{state}"}}'
        eventually(
            lambda labels=labels: (  # type: ignore[misc]
                f"{prefix}job_duration_seconds_count{labels} 1.0"
                in get(port, "/metrics")[1].splitlines()
            ),
            f"{labels} is counted",
        )
    assert worker.stop() == 0
    with pytest.raises(ConnectionRefusedError):
        get(port, "/health/live")


def test_taken_port_ends_the_worker_before_it_takes_a_job(stage: Stage) -> None:
    """In one line that names the port; the group is never joined."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        worker = stage.start(
            *("--metrics-port", str(port), "--metrics-host", "127.0.0.1"), ready=False
        )
        assert worker.process.wait(WAIT_SECONDS) == 1
    assert f"kafka-bridge: port {port} for metrics and health cannot be opened on" in worker.said
    assert "Ready for jobs" not in worker.said


def get(port: int, path: str) -> tuple[int, str]:
    """Ask a worker over HTTP; return status code and body."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()
