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

from kafka_bridge.protocol.errors import KafkaBridgeError
from kafka_bridge.protocol.ids import batch_job_ids

if TYPE_CHECKING:
    from airflow.models.trigger import Trigger

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
"""Where a database session keeps what is to be cancelled once it is committed."""


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
    trigger = instance.trigger
    if trigger is None or trigger.classpath not in JOBS_OF:
        return
    arguments = trigger.kwargs
    if arguments["cancel_on_kill"]:
        jobs = JOBS_OF[trigger.classpath](arguments)
        _orders_of(trigger)[_order(arguments, instance.state)] += jobs


def _order(arguments: Mapping[str, Any], state: str) -> Order:
    return Order(
        arguments["kafka_config_id"],
        arguments["control_topic"],
        arguments["encoding"],
        f"the task was marked {state}",
    )


def _orders_of(trigger: Trigger) -> Orders:
    """Return what the database session that has loaded a trigger is to cancel; at first nothing."""
    from sqlalchemy import event
    from sqlalchemy.orm import object_session

    session = object_session(trigger)
    assert session is not None  # noqa: S101
    if MARKED not in session.info:
        session.info[MARKED] = orders = Orders(list)
        event.listen(session, "after_commit", lambda _: _begin(orders), once=True)
    marked: Orders = session.info[MARKED]
    return marked


def _begin(orders: Orders) -> None:
    threading.Thread(target=cancel_jobs, args=(orders,), name="kafka-bridge-marks").start()


def cancel_jobs(orders: Orders) -> None:
    """Send what there is to send; where that cannot be done, it is logged."""
    from kafka_bridge.airflow.connections import kafka_config
    from kafka_bridge.kafka.commands import cancel_all
    from kafka_bridge.protocol.encodings import Encoding

    for order, jobs in orders.items():
        try:
            cancel_all(
                kafka_config(order.kafka_config_id),
                order.control_topic,
                jobs,
                order.reason,
                encoding=Encoding(order.encoding),
                timeout=DELIVERY_SECONDS,
            )
        except KafkaBridgeError as error:
            log.warning(
                "Jobs of marked tasks (%d): could not be cancelled from here: %s", len(jobs), error
            )
        else:
            log.info("Jobs of marked tasks (%d): CANCEL is sent: %s", len(jobs), order.reason)
