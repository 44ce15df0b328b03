"""The pending callbacks of a job that reads them slowly."""

from __future__ import annotations

import json
from unittest.mock import Mock

from kafka_bridge.gateway.callbacks.inbox import JobCallbacks
from kafka_bridge.gateway.callbacks.publisher import callback_headers
from kafka_bridge.kafka.responses.subscriptions import MOST_PENDING, Arrival
from kafka_bridge.protocol.errors import RecordLocation

JOB = "6f1c2f0a-8d4e-4b57-9a53-0c7d1be0a001"


async def test_pending_callbacks_are_limited_and_the_end_is_received() -> None:
    """A service decides how many it sends: the latest progress and the end are kept."""
    callbacks = JobCallbacks(Mock(), JOB, [0])
    subscription = callbacks.subscription

    def send(number: int, *, ends_job: bool) -> None:
        head = subscription.read_head(b"", callback_headers("work", ends_job=ends_job))
        value = json.dumps({"number": number}).encode()
        subscription.notify(Arrival(head, RecordLocation("callbacks", 0, number), value))

    for number in range(10_000):
        send(number, ends_job=False)
    send(10_000, ends_job=True)
    for number in range(10_001, 10_100):
        send(number, ends_job=False)
    received = [(await callbacks.next())["number"] for _ in range(MOST_PENDING)]
    assert received == [*range(MOST_PENDING - 1), 10_000]
    send(10_100, ends_job=False)
    assert await callbacks.next() == {"number": 10_100}


async def test_unreadable_records_are_skipped() -> None:
    """Other programs may write to the topic: invalid or too deep JSON does not fail a job."""
    callbacks = JobCallbacks(Mock(), JOB, [0])
    deep = b'{"a":' * 101 + b"1" + b"}" * 101
    for number, value in enumerate((deep, b'{"result": NaN}', b"[1]", None, b'{"number": 7}')):
        head = callbacks.subscription.read_head(value, [])
        callbacks.subscription.notify(Arrival(head, RecordLocation("callbacks", 0, number), value))
    assert await callbacks.next() == {"number": 7}
