"""A program with a producer and a response reader that forks; for ``test_forks``.

It prints what the child came to, and whether its own clients are as they were.
"""

from __future__ import annotations

import gc
import os
import sys
from queue import Queue

from integration.jobs import WAIT_SECONDS, config_of, event
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.responses.reader import ResponseReader
from kafka_bridge.kafka.responses.subscriptions import Arrival, Delivery
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.errors import DeliveryFailed
from kafka_bridge.protocol.ids import new_correlation_id


def child(producer: RecordProducer, reader: ResponseReader, topic: str) -> str:
    """Use and drop what was inherited, as clean-up code does; return what was said of a record."""
    try:
        producer.publish(topic, b"k", b"from the child", [])
    except DeliveryFailed as error:
        said = str(error)
    producer.flush()
    producer.close()
    reader.close()
    del producer, reader
    gc.collect()
    return said


def main(servers: str, topic: str) -> None:
    """Fork, and go on with what was there before."""
    config = config_of(servers)
    notices: Queue[Delivery] = Queue()
    reader = ResponseReader(config, topic, notices.put)
    producer = RecordProducer(config)
    job = new_correlation_id()
    producer.publish(topic, b"k", b"before", [])
    reader.subscribe(job, [0], lambda _: None)
    if (process := os.fork()) == 0:
        said = child(producer, reader, topic)
        print(f"child: {said}", flush=True)  # noqa: T201
        sys.exit(3)
    print("exit code", os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))  # noqa: T201
    producer.publish(topic, job.encode(), encode(event(job)), [])
    while not any(isinstance(each, Arrival) for _, each in notices.get(timeout=WAIT_SECONDS)):
        pass
    print("the parent's clients work")  # noqa: T201
    reader.close()
    producer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
