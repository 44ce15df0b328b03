"""Tables of metrics: those of a worker and a gateway for Prometheus, and Airflow's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from types import SimpleNamespace
from typing import Any
from unittest import mock

from kafka_bridge.airflow import job_metrics
from kafka_bridge.airflow.triggerer import reader_metrics
from kafka_bridge.board.metrics import JobCollector
from kafka_bridge.gateway.metrics import CallbackCounter, UnknownStateCounter
from kafka_bridge.kafka.responses.dispatcher import ReaderCounts
from kafka_bridge.monitor.book import JobBook
from kafka_bridge.monitor.jobs import RequestView
from kafka_bridge.protocol.errors import RecordLocation
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.messages import JobState, StatusEvent, utc_now
from kafka_bridge.worker.monitoring.observer import WorkerStatus
from kafka_bridge.worker.monitoring.prometheus import PREFIX, PrometheusObserver
from kafka_bridge.worker.processes.messages import Program
from kafka_bridge.worker.processes.metrics import PoolMetrics
from kafka_bridge.worker.processes.pool import Pool, PoolLimits

from .tables import Table, Tables, code, plain

COLUMNS = ("metric", "type", "labels", "meaning")


def metrics() -> Tables:
    """Return the tables of the page."""
    return {
        "Of a worker": _of_worker(),
        "Of child processes": _of_child_processes(),
        "Of a gateway": _of_gateway(),
        "Of the board": _of_board(),
        "Of jobs, from Airflow": _from_airflow(_report_a_job),
        "Of the response reader, from Airflow": _from_airflow(_report_a_reader),
    }


def _of_worker() -> Table:
    observer = PrometheusObserver(["a.job"])
    status = WorkerStatus()
    observer.dead_letter("an_error")  # its label has no value before the first one
    observer.batch_began("a.job", 1)
    with observer.exporting(lambda: status):
        families = list(observer.registry.collect())
    return _prometheus(each for each in families if each.name.startswith(PREFIX))


def _of_child_processes() -> Table:
    pool = Pool(Program("a_module", "worker", frozenset()), PoolLimits(1))
    return _prometheus(PoolMetrics(pool).collect())


def _of_gateway() -> Table:
    states = UnknownStateCounter()
    states.count("a.job")
    return _prometheus([*CallbackCounter().collect(), *states.collect()])


def _of_board() -> Table:
    book, job = JobBook(), new_correlation_id()
    request = RequestView(
        location=RecordLocation("a.topic", 0, 0), requested_at=utc_now(), response_topic="b.topic"
    )
    book.take_plain_request(job, request)
    event = StatusEvent(
        correlation_id=job,
        event_id="e",
        sequence=0,
        state=JobState.FAILED,
        occurred_at=utc_now(),
        worker_id="w-1",
    )
    book.take_event(event, RecordLocation("b.topic", 0, 0))
    jobs: Any = SimpleNamespace(
        book=book, is_reading=False, problems=list, follower=SimpleNamespace(statuses=list)
    )
    return _prometheus(JobCollector(jobs).collect())


def _prometheus(families: Iterable[Any]) -> Table:
    facts, texts = [], []
    for each in families:
        labels = {name for sample in each.samples for name in sample.labels} - {"le"}
        name = f"{each.name}_total" if each.type == "counter" else each.name
        facts.append((code(name), each.type, ", ".join(map(code, sorted(labels)))))
        texts.append((plain(each.documentation),))
    return Table(COLUMNS, facts, texts)


def _from_airflow(report: Callable[[Any], None]) -> Table:
    found: dict[str, tuple[str, ...]] = {}

    def note(kind: str) -> Callable[..., None]:
        def called(name: str, *_: Any, tags: dict[str, str], **__: Any) -> None:
            found[name] = (code(name), kind, ", ".join(map(code, sorted(tags))))

        return called

    report(SimpleNamespace(incr=note("counter"), gauge=note("gauge"), timing=note("timer")))
    return Table(("metric", "type", "tags", "meaning"), list(found.values()), [("",)] * len(found))


def _report_a_job(stats: Any) -> None:
    with mock.patch.object(job_metrics, "stats", return_value=stats):
        job_metrics.submitted("a.job")
        job_metrics.completed("a.job", "SUCCEEDED", 1.0)


def _report_a_reader(stats: Any) -> None:
    counts = ReaderCounts(**{field.name: 1 for field in fields(ReaderCounts)})
    reader: Any = SimpleNamespace(waiting=1, health=SimpleNamespace(lag=1), counts=counts)
    with mock.patch.object(reader_metrics, "stats", return_value=stats):
        reader_metrics.ReaderMetrics("a.topic").report(reader)
