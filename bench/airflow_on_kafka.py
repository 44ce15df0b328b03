"""A local Airflow for rows that measure whole DAG runs."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kafka_bridge.testing.local_airflow import LocalAirflow

DAGS = Path(__file__).parent / "dags"


@contextlib.contextmanager
def airflow_on_kafka(servers: str, **options: Any) -> Iterator[LocalAirflow]:
    """Run an Airflow with the DAGs of the measurements, in a folder that is deleted afterwards.

    :param servers: Kafka's addresses, for the connection ``kafka_default``
    :param options: further arguments of :class:`LocalAirflow`
    """
    connection = {"conn_type": "kafka", "extra": {"bootstrap.servers": servers}}
    with (
        tempfile.TemporaryDirectory(prefix="kafka-bridge-bench-") as home,
        LocalAirflow(
            Path(home), DAGS, connections={"kafka_default": connection}, **options
        ) as airflow,
    ):
        yield airflow


def successful_run(
    airflow: LocalAirflow, dag_id: str, conf: Mapping[str, Any], seconds: float
) -> str:
    """Run a DAG, wait until the run has succeeded, and return its id.

    :raises RuntimeError: it has failed
    """
    run_id = airflow.trigger(dag_id, conf=conf)
    if airflow.wait_for_run(dag_id, run_id, seconds) != "success":
        raise RuntimeError(airflow.run_report(dag_id, run_id))
    return run_id
