"""How much may wait for a batch of which one job's worker publishes too fast."""

from __future__ import annotations

from kafka_bridge.airflow.batch.waiter import BatchWaiter
from kafka_bridge.kafka.responses.subscriptions import MOST_PENDING, Arrival
from kafka_bridge.protocol.errors import RecordLocation
from kafka_bridge.protocol.event_head import EventHead
from kafka_bridge.protocol.messages import JobState


def arrival(offset: int, state: JobState) -> Arrival:
    """Return an event."""
    return Arrival(EventHead(1, state), RecordLocation("t", 0, offset), b"")


async def test_batch_bounds_each_of_its_jobs() -> None:
    """One job of a batch that publishes too fast costs neither memory nor another job's end."""
    waiter = BatchWaiter(["loud", "quiet"], [])
    loud, quiet = (each.notify for each in waiter._subscriptions)
    for _ in range(3):
        for offset in range(10_000):
            loud(arrival(offset, JobState.RUNNING))
        quiet(arrival(7, JobState.SUCCEEDED))
        loud(arrival(8, JobState.SUCCEEDED))
        loud(arrival(9, JobState.SUCCEEDED))
        told = [await waiter.next(0.0) for _ in range(MOST_PENDING + 2)]
        assert [each for each in told if each and each[0] == "quiet"] != []
        assert told[-1] is not None
        assert isinstance(told[-1][1], Arrival)
        assert (told[-1][0], told[-1][1].location.offset) == ("loud", 8)
        assert not waiter._notices
