"""The components of Airflow."""

from __future__ import annotations

from enum import StrEnum


class Component(StrEnum):
    """The four long-running programs; the value is the name in ``/monitor/health``."""

    API_SERVER = "api_server"
    SCHEDULER = "scheduler"
    DAG_PROCESSOR = "dag_processor"
    TRIGGERER = "triggerer"


# No log servers: Airflow binds them to every interface, and all logs are in one folder anyway.
ARGUMENTS = {
    Component.API_SERVER: ("api-server",),
    Component.SCHEDULER: ("scheduler", "--skip-serve-logs"),
    Component.DAG_PROCESSOR: ("dag-processor",),
    Component.TRIGGERER: ("triggerer", "--skip-serve-logs"),
}
