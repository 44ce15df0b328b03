"""The link from a task's page to its job."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.serialization import serialized_objects

from kafka_bridge.airflow import KafkaJobBatchOperator, KafkaJobPublishOperator
from kafka_bridge.airflow.links import BatchLink, JobLink
from kafka_bridge.protocol.errors import ConfigurationError

from .samples import JOB, handle

JOB_URL = "AIRFLOW__KAFKA_BRIDGE__JOB_URL"
BOARD = "AIRFLOW__KAFKA_BRIDGE__BOARD"


def link(job: dict[str, Any] | None) -> str:
    """Return the link of a task with that job."""
    operator = KafkaJobPublishOperator(task_id="work", job_type="files.audit")
    operator.job = job
    return JobLink().get_link(operator, ti_key=None)


def test_link_leads_to_the_records_of_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address is the configured one with the job's id and topics in it, fit for an address."""
    monkeypatch.setenv(JOB_URL, "http://ui/{request_topic}/{response_topic}?key={correlation_id}")
    job = handle(request_topic="a b", response_topic="c/d").to_json()
    assert link(job) == f"http://ui/a%20b/c%2Fd?key={JOB}"


@pytest.mark.parametrize(("url", "job"), [("", handle().to_json()), ("http://ui", None)])
def test_link_is_empty_without_an_address_or_a_job(
    monkeypatch: pytest.MonkeyPatch, url: str, job: dict[str, Any] | None
) -> None:
    """Without an address, or without a job, there is nothing to lead to."""
    monkeypatch.setenv(JOB_URL, url)
    monkeypatch.setenv(BOARD, "False")
    assert link(job) == ""


def test_link_leads_to_the_board_if_nothing_else_is_configured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That of a batch leads to a list: the ids of its jobs begin like its own."""
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/team")
    assert link(handle().to_json()) == f"https://airflow.example/team/kafka-bridge/?job={JOB}"
    operator = KafkaJobBatchOperator(task_id="work", job_type="files.audit", payloads=[])
    operator.batch = {"batch_id": JOB, "request_topic": "a", "response_topic": "b"}
    assert BatchLink().get_link(operator, ti_key=None) == (
        f"https://airflow.example/team/kafka-bridge/?view=jobs&q={JOB[:18]}"
    )
    assert [type(each) for each in operator.operator_extra_links] == [BatchLink]


def test_task_has_no_link_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow would store an empty XCom for it; with an address, each kind has its own link."""
    monkeypatch.setenv(BOARD, "False")
    single = KafkaJobPublishOperator(task_id="work", job_type="files.audit")
    batch = KafkaJobBatchOperator(task_id="work", job_type="files.audit", payloads=[])
    assert (single.operator_extra_links, batch.operator_extra_links) == ((), ())
    monkeypatch.setenv(JOB_URL, "http://ui")
    assert [type(each) for each in single.operator_extra_links] == [JobLink]
    assert batch.operator_extra_links == ()


@pytest.mark.parametrize("url", ["", "http://ui"])
def test_dag_with_links_can_be_serialized(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """So can a mapped task, of which Airflow has only the class when it looks for links."""
    monkeypatch.setenv(JOB_URL, url)
    monkeypatch.setenv(BOARD, "False")
    with DAG("linked", schedule=None) as dag:
        KafkaJobPublishOperator(task_id="one", job_type="files.audit")
        KafkaJobPublishOperator.partial(task_id="many", job_type="files.audit").expand(payload=[1])
    names = ("DagSerialization", "SerializedDAG")  # the older one is that of Airflow 3.1
    kind: Any = next(filter(None, (getattr(serialized_objects, name, None) for name in names)))
    tasks = kind.to_dict(dag)["dag"]["tasks"]
    found = [each["__var"].get("_operator_extra_links", {}) for each in tasks]
    assert found == [{"Kafka job": "_link_JobLink"} if url else {}] * 2


def test_link_of_a_batch_leads_to_its_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch's link has an option and names of its own."""
    monkeypatch.setenv(JOB_URL, "http://ui/{correlation_id}")
    monkeypatch.setenv("AIRFLOW__KAFKA_BRIDGE__BATCH_URL", "http://ui/{correlation_id}")
    operator = KafkaJobBatchOperator(task_id="work", job_type="files.audit", payloads=[])
    assert BatchLink().get_link(operator, ti_key=None) == ""
    operator.batch = {"batch_id": JOB, "request_topic": "a", "response_topic": "b"}
    with pytest.raises(ConfigurationError) as caught:
        BatchLink().get_link(operator, ti_key=None)
    assert str(caught.value) == (
        "[kafka_bridge] batch_url may contain {batch_id}, {request_topic}, {response_topic} and no "
        "other braces, not 'http://ui/{correlation_id}'"
    )


@pytest.mark.parametrize("url", ["http://ui/{topic}", "http://ui/{0}", "http://ui/{"])
def test_address_with_an_unknown_field_is_an_error(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """The error names the option and what it may hold."""
    monkeypatch.setenv(JOB_URL, url)
    with pytest.raises(ConfigurationError) as caught:
        link(handle().to_json())
    assert str(caught.value) == (
        "[kafka_bridge] job_url may contain {correlation_id}, {request_topic}, {response_topic} "
        f"and no other braces, not {url!r}"
    )
