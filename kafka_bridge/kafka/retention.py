"""Where partitions begin and end, and what retention has removed of what jobs ask for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import confluent_kafka as ck

from kafka_bridge.kafka.responses.subscriptions import Delivery, Subscription, Truncated


def watermarks(
    consumer: ck.Consumer, topic: str, partitions: Iterable[int], timeout: float
) -> dict[int, tuple[int, int]]:
    """Return by partition its first offset and its end, as far as the brokers answer.

    :param timeout: seconds for each partition
    """
    found: dict[int, tuple[int, int]] = {}
    for partition in partitions:
        try:
            found[partition] = consumer.get_watermark_offsets(
                ck.TopicPartition(topic, partition), timeout=timeout
            )
        except ck.KafkaException:
            return found  # a broker is away: jobs go on under their deadlines in any case
    return found


def truncations(jobs: Sequence[Subscription], firsts: Mapping[int, int]) -> Delivery:
    """Return what to tell the jobs that ask for records which are gone.

    :param firsts: by partition, the first offset that is still there
    """
    return [
        (job, Truncated(partition, job.position(partition), first))
        for partition, first in firsts.items()
        for job in jobs
        if partition < len(job.positions) and job.position(partition) < first
    ]
