"""What a task's log says of a job that no worker has accepted yet."""

from __future__ import annotations

from collections.abc import Mapping

from kafka_bridge.kafka.admin.queue_position import PartitionQueue, TopicQueue
from kafka_bridge.protocol.progress_text import duration

_GONE = (
    "its request is no longer in the topic, because the retention is too short or the topic was "
    "created again: clear the task to submit another job"
)
_CONSUMED = (
    "the workers have consumed its request, and no event came: look at their logs and at the dead "
    "letters, and check that they may write to the response topic"
)


def queue_facts(
    queue: TopicQueue, paces: Mapping[int, float], partition: int | None, offset: int | None
) -> str | None:
    """Return what is known of a queued job: the jobs before it, the workers, when it starts.

    :param paces: by partition, how many jobs finish in a second, where that is known
    :param partition: the partition of the job's request; None: it is not known
    :param offset: the offset of the job's request; None: it is not known
    """
    if queue.absent is not None:
        return queue.absent
    if queue.unknown is not None:
        return f"its place in the queue is not known: {queue.unknown}"
    if not queue.workers:
        return None
    if partition is None or offset is None or partition not in queue.partitions:
        return _workers(queue.workers)
    found = queue.partitions[partition]
    return _place(found, offset, queue.workers, paces.get(partition))


def _place(partition: PartitionQueue, offset: int, workers: int, pace: float | None) -> str:
    if offset < partition.first:
        return _GONE
    before = partition.before(offset)
    if before is None:
        return _CONSUMED
    facts = f"{_jobs(before)} before it, {_workers(workers)}"
    return f"{facts}, starts in about {duration(before / pace)}" if before and pace else facts


def _jobs(count: int) -> str:
    if count <= 1:
        return "1 job" if count else "no job"
    return f"{count:,} jobs"


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count:,} workers"
