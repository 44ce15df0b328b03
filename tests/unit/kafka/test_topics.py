"""How the topics should be, and what is said of topics that are otherwise."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import confluent_kafka as ck
import pytest

from kafka_bridge.kafka import topics
from kafka_bridge.kafka.clients import ConnectionWatch
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.topics import TopicNames, TopicPlan, check_topics, plan_topics
from kafka_bridge.protocol.errors import AccessDenied, BrokerUnreachable, ConfigurationError

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NAMES = TopicNames("q", "a", "c", "d")
PLAN = TopicPlan("t", 6, 3, 7 * DAY)
GOOD = {"cleanup.policy": "delete", "retention.ms": str(PLAN.retention_ms)}
CONFIG = KafkaConfig({"bootstrap.servers": "b:1"})


def test_plan_keeps_records_for_the_longest_job_and_wait() -> None:
    """Requests and commands outlive the wait in the queue, responses wait and job, by a day."""
    plans = plan_topics(NAMES, partitions=5, replication=3, longest_job=HOUR, longest_wait=2 * DAY)
    assert plans == [
        TopicPlan("q", 5, 3, 3 * DAY),
        TopicPlan("a", 5, 3, 3 * DAY + HOUR),
        TopicPlan("c", 1, 3, 3 * DAY),
        TopicPlan("d", 1, 3, 30 * DAY),
    ]


def test_callbacks_are_kept_as_long_as_responses() -> None:
    """A gateway's topic is planned where it is named, and outlives wait and job by a day."""
    names = TopicNames("q", "a", "c", "d", callbacks="cb")
    assert list(names) == ["q", "a", "c", "d", "cb"]
    plans = plan_topics(names, partitions=5, replication=3, longest_job=HOUR, longest_wait=DAY)
    assert plans[-1] == TopicPlan("cb", 5, 3, 2 * DAY + HOUR)


def test_names_are_the_protocols_own_unless_set() -> None:
    """The default names are those of the protocol, in its order."""
    assert list(TopicNames()) == [
        "jobs.requests",
        "jobs.responses",
        "jobs.control",
        "jobs.dead-letters",
    ]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"partitions": 0}, "partitions and replication must be at least 1"),
        ({"partitions": -1}, "partitions and replication must be at least 1"),
        ({"replication": 0}, "partitions and replication must be at least 1"),
        ({"replication": -2}, "partitions and replication must be at least 1"),
        ({"longest_job": timedelta(0)}, "the longest job and the longest wait must be longer than"),
        ({"longest_wait": -HOUR}, "the longest job and the longest wait must be longer than"),
    ],
)
def test_plan_refuses_senseless_numbers(wrong: dict[str, Any], words: str) -> None:
    """Nothing is asked of Kafka with numbers that make no sense."""
    with pytest.raises(ConfigurationError, match=words):
        plan_topics(NAMES, **wrong)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (GOOD, []),
        (GOOD | {"retention.ms": "-1"}, []),
        (GOOD | {"retention.bytes": "-1"}, []),
        (
            GOOD | {"cleanup.policy": "compact"},
            ["cleanup.policy is 'compact', must be 'delete': compaction removes events"],
        ),
        (GOOD | {"cleanup.policy": "compact,delete"}, ["cleanup.policy is 'compact,delete'"]),
        (
            GOOD | {"retention.ms": "3600000"},
            ["retention.ms is 3600000 (1:00:00), must be at least 604800000 (7 days, 0:00:00)"],
        ),
        (GOOD | {"retention.ms": str(PLAN.retention_ms - 1)}, ["must be at least 604800000"]),
        (GOOD | {"retention.bytes": "1000"}, ["retention.bytes is set: a busy day removes"]),
        (
            {"cleanup.policy": "compact", "retention.ms": "0", "retention.bytes": "0"},
            ["cleanup.policy", "retention.ms is 0", "retention.bytes"],
        ),
    ],
)
def test_problems_are_what_would_lose_jobs(settings: dict[str, str], words: list[str]) -> None:
    """Compaction, short retention and a size limit are each named; other settings are not."""
    found = list(topics._problems(PLAN, settings))
    assert len(found) == len(words)
    assert all(part in text for part, text in zip(words, found, strict=True))


@pytest.mark.parametrize(
    ("replication", "settings", "words"),
    [
        (1, {}, ["replication factor 1: a lost broker loses jobs; 3 is usual"]),
        (2, {"min.insync.replicas": "1"}, ["replication factor 2"]),
        (3, {"min.insync.replicas": "1"}, ["min.insync.replicas is 1"]),
        (3, {}, ["min.insync.replicas is 1"]),
        (3, {"min.insync.replicas": "2"}, []),
    ],
)
def test_advice_is_about_lost_brokers(
    replication: int, settings: dict[str, str], words: list[str]
) -> None:
    """Too few copies is advice, not a problem: it costs jobs only when a broker is lost."""
    found = list(topics._advice(replication, settings))
    assert len(found) == len(words)
    assert all(part in text for part, text in zip(words, found, strict=True))


class _Admin:
    """An admin client whose metadata say one thing of every topic."""

    def __init__(self, error: ck.KafkaError | None) -> None:
        self._error = error
        self.connection_watch = ConnectionWatch({}, None)

    def list_topics(self, topic: str, **_: float) -> Any:
        return SimpleNamespace(topics={topic: SimpleNamespace(error=self._error, partitions={})})


@pytest.mark.parametrize("error", [ck.KafkaError(ck.KafkaError.UNKNOWN_TOPIC_OR_PART), None])
def test_missing_topic_is_reported_with_the_command_that_makes_it(
    monkeypatch: pytest.MonkeyPatch, error: ck.KafkaError | None
) -> None:
    """A topic that does not exist is a problem to report, beside the others'."""
    monkeypatch.setattr(topics, "make", lambda *_: _Admin(error))
    (report,) = check_topics(CONFIG, [PLAN])
    assert report.problems == ("it does not exist: run `kafka-bridge topics create`",)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (ck.KafkaError.TOPIC_AUTHORIZATION_FAILED, AccessDenied),
        (ck.KafkaError._TRANSPORT, BrokerUnreachable),
    ],
)
def test_topic_that_may_not_be_seen_is_not_called_missing(
    monkeypatch: pytest.MonkeyPatch, code: int, kind: type[Exception]
) -> None:
    """Who may not describe a topic is told so, not advised to create it."""
    monkeypatch.setattr(topics, "make", lambda *_: _Admin(ck.KafkaError(code)))
    with pytest.raises(kind, match="describing topic 't'"):
        check_topics(CONFIG, [PLAN])
