"""CANCEL from Airflow's API server for the deferred tasks that a person marks.

A trigger cancels its job itself, but nobody tells a trigger that no triggerer has begun to run; and
a triggerer that is asked for the first time takes some seconds.

All processes of Airflow load this plugin, though only the API server listens: nothing heavy is
imported at the top.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

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
"""The correlation ids of what a trigger waits for, from its arguments."""
API_SERVER = "airflow.api_fastapi.main"
"""The module that an API server is started from, and that no other process of Airflow imports."""
DELIVERY_SECONDS = 20.0
MARKED = "kafka_bridge.marked"
"""Under this key, a database session's ``info`` has its :class:`Marked`."""


@dataclass(frozen=True, slots=True)
class Order:
    """How a task's job is cancelled, and why."""

    kafka_config_id: str
    control_topic: str
    encoding: str
    reason: str


Orders = defaultdict[Order, list[str]]
"""The jobs that are cancelled in the same way."""


class MarkListener:
    """Airflow's API server calls this for each task that somebody marks."""

    @hookimpl
    def on_task_instance_success(self, task_instance: Any) -> None:
        """Take in that a task counts as successful."""
        cancel_job_of(task_instance)

    @hookimpl
    def on_task_instance_failed(self, task_instance: Any) -> None:
        """Take in that a task counts as failed."""
        cancel_job_of(task_instance)

    @hookimpl
    def on_task_instance_skipped(self, task_instance: Any) -> None:
        """Take in that a task counts as skipped."""
        cancel_job_of(task_instance)


class KafkaBridgePlugin(AirflowPlugin):
    """What Airflow's plugin manager finds (entry point ``airflow.plugins``)."""

    name = "kafka_bridge"

    @classmethod
    def on_load(cls, *_: Any, **__: Any) -> None:
        """Listen in the API server.

        Where DAG files are parsed, Airflow refuses ``end_from_trigger=True`` beside any listener.
        """
        if API_SERVER in sys.modules:
            cls.listeners = [MarkListener()]


def cancel_job_of(instance: Any) -> None:
    """Cancel what a deferred task waits for, once the mark is in the database.

    The request need not wait for Kafka: CANCEL goes out on a thread.

    :param instance: the task, as the database has it
    """
    from sqlalchemy.orm import object_session

    trigger = instance.trigger
    if trigger is None or trigger.classpath not in JOBS_OF:
        return
    arguments = trigger.kwargs
    session = object_session(trigger)
    if arguments["cancel_on_kill"] and session is not None:
        jobs = JOBS_OF[trigger.classpath](arguments)
        _marked_in(session).add(session, _order(arguments, instance.state), jobs)


def _order(arguments: Mapping[str, Any], state: str) -> Order:
    return Order(
        arguments["kafka_config_id"],
        arguments["control_topic"],
        arguments["encoding"],
        f"the task was marked {state}",
    )


def _marked_in(session: Session) -> Marked:
    """Return what this database session is to cancel; its transactions are followed from now on."""
    from sqlalchemy import event

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
        """Cancel these jobs once the session's transaction is committed."""
        transaction = session.get_nested_transaction() or session.get_transaction()
        self._marks.append((transaction, order, jobs))

    def after_commit(self, session: Session) -> None:
        """Send CANCEL; not yet when a savepoint is released, which may still be rolled back."""
        if self._marks and not session.in_nested_transaction():
            orders = Orders(list)
            for _, order, jobs in self._marks:
                orders[order] += jobs
            self._marks.clear()
            _begin(orders)

    def after_soft_rollback(self, _: Session, rolled_back: SessionTransaction) -> None:
        """Forget what was marked in this transaction, or in a savepoint of it."""
        self._marks = [each for each in self._marks if not _is_within(each[0], rolled_back)]

    def after_transaction_end(self, _: Session, transaction: SessionTransaction) -> None:
        """Forget what a session was closed on, without a commit."""
        if transaction.parent is None:
            self._marks.clear()


def _is_within(transaction: SessionTransaction | None, outer: SessionTransaction) -> bool:
    while transaction is not None and transaction is not outer:
        transaction = transaction.parent
    return transaction is outer


def _begin(orders: Orders) -> None:
    threading.Thread(target=cancel_jobs, args=(orders,), name="kafka-bridge-marks").start()


def cancel_jobs(orders: Orders) -> None:
    """Send what there is to send; where that cannot be done, it is logged."""
    # Not at the top: all processes of Airflow load this module, and most need no Kafka client.
    from kafka_bridge.airflow.kafka_access import KafkaAccess

    for order, jobs in orders.items():
        kafka = KafkaAccess(
            order.kafka_config_id,
            order.control_topic,
            Encoding(order.encoding),
            Reply.EVENTS,
            DELIVERY_SECONDS,
            log,
        )
        try:
            kafka.cancel_all(jobs, order.reason)
        except Exception:  # the secrets backend failed, for example: cancel the others all the same
            log.exception("Cancelling %d jobs of marked tasks failed", len(jobs))
