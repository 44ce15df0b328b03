"""What a person reads of a job that waits in a queue."""

from __future__ import annotations

import pytest

from kafka_bridge.airflow.queue_text import queue_facts
from kafka_bridge.kafka.admin.queue_position import PartitionQueue, TopicQueue

PARTITION = PartitionQueue(first=5, committed=10, finished=((12, 14),))
QUEUE = TopicQueue(3, {2: PARTITION})
CONSUMED = (
    "the workers have consumed its request, and no event came: look at their logs and at the dead "
    "letters, and check that they may write to the response topic"
)


@pytest.mark.parametrize(
    ("offset", "facts"),
    [
        (1_250, "1,238 jobs before it, 3 workers"),
        (25, "13 jobs before it, 3 workers"),
        (11, "1 job before it, 3 workers"),
        (10, "no job before it, 3 workers"),
        (9, CONSUMED),
        (13, CONSUMED),
        (4, "its request is no longer in the topic, because the retention is too short or the "
            "topic was created again: clear the task to submit another job"),
    ],
)  # fmt: skip
def test_place_in_the_queue_is_told(offset: int, facts: str) -> None:
    """The jobs before it, or what has become of its request."""
    assert queue_facts(QUEUE, {}, 2, offset) == facts


def test_time_left_is_told_where_the_pace_of_the_partition_is_known() -> None:
    """By how many jobs of that partition have finished lately."""
    assert (
        queue_facts(QUEUE, {2: 0.05}, 2, 25)
        == "13 jobs before it, 3 workers, starts in about 4 min"
    )
    assert queue_facts(QUEUE, {1: 0.05}, 2, 25) == "13 jobs before it, 3 workers"
    assert queue_facts(QUEUE, {2: 0.05}, 2, 10) == "no job before it, 3 workers"


@pytest.mark.parametrize(("partition", "offset"), [(None, None), (2, None), (7, 25)])
def test_workers_are_told_where_the_place_is_not_known(
    partition: int | None, offset: int | None
) -> None:
    """An earlier version has published the job, or the topic was created again."""
    assert queue_facts(TopicQueue(1, {2: PARTITION}), {}, partition, offset) == "1 worker"


@pytest.mark.parametrize(
    ("queue", "facts"),
    [
        (TopicQueue(absent="start the workers"), "start the workers"),
        (
            TopicQueue(unknown="no broker answered"),
            "its place in the queue is not known: no broker answered",
        ),
        (TopicQueue(), None),
    ],
)
def test_what_is_missing_is_told(queue: TopicQueue, facts: str | None) -> None:
    """And nothing where nothing is known."""
    assert queue_facts(queue, {}, 2, 25) == facts
