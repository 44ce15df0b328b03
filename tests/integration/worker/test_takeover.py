"""A worker takes over a partition with an old, unfinished job and many finished ones behind it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import confluent_kafka as ck
import pytest

from integration.worker.endings import end_of, ends_of, how_often_ended
from integration.worker.programs import Stage
from kafka_bridge.protocol.messages import JobState

if TYPE_CHECKING:
    from conftest import Eventually, TopicFactory

QUICK = 1_500


@pytest.fixture
def narrow(stage: Stage, topics: TopicFactory) -> Stage:
    """Give a stage with one partition of requests."""
    return dataclasses.replace(stage, requests=topics("one-partition", 1))


def group(stage: Stage) -> ck.Consumer:
    """Return a client with the name of the workers' group, but no member of it."""
    servers = stage.config.bootstrap_servers
    return ck.Consumer({"bootstrap.servers": servers, "group.id": stage.group})


def metadata(stage: Stage) -> str:
    """Return what is committed beside the offset."""
    (found,) = group(stage).committed([ck.TopicPartition(stage.requests, 0)], timeout=10)
    return found.metadata or ""


@pytest.mark.parametrize("note", [None, "", "another program's", "kafka-bridge:1:0,1:00000000"])
def test_finished_requests_are_not_read_again_and_never_run_again(
    narrow: Stage, eventually: Eventually, note: str | None
) -> None:
    """Not if another program has replaced the metadata, either; then the ledger alone decides."""
    stage = narrow
    old = stage.request("wait")
    quick = [stage.request("note") for _ in range(QUICK)]
    first = stage.start("--concurrency", "4")
    stage.publish(old, *quick)
    ends_of(stage, quick)
    eventually(lambda: f",1,{QUICK}:" in metadata(stage), "all are committed as finished")
    first.kill()
    if note is not None:
        position = ck.TopicPartition(stage.requests, 0, 0, metadata=note)
        eventually(lambda: commits(stage, position), "the group has lost its member")
    second = stage.start("--concurrency", "4", KAFKA_BRIDGE_LOG_LEVEL="info")
    new = stage.request("note")
    stage.publish(new, quick[7], quick[-1])
    ends_of(stage, [new])
    is_known = f"{QUICK} requests above the committed offset are finished" in second.said
    assert is_known is (note is None)
    stage.gate.touch()
    assert (end_of(stage, old).state, end_of(stage, old).delivery) == (JobState.SUCCEEDED, 2)
    assert second.stop() == 0
    assert set(how_often_ended(stage, [old, new, *quick])) == {1}
    assert len(stage.noted("done")) == QUICK + 2


def commits(stage: Stage, position: ck.TopicPartition) -> bool:
    """Commit as an operator does, which only an empty group allows; tell whether it did."""
    try:
        group(stage).commit(offsets=[position], asynchronous=False)
    except ck.KafkaException:
        return False
    return True
