"""The place of a queued job, from what real workers have committed to a real Kafka."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from integration.jobs import WAIT_SECONDS
from integration.worker.endings import ends_of
from integration.worker.programs import Stage
from kafka_bridge.kafka.admin.queue_position import TopicQueue, queues_of

if TYPE_CHECKING:
    from conftest import Eventually, TopicFactory


def test_jobs_that_finished_out_of_order_are_not_before_a_queued_one(
    stage: Stage, topics: TopicFactory, eventually: Eventually
) -> None:
    """A job that runs for long holds the committed offset; the quick ones behind it have ended."""
    stage = dataclasses.replace(stage, requests=topics("one-partition", 1))

    def look() -> TopicQueue:
        return queues_of(stage.config, [stage.requests], WAIT_SECONDS)[stage.requests]

    assert look().absent == (
        f"no consumer group reads {stage.requests!r}: start the service's workers"
    )
    quick = [stage.request("note") for _ in range(20)]
    waiting = [stage.request("wait") for _ in range(4)]
    stage.start("--concurrency", "2")
    stage.publish(stage.request("wait"), *quick)
    ends_of(stage, quick)
    place = stage.publish(*waiting)[-1]
    assert place.offset == 24
    eventually(
        lambda: look().partitions[place.partition].before(place.offset) == 4,
        "only the four unfinished jobs are before the last one",
    )
    assert look().workers == 1
    stage.gate.touch()
    ends_of(stage, waiting)
    eventually(
        lambda: look().partitions[place.partition].before(place.offset) is None,
        "the last job is finished, too",
    )
    assert look().partitions[place.partition].done == 25
