"""How the topics should be, and what is said of topics that are otherwise."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import confluent_kafka as ck
import pytest

from kafka_bridge.kafka.admin import topics
from kafka_bridge.kafka.admin.topics import Copies, TopicNames, TopicPlan, check_topics, plan_topics
from kafka_bridge.kafka.clients import ConnectionWatch
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.errors import AccessDenied, BrokerUnreachable, ConfigurationError

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NAMES = TopicNames("q", "a", "c", "d")
SAFE = Copies(3, 2)
PLAN = TopicPlan("t", 6, SAFE, 7 * DAY)
GOOD = {"cleanup.policy": "delete", "retention.ms": str(PLAN.retention_ms)}
CONFIG = KafkaConfig({"bootstrap.servers": "b:1"})


def test_plan_keeps_records_for_the_longest_job_and_wait() -> None:
    """Commands outlive the wait in the queue, requests and responses wait and job, by a day."""
    plans = plan_topics(NAMES, partitions=5, longest_job=HOUR, longest_wait=2 * DAY)
    assert plans == [
        TopicPlan("q", 5, SAFE, 3 * DAY + HOUR),
        TopicPlan("a", 5, SAFE, 3 * DAY + HOUR),
        TopicPlan("c", 1, SAFE, 3 * DAY),
        TopicPlan("d", 1, SAFE, 30 * DAY),
    ]


def test_callbacks_are_kept_as_long_as_responses() -> None:
    """A gateway's topic is planned where it is named, and outlives wait and job by a day."""
    names = TopicNames("q", "a", "c", "d", callbacks="cb")
    assert list(names) == ["q", "a", "c", "d", "cb"]
    plans = plan_topics(names, partitions=5, longest_job=HOUR, longest_wait=DAY)
    assert plans[-1] == TopicPlan("cb", 5, SAFE, 2 * DAY + HOUR)


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
        ({"partitions": 0}, "partitions and the longest message must be at least 1"),
        ({"partitions": -1}, "partitions and the longest message must be at least 1"),
        ({"max_message_bytes": 0}, "partitions and the longest message must be at least 1"),
        ({"longest_job": timedelta(0)}, "the longest job and the longest wait must be greater"),
        ({"longest_wait": -HOUR}, "the longest job and the longest wait must be greater"),
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
            ["retention.ms is 3600000 (1 hour), must be at least 604800000 (7 days)"],
        ),
        (GOOD | {"retention.ms": str(PLAN.retention_ms - 1)}, ["must be at least 604800000"]),
        (GOOD | {"retention.bytes": "1000"}, ["retention.bytes is set: on a busy day"]),
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


@pytest.mark.parametrize(("replication", "in_sync"), [(0, 2), (-2, 2), (3, 0)])
def test_copies_refuse_senseless_numbers(replication: int, in_sync: int) -> None:
    """-1 is the brokers' default, and the only number below 1 that means something."""
    with pytest.raises(ConfigurationError, match="must be at least 1"):
        Copies(replication, in_sync)


@pytest.mark.parametrize(
    ("asked", "brokers", "chosen", "required"),
    [
        ((None, None), 3, Copies(3, 2), Copies(3, 2)),
        ((None, None), 5, Copies(3, 2), Copies(3, 2)),
        ((None, None), 2, Copies(2, 1), Copies(3, 2)),
        ((None, None), 1, Copies(1, 1), Copies(3, 2)),
        ((1, None), 3, Copies(1, 1), Copies(1, 1)),
        ((3, None), 3, Copies(3, 2), Copies(3, 2)),
        ((3, 1), 3, Copies(3, 1), Copies(3, 1)),
        ((5, 3), 7, Copies(5, 3), Copies(5, 3)),
        ((-1, None), 3, Copies(-1, None), Copies(3, 2)),
    ],
)
def test_copies_are_as_safe_as_the_cluster_allows(
    asked: tuple[int | None, int | None], brokers: int, chosen: Copies, required: Copies
) -> None:
    """What is asked for is made, and required; otherwise 3 of which 2 must have a record."""
    assert Copies.chosen(*asked, brokers) == chosen
    assert Copies.required(*asked) == required


@pytest.mark.parametrize(
    ("required", "replication", "in_sync", "words"),
    [
        (SAFE, 1, "1", ["replication factor 1: a lost broker loses jobs, 3 is safe"]),
        (SAFE, 2, "2", ["replication factor 2"]),
        (SAFE, 3, "1", ["min.insync.replicas is 1: an acknowledged record may exist on one"]),
        (SAFE, 3, "2", []),
        (Copies(1, 1), 1, "1", []),
        (Copies(3, 1), 3, "1", []),
    ],
)
def test_copies_that_lose_jobs_are_a_problem_unless_asked_for(
    required: Copies, replication: int, in_sync: str, words: list[str]
) -> None:
    """Too few copies are a problem like any other, with the option for whom they are meant."""
    settings = {"min.insync.replicas": in_sync}
    found = list(topics._unsafe_copies(required, replication, settings))
    assert len(found) == len(words)
    assert all(part in text for part, text in zip(words, found, strict=True))
    assert all("if fewer are intended: --" in text for text in found)


@pytest.mark.parametrize(
    ("replication", "settings", "words"),
    [
        (3, {"min.insync.replicas": "2", "compression.type": "uncompressed"}, []),
        (3, {"min.insync.replicas": "3"}, ["with one broker down, nothing can be published"]),
        (1, {"min.insync.replicas": "1"}, []),
        (3, {"compression.type": "producer"}, ["compression.type is 'producer': a batch of a few"]),
        (3, {"compression.type": "zstd"}, ["compression.type is 'zstd'"]),
        (3, {"max.message.bytes": "1048588"}, []),
        (3, {"max.message.bytes": "50000000"}, ["max.message.bytes is 50,000,000"]),
    ],
)
def test_advice_costs_no_jobs(replication: int, settings: dict[str, str], words: list[str]) -> None:
    """What makes a topic stop, or readers suffer, is pointed out and does not fail the check."""
    found = list(topics._advice(PLAN, replication, settings))
    assert len(found) == len(words)
    assert all(part in text for part, text in zip(words, found, strict=True))


def test_plan_says_all_that_the_topic_is_set_to() -> None:
    """A new topic has what the check looks for; without a number, the brokers' own default."""
    assert PLAN.settings == {
        "cleanup.policy": "delete",
        "retention.ms": str(7 * 24 * 3_600_000),
        "compression.type": "uncompressed",
        "max.message.bytes": "1048588",
        "min.insync.replicas": "2",
    }
    assert "min.insync.replicas" not in TopicPlan("t", 1, Copies(-1, None), DAY).settings


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
