"""A real Airflow in its own folder: scheduler, DAG processor, triggerer and API server."""

from __future__ import annotations

import logging
import sys
import time
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Self

from kafka_bridge.testing import ports
from kafka_bridge.testing.local_airflow import config
from kafka_bridge.testing.local_airflow.api import AirflowApi
from kafka_bridge.testing.local_airflow.components import ARGUMENTS, Component
from kafka_bridge.testing.local_airflow.dag_files import DagFolderWatch
from kafka_bridge.testing.local_airflow.errors import ComponentFailed
from kafka_bridge.testing.local_airflow.processes import ManagedProcess
from kafka_bridge.testing.local_airflow.runs import DagRuns
from kafka_bridge.testing.local_airflow.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

log = logging.getLogger(__name__)

PORT_ATTEMPTS = 3
MIGRATION_SECONDS = 180.0
START_SECONDS = 180.0
"""A bound, not a guess: two idle cores take about 20 s."""
STOP_SECONDS = 5.0
"""A scheduler waits for its tasks, a triggerer at times for 10 s on a runner that has ended."""
PORT_TAKEN = "address already in use"


class LocalAirflow(DagRuns):
    """Run Airflow in ``home`` with the DAGs of folder ``dags``, as a context manager.

    ``connections`` maps connection ids to a URI or to Airflow's JSON form; ``env`` is added to
    the environment of every process and wins over anything set here (``PYTHONPATH`` for triggers
    that live outside installed packages, ``AIRFLOW__…`` for other settings). ``parallelism`` is
    the number of tasks that run at once. ``database_url``: None for SQLite inside ``home``.
    ``port`` is used if it is free; otherwise, and by default, any free port.

    ``users`` maps names to roles of SimpleAuthManager, with at least one ``admin``: they log in,
    each with the name as the password. Without users, everybody is an administrator.
    Components in ``without`` are not started; the API server always is.

    Everything is written to ``home``, which may be used again: DAG runs are kept. Servers listen
    on loopback only. Entering raises :class:`ComponentFailed`, :class:`DagImportFailed` or
    :class:`WaitTimedOut`; whatever happens, nothing keeps running after leaving.
    """

    def __init__(
        self,
        home: Path,
        dags: Path,
        *,
        connections: Mapping[str, str | Mapping[str, object]] | None = None,
        env: Mapping[str, str] | None = None,
        parallelism: int = 4,
        database_url: str | None = None,
        start_timeout: float = START_SECONDS,
        port: int | None = None,
        users: Mapping[str, str] | None = None,
        without: Collection[Component] = (),
    ) -> None:
        self.home = Path(home).resolve()
        self.dags = Path(dags).resolve()
        self.base_url = ""
        self._users = dict(users or {})
        self._admin = config.administrator(self._users) if self._users else None
        self.api = AirflowApi(self.base_url, self._admin)
        self._extra = {**config.connection_variables(connections or {}), **(env or {})}
        self._components = [c for c in Component if c is Component.API_SERVER or c not in without]
        self._parallelism = parallelism
        self._database_url = database_url
        self._start_timeout = start_timeout
        self._port = port
        self._processes: dict[Component, ManagedProcess] = {}

    def __enter__(self) -> Self:
        self.home.mkdir(parents=True, exist_ok=True)
        if self._users:
            self._extra = {**config.user_variables(self.home, self._users), **self._extra}
        try:
            for attempts_left in reversed(range(PORT_ATTEMPTS)):
                self._choose_port()
                self._migrate()
                if self._start_all(may_give_up=attempts_left > 0):
                    return self
        except BaseException:
            self._stop_all(grace=0)
            raise
        raise AssertionError("the last attempt returns or raises")

    def __exit__(self, *error: object) -> None:
        self._stop_all()

    def start(self, component: Component, timeout: float = START_SECONDS) -> None:
        """Start a component that was stopped or killed; wait until it is healthy.

        Raises :class:`ComponentFailed` or, after ``timeout`` seconds, :class:`WaitTimedOut`.
        """
        self._processes[component].start()
        self._wait_healthy([component], timeout)

    def another(self, component: Component) -> ManagedProcess:
        """Return one more process of a component, not started: another triggerer, say.

        Whoever starts it stops it.
        """
        return self._process(f"{component}_2", *ARGUMENTS[component])

    def stop(self, component: Component, grace: float = STOP_SECONDS) -> None:
        """Ask a component to end; after ``grace`` seconds kill what is left of it."""
        self._processes[component].stop(grace)

    def kill(self, component: Component) -> None:
        """``kill -9`` a component and all its processes, for the scheduler tasks included."""
        self._processes[component].kill()

    def pause(self, component: Component) -> None:
        """Freeze a component and all its processes (SIGSTOP)."""
        self._processes[component].pause()

    def resume(self, component: Component) -> None:
        """Thaw a frozen component (SIGCONT)."""
        self._processes[component].resume()

    def log_path(self, component: Component) -> Path:
        """Return the file that holds the output of a component."""
        return self.home / "logs" / "processes" / f"{component}.log"

    def session(self, component: Component) -> int:
        """Return the id of the session that holds all processes of a component.

        Raises :class:`ComponentFailed` if it is not running.
        """
        process = self._processes[component]
        if process.session is None:
            raise ComponentFailed(f"{component} is not running")
        return process.session

    def check(self) -> None:
        """Raise :class:`ComponentFailed` if a component died."""
        for process in self._processes.values():
            process.check()

    def component_report(self) -> str:
        """Return the end of the scheduler's log, or else of the API server's."""
        server = self._processes[Component.API_SERVER]
        process = self._processes.get(Component.SCHEDULER, server)
        return f"The end of {process.log_path}:\n{process.tail()}"

    def _choose_port(self) -> None:
        usual = self._port
        port = usual if usual is not None and ports.is_free(usual) else ports.free_port()
        self.base_url = f"http://{config.LOOPBACK}:{port}"
        self.api = AirflowApi(self.base_url, self._admin)
        self._env = config.component_environment(
            self.home,
            self.dags,
            port=port,
            parallelism=self._parallelism,
            database_url=self._database_url or config.sqlite_url(self.home),
        )
        self._env.update(self._extra)

    def _process(self, name: str, *arguments: str) -> ManagedProcess:
        return ManagedProcess(
            name,
            # -P: the working directory is no place to import from.
            [sys.executable, "-P", "-m", "airflow", *arguments],
            env=self._env,
            cwd=self.home,
            log_path=self.home / "logs" / "processes" / f"{name}.log",
        )

    def _migrate(self) -> None:
        """Create or upgrade the database, unless this Airflow has done so in this home."""
        marker = self.home / "migrated"
        installed = version("apache-airflow-core")
        if self._database_url is None and marker.exists() and marker.read_text() == installed:
            return
        begin = time.monotonic()
        process = self._process("db_migrate", "db", "migrate")
        process.start()
        try:
            if status := process.wait(MIGRATION_SECONDS):
                raise process.failure(f"ended with status {status}")
        finally:
            process.kill()
        marker.write_text(installed)
        log.info("Migrated the database in %.1f s", time.monotonic() - begin)

    def _start_all(self, *, may_give_up: bool) -> bool:
        """Start the components and wait for them; False if another process uses the port."""
        begin = time.monotonic()
        self._processes = {c: self._process(c, *ARGUMENTS[c]) for c in self._components}
        watch = DagFolderWatch(self.api, self.dags, since=time.time())
        try:
            for process in self._processes.values():
                process.start()
            self._wait_healthy(self._components, self._start_timeout)
            if Component.DAG_PROCESSOR in self._components:
                self._wait_parsed(watch)
        except ComponentFailed:
            server = self._processes[Component.API_SERVER]
            if may_give_up and PORT_TAKEN in server.tail():
                self._stop_all(grace=0)
                return False
            raise
        log.info("Airflow is up at %s after %.1f s", self.base_url, time.monotonic() - begin)
        return True

    def _wait_healthy(self, components: Collection[Component], timeout: float) -> None:
        def healthy() -> bool | None:
            self.check()
            if Component.API_SERVER in components:
                self.api.warm_up()
            health = self.api.health()
            return all(self._is_healthy(c, health) for c in components) or None

        wait_until(
            healthy,
            what=f"{', '.join(components)} to be healthy",
            timeout=timeout,
            state=lambda: "\n".join(
                self._processes[c].failure("is not healthy").args[0] for c in components
            ),
        )

    def _is_healthy(self, component: Component, health: Mapping[str, Mapping[str, str]]) -> bool:
        """Whether the component has reported since it was started (an older report outlives it)."""
        if component is Component.API_SERVER:
            return True
        entry = health[component]
        heartbeat = entry.get(f"latest_{component}_heartbeat")
        started = self._processes[component].started_at
        return (
            entry["status"] == "healthy"
            and heartbeat is not None
            and datetime.fromisoformat(heartbeat).timestamp() >= started
        )

    def _wait_parsed(self, watch: DagFolderWatch) -> None:
        def parsed() -> bool | None:
            self.check()
            return watch.parsed() or None

        processor = self._processes[Component.DAG_PROCESSOR]
        wait_until(
            parsed,
            what=f"the DAGs in {self.dags}",
            timeout=self._start_timeout,
            state=lambda: f"{watch}\n{processor.tail()}",
        )

    def _stop_all(self, grace: float = STOP_SECONDS) -> None:
        deadline = time.monotonic() + grace
        self.api.close()  # The API server waits for open connections.
        # Last the API server: a task that is ending still has to report to it.
        order = sorted(self._processes, key=lambda component: component is Component.API_SERVER)
        for component in order[:-1]:
            self._processes[component].ask_to_stop()
        for component in order:
            self._processes[component].stop(grace=deadline - time.monotonic())
