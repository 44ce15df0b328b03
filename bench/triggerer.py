"""A real ``airflow triggerer`` on a database, and the deferred tasks that it resumes.

No scheduler runs, so the tasks stay in the state that the triggerer gives them.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, text

from bench.deferred_tasks import CONNECTION, DAG_ID, ask, writer_for
from kafka_bridge.testing.local_airflow.config import (
    component_environment,
    connection_variables,
)
from kafka_bridge.testing.local_airflow.processes import ManagedProcess
from kafka_bridge.testing.ports import free_port

ROOT = Path(__file__).parents[1]
START_SECONDS = 120.0
LOOK_SECONDS = 0.05

RESUMED = ("scheduled", "execute_complete", True)
"""A resumed task: its state, its next method, and whether the event has SUCCEEDED."""


class Triggerer:
    """A triggerer, and a view of its database."""

    def __init__(
        self, home: Path, engine: Engine, writer: subprocess.Popen[str], triggerer: ManagedProcess
    ) -> None:
        self.home = home
        self._engine = engine
        self._writer = writer
        self._process = triggerer

    def defer(self, **order: Any) -> None:
        """Order deferred tasks from :mod:`bench.deferred_tasks`."""
        ask(self._writer, order)

    def start(self) -> None:
        """Start the triggerer, or start it again."""
        self._process.start()

    def kill(self) -> None:
        """Kill the triggerer with SIGKILL."""
        self._process.kill()

    def started(self, run_id: str) -> int:
        """Return how many triggers run: the triggerer opens a log for each one."""
        folder = self.home / "logs" / f"dag_id={DAG_ID}" / f"run_id={run_id}"
        return sum(1 for _ in folder.rglob("*.trigger.*.log"))

    def resumed(self, run_id: str) -> int:
        """Return how many tasks were resumed by a job's success.

        :raises RuntimeError: a trigger failed instead
        """
        query = text(
            "SELECT state, next_method, CAST(next_kwargs AS text) LIKE '%SUCCEEDED%', count(*) "
            "FROM task_instance WHERE run_id = :run_id AND state <> 'deferred' GROUP BY 1, 2, 3"
        )
        with self._engine.connect() as connection:
            rows = connection.execute(query, {"run_id": run_id}).all()
        found = {(row[0], row[1], row[2]): int(row[3]) for row in rows}
        count = found.pop(RESUMED, 0)
        if found:
            raise RuntimeError(f"triggers failed: {found}\n{self._process.tail()}")
        return count

    def forget(self, run_id: str) -> None:
        """Delete a run, and wait until the triggerer has deleted its triggers."""
        with self._engine.begin() as connection:
            for table in ("task_instance", "dag_run"):
                query = text(f"DELETE FROM {table} WHERE run_id = :run_id")  # noqa: S608  ours
                connection.execute(query, {"run_id": run_id})
        self.wait_until(lambda: self.waiting() == 0, START_SECONDS)

    def waiting(self) -> int:
        """Return how many triggers exist, running or not."""
        with self._engine.connect() as connection:
            return int(connection.execute(text("SELECT count(*) FROM trigger")).scalar_one())

    def wait_until(self, reached: Callable[[], bool], timeout: float) -> None:
        """Return when ``reached()`` is true.

        :raises ComponentFailed: the triggerer exited, or the timeout has passed
        """
        deadline = time.monotonic() + timeout
        while not reached():
            self._process.check()
            if time.monotonic() > deadline:
                raise self._process.failure(f"did not reach the expected state in {timeout:g} s")
            time.sleep(LOOK_SECONDS)


@contextlib.contextmanager
def triggerer_on(
    url: str, home: Path, servers: str, settings: Mapping[str, str]
) -> Iterator[Triggerer]:
    """Give a triggerer on a new database, not started. It is stopped at the end of the block.

    :param url: the database's URL for SQLAlchemy
    :param home: an empty folder for Airflow
    :param servers: the Kafka brokers that jobs' triggers use
    :param settings: Airflow's settings, for example ``TRIGGERER__CAPACITY``
    """
    environment = {
        **_environment(home, url, servers),
        **{f"AIRFLOW__{name}": value for name, value in settings.items()},
    }
    process = ManagedProcess(
        "triggerer",
        [sys.executable, "-P", "-m", "airflow", "triggerer", "--skip-serve-logs"],
        env=environment,
        cwd=home,
        log_path=home / "logs" / "processes" / "triggerer.log",
    )
    engine = create_engine(url)
    with writer_for(environment, home) as writer:
        try:
            yield Triggerer(home, engine, writer, process)
        finally:
            process.stop(grace=5)
            engine.dispose()


def _environment(home: Path, url: str, servers: str) -> dict[str, str]:
    dags = home / "dags"
    dags.mkdir()
    kafka = {"conn_type": "kafka", "extra": {"bootstrap.servers": servers}}
    return {
        **component_environment(home, dags, port=free_port(), parallelism=1, database_url=url),
        **connection_variables({CONNECTION: kafka}),
        "PYTHONPATH": str(ROOT),
    }
