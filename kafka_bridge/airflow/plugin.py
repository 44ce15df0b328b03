"""What the bridge adds to Airflow's API server: the board, and CANCEL for marked tasks.

CANCEL is for the deferred tasks that a person marks. A trigger cancels its job itself, but a
trigger that no triggerer has started yet cannot, and a running one starts only seconds later.

All processes of Airflow load this plugin, but only the API server has the board and listens:
nothing large is imported at the top.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

from kafka_bridge.airflow.board.address import PREFIX, is_switched_on
from kafka_bridge.airflow.specs import Reply
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.ids import batch_job_ids

if TYPE_CHECKING:
    from sqlalchemy.orm import Session, SessionTransaction

log = logging.getLogger(__name__)

JOBS_OF: Mapping[str, Callable[[Mapping[str, Any]], list[str]]] = {
    "kafka_bridge.airflow.triggers.KafkaJobTrigger": lambda trigger: [trigger["correlation_id"]],
    "kafka_bridge.airflow.batch.trigger.KafkaJobBatchTrigger": lambda trigger: batch_job_ids(
        trigger["batch_id"], trigger["count"]
    ),
}
"""By the trigger's class: the correlation ids of its jobs, from its arguments."""
API_SERVER = "airflow.api_fastapi.main"
"""The main module of an API server; no other process of Airflow imports it."""
DELIVERY_SECONDS = 20.0
MARKED = "kafka_bridge.marked"
"""The key of a session's :class:`Marked` in its ``info``."""


@dataclass(frozen=True, slots=True)
class Order:
    """How jobs are cancelled, and why."""

    kafka_config_id: str
    control_topic: str
    encoding: str
    reason: str


Orders = defaultdict[Order, list[str]]
"""The jobs to cancel, by how."""


class MarkListener:
    """Airflow's API server calls this for each task and each run that a person marks.

    Before Airflow 3.3, it does not call this for the tasks of a marked run.
    """

    @hookimpl
    def on_task_instance_success(self, task_instance: Any) -> None:
        """Cancel the job of a task that was marked success."""
        cancel_job_of(task_instance)

    @hookimpl
    def on_task_instance_failed(self, task_instance: Any) -> None:
        """Cancel the job of a task that was marked failed."""
        cancel_job_of(task_instance)

    @hookimpl
    def on_task_instance_skipped(self, task_instance: Any) -> None:
        """Cancel the job of a task that was marked skipped."""
        cancel_job_of(task_instance)

    @hookimpl
    def on_dag_run_success(self, dag_run: Any) -> None:
        """Cancel the jobs of a run that was marked success."""
        cancel_jobs_of_run(dag_run)

    @hookimpl
    def on_dag_run_failed(self, dag_run: Any) -> None:
        """Cancel the jobs of a run that was marked failed."""
        cancel_jobs_of_run(dag_run)


class KafkaBridgePlugin(AirflowPlugin):
    """The plugin (entry point ``airflow.plugins``)."""

    name = "kafka_bridge"

    @classmethod
    def on_load(cls, *_: Any, **__: Any) -> None:
        """Add the listener and the board, in an API server only.

        In a process that parses DAG files, Airflow refuses ``end_from_trigger=True`` if there is
        any listener.
        """
        if API_SERVER in sys.modules:
            cls.listeners = [MarkListener()]
            try:
                cls._add_board()
            except Exception:  # the listener, and Airflow, work without it
                log.exception("The board is not available")

    @classmethod
    def _add_board(cls) -> None:
        if not is_switched_on():
            return
        # Not at the top: only an API server needs it, and has FastAPI.
        from kafka_bridge.airflow.board.mount import board_app, board_views  # noqa: PLC0415

        cls.fastapi_apps = [{"name": "Kafka jobs", "app": board_app(), "url_prefix": PREFIX}]
        cls.external_views = board_views()


def cancel_job_of(instance: Any) -> None:
    """Cancel the jobs of a deferred task, once the mark is committed to the database.

    A thread publishes CANCEL, so the request of the API server does not wait for Kafka.

    :param instance: the database's task instance
    """
    # Not at the top: all processes of Airflow load this module, and not all have a database.
    from sqlalchemy.orm import object_session  # noqa: PLC0415

    trigger = instance.trigger
    if trigger is None or trigger.classpath not in JOBS_OF:
        return
    arguments = trigger.kwargs
    session = object_session(trigger)
    if arguments["cancel_on_kill"] and session is not None:
        jobs = JOBS_OF[trigger.classpath](arguments)
        _marked_in(session).add(session, _order(arguments, instance.state), jobs)


def cancel_jobs_of_run(run: Any) -> None:
    """Cancel the jobs of all tasks that were deferred until their run was marked.

    :param run: the database's DAG run
    """
    for instance in marked_tasks(run):
        cancel_job_of(instance)


def marked_tasks(run: Any) -> Iterable[Any]:
    """Return the task instances of a run that have a trigger, but are no longer deferred."""
    from airflow.models.taskinstance import TaskInstance  # noqa: PLC0415
    from sqlalchemy import select  # noqa: PLC0415
    from sqlalchemy.orm import object_session  # noqa: PLC0415

    session = object_session(run)
    if session is None:
        return ()
    marked = select(TaskInstance).where(
        TaskInstance.dag_id == run.dag_id,
        TaskInstance.run_id == run.run_id,
        TaskInstance.trigger_id.is_not(None),
        TaskInstance.state != "deferred",
    )
    return session.scalars(marked).all()


def _order(arguments: Mapping[str, Any], state: str) -> Order:
    return Order(
        arguments["kafka_config_id"],
        arguments["control_topic"],
        arguments["encoding"],
        f"the task was marked {state}",
    )


def _marked_in(session: Session) -> Marked:
    """Return the marks of a database session; its transactions are followed from now on."""
    from sqlalchemy import event  # noqa: PLC0415

    if MARKED not in session.info:
        session.info[MARKED] = marked = Marked()
        event.listen(session, "after_commit", marked.after_commit)
        event.listen(session, "after_soft_rollback", marked.after_soft_rollback)
        event.listen(session, "after_transaction_end", marked.after_transaction_end)
    known: Marked = session.info[MARKED]
    return known


class Marked:
    """The marks of one database session, which may commit and roll back many times.

    SQLAlchemy calls the methods that are named after its events.
    """

    def __init__(self) -> None:
        self._marks: list[tuple[SessionTransaction | None, Order, list[str]]] = []

    def add(self, session: Session, order: Order, jobs: list[str]) -> None:
        """Cancel jobs once the session's transaction is committed."""
        transaction = session.get_nested_transaction() or session.get_transaction()
        self._marks.append((transaction, order, jobs))

    def after_commit(self, session: Session) -> None:
        """Publish CANCEL, but not when a savepoint is released: it may still be rolled back."""
        if self._marks and not session.in_nested_transaction():
            orders = Orders(list)
            for _, order, jobs in self._marks:
                orders[order] += jobs
            for order, jobs in orders.items():
                orders[order] = list(dict.fromkeys(jobs))  # with its run, or also by itself
            self._marks.clear()
            _begin(orders)

    def after_soft_rollback(self, _: Session, rolled_back: SessionTransaction) -> None:
        """Drop the marks of this transaction and of its savepoints."""
        self._marks = [each for each in self._marks if not _is_within(each[0], rolled_back)]

    def after_transaction_end(self, _: Session, transaction: SessionTransaction) -> None:
        """Drop the marks of a session that is closed without a commit."""
        if transaction.parent is None:
            self._marks.clear()


def _is_within(transaction: SessionTransaction | None, outer: SessionTransaction) -> bool:
    while transaction is not None and transaction is not outer:
        transaction = transaction.parent
    return transaction is outer


def _begin(orders: Orders) -> None:
    threading.Thread(target=cancel_jobs, args=(orders,), name="kafka-bridge-marks").start()


def cancel_jobs(orders: Orders) -> None:
    """Publish CANCEL for all jobs. A failure is logged, not raised."""
    # Not at the top: all processes of Airflow load this module, and most need no Kafka client.
    from kafka_bridge.airflow.kafka_access import KafkaAccess  # noqa: PLC0415

    for order, jobs in orders.items():
        try:
            kafka = KafkaAccess(
                order.kafka_config_id,
                order.control_topic,
                Encoding(order.encoding),
                Reply.EVENTS,
                DELIVERY_SECONDS,
                log,
            )
            kafka.cancel_all(jobs, order.reason)
        except Exception:  # the secrets backend failed, for example: cancel the others all the same
            log.exception("Cancelling %d jobs of marked tasks failed", len(jobs))
