"""What waits for a job that does not keep up with what it is called back."""

from __future__ import annotations

import json
from unittest.mock import Mock

from kafka_bridge.gateway.callbacks.inbox import JobCallbacks
from kafka_bridge.gateway.callbacks.publisher import callback_headers
from kafka_bridge.kafka.responses.subscriptions import MOST_PENDING, Arrival
from kafka_bridge.protocol.errors import RecordLocation

JOB = "6f1c2f0a-8d4e-4b57-9a53-0c7d1be0a001"


async def test_flood_of_callbacks_is_bounded_and_the_end_is_heard() -> None:
    """Whoever has a callback URL decides how many come: the latest progress and the end count."""
    callbacks = JobCallbacks(Mock(), JOB, [0])
    taken = callbacks.subscription

    def call_back(number: int, *, ends_job: bool) -> None:
        head = taken.read_head(b"", callback_headers("work", ends_job=ends_job))
        value = json.dumps({"number": number}).encode()
        taken.notify(Arrival(head, RecordLocation("callbacks", 0, number), value))

    for number in range(10_000):
        call_back(number, ends_job=False)
    call_back(10_000, ends_job=True)
    for number in range(10_001, 10_100):
        call_back(number, ends_job=False)
    heard = [(await callbacks.next())["number"] for _ in range(MOST_PENDING)]
    assert heard == [*range(MOST_PENDING - 1), 10_000]
    call_back(10_100, ends_job=False)
    assert await callbacks.next() == {"number": 10_100}


async def test_records_that_the_receiver_would_refuse_are_passed_over() -> None:
    """Others may write to the topic: what is too deep, or no JSON, fails no job."""
    callbacks = JobCallbacks(Mock(), JOB, [0])
    deep = b'{"a":' * 101 + b"1" + b"}" * 101
    for number, value in enumerate((deep, b'{"result": NaN}', b"[1]", None, b'{"number": 7}')):
        head = callbacks.subscription.read_head(value, [])
        callbacks.subscription.notify(Arrival(head, RecordLocation("callbacks", 0, number), value))
    assert await callbacks.next() == {"number": 7}
