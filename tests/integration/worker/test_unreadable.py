"""A worker program and those who wait get past batches that nobody can unpack."""

from __future__ import annotations

from queue import Queue
from typing import TYPE_CHECKING

from integration.jobs import WAIT_SECONDS, committed
from integration.unreadable import publish_unreadable
from integration.worker.programs import Stage
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.kafka.responses.reader import ResponseReader
from kafka_bridge.kafka.responses.subscriptions import Arrival, Delivery, Notice
from kafka_bridge.protocol.messages import JobState

if TYPE_CHECKING:
    from conftest import Eventually

PARTITIONS = 4


def hand_over(delivery: Delivery) -> None:
    """Tell each job on the reader's own thread."""
    for subscription, notice in delivery:
        subscription.notify(notice)


def test_job_behind_unreadable_batches_runs_and_its_result_is_received(
    stage: Stage, eventually: Eventually
) -> None:
    """Such batches lie in all topics: before the worker starts, and again while it runs.

    The worker's consumer, its control reader and its ledger get past them, and so does the reader
    of whoever waits. What is skipped counts as done: it is committed.
    """
    servers = stage.config.bootstrap_servers
    for topic in (stage.requests, stage.responses):
        publish_unreadable(servers, topic, partitions=PARTITIONS)
    publish_unreadable(servers, stage.control)
    jobs = [stage.request("note") for _ in range(8)]
    stage.publish(*jobs)
    worker = stage.start()
    told = Queue[Notice]()
    reader = ResponseReader(stage.config, stage.responses, hand_over)
    try:
        for job in jobs:
            reader.subscribe(job.correlation_id, [0] * PARTITIONS, told.put)
        ended = 0
        while ended < len(jobs):
            notice = told.get(timeout=WAIT_SECONDS)
            assert isinstance(notice, Arrival), notice
            ended += notice.head.state is JobState.SUCCEEDED
        assert reader.counts.unreadable == PARTITIONS
    finally:
        reader.close()
    for topic in (stage.requests, stage.responses, stage.control):
        assert f"Skipped {topic}[0] offsets 0 to 0: 1 unreadable batch(es)" in worker.said
    publish_unreadable(servers, stage.requests, partitions=PARTITIONS)
    ends = end_offsets(stage.config, [stage.requests], WAIT_SECONDS)[stage.requests]
    eventually(
        lambda: committed(stage.config, stage.group, stage.requests, PARTITIONS) == ends,
        "what was skipped is committed",
    )
    assert worker.stop() == 0
