"""Dead letters from the worker that sets them aside to the one that does them after all."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import confluent_kafka as ck
import pytest

from integration.jobs import WAIT_SECONDS
from integration.kafka.dead_letters import Office
from integration.worker.programs import Stage
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobState, StatusEvent
from kafka_bridge.testing import Broker

if TYPE_CHECKING:
    from conftest import Eventually


JUNK = 3_000
JUNK_BYTES = 3_000


def test_flood_of_junk_makes_few_log_lines(stage: Stage, eventually: Eventually) -> None:
    """Thousands of unreadable requests: all are set aside, a few are named, the rest is counted."""
    body = b'{"correlation_id": "%s"}' % (b"x" * JUNK_BYTES)
    junk = [stage.producer.send(stage.requests, None, body, []) for _ in range(JUNK)]
    for each in junk:
        each.result()
    worker = stage.start()
    job = stage.request("note")
    stage.publish(job)

    def all_set_aside() -> bool:
        ends = end_offsets(stage.config, [stage.dead_letters], WAIT_SECONDS)
        return sum(ends[stage.dead_letters]) == JUNK

    eventually(all_set_aside, "all are among the dead letters")
    eventually(lambda: stage.noted("done") == [job.correlation_id], "the honest job is done")
    named = [
        line
        for line in worker.said.splitlines()
        if f"to the dead-letter topic {stage.dead_letters}" in line
    ]
    assert 10 <= len(named) <= 40
    assert max(map(len, named)) < 2_500
    assert len(worker.said) < 200_000
    assert worker.stop() == 0
    named = [line for line in worker.said.splitlines() if "] Writing request " in line]
    counted = re.findall(r"(\d+) more lines like this one were left out", worker.said)
    assert len(named) + sum(map(int, counted)) == JUNK


@pytest.mark.long
def test_job_runs_once_its_missing_response_topic_exists(
    stage: Stage,
    real_broker: Broker,
    unique_name: Callable[[str], str],
    eventually: Eventually,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Set aside for want of a response topic, listed with that reason, and replayed.

    However often it is replayed until it is done, it ends once.
    """
    responses = unique_name("responses")
    office = Office(
        stage.config,
        requests=stage.requests,
        responses=responses,
        dead_letters=stage.dead_letters,
        capture=capsys,
        monkeypatch=monkeypatch,
        producer=ck.Producer(stage.config.producer(30)),
    )
    job = replace(stage.request("multiply", {"number": 21}), response_topic=responses)
    stage.publish(job)
    stage.start()
    eventually(lambda: office.run("list", "--json").out, "the job is among the dead letters")
    letter = json.loads(office.run("list", "--json").out)
    assert letter["correlation_id"] == job.correlation_id
    assert f"topic '{responses}' does not exist" in letter["error_message"]
    assert "so it would become a dead letter again" in office.run("replay", "--all").err
    real_broker.create_topic(responses, 2)
    try:
        # A worker takes a topic that was missing to be so for ten seconds more.
        eventually(
            lambda: "is finished (SUCCEEDED)" in office.run("replay", "0@0").err,
            "the job is done, so that it is replayed no more",
            timeout=40,
        )
        seen = [record.decode(StatusEvent) for record in office.sent(responses)]
        (ended,) = [event for event in seen if event.state in TERMINAL]
        assert (ended.state, ended.result) == (JobState.SUCCEEDED, b'{"product":42}')
    finally:
        real_broker.delete_topics([responses])
