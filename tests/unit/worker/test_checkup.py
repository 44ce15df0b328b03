"""What a worker's variables and settings mean for its checks."""

from __future__ import annotations

from datetime import timedelta

from kafka_bridge.findings import Level
from kafka_bridge.kafka.admin.checkup.sequence import UNKNOWN_GROUP
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.worker.checkup import WorkerFacts, environment, worker_needs
from kafka_bridge.worker.settings import WorkerSettings

WEEK = timedelta(days=7)
CONFIG = KafkaConfig({"bootstrap.servers": "b:1", "sasl.username": "alice"})
GOOD = {"KAFKA_BRIDGE_GROUP_ID": "g", "KAFKA_BRIDGE_CONCURRENCY": "4", "PATH": "/bin"}


def findings(environ: dict[str, str], facts: WorkerFacts | None = None) -> list[tuple[Level, str]]:
    """Return levels and texts of the findings about variables."""
    found = environment(facts or WorkerFacts.from_env(environ), environ)
    return [(each.level, each.text) for each in found]


def test_good_variables_are_counted() -> None:
    """Only those of kafka-bridge."""
    assert findings(GOOD) == [(Level.OK, "2 variables of kafka-bridge, each has an effect")]


def test_all_invalid_variables_are_errors_and_the_others_still_count() -> None:
    """A worker would end at the first one; the checks of topics go on."""
    environ = {
        **GOOD,
        "KAFKA_BRIDGE_CONCURRENCY": "0",
        "KAFKA_BRIDGE_METRICS_PORT": "tcp://10.0.0.1:9000",
        "KAFKA_BRIDGE_REQUEST_TOPIC": "audits.requests",
    }
    (first, second) = findings(environ)
    assert first == (
        Level.ERROR,
        "KAFKA_BRIDGE_CONCURRENCY: concurrency must be at least 1, not 0",
    )
    assert second[0] is Level.ERROR
    assert second[1].startswith("KAFKA_BRIDGE_METRICS_PORT must be a whole number")
    assert WorkerFacts.from_env(environ).settings == WorkerSettings("g", "audits.requests")


def test_unknown_and_overridden_variables_are_warnings() -> None:
    """In the words that the worker logs."""
    facts = WorkerFacts(WorkerSettings("g", concurrency=2), is_program=True)
    found = findings({**GOOD, "KAFKA_BRIDGE_CONCURENCY": "4"}, facts)
    assert [level for level, _ in found] == [Level.WARNING] * 2
    assert "KAFKA_BRIDGE_CONCURRENCY=4 is not used: the program sets concurrency" in found[0][1]
    assert found[1][1].endswith("did you mean KAFKA_BRIDGE_CONCURRENCY?")


def test_group_that_only_the_program_sets_is_not_checked() -> None:
    """The other permissions are."""
    acls = worker_needs(WorkerFacts.from_env({}), CONFIG, WEEK, WEEK).acls
    assert UNKNOWN_GROUP not in [acl.name for acl in acls]
    assert {acl.principal for acl in acls} == {"User:alice"}


def test_worker_needs_its_topics_and_the_callbacks_of_a_gateway() -> None:
    """Responses and callbacks are kept for the longest wait and job."""
    settings = WorkerSettings("g", "q", "d", "c", response_topic="a")
    needs = worker_needs(WorkerFacts(settings, None, "cb"), CONFIG, WEEK, WEEK)
    days = {plan.name: plan.retention.days for plan in needs.plans}
    assert days == {"q": 15, "a": 15, "c": 8, "d": 30, "cb": 15}
    assert (needs.request_topic, needs.response_topic) == ("q", "a")
    assert "g" in [acl.name for acl in needs.acls if acl.resource == "group"]
    assert needs.without_worker is Level.WARNING
