"""What the records of a topic become, whatever their bytes are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kafka_bridge.kafka.records import Received
from kafka_bridge.monitor.book import JobBook
from kafka_bridge.monitor.intake import Intake, TopicKind
from kafka_bridge.monitor.jobs import JobView, ShownState
from kafka_bridge.protocol.messages import JobRequest, JobState
from kafka_bridge.protocol.plain_replies import NEST_ERROR, plain_request

from ..protocol.strategies import repeatable
from .records import (
    CONTROL,
    JOB,
    REQUESTS,
    RESPONSES,
    cancel,
    event,
    received,
    request,
    seconds,
    written,
)

KINDS = {
    REQUESTS: TopicKind.REQUESTS,
    RESPONSES: TopicKind.RESPONSES,
    CONTROL: TopicKind.CONTROL,
}


class Office:
    """A book, and what fills it."""

    def __init__(self) -> None:
        self.book = JobBook(now=lambda: seconds(1000))
        self.intake = Intake(self.book)

    def take(self, topic: str, *records: Received) -> None:
        """Take records of a topic as one batch."""
        self.intake.take(KINDS[topic], topic, records)

    @property
    def job(self) -> JobView:
        """What is known of the job."""
        view = self.book.job(JOB)
        assert view is not None
        return view


def plain(job: JobRequest) -> Received:
    """Return a plain request as its record."""
    value, headers = plain_request(job)
    return received(value, job.correlation_id.encode(), headers, at=3)


def test_each_kind_of_record_reaches_its_job() -> None:
    """Request, event and command; the request says which other topic is to be read."""
    office = Office()
    office.take(CONTROL, written(cancel()))
    office.take(RESPONSES, written(event(JobState.ACCEPTED)))
    office.take(REQUESTS, written(request(response_topic="team.responses")))
    assert office.job.state is ShownState.ACCEPTED
    assert office.job.job_type == "files.audit"
    assert office.job.cancel is not None
    assert list(office.intake.response_topics) == ["team.responses"]
    assert not office.intake.undecodable


def test_undecodable_records_are_counted_and_skipped() -> None:
    """By topic; what comes after them is read. A tombstone is not counted."""
    office = Office()
    for topic in KINDS:
        office.take(topic, received(b"\xc3\x01 no message"), received(None), received(b"{", b"k"))
    assert office.intake.undecodable == {REQUESTS: 2, RESPONSES: 1, CONTROL: 2}
    office.take(REQUESTS, received(b"\x00"), written(request()))
    assert office.job.state is ShownState.QUEUED


@repeatable
@given(
    st.sampled_from(sorted(KINDS)),
    st.none() | st.binary(max_size=60),
    st.none() | st.binary(max_size=40),
    st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=5)), max_size=3),
)
def test_no_bytes_stop_the_reading(
    topic: str, value: bytes | None, key: bytes | None, headers: list[tuple[str, bytes]]
) -> None:
    """Any client that may write to a topic decides what comes."""
    office = Office()
    office.take(topic, received(value, key, headers))
    office.take(REQUESTS, written(request()))
    assert office.job.state is ShownState.QUEUED


def test_plain_reply_ends_a_plain_job() -> None:
    """In either order of the two topics. A plain request says no type, but its response topic."""
    for order in ((REQUESTS, RESPONSES), (RESPONSES, REQUESTS)):
        office = Office()
        records = {REQUESTS: plain(request()), RESPONSES: received(b'{"made": 3}', at=9)}
        for topic in order:
            office.take(topic, records[topic])
        assert office.job.state is ShownState.SUCCEEDED
        assert (office.job.requested_at, office.job.ended_at) == (seconds(3), seconds(9))
        assert office.job.job_type is None
        assert list(office.intake.response_topics) == [RESPONSES]


def test_plain_failure_ends_a_plain_job() -> None:
    """NestJS says it in a header of a record without a value."""
    office = Office()
    office.take(REQUESTS, plain(request()))
    office.take(RESPONSES, received(None, headers=[(NEST_ERROR, b'{"message": "no disk"}')]))
    assert office.job.state is ShownState.FAILED
    assert office.job.error is not None
    assert office.job.error.message == "no disk"


def test_bytes_for_a_job_of_the_protocol_are_no_plain_reply() -> None:
    """Its worker publishes status events. Whatever else comes does not end it."""
    for order in ((REQUESTS, RESPONSES), (RESPONSES, REQUESTS)):
        office = Office()
        records = {REQUESTS: written(request()), RESPONSES: received(b"a result?")}
        for topic in order:
            office.take(topic, records[topic])
        assert office.job.state is ShownState.QUEUED


def test_request_of_a_later_version_is_no_plain_request() -> None:
    """It has the headers of a request and cannot be decoded: it is counted."""
    office = Office()
    _, headers = plain_request(request())
    office.take(REQUESTS, received(b"\xc3\x01", JOB.encode(), [*headers, ("ce_type", b"x")]))
    assert office.book.job(JOB) is None
    assert office.intake.undecodable == {REQUESTS: 1}
