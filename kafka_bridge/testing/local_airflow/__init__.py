"""A real Airflow in its own folder, for acceptance tests and the demo.

It needs the ``airflow`` extra. Airflow itself is not imported: it runs in separate processes, which
are used over HTTP.

::

    with LocalAirflow(tmp_path / "airflow", Path("dags")) as airflow:
        run_id = airflow.trigger("hello")
        assert airflow.wait_for_run("hello", run_id, timeout=60) == "success"
"""

from __future__ import annotations

from kafka_bridge.testing.local_airflow.components import Component
from kafka_bridge.testing.local_airflow.errors import (
    ApiError,
    ApiUnavailable,
    ComponentFailed,
    DagImportFailed,
    LocalAirflowError,
    PostgresMissing,
    WaitTimedOut,
)
from kafka_bridge.testing.local_airflow.harness import LocalAirflow
from kafka_bridge.testing.local_airflow.logs import LogLine
from kafka_bridge.testing.local_airflow.postgres_server import postgres

__all__ = [
    "ApiError",
    "ApiUnavailable",
    "Component",
    "ComponentFailed",
    "DagImportFailed",
    "LocalAirflow",
    "LocalAirflowError",
    "LogLine",
    "PostgresMissing",
    "WaitTimedOut",
    "postgres",
]
