"""Runs an Airflow with the DAGs of these tests: in a process of the environment that has Airflow.

It prints its address, and ends when its standard input does.
"""

from __future__ import annotations

import sys
from pathlib import Path

from kafka_bridge.testing.local_airflow import Component, LocalAirflow

SOURCE = "browser-tests"
USERS = {"ann": "admin", "vic": "viewer", "tim": "user"}


def run(home: Path, servers: str) -> None:
    """Run it in a new folder, with a connection to these brokers."""
    here = Path(__file__).parent
    airflow = LocalAirflow(
        home,
        here / "dags",
        connections={
            "kafka_default": {"conn_type": "kafka", "extra": {"bootstrap.servers": servers}}
        },
        env={
            "AIRFLOW__KAFKA_BRIDGE__SOURCE": SOURCE,
            "AIRFLOW__CORE__AUTH_MANAGER": "team_auth_manager.TeamAuthManager",
            "PYTHONPATH": str(here),
        },
        users=USERS,
        without=[Component.TRIGGERER],
    )
    with airflow:
        print(airflow.base_url, flush=True)  # noqa: T201  the tests read it
        sys.stdin.read()


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2])
