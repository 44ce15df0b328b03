"""What a worker says of itself while it runs: logs with their job, and never a secret."""

from __future__ import annotations

import json
from typing import Any

from integration.jobs import WAIT_SECONDS, events
from integration.worker.programs import Stage

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


def test_password_is_not_in_the_error_of_a_worker_that_was_refused(stage: Stage) -> None:
    """A broker that wants no SASL ends the worker with an error in words, the address in it."""
    worker = stage.start(
        ready=False,
        KAFKA_BRIDGE_KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT",
        START_SECONDS="1",
        **SECRETS,
    )
    assert worker.process.wait(WAIT_SECONDS) == 1
    assert f"kafka-bridge: no Kafka broker answered at {stage.config.bootstrap_servers}" in (
        worker.said
    )
    assert PASSWORD not in worker.said


def test_every_line_is_one_json_object(stage: Stage) -> None:
    """From the first line to the last, whoever wrote it, when the format says so."""
    worker = stage.start("--log-format", "json", "--concurrency", "2")
    job = stage.request("fail", "several\nlines")
    stage.publish(job)
    events(stage.config, stage.responses, job.correlation_id)
    assert worker.stop() == 0
    lines = [json.loads(line) for line in worker.said.splitlines()]
    assert {"timestamp", "level", "logger", "message"} <= set.intersection(*map(set, lines))
    assert lines[0]["message"].endswith(f"from {stage.requests}, 2 at a time")
    assert [line for line in lines if "several\nlines" in line["message"]]
    assert lines[-1]["message"] == "Stopped"
