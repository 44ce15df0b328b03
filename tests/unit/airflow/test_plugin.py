"""What a mark in Airflow's API server cancels, with a database session of SQLAlchemy's."""

from __future__ import annotations

import logging
import queue
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.models.trigger import Trigger
from airflow.triggers.base import BaseTrigger
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from kafka_bridge.airflow import KafkaJobBatchTrigger, KafkaJobTrigger, kafka_access, plugin
from kafka_bridge.airflow.plugin import (
    API_SERVER,
    KafkaBridgePlugin,
    MarkListener,
    Order,
    Orders,
)
from kafka_bridge.protocol.errors import BrokerUnreachable
from kafka_bridge.protocol.ids import batch_job_ids

from .samples import JOB, T0, TOPIC

HOW = Order("mine", "jobs.control", "json", "the task was marked failed")
SHARED: dict[str, Any] = {
    "kafka_config_id": "mine",
    "response_topic": TOPIC,
    "start_offsets": [],
    "submitted_at": T0,
    "control_topic": "jobs.control",
    "encoding": "json",
}


def job(correlation_id: str = JOB, *, cancel_on_kill: bool = True) -> BaseTrigger:
    """Return a trigger that waits for a job."""
    return KafkaJobTrigger(correlation_id=correlation_id, cancel_on_kill=cancel_on_kill, **SHARED)


def batch(*, cancel_on_kill: bool = True) -> BaseTrigger:
    """Return a trigger that waits for two jobs."""
    return KafkaJobBatchTrigger(
        batch_id=JOB, count=2, on_failure="collect", cancel_on_kill=cancel_on_kill, **SHARED
    )


class Others(KafkaJobTrigger):
    """Somebody else's trigger."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what Airflow stores."""
        return "somewhere.Others", super().serialize()[1]


def others() -> BaseTrigger:
    """Return a trigger that the bridge does not know."""
    return Others(correlation_id=JOB, cancel_on_kill=True, **SHARED)


@pytest.fixture
def session() -> Iterator[Session]:
    """Give a session on a database that has triggers and nothing else."""
    engine = create_engine("sqlite://")
    Trigger.metadata.tables["trigger"].create(engine)
    with Session(engine) as session:
        yield session
    engine.dispose()


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> queue.Queue[Orders]:
    """Keep what threads are started with."""
    begun: queue.Queue[Orders] = queue.Queue()
    monkeypatch.setattr(plugin, "cancel_jobs", begun.put)
    return begun


def mark_failed(session: Session, *triggers: BaseTrigger) -> None:
    """Mark tasks that wait for these triggers, as the API server does."""
    for trigger in triggers:
        row = Trigger.from_object(trigger)
        session.add(row)
        task = SimpleNamespace(trigger=row, state="failed")
        MarkListener().on_task_instance_failed(task_instance=task)


def test_marked_tasks_of_a_run_are_cancelled_together(
    session: Session, begun: queue.Queue[Orders]
) -> None:
    """All that one request marks is cancelled at once: jobs, and each job of a batch."""
    mark_failed(session, job(), batch(), others())
    session.commit()
    assert begun.get(timeout=30) == {HOW: [JOB, *batch_job_ids(JOB, 2)]}
    session.commit()
    assert begun.empty()


@pytest.mark.parametrize("mark", [MarkListener.on_dag_run_failed, MarkListener.on_dag_run_success])
def test_marked_run_cancels_the_jobs_of_its_tasks_each_once(
    session: Session,
    begun: queue.Queue[Orders],
    monkeypatch: pytest.MonkeyPatch,
    mark: Callable[[MarkListener, Any], None],
) -> None:
    """Since 3.3, Airflow also tells of each task of the run; before, only of the run."""
    row = Trigger.from_object(job())
    session.add(row)
    task, run = SimpleNamespace(trigger=row, state="failed"), SimpleNamespace()
    monkeypatch.setattr(plugin, "marked_tasks", lambda asked: [task] if asked is run else [])
    mark(MarkListener(), run)
    MarkListener().on_task_instance_failed(task_instance=task)
    session.commit()
    assert begun.get(timeout=30) == {HOW: [JOB]}
    session.commit()
    assert begun.empty()


def test_mark_that_is_rolled_back_cancels_nothing(
    session: Session, begun: queue.Queue[Orders]
) -> None:
    """Nothing is cancelled before the mark is committed, and nothing where it never is."""
    mark_failed(session, job())
    session.flush()
    assert begun.empty()
    session.rollback()
    session.close()
    assert begun.empty()


def test_each_commit_of_a_session_sends_its_own_marks(
    session: Session, begun: queue.Queue[Orders]
) -> None:
    """A session that commits, marks again and commits again has both jobs cancelled, each once."""
    mark_failed(session, job("first"))
    session.commit()
    mark_failed(session, job("second"))
    session.commit()
    assert [begun.get(timeout=30) for _ in range(2)] == [{HOW: ["first"]}, {HOW: ["second"]}]
    session.commit()
    assert begun.empty()


@pytest.mark.parametrize("undo", [Session.rollback, Session.close])
def test_mark_that_was_undone_is_not_sent_by_the_next_commit(
    session: Session, begun: queue.Queue[Orders], undo: Callable[[Session], None]
) -> None:
    """A session that is used again after a rollback, or a close, sends only what it marks then."""
    mark_failed(session, job("undone"))
    session.flush()
    undo(session)
    mark_failed(session, job("marked"))
    session.commit()
    assert begun.get(timeout=30) == {HOW: ["marked"]}
    assert begun.empty()


def test_savepoint_that_is_rolled_back_cancels_nothing(
    session: Session, begun: queue.Queue[Orders]
) -> None:
    """A mark in a savepoint counts with the transaction, unless the savepoint is rolled back."""
    mark_failed(session, job("before"))
    with session.begin_nested():
        mark_failed(session, job("released"))
        with session.begin_nested() as inner:
            mark_failed(session, job("inner"))
            inner.rollback()
    assert begun.empty(), "a savepoint that is released is not yet in the database"
    mark_failed(session, job("after"))
    session.commit()
    assert begun.get(timeout=30) == {HOW: ["before", "released", "after"]}
    assert begun.empty()


@pytest.mark.parametrize(
    "trigger",
    [others(), job(cancel_on_kill=False), batch(cancel_on_kill=False)],
    ids=["others", "job", "batch"],
)
def test_tasks_without_a_job_to_cancel_are_left_alone(
    session: Session, begun: queue.Queue[Orders], trigger: BaseTrigger
) -> None:
    """Other triggers, and with cancel_on_kill=False ours."""
    mark_failed(session, trigger)
    session.commit()
    assert begun.empty()


def test_task_that_is_not_deferred(begun: queue.Queue[Orders]) -> None:
    """A task that waits for nothing has nothing to cancel, however it is marked."""
    task = SimpleNamespace(trigger=None, state="success")
    MarkListener().on_task_instance_success(task_instance=task)
    MarkListener().on_task_instance_skipped(task_instance=task)
    assert begun.empty()


def test_only_an_api_server_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """An API server does. Elsewhere a listener would forbid end_from_trigger=True in all DAGs."""
    monkeypatch.setattr(KafkaBridgePlugin, "listeners", [])
    monkeypatch.setenv("AIRFLOW__KAFKA_BRIDGE__BOARD", "False")
    KafkaBridgePlugin.on_load()
    assert KafkaBridgePlugin.listeners == []
    monkeypatch.setitem(sys.modules, API_SERVER, SimpleNamespace())
    KafkaBridgePlugin.on_load()
    (listener,) = KafkaBridgePlugin.listeners
    assert isinstance(listener, MarkListener)


def test_one_connection_that_fails_does_not_keep_others_from_being_cancelled(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the error: it is logged, with where it came from."""
    sent: list[str] = []

    def config(name: str) -> str:
        if name == "broken":
            raise RuntimeError("the secrets backend is away")
        return name

    monkeypatch.setattr(kafka_access, "kafka_config", config)
    monkeypatch.setattr(kafka_access, "cancel_all", lambda name, *_, **__: sent.append(name))
    broken = Order("broken", "jobs.control", "avro", "the task was marked success")
    plugin.cancel_jobs(Orders(list, {broken: [JOB], HOW: [JOB]}))
    assert sent == [HOW.kafka_config_id]
    assert "the secrets backend is away" in caplog.text


def test_stored_encoding_that_is_unknown_does_not_keep_others_from_being_cancelled(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A row that another version has written costs its own jobs only."""
    sent: list[str] = []
    monkeypatch.setattr(kafka_access, "kafka_config", lambda name: name)
    monkeypatch.setattr(kafka_access, "cancel_all", lambda name, *_, **__: sent.append(name))
    unknown = Order("other", "jobs.control", "cbor", "the task was marked success")
    plugin.cancel_jobs(Orders(list, {unknown: [JOB], HOW: [JOB]}))
    assert sent == [HOW.kafka_config_id]
    assert "cbor" in caplog.text


def test_unreachable_kafka_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An API server that cannot reach Kafka says so in its log; one that can, what it has done."""
    sent: list[tuple[Any, ...]] = []

    def cancel_all(config: str, *arguments: Any, **_: Any) -> None:
        if config == "dead":
            raise BrokerUnreachable("no Kafka broker answered at 127.0.0.1:9")
        sent.append(arguments)

    monkeypatch.setattr(kafka_access, "kafka_config", lambda name: name)
    monkeypatch.setattr(kafka_access, "cancel_all", cancel_all)
    caplog.set_level(logging.INFO)
    dead = Order("dead", "jobs.control", "avro", "the task was marked success")
    plugin.cancel_jobs(Orders(list, {dead: [JOB], HOW: [JOB, "b"]}))
    assert sent == [("jobs.control", [JOB, "b"], HOW.reason)]
    assert caplog.messages == [
        "1 jobs: publishing CANCEL failed: no Kafka broker answered at 127.0.0.1:9",
        "2 jobs: CANCEL published: the task was marked failed",
    ]
