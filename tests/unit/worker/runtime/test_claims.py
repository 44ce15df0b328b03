"""A request that a worker sees to."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.messages import JobState
from kafka_bridge.worker import StopReason
from kafka_bridge.worker.handlers import Handler
from kafka_bridge.worker.monitoring.observer import Observer
from kafka_bridge.worker.runtime.claims import Claim, Partition
from kafka_bridge.worker.runtime.job_run import JobRun
from kafka_bridge.worker.runtime.membership import Membership
from kafka_bridge.worker.runtime.reporter import JobReporter

from ..samples import Collector, request


def claim(offset: int = 0, partition: Partition | None = None) -> Claim:
    """Return a claim to a request at an offset."""
    received = SimpleNamespace(offset=offset)
    return Claim(
        partition or Partition(0, 1),
        received,  # type: ignore[arg-type]
        request(),
        Encoding.AVRO,
        Membership(30.0),
    )


def test_job_that_is_given_up_says_nothing_more_and_is_told_to_stop() -> None:
    """Its handler's result is another's to say."""
    given_up, collector = claim(), Collector()
    given_up.give_up()  # before anything was said there is nothing to take back
    reporter = given_up.reporter = JobReporter(
        collector, given_up.request, Encoding.AVRO, "w-1", may_publish=lambda: True
    )
    run = given_up.run = JobRun(
        given_up.request,
        Handler.of("a.job", lambda _: "late"),
        reporter,
        Observer(),
        settled=lambda _: pytest.fail("its end is said"),
    )
    reporter.accepted(lambda _: None)
    given_up.give_up()
    assert run.stop.reason is StopReason.LOST
    run.run()
    given_up.tick()
    assert [event.state for event in collector.events] == [JobState.ACCEPTED]
