"""Writes deferred tasks to Airflow's database, as the execution API leaves them.

The tasks are instances of one mapped task in a serialized DAG, with a state, a next method, and a
trigger whose arguments are encrypted. This runs in its own process, because Airflow's code connects
to one database when it is imported. As a program (``python -m bench.deferred_tasks``) this module
reads one JSON object on each line and answers each with a line.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kafka_bridge.testing.local_airflow.config import BUNDLE_NAME

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

DAG_ID = "bench_triggerer"
TASK_ID = "wait"
CONNECTION = "bench_triggerer"
DONE = "done\n"


@contextlib.contextmanager
def writer_for(environment: dict[str, str], home: Path) -> Iterator[subprocess.Popen[str]]:
    """Give a process that writes to Airflow's database and has created the tables."""
    with (home / "writer.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bench.deferred_tasks"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            cwd=home,
            text=True,
        )
    try:
        ask(process, {})
        yield process
    except EOFError:
        raise RuntimeError((home / "writer.log").read_text()[-4000:]) from None
    finally:
        process.kill()
        process.communicate()


def ask(process: subprocess.Popen[str], order: dict[str, Any]) -> None:
    """Send an order to the writer, and wait until it is done.

    :raises EOFError: the writer exited
    """
    assert process.stdin is not None  # noqa: S101  it is a pipe
    assert process.stdout is not None  # noqa: S101
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
    for line in process.stdout:
        if line == DONE:
            return
    raise EOFError("the writer ended")


def write_on_demand() -> None:
    """Create the tables, and write the deferred tasks that standard input orders."""
    for line in sys.stdin:
        with contextlib.redirect_stdout(sys.stderr):  # Airflow's own logs
            order = json.loads(line)
            if order:
                _write_run(order["run_id"], _triggers_of(order))
            else:
                _make_tables()
        sys.stdout.write(DONE)
        sys.stdout.flush()


def _make_tables() -> None:
    """Create tables as ``airflow db migrate`` does, and bundles as the DAG processor does."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.utils import db

    db.upgradedb()
    DagBundlesManager().sync_bundles_to_db()


def _triggers_of(order: dict[str, Any]) -> Sequence[BaseTrigger]:
    """Return the triggers that the tasks wait for."""
    from bench.memory_trigger import MemoryTrigger
    from kafka_bridge.airflow import KafkaJobTrigger

    if "flag" in order:
        return [MemoryTrigger(flag=order["flag"]) for _ in range(order["count"])]
    return [
        KafkaJobTrigger(
            correlation_id=job,
            kafka_config_id=CONNECTION,
            response_topic=order["topic"],
            start_offsets=order["starts"],
            submitted_at=time.time(),
            schedule_to_start_timeout=86_400.0,
            heartbeat_timeout=90.0,
            **order.get("arguments", {}),
        )
        for job in order["jobs"]
    ]


def _write_run(run_id: str, triggers: Sequence[BaseTrigger]) -> None:
    """Write a DAG run with a mapped task whose instances are deferred to the triggers."""
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session
    from airflow.utils.state import TaskInstanceState

    with create_session() as session:
        instances = _new_run(run_id, len(triggers), session).task_instances
        rows = [Trigger.from_object(trigger) for trigger in triggers]
        session.add_all(rows)
        session.flush()
        now = rows[0].created_date
        for instance, row in zip(instances, rows, strict=True):
            instance.state = TaskInstanceState.DEFERRED
            instance.try_number = 1
            instance.scheduled_dttm = instance.queued_dttm = instance.start_date = now
            instance.trigger_id = row.id
            instance.next_method = "execute_complete"
            instance.next_kwargs = {"correlation_id": row.kwargs.get("correlation_id", run_id)}


def _new_run(run_id: str, count: int, session: Any) -> Any:
    """Write the DAG and one run, as the DAG processor and the scheduler do."""
    from airflow._shared.timezones import timezone
    from airflow.dag_processing.collection import update_dag_parsing_results_in_db
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import LazyDeserializedDAG
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    from kafka_bridge.airflow import KafkaJobOperator

    with DAG(DAG_ID, schedule=None) as dag:
        operator = KafkaJobOperator.partial(task_id=TASK_ID, job_type="bench.wait")
        operator.expand(payload=list(range(count)))
    dag.relative_fileloc = "bench.py"
    written = LazyDeserializedDAG.from_dag(dag)
    update_dag_parsing_results_in_db(BUNDLE_NAME, None, [written], {}, None, set(), session=session)
    session.flush()
    serialized = SerializedDagModel.get_dag(DAG_ID, session=session)
    assert serialized is not None  # noqa: S101  it was just written
    return serialized.create_dagrun(
        run_id=run_id,
        run_after=timezone.utcnow(),
        run_type=DagRunType.MANUAL,
        triggered_by=DagRunTriggeredByType.TEST,
        state=DagRunState.RUNNING,
        start_date=timezone.utcnow(),
        session=session,
    )


if __name__ == "__main__":
    write_on_demand()
