"""The minimum with a worker's guarantees: consume, acknowledge, work, produce, commit.

For all requests of a fetch, it publishes ACCEPTED and waits until the brokers have it, works,
publishes SUCCEEDED and waits again, and then commits. If the brokers refuse an event, it exits and
commits nothing of that fetch. It has no heartbeats, no cancellation and no ledger.
"""

from __future__ import annotations

import json
import os
import signal
import uuid
from typing import Any

import confluent_kafka as ck

from kafka_bridge.protocol.codec import decode, encode
from kafka_bridge.protocol.messages import JobRequest, JobState, StatusEvent, utc_now

BATCH = 500


def main() -> None:
    """Work until SIGTERM."""
    servers = os.environ["KAFKA_BRIDGE_BOOTSTRAP_SERVERS"]
    consumer = ck.Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": os.environ["KAFKA_BRIDGE_GROUP_ID"],
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    producer = ck.Producer(
        {
            "bootstrap.servers": servers,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 1,
            "partitioner": "murmur2_random",
        }
    )
    consumer.subscribe([os.environ["KAFKA_BRIDGE_REQUEST_TOPIC"]])
    running = True

    def stop(*_: object) -> None:
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    while running:
        first = consumer.poll(0.1)
        if first is not None:
            _do(consumer, producer, [first, *consumer.consume(BATCH - 1, 0)])
    consumer.close()


def _do(consumer: ck.Consumer, producer: ck.Producer, batch: list[ck.Message]) -> None:
    requests = [decode(JobRequest, each.value()) for each in batch if each.error() is None]
    for request in requests:
        _publish(producer, request, JobState.ACCEPTED, 0)
    producer.flush()
    for request in requests:
        result = json.dumps(json.loads(request.payload or b"null")).encode()
        _publish(
            producer,
            request,
            JobState.SUCCEEDED,
            1,
            result=result,
            result_type="application/json",
        )
    producer.flush()
    consumer.commit(asynchronous=True)


def _publish(
    producer: ck.Producer, request: JobRequest, state: JobState, sequence: int, **facts: Any
) -> None:
    event = StatusEvent(
        correlation_id=request.correlation_id,
        event_id=str(uuid.uuid4()),
        sequence=sequence,
        state=state,
        occurred_at=utc_now(),
        worker_id="handwritten-1",
        **facts,
    )
    producer.produce(
        request.response_topic, encode(event), key=request.correlation_id, on_delivery=_require
    )


def _require(error: ck.KafkaError | None, _: ck.Message) -> None:
    """Make flush() raise an error if an event was not delivered."""
    if error is not None:
        raise ck.KafkaException(error)


if __name__ == "__main__":
    main()
