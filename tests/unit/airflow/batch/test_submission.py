"""What a try submits of a batch: all of it, what is missing, or what another attempt may help."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import confluent_kafka as ck
import pytest

from kafka_bridge.airflow import KafkaJobBatchOperator, kafka_access
from kafka_bridge.airflow.batch import submission
from kafka_bridge.airflow.batch.rounds import Batch, Round
from kafka_bridge.airflow.submit import earlier
from kafka_bridge.airflow.submit.submission import Submission
from kafka_bridge.kafka.lookups import job_events
from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.errors import BrokerUnreachable, RecordLocation
from kafka_bridge.protocol.messages import JobFailure, JobRequest, JobState, StatusEvent, utc_now
from kafka_bridge.testing.fakes import FakeRecordProducer

from ..samples import T0, TOPIC, context
from ..stand_ins import Kafka, Log

AGAIN = JobFailure("busy", "come back", retryable=True)
NEVER = JobFailure("bad", "no such thing", retryable=False)
JSON: dict[str, Any] = {"result": b"1", "result_type": "application/json"}


class Brokers:
    """Both topics, and the CANCELs. ``now`` is the time, seconds since 1970."""

    def __init__(self) -> None:
        self.producer = FakeRecordProducer()
        self.events: list[ck.Message] = []
        self.cancelled: list[tuple[list[str], str]] = []
        self.now = T0
        self.gone = 0
        """How many of the first requests retention has removed."""

    def requests_of(self, _: Any, topic: str, prefix: str, *__: Any) -> Iterator[Record]:
        """Yield the requests of a task."""
        for number, each in enumerate(self.producer.acknowledged[self.gone :]):
            assert (each.topic, each.key and each.key[:18]) == (topic, prefix.encode())
            yield Record(RecordLocation(topic, 0, number), each.key, each.value, each.headers, 0)

    def scan(self, *_: Any, **__: Any) -> Iterator[list[ck.Message]]:
        """Yield the events."""
        yield self.events

    def ends(self, *_: Any) -> dict[str, list[int]]:
        """Say where the topics end."""
        return {"jobs.requests": [7], TOPIC: [len(self.events)], "elsewhere": [0]}

    def say(self, request: JobRequest, state: JobState, **fields: Any) -> None:
        """Publish an event of a job."""
        content = StatusEvent(
            correlation_id=request.correlation_id,
            event_id="e",
            sequence=0,
            state=state,
            occurred_at=utc_now(),
            worker_id="w",
            **fields,
        )
        self.events.append(
            ck.Message(
                topic=TOPIC,
                partition=0,
                offset=len(self.events),
                key=request.correlation_id.encode(),
                value=encode(content),
                headers=[],
                timestamp=(ck.TIMESTAMP_CREATE_TIME, int(self.now * 1000)),
            )
        )

    def take_sent(self) -> list[JobRequest]:
        """Return the requests that were handed over since the last call."""
        sent = [each.decode(JobRequest) for each in self.producer.sent[self._seen :]]
        self._seen = len(self.producer.sent)
        return sent

    _seen = 0


@pytest.fixture
def brokers(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> Brokers:
    """Give brokers with empty topics."""
    brokers = Brokers()
    monkeypatch.setattr(submission, "RecordProducer", brokers.producer.open)
    monkeypatch.setattr(submission, "TopicOffsets", lambda _: brokers)
    monkeypatch.setattr(submission, "time", SimpleNamespace(time=lambda: brokers.now))
    monkeypatch.setattr(earlier, "requests_of", brokers.requests_of)
    monkeypatch.setattr(job_events, "scan", brokers.scan)
    monkeypatch.setattr(
        kafka_access,
        "cancel_all",
        lambda _, __, jobs, reason, **___: brokers.cancelled.append((list(jobs), reason)),
    )
    monkeypatch.setattr(
        Round, "draft", lambda prefix, attempt: _draft(prefix, attempt, brokers.now)
    )
    return brokers


_original_draft = Round.draft


def _draft(prefix: str, attempt: int, now: float) -> Round:
    made = _original_draft(prefix, attempt)
    return Round(made.batch_id, attempt, 0, int(now * 1000), [])


def submit(try_number: int = 1, facts: Any = None, **arguments: Any) -> Batch:
    """Submit a batch of four jobs."""
    given = {"task_id": "work", "job_type": "x", "payloads": [0, 1, 2, 3], "timeout": 600}
    operator = KafkaJobBatchOperator(**{**given, **arguments})
    batch = submission.submit(
        operator.spec,
        operator._wait_spec,
        operator.kafka,
        context(try_number, **facts or {}),
        Log(),
        lambda _: None,
    )
    assert batch is not None
    return batch


def numbers(requests: list[JobRequest]) -> list[int]:
    """Return the payloads of requests."""
    return [int(each.payload or b"") for each in requests]


def test_first_request_says_all_about_the_round_and_the_others_nothing(brokers: Brokers) -> None:
    """Ten thousand copies would be megabytes."""
    batch = submit()
    headers = [Submission.of_headers(each.headers) for each in brokers.producer.sent]
    assert headers == [batch.submission((int(T0 * 1000), 2), 1), None, None, None]
    requests = brokers.take_sent()
    assert [each.correlation_id for each in requests] == batch.last.job_ids()
    assert numbers(requests) == [0, 1, 2, 3]


def test_nothing_else_is_published_unless_the_first_request_is_acknowledged(
    brokers: Brokers,
) -> None:
    """So if a later try does not find the first request, there are no others either."""
    brokers.producer.fail(BrokerUnreachable("away"))
    with pytest.raises(BrokerUnreachable, match=r"payloads\[0\]: away"):
        submit()
    assert len(brokers.producer.sent) == 1
    brokers.take_sent()
    again = submit(2)
    assert again.last.attempt == 1
    assert numbers(brokers.take_sent()) == [0, 1, 2, 3]


def test_retry_publishes_what_is_missing(brokers: Brokers) -> None:
    """With the ids of the try that died: nothing is published twice, nothing is cancelled."""
    batch = submit()
    brokers.take_sent()
    del brokers.producer.acknowledged[2:]
    assert submit(2) == batch
    requests = brokers.take_sent()
    assert [each.correlation_id for each in requests] == batch.last.job_ids()[2:]
    assert numbers(requests) == [2, 3]
    assert submit(3) == batch
    assert brokers.take_sent() == []
    assert brokers.cancelled == []


COLLECT: dict[str, Any] = {"on_failure": "collect", "max_failures": 1}
FIRST_ROUND: list[tuple[dict[str, Any], list[tuple[int, JobState, dict[str, Any]]], str | None]] = [
    ({}, [(0, JobState.SUCCEEDED, JSON)], None),
    ({}, [(0, JobState.FAILED, {"error": AGAIN})], "too many jobs of it failed"),
    (COLLECT, [(0, JobState.FAILED, {"error": AGAIN})], None),
    (
        COLLECT,
        [(0, JobState.FAILED, {"error": AGAIN}), (1, JobState.FAILED, {"error": AGAIN})],
        "too many jobs of it failed",
    ),
    (COLLECT, [(0, JobState.CANCELLED, {})], "jobs of it were cancelled"),
]


@pytest.mark.parametrize(("arguments", "events", "why"), FIRST_ROUND)
def test_retry_submits_a_batch_that_would_fail_again(
    brokers: Brokers,
    arguments: dict[str, Any],
    events: list[tuple[int, JobState, dict[str, Any]]],
    why: str | None,
) -> None:
    """Only what another attempt may help; what is unfinished is cancelled before."""
    first = submit(**arguments)
    requests = brokers.take_sent()
    for number, state, fields in events:
        brokers.say(requests[number], state, **fields)
    again = submit(2, **arguments)
    if why is None:
        assert again == first
        assert brokers.cancelled == []
        return
    assert again.rounds[0] == first.last
    ended = [number for number, _, _ in events]
    unfinished = [n for n in range(4) if n not in ended]
    ids = [first.last.job_ids()[n] for n in unfinished]
    assert brokers.cancelled == [(ids, f"{why}: another attempt follows")]
    assert numbers(brokers.take_sent()) == [0, 1, 2, 3]
    assert (again.last.attempt, again.last.count) == (2, 4)


def test_what_has_succeeded_or_failed_for_good_is_not_submitted_again(brokers: Brokers) -> None:
    """The second round has only the others, and a third try knows both rounds."""
    submit(**COLLECT)
    requests = brokers.take_sent()
    brokers.say(requests[0], JobState.SUCCEEDED, **JSON)
    brokers.say(requests[1], JobState.FAILED, error=NEVER)
    brokers.say(requests[3], JobState.FAILED, error=AGAIN)
    second = submit(2, **COLLECT)
    assert numbers(brokers.take_sent()) == [2, 3]
    assert [each.count for each in second.rounds] == [4, 2]
    assert submit(3, **COLLECT) == second
    assert brokers.take_sent() == []


@pytest.mark.parametrize(
    ("silent", "why"),
    [
        (89, None),
        (91, "no worker has published anything for 90 s: 1 of 4 jobs done, 1 running, 2 queued"),
        (590, "the batch did not finish within 600 s: 1 of 4 jobs done, 1 running, 2 queued"),
    ],
)
def test_retry_submits_a_batch_again_whose_time_is_up(
    brokers: Brokers, silent: float, why: str | None
) -> None:
    """A try that waited for it has failed of this timeout, or would."""
    limit: dict[str, Any] = {"heartbeat_timeout": 90 if silent < 100 else 1000}
    first = submit(**limit)
    requests = brokers.take_sent()
    brokers.now = T0 + 10
    brokers.say(requests[0], JobState.SUCCEEDED, **JSON)
    brokers.say(requests[1], JobState.ACCEPTED)
    brokers.now += silent
    again = submit(2, **limit)
    if why is None:
        assert again == first
        return
    assert brokers.cancelled == [(first.last.job_ids()[1:], f"{why}: another attempt follows")]
    assert numbers(brokers.take_sent()) == [1, 2, 3]


def test_finished_batch_is_not_submitted_again_however_late_it_is_found(brokers: Brokers) -> None:
    """Its task had died, or its result_handler has failed: the results are there."""
    first = submit()
    for request in brokers.take_sent():
        brokers.say(request, JobState.SUCCEEDED, **JSON)
    brokers.now = T0 + 100_000
    assert submit(2) == first
    assert brokers.take_sent() == []


@pytest.mark.parametrize(
    ("facts", "arguments", "why"),
    [
        ({"max_tries": 9}, {}, "the task was cleared"),
        ({"run_began": T0 + 1}, {}, "the DAG run began again"),
        ({}, {"response_topic": "elsewhere"}, "it has another response topic"),
    ],
)
def test_clear_cancels_the_batch_and_submits_another(
    brokers: Brokers, facts: dict[str, Any], arguments: dict[str, Any], why: str
) -> None:
    """Whatever has succeeded: the unfinished jobs are cancelled."""
    first = submit()
    requests = brokers.take_sent()
    brokers.say(requests[1], JobState.SUCCEEDED, **JSON)
    new = submit(2, facts, **arguments)
    ids = first.last.job_ids()
    assert brokers.cancelled == [([ids[0], *ids[2:]], why)]
    assert numbers(brokers.take_sent()) == [0, 1, 2, 3]
    assert (len(new.rounds), new.last.attempt) == (1, 2)
    assert submit(3, facts, **arguments) == new


def test_batch_whose_first_request_is_gone_is_submitted_as_a_whole(brokers: Brokers) -> None:
    """Retention has removed what says which payloads the second round has."""
    submit()
    requests = brokers.take_sent()
    brokers.say(requests[0], JobState.FAILED, error=AGAIN)
    brokers.say(requests[1], JobState.SUCCEEDED, **JSON)
    second = submit(2)
    assert numbers(brokers.take_sent()) == [0, 2, 3]
    brokers.gone, brokers.cancelled = 4, []
    third = submit(3)
    why = "requests of its earlier rounds are gone"
    assert brokers.cancelled == [(second.last.job_ids(), why)]
    assert numbers(brokers.take_sent()) == [0, 1, 2, 3]
    assert (len(third.rounds), third.last.attempt) == (1, 3)
