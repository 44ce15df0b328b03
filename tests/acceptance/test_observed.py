"""What those who run Airflow see of jobs: its metrics in statsd, and one trace with the service."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from airflow_versions import since_airflow

from kafka_bridge.testing import Broker
from kafka_bridge.testing.local_airflow import LocalAirflow

from .observers import Spans, Statsd
from .topic_contents import records_of, requests_of_run

pytestmark = pytest.mark.airflow_versions
Eventually = Callable[..., None]


@pytest.fixture(scope="module")
def run_id(airflow: LocalAirflow, workers: object) -> str:
    """One run of three jobs, of which one fails."""
    run_id = airflow.trigger("observed")
    assert airflow.wait_for_run("observed", run_id, 240) == "failed"
    return run_id


def test_each_job_is_counted_as_submitted_and_completed(
    run_id: str, metrics: Statsd, eventually: Eventually
) -> None:
    """Each job is counted once as submitted and once as completed, with outcome and duration."""
    job = "kafka_bridge.job"
    succeeded = {"job_type": "test.observed", "outcome": "succeeded"}
    failed = {"job_type": "test.observed", "outcome": "failed"}
    eventually(lambda: metrics.values(f"{job}.duration", **failed), "the last metric is sent")
    assert metrics.values(f"{job}.submitted", job_type="test.observed") == [1, 1]
    for tags in (succeeded, failed):
        assert metrics.values(f"{job}.completed", **tags) == [1]
        (milliseconds,) = metrics.values(f"{job}.duration", **tags)
        assert 0 < milliseconds < 60_000


def test_triggerer_reports_waiting_jobs_and_the_lag_of_its_reader(
    run_id: str, metrics: Statsd, eventually: Eventually
) -> None:
    """The triggerer tells how many jobs wait, how far behind its reader is and what it has read."""
    topic = {"topic": "jobs.responses"}
    reader = "kafka_bridge.reader"
    eventually(lambda: sum(metrics.values(f"{reader}.matched", **topic)) >= 2, "two jobs matched")
    assert sum(metrics.values(f"{reader}.records", **topic)) >= 2
    assert max(metrics.values(f"{reader}.waiting", **topic)) >= 1
    assert min(metrics.values(f"{reader}.lag", **topic)) == 0


@since_airflow("3.2", "spans of tasks")
def test_request_belongs_to_the_trace_of_its_task(
    run_id: str, jobs_broker: Broker, spans: Spans, eventually: Eventually
) -> None:
    """The request's traceparent names the task's trace, and a span of its process as the parent."""
    eventually(lambda: spans.of_task(run_id, "succeed"), "the task's span is sent")
    servers = jobs_broker.bootstrap_servers
    asked = {r.correlation_id for r in requests_of_run(servers, "test.requests", run_id)}
    sent = [r for r in records_of(servers, "test.requests") if (r.key or b"").decode() in asked]
    tasks = [span for task in ("succeed", "fail", "wait") for span in spans.of_task(run_id, task)]
    known = {f"00-{span.trace_id.hex()}-{span.span_id.hex()}-01" for span in tasks}
    assert len(sent) == 3
    for record in sent:
        assert dict(record.headers)["traceparent"].decode() in known
