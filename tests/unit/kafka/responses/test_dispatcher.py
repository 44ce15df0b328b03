"""Which record reaches which job: by key, once, in order, also for those that come late."""

from __future__ import annotations

import random
from array import array
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import confluent_kafka as ck
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_bridge.kafka.responses.dispatcher import Dispatcher
from kafka_bridge.kafka.responses.recent_records import RECORD_BYTES
from kafka_bridge.kafka.responses.subscriptions import Arrival, Delivery, Subscription
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.errors import Undecodable

from ...protocol.samples import EVENT
from ...protocol.strategies import repeatable

VALUE = encode(EVENT)


def record(
    key: bytes | None,
    offset: int,
    partition: int = 0,
    value: bytes | None = VALUE,
    headers: list[tuple[str, str | bytes | None]] | None = None,
) -> ck.Message:
    """Return a record as confluent_kafka gives it."""
    return ck.Message(
        topic="t", partition=partition, offset=offset, key=key, value=value, headers=headers
    )


def job(key: bytes, *positions: int) -> Subscription:
    """Return a waiting job."""
    return Subscription(key, array("q", positions), lambda _: None)


def told(delivery: Delivery) -> list[tuple[bytes, int]]:
    """Return who is told of which offset."""
    return [
        (each.key, notice.location.offset)
        for each, notice in delivery
        if isinstance(notice, Arrival)
    ]


def dispatcher(*jobs: Subscription, limit: int = 10**9) -> Dispatcher:
    """Return a dispatcher that serves these jobs from offset 0 on."""
    made = Dispatcher("t", on_error=lambda error: pytest.fail(str(error)))
    made.recent.limit = limit
    made.recent.start_at({0: 0})
    made.serve(jobs)
    return made


def feed(to: Dispatcher, batch: Sequence[ck.Message]) -> Delivery:
    """Dispatch a batch and keep it, as the reader does."""
    delivery = to.dispatch(batch)
    to.recent.add(batch, {0: (batch[-1].offset() or 0) + 1})
    return delivery


def test_each_job_is_notified_of_its_own_records() -> None:
    """Foreign records tell nobody anything, and are counted as read only."""
    made = dispatcher(job(b"a", 0), job(b"b", 0))
    delivery = feed(made, [record(b"a", 0), record(b"x", 1), record(b"b", 2), record(b"a", 3)])
    assert told(delivery) == [(b"a", 0), (b"b", 2), (b"a", 3)]
    assert (made.counts.records, made.counts.matched) == (4, 3)


def test_no_record_is_delivered_twice_after_going_back() -> None:
    """Records that the reader reads again reach only the jobs that have not seen them."""
    first = job(b"a", 0)
    made = dispatcher(first)
    feed(made, [record(b"a", 0), record(b"b", 1)])
    made.recent.start_at({0: 0})
    made.serve([job(b"b", 0)])
    assert told(feed(made, [record(b"a", 0), record(b"b", 1), record(b"a", 2)])) == [
        (b"b", 1),
        (b"a", 2),
    ]


def test_late_job_gets_the_recent_records_that_it_missed() -> None:
    """A job that comes after its records is told of them at once, and of later ones once."""
    made = dispatcher()
    feed(made, [record(b"a", 0), record(b"x", 1), record(b"a", 2)])
    delivery, late = made.admit([job(b"a", 1)])
    assert told(delivery) == [(b"a", 2)]
    assert late == []
    assert told(feed(made, [record(b"a", 3)])) == [(b"a", 3)]


def test_job_from_before_the_window_is_handed_back() -> None:
    """Where the window no longer holds what a job missed, the reader is told to go back for it."""
    made = dispatcher(limit=2 * (RECORD_BYTES + len(VALUE)))
    for offset in range(5):
        feed(made, [record(b"a", offset)])
    asker, other = job(b"a", 1), job(b"b", 4)
    delivery, late = made.admit([asker, other])
    assert late == [asker]
    assert delivery == []
    assert told(feed(made, [record(b"a", 5), record(b"b", 6)])) == [(b"b", 6)]


ID = b"0b8f3c4e-8a55-4b1e-9f0e-3d2c1b0a9f8e"
NAMED: list[tuple[str, str | bytes | None]] = [("kafka_correlationId", ID), ("x", b"y")]


@pytest.mark.parametrize("key", [None, b"", b"order-4711"], ids=["null", "empty", "other"])
@pytest.mark.parametrize("comes", ["before", "after"])
def test_header_names_the_job_where_the_key_does_not(key: bytes | None, comes: str) -> None:
    """A job is told of a record whose key is no correlation id, by the record's header."""
    asker = job(ID, 0)
    made = dispatcher(*([asker] if comes == "before" else []))
    delivery = feed(made, [record(key, 0), record(key, 1, headers=NAMED)])
    if comes == "after":
        delivery, late = made.admit([asker])
        assert late == []
    assert told(delivery) == [(ID, 1)]
    assert made.counts.without_key == (key is None)


def test_headers_of_other_jobs_are_not_read() -> None:
    """Where the key is a correlation id, it counts, whatever the headers say."""
    other = b"1" + ID[1:]
    made = dispatcher(job(ID, 0))
    assert made.dispatch([record(other, 0, headers=NAMED)]) == []


def test_unreadable_headers_do_not_stop_the_reader() -> None:
    """A foreign record with a header's name that is no UTF-8 must not end everybody's reader."""

    class Damaged(ck.Message):
        def headers(self) -> Any:
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    made = dispatcher(job(ID, 0))
    delivery = made.dispatch([Damaged(topic="t", partition=0, offset=0, key=b"no id", value=b"")])
    delivery += made.dispatch([record(ID, 1)])
    assert told(delivery) == [(ID, 1)]


def test_of_two_waits_for_one_job_the_later_one_counts() -> None:
    """A trigger that has moved may register before its former self has left."""
    old, new = job(b"a", 0), job(b"a", 0)
    made = dispatcher()
    feed(made, [record(b"a", 0)])
    delivery, late = made.admit([old, new])
    assert [each for each, _ in delivery] == [new]
    assert late == []


def test_partition_that_is_younger_than_the_job() -> None:
    """What a partition holds that the job did not know of is read from its beginning."""
    made = dispatcher(job(b"a", 7))
    assert told(made.dispatch([record(b"a", 0, partition=3), record(b"a", 6)])) == [(b"a", 0)]


def test_released_job_gets_no_more_notices() -> None:
    """A job that left is not served; one that took its key is."""
    old, new = job(b"a", 0), job(b"a", 0)
    made = dispatcher(old)
    made.serve([new])
    made.release(old)
    assert [each for each, _ in made.dispatch([record(b"a", 0)])] == [new]
    made.release(new)
    assert made.dispatch([record(b"a", 1)]) == []


def test_junk_is_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Records without a key, and unreadable ones, are passed over: one line for each kind."""
    made = dispatcher(job(b"a", 0))
    junk = [record(None, n) for n in range(5)] + [record(b"a", n, value=b"?") for n in range(5, 10)]
    delivery = made.dispatch([*junk, record(b"a", 10, value=None), record(b"a", 11)])
    errors = [notice for _, notice in delivery if isinstance(notice, Undecodable)]
    assert len(errors) == 6
    assert str(errors[0]).startswith("t[0]@5: ")
    assert told(delivery) == [(b"a", 11)]
    assert (made.counts.without_key, made.counts.undecodable) == (5, 6)
    assert len(caplog.records) == 2


@repeatable
@given(st.integers(0, 2**32), st.integers(1, 2000))
def test_jobs_get_every_record_exactly_once(seed: int, limit: int) -> None:
    """Whoever comes when, with whatever window: each job is told of each of its records once.

    In the order of the partition; jobs that are handed back are served by going back.
    """
    chance = random.Random(seed)
    keys = [bytes([letter]) for letter in b"abcdef"]
    log = [record(chance.choice(keys), offset) for offset in range(60)]
    joins = {key: chance.randrange(60) for key in keys}
    starts = {key: chance.randrange(joins[key] + 1) for key in keys}
    made, heard = dispatcher(limit=limit * 10), defaultdict[bytes, list[int]](list)
    position, arrived = 0, set[bytes]()
    while position < len(log) or len(arrived) < len(keys):
        newcomers = [key for key in keys if key not in arrived and joins[key] <= position]
        arrived.update(newcomers)
        delivery, late = made.admit([job(key, starts[key]) for key in newcomers])
        if late:
            position = min(position, *(each.position(0) for each in late))
            made.recent.start_at({0: position})
            made.serve(late)
        batch = log[position : position + chance.randrange(1, 8)]
        if batch:
            position += len(batch)
            delivery = [*delivery, *feed(made, batch)]
        for key, offset in told(delivery):
            heard[key].append(offset)
    for key in keys:
        wanted = [n for n, each in enumerate(log) if each.key() == key and n >= starts[key]]
        assert heard[key] == wanted
