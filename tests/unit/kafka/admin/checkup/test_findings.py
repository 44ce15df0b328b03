"""What the answers of brokers mean: access, topics, consumers, clocks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from kafka_bridge.findings import Finding, Level
from kafka_bridge.kafka.admin.acls import Acl
from kafka_bridge.kafka.admin.checkup import access, clocks, consumers, topics
from kafka_bridge.kafka.admin.diagnosis import GroupReport, QueueReport
from kafka_bridge.kafka.admin.permissions import MissingPermission
from kafka_bridge.kafka.admin.topics import Cluster, Copies, TopicPlan, TopicReport
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.errors import AccessDenied, BrokerUnreachable, KafkaError

CONFIG = KafkaConfig({"bootstrap.servers": "b:1"})
PLAN = TopicPlan("t", 6, Copies(1, 1), timedelta(days=8))
OK, WARNING, ERROR = Level.OK, Level.WARNING, Level.ERROR
SETTINGS = {
    "retention.ms": str(8 * 86_400_000),
    "cleanup.policy": "delete",
    "compression.type": "uncompressed",
    "message.timestamp.type": "CreateTime",
}


def connect(
    monkeypatch: pytest.MonkeyPatch, answer: Cluster | Exception, **settings: str
) -> tuple[Cluster | None, list[Finding]]:
    """Return the cluster and the findings of a connection with these properties."""

    def describe(*_: object) -> Cluster:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(access, "describe_cluster", describe)
    named = {name.replace("_", "."): value for name, value in settings.items()}
    connection = access.Connection(KafkaConfig({"bootstrap.servers": "b:1", **named}))
    findings = list(connection.check(10))
    return connection.cluster, findings


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "PLAINTEXT without credentials"),
        ({"security_protocol": "ssl"}, "SSL without credentials"),
        (
            {"security_protocol": "SSL", "ssl_certificate_location": "me.pem"},
            "SSL with a client certificate",
        ),
        (
            {
                "security_protocol": "SASL_SSL",
                "sasl_mechanism": "SCRAM-SHA-512",
                "sasl_username": "alice",
                "sasl_password": "a-secret-word",
            },
            "SASL_SSL with SCRAM-SHA-512 as user 'alice'",
        ),
        ({"security_protocol": "SASL_SSL"}, "SASL_SSL with GSSAPI"),
    ],
)
def test_connection_names_the_user_and_no_secret(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], words: str
) -> None:
    """As whom this client connects."""
    cluster, (finding,) = connect(monkeypatch, Cluster(3, is_embedded=False), **settings)
    assert cluster is not None
    assert finding.level is OK
    assert f"{words}; 3 brokers" in finding.text
    assert "a-secret-word" not in finding.text


@pytest.mark.parametrize("failure", [AccessDenied("wrong password"), BrokerUnreachable("away")])
def test_failed_connection_is_the_error_of_the_client(
    monkeypatch: pytest.MonkeyPatch, failure: KafkaError
) -> None:
    """Its text says what to do."""
    cluster, findings = connect(monkeypatch, failure)
    assert cluster is None
    assert findings == [Finding(ERROR, str(failure))]


def test_embedded_broker_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its data are gone when it stops."""
    _, (first, second) = connect(monkeypatch, Cluster(1, is_embedded=True))
    assert first.text.endswith("; 1 broker")
    assert second.level is WARNING
    assert "its data are gone" in second.text


def test_missing_permissions_name_the_command_that_grants_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Describe on a group is never needed for a job."""
    write = Acl("User:a", ("Write",), "topic", "t", "publish job requests")
    describe = Acl("User:a", ("Describe",), "group", "g", "read topics", prefixed=True)
    lacking = [MissingPermission(each, each.operations) for each in (write, describe)]

    class Permissions:
        def __init__(self, _: KafkaConfig) -> None:
            pass

        def missing(self, *_: object) -> list[MissingPermission]:
            return lacking

    monkeypatch.setattr(access, "Permissions", Permissions)
    first, second = access.permissions(CONFIG, [write, describe], 10)
    assert (first.level, second.level) == (ERROR, WARNING)
    assert first.text == "this client lacks Write on topic t, to publish job requests"
    assert "kafka-acls --bootstrap-server b:1 --add --allow-principal User:a" in first.advice
    lacking.clear()
    (finding,) = access.permissions(CONFIG, [write], 10)
    assert finding == Finding(OK, "none is missing, as far as the brokers report")


def look_at_topic(monkeypatch: pytest.MonkeyPatch, **about: Any) -> list[Finding]:
    """Return the findings about a topic whose report has these facts."""
    report = TopicReport("t", **{"partitions": 6, "replication": 3, "settings": SETTINGS, **about})
    monkeypatch.setattr(topics, "check_topics", lambda *_, **__: [report])
    return list(topics.topic(CONFIG, PLAN, 10))


def test_good_topic_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what matters to jobs."""
    assert look_at_topic(monkeypatch) == [
        Finding(
            OK,
            "6 partitions, 3 replicas, kept 8 days, cleanup.policy delete, compression.type "
            "uncompressed, timestamps CreateTime",
        )
    ]


def test_missing_topic_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that creates it."""
    problems = ("it does not exist: run `kafka-bridge topics create`",)
    findings = look_at_topic(monkeypatch, partitions=0, problems=problems)
    assert findings == [Finding(ERROR, problems[0], "Or correct the name of the topic.")]


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        ("retention.ms is 1, must be more", "--topic t --add-config retention.ms=691200000. If "),
        ("cleanup.policy is 'compact'", "--topic t --add-config cleanup.policy=delete."),
        ("retention.bytes is set: on", "--topic t --delete-config retention.bytes."),
    ],
)
def test_problem_of_a_topic_has_the_command_that_corrects_it(
    monkeypatch: pytest.MonkeyPatch, problem: str, words: str
) -> None:
    """A short retention may be right for short jobs: the advice names the options."""
    (finding,) = look_at_topic(monkeypatch, problems=(problem,))
    assert (finding.level, finding.text) == (ERROR, problem)
    assert f"kafka-configs --bootstrap-server b:1 --alter {words}" in finding.advice
    assert ("--longest-job" in finding.advice) == problem.startswith("retention.ms")


def test_few_replicas_and_advice_are_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    """They may be intended."""
    findings = look_at_topic(monkeypatch, unsafe=("one replica",), advice=("compressed",))
    assert [(each.level, each.text) for each in findings[:2]] == [
        (WARNING, "one replica"),
        (WARNING, "compressed"),
    ]
    assert findings[2].level is OK


@pytest.mark.parametrize("can_see", [True, False])
def test_topic_whose_settings_may_not_be_seen_is_a_warning_if_it_exists(
    monkeypatch: pytest.MonkeyPatch, can_see: bool
) -> None:
    """A worker does not need DescribeConfigs. Without Describe, it is an error."""

    def refuse(*_: object, **__: object) -> Any:
        raise AccessDenied("refused access")

    monkeypatch.setattr(topics, "check_topics", refuse)
    monkeypatch.setattr(topics, "partition_count", (lambda *_: 4) if can_see else refuse)
    (finding,) = topics.topic(CONFIG, PLAN, 10)
    if can_see:
        assert finding.level is WARNING
        assert finding.text.startswith("it exists, with 4 partitions; this client may not see")
    else:
        assert finding == Finding(ERROR, "refused access")


def group(name: str, members: int, lag: int | None) -> GroupReport:
    """Return a report on a group."""
    return GroupReport(name, members, lag)


@pytest.mark.parametrize(
    ("report", "levels", "words"),
    [
        (QueueReport("q", groups=(group("g", 2, 0),)), [OK], "'g' (2 members, lags by 0)"),
        (QueueReport("q", groups=(group("g", 1, 7),)), [OK], "'g' (1 member, lags by 7)"),
        (QueueReport("q", groups=(group("g", 0, 7),)), [ERROR], "None of them has a member"),
        (QueueReport("q"), [ERROR], "no consumer group reads it"),
        (QueueReport("q", sees_all=False), [WARNING], "no consumer group that this client may"),
        (QueueReport("q", hidden="3 other groups"), [WARNING], "but 3 other groups"),
        (QueueReport("q", blind="no"), [WARNING], "its consumer groups are not known"),
        (QueueReport("q", exists=False), [ERROR], "does not exist"),
        (QueueReport("q", exists=None, blind="away"), [ERROR], "could not be asked"),
        (
            QueueReport("q", groups=(group("g", 1, 0), group("h", 1, 0), group("i", 0, 0))),
            [OK, WARNING],
            "'g' (1 member, lags by 0), 'h' (1 member, lags by 0)",
        ),
    ],
)
def test_consumers_of_the_request_topic(
    report: QueueReport, levels: list[Level], words: str
) -> None:
    """A group that is hidden from this client is no proof that no worker runs."""
    findings = list(consumers.findings_about(report, ERROR))
    assert [each.level for each in findings] == levels
    assert words in findings[0].text


def test_lag_has_advice_and_a_missing_worker_the_level_of_the_side() -> None:
    """A worker that is not started yet is no error on its own side."""
    (late,) = consumers.findings_about(QueueReport("q", groups=(group("g", 1, 7),)), ERROR)
    assert "start more of them" in late.advice
    (absent,) = consumers.findings_about(QueueReport("q"), WARNING)
    assert absent.level is WARNING


@pytest.mark.parametrize(
    ("ahead", "levels", "words"),
    [
        ({}, [OK], "the topics have no record. Kafka does not tell its time"),
        ({"q": -3600.0, "a": 0.4}, [OK], "no record is dated in the future. Kafka does not"),
        ({"q": -3.0, "a": 30.0}, [WARNING], "topic 'a' is dated 30 s in the future"),
        ({"q": 1800.0, "a": 61.0}, [ERROR, ERROR], "topic 'q' is dated 1,800 s in the future"),
    ],
)
def test_timestamps_in_the_future_show_a_wrong_clock(
    ahead: dict[str, float], levels: list[Level], words: str
) -> None:
    """More than the bridge tolerates is an error; nothing can be said without records."""
    findings = list(clocks.findings_about(ahead))
    assert [each.level for each in findings] == levels
    assert words in findings[0].text


def test_topic_whose_timestamps_are_not_known_does_not_end_the_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Older brokers do not tell them, and a topic may be missing."""

    class Offsets:
        def __init__(self, _: KafkaConfig) -> None:
            pass

        def newest(self, topic: str, _: float) -> float | None:
            if topic == "q":
                raise KafkaError("not supported")
            return None

    monkeypatch.setattr(clocks, "TopicOffsets", Offsets)
    first, second = clocks.clocks(CONFIG, ["q", "a"], 10)
    assert (first.level, second.level) == (WARNING, OK)
    assert first.text == "the newest timestamp of topic 'q' is not known: not supported"
