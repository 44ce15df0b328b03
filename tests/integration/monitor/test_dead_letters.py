"""Dead letters on a broker: the newest ones, one of them, and its way back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from integration.jobs import config_of, event, records, request
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.monitor import dead_letters
from kafka_bridge.monitor.dead_letters import DeadLetters, ReplayRefused
from kafka_bridge.monitor.reading import MonitoredTopics
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.errors import RecordGone, RecordLocation
from kafka_bridge.protocol.headers import dead_letter_headers
from kafka_bridge.protocol.messages import JobRequest, JobState
from kafka_bridge.testing import EmbeddedBroker

TOPICS = MonitoredTopics(["requests"], ["responses"], "control", ["letters"])


class Office:
    """Writes dead letters, as workers do."""

    def __init__(self, config: KafkaConfig, producer: RecordProducer) -> None:
        self.config = config
        self.producer = producer
        self.letters = DeadLetters(lambda: config, TOPICS)

    def set_aside(self, value: bytes, key: str = "k", origin: str = "requests") -> RecordLocation:
        """Write a dead letter; return its place."""
        headers = dead_letter_headers(RecordLocation(origin, 0, 5), 0, RuntimeError("no disk"))
        return self.producer.publish("letters", key.encode(), value, headers)

    def set_aside_request(self, job: JobRequest, origin: str = "requests") -> RecordLocation:
        """Write a dead letter that can be read; return its place."""
        return self.set_aside(encode(job), job.correlation_id, origin)


@pytest.fixture
def office() -> Iterator[Office]:
    """Give what writes dead letters, on an embedded broker of its own."""
    with EmbeddedBroker(["requests", "responses", "control", "letters"]) as broker:
        config = config_of(broker.bootstrap_servers)
        with RecordProducer(config) as producer:
            yield Office(config, producer)


def job() -> JobRequest:
    """Return a new request."""
    return request("files.audit", "responses", {"path": "/data"})


def test_newest_dead_letters_come_first_and_older_ones_are_left_out(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new one is seen at the next look; unreadable ones, too."""
    monkeypatch.setattr(dead_letters, "MOST", 3)
    places = [office.set_aside(b"\xff") for _ in range(5)]
    first = office.letters.newest()
    assert (len(first.letters), first.failures) == (3, [])
    one = job()
    newest = office.set_aside_request(one)
    found = office.letters.newest().letters
    assert newest in [each.location for each in found]
    assert places[0] not in [each.location for each in found]
    (shown,) = [each for each in found if each.is_readable]
    assert (shown.job.correlation_id, shown.job.job_type) == (one.correlation_id, "files.audit")
    assert (shown.error_type, shown.error_message) == ("RuntimeError", "no disk")


def test_missing_topic_is_a_failure_beside_the_others(office: Office) -> None:
    """It names the topic."""
    office.set_aside(b"\xff")
    both = DeadLetters(lambda: office.config, MonitoredTopics(dead_letters=["letters", "nowhere"]))
    found = both.newest()
    assert len(found.letters) == 1
    assert len(found.failures) == 1
    assert "nowhere" in found.failures[0]


def test_only_records_of_the_dead_letter_topics_are_read(office: Office) -> None:
    """A place without a record is an error."""
    one = job()
    place = office.set_aside_request(one)
    letter = office.letters.letter(place)
    assert letter is not None
    assert letter.request is not None
    assert letter.request.payload == one.payload
    assert office.letters.letter(RecordLocation("requests", 0, 0)) is None
    with pytest.raises(RecordGone):
        office.letters.letter(RecordLocation("letters", place.partition, 99))


def test_replay_sends_a_request_back_and_a_finished_job_only_as_a_new_one(office: Office) -> None:
    """The refusal says what became of the job."""
    one = job()
    letter = office.letters.letter(office.set_aside_request(one))
    assert letter is not None
    sent = office.letters.replay(letter, as_new=False)
    assert (sent.location.topic, sent.new_job) == ("requests", None)
    office.producer.publish(
        "responses",
        one.correlation_id.encode(),
        encode(event(one.correlation_id, JobState.FAILED)),
        [],
    )
    with pytest.raises(ReplayRefused, match="is finished \\(FAILED\\)"):
        office.letters.replay(letter, as_new=False)
    again = office.letters.replay(letter, as_new=True)
    with records(office.config, "requests") as arriving:
        ids = {next(arriving).decode(JobRequest).correlation_id for _ in range(2)}
    assert ids == {one.correlation_id, again.new_job}


def test_replay_to_a_topic_that_is_no_request_topic_is_refused(office: Office) -> None:
    """Who may write dead letters could write to any topic by the board's permissions."""
    letter = office.letters.letter(office.set_aside_request(job(), origin="control"))
    assert letter is not None
    with pytest.raises(ReplayRefused, match="not a request topic of this board"):
        office.letters.replay(letter, as_new=False)
    assert sum(end_offsets(office.config, ["control"], 30)["control"]) == 0
