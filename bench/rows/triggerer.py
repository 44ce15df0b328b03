"""A thousand deferred tasks resume: a real ``airflow triggerer`` on a real Postgres.

The tasks are instances of one mapped task in a serialized DAG. They are put into the database just
as the execution API leaves a deferred task: state, next method, and a trigger whose arguments are
encrypted. No scheduler runs, so they stay as the triggerer leaves them.

Once the triggerer runs all the triggers, the replies are published by another process; the time is
taken from then until every task instance is ``scheduled`` in the database, as another connection
sees it. The peer waits for nothing but a flag in memory
(:class:`~bench.rows.memory_trigger.MemoryTrigger`), with the same triggerer process, so that what
is left is what Airflow itself takes. Rounds take turns; a small round of each goes before, untimed.

As a program (``python -m bench.rows.triggerer``) this module is what writes to Airflow's database:
it reads one JSON object a line and answers each with a line.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import pwd
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from bench.measure import Result, Round, Scale, Target
from bench.traffic import Publisher, ends_of, job_ids, new_topic, shuffled
from kafka_bridge.testing.local_airflow.config import (
    BUNDLE_NAME,
    LOOPBACK,
    component_environment,
    connection_variables,
    free_port,
)
from kafka_bridge.testing.local_airflow.processes import ManagedProcess

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

ROOT = Path(__file__).parents[2]
TASKS = 1000
WARM_UP_TASKS = 20
ROUNDS = 2
DAG_ID = "bench_triggerer"
TASK_ID = "wait"
CONNECTION = "bench_triggerer"
UNPRIVILEGED = "nobody"
"""Whom Postgres runs as where we are root, which it refuses to run as."""

START_SECONDS = 120.0
ROUND_SECONDS = 120.0
SETTLE_SECONDS = 3.0
"""After the last trigger has started: the reader connects, the triggerer's loops come to rest."""
LOOK_SECONDS = 0.05

RESUMED = ("scheduled", "execute_complete", True)
"""State and next method of a task that its trigger's event has resumed; the event says so, too."""


class Missing(Exception):
    """Something is not installed that this row needs."""


def run(servers: str, scale: Scale, say: Callable[[str], None]) -> list[Result]:
    """Measure the row, or say what it lacks."""
    count = scale.size(TASKS)
    result = Result(
        f"{count:,} deferred tasks in Airflow's triggerer on Postgres: replies until all resume",
        "a trigger that waits for an event in memory",
        "s",
        Target("<=", 1.1),
    )
    try:
        binaries = postgres_binaries()
    except Missing as missing:
        result.note = f"not measured: {missing}"
        return [result]
    with contextlib.ExitStack() as stack:
        say("starting Postgres and Airflow's triggerer")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kafka-bridge-")))
        url = stack.enter_context(postgres(binaries))
        bench = stack.enter_context(_bench(folder, url, servers))
        topic = stack.enter_context(new_topic(servers))

        def ours(size: int) -> float:
            return _time_round(bench, size, _Replies(size, servers, topic))

        def peer(size: int) -> float:
            return _time_round(bench, size, _Flag(size, bench.home))

        _both(ours, peer, WARM_UP_TASKS, ours_first=True)
        for number in range(1 if scale.short else scale.rounds(ROUNDS)):
            say(f"{count:,} deferred tasks, round {number + 1}")
            result.rounds.append(_both(ours, peer, count, ours_first=number % 2 == 0))
    return [result]


def _both(
    ours: Callable[[int], float], peer: Callable[[int], float], count: int, *, ours_first: bool
) -> Round:
    if ours_first:
        took = ours(count)
        return Round(took, peer(count))
    other = peer(count)
    return Round(ours(count), other)


# The two sides: what waits, and what sets it free.


class _Replies:
    """Ours: each trigger waits for a reply of its own."""

    def __init__(self, count: int, servers: str, topic: str) -> None:
        self._servers, self._topic, self._jobs = servers, topic, job_ids(count)
        self._publisher: Publisher | None = None

    def order(self) -> dict[str, Any]:
        """Return what the writer needs to know of the triggers."""
        starts = ends_of(self._servers, self._topic)
        return {"jobs": self._jobs, "topic": self._topic, "starts": starts}

    def prepare(self) -> Callable[[], None]:
        """Start what sets the triggers free; return what does it."""
        self._publisher = Publisher(self._servers, self._topic, shuffled(self._jobs))
        return self._publisher.go

    def close(self) -> None:
        """Stop it."""
        if self._publisher is not None:
            self._publisher.close()


class _Flag:
    """The peer's: all triggers wait for one event in memory."""

    def __init__(self, count: int, home: Path) -> None:
        self._count = count
        self._file = home / f"flag-{uuid.uuid4().hex[:8]}"

    def order(self) -> dict[str, Any]:
        """Return what the writer needs to know of the triggers."""
        return {"count": self._count, "flag": str(self._file)}

    def prepare(self) -> Callable[[], None]:
        """Return what sets the triggers free."""
        return self._file.touch

    def close(self) -> None:
        """Remove the flag."""
        self._file.unlink(missing_ok=True)


def _time_round(bench: _Bench, count: int, side: _Replies | _Flag) -> float:
    """Return the seconds from the replies until all the tasks are resumed."""
    run_id = f"manual__{uuid.uuid4().hex[:8]}"
    bench.ask(run_id=run_id, **side.order())
    bench.wait_until(lambda: bench.started(run_id) == count, START_SECONDS)
    fire = side.prepare()
    time.sleep(SETTLE_SECONDS)
    if bench.resumed(run_id):
        raise RuntimeError("triggers fired before there was a reply")
    begin = time.perf_counter()
    fire()
    bench.wait_until(lambda: bench.resumed(run_id) == count, ROUND_SECONDS)
    took = time.perf_counter() - begin
    side.close()
    bench.forget(run_id)
    return took


# Airflow: its database, its triggerer, and what writes deferred tasks.


class _Bench:
    """A triggerer, and a view of its database."""

    def __init__(
        self, home: Path, engine: Engine, writer: subprocess.Popen[str], triggerer: ManagedProcess
    ) -> None:
        self.home = home
        self._engine = engine
        self._writer = writer
        self._triggerer = triggerer

    def ask(self, **order: Any) -> None:
        """Have the writer do something, and wait until it is done."""
        ask(self._writer, order)

    def started(self, run_id: str) -> int:
        """Return how many triggers run: the triggerer opens a log for each that it starts."""
        folder = self.home / "logs" / f"dag_id={DAG_ID}" / f"run_id={run_id}"
        return sum(1 for _ in folder.rglob("*.trigger.*.log"))

    def resumed(self, run_id: str) -> int:
        """Return how many tasks are resumed.

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
            raise RuntimeError(f"triggers failed: {found}\n{self._triggerer.tail()}")
        return count

    def forget(self, run_id: str) -> None:
        """Remove a run, and wait until the triggerer has done so with its triggers."""
        with self._engine.begin() as connection:
            for table in ("task_instance", "dag_run"):
                query = text(f"DELETE FROM {table} WHERE run_id = :run_id")  # noqa: S608  ours
                connection.execute(query, {"run_id": run_id})
        self.wait_until(lambda: self._triggers() == 0, START_SECONDS)

    def _triggers(self) -> int:
        with self._engine.connect() as connection:
            return int(connection.execute(text("SELECT count(*) FROM trigger")).scalar_one())

    def wait_until(self, reached: Callable[[], bool], timeout: float) -> None:
        """Return once that is so.

        :raises ComponentFailed: the triggerer ended, or it took too long
        """
        deadline = time.monotonic() + timeout
        while not reached():
            self._triggerer.check()
            if time.monotonic() > deadline:
                raise self._triggerer.failure(f"did not get there in {timeout:g} s")
            time.sleep(LOOK_SECONDS)


@contextlib.contextmanager
def _bench(home: Path, url: str, servers: str) -> Iterator[_Bench]:
    """Give a triggerer that runs, on a new database."""
    environment = _environment(home, url, servers)
    log = home / "logs" / "processes" / "triggerer.log"
    command = [sys.executable, "-P", "-m", "airflow", "triggerer", "--skip-serve-logs"]
    triggerer = ManagedProcess("triggerer", command, env=environment, cwd=home, log_path=log)
    engine = create_engine(url)
    with _writer(environment, home) as writer:
        try:
            triggerer.start()
            yield _Bench(home, engine, writer, triggerer)
        finally:
            triggerer.stop(grace=5)
            engine.dispose()


def _environment(home: Path, url: str, servers: str) -> dict[str, str]:
    """Return the environment of Airflow's processes."""
    dags = home / "dags"
    dags.mkdir()
    kafka = {"conn_type": "kafka", "extra": {"bootstrap.servers": servers}}
    return {
        **component_environment(home, dags, port=free_port(), parallelism=1, database_url=url),
        **connection_variables({CONNECTION: kafka}),
        "AIRFLOW__TRIGGERER__CAPACITY": str(2 * TASKS),
        # By default 50 a loop: only what goes before the measurement would take longer.
        "AIRFLOW__TRIGGERER__MAX_TRIGGER_TO_SELECT_PER_LOOP": str(TASKS),
        "PYTHONPATH": str(ROOT),
    }


@contextlib.contextmanager
def _writer(environment: dict[str, str], home: Path) -> Iterator[subprocess.Popen[str]]:
    """Give the process that writes to Airflow's database; it has made the tables."""
    with (home / "writer.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", __spec__.name if __spec__ else __name__],
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
    """Have the writer do something, and wait until it is done.

    :raises EOFError: it ended instead
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


# Postgres.


def postgres_binaries() -> Path:
    """Return the folder of Postgres's programs.

    :raises Missing: it is not installed, or cannot be run here
    """
    for module in ("psycopg2", "asyncpg"):
        if importlib.util.find_spec(module) is None:
            raise Missing(f"the Python package {module} is not installed")
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        raise Missing("Postgres does not run as root, and there is no setpriv to run it otherwise")
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise Missing("Postgres is not installed")


@contextlib.contextmanager
def postgres(binaries: Path) -> Iterator[str]:
    """Give the URL of a new Postgres on loopback: its settings the defaults, its data temporary."""
    with tempfile.TemporaryDirectory(prefix="kafka-bridge-pg-") as name:
        folder, port, password = Path(name), free_port(), secrets.token_urlsafe(16)
        secret = folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(password, encoding="ascii")
        user = _give_away(folder, secret)
        _initdb([*user, str(binaries / "initdb")], folder, secret)
        listen = ["-p", str(port), "-k", str(folder), "-c", f"listen_addresses={LOOPBACK}"]
        server = ManagedProcess(
            "postgres",
            [*user, str(binaries / "postgres"), "-D", str(folder / "data"), *listen],
            env={**os.environ, "LC_ALL": "C"},
            cwd=folder,
            log_path=folder / "postgres.log",
        )
        try:
            server.start()
            url = f"postgresql+psycopg2://postgres:{password}@{LOOPBACK}:{port}/postgres"
            _wait_for(url, server)
            yield url
        finally:
            server.stop(grace=5)


def _give_away(*paths: Path) -> list[str]:
    """Return what runs a command as the owner of these paths, who is not root."""
    if os.geteuid() != 0:
        return []
    user = pwd.getpwnam(UNPRIVILEGED)
    for path in paths:
        os.chown(path, user.pw_uid, user.pw_gid)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def _initdb(command: Sequence[str], folder: Path, secret: Path) -> None:
    options = ["--username=postgres", "--encoding=UTF8", "--auth=scram-sha-256"]
    done = subprocess.run(
        [*command, "--pgdata", str(folder / "data"), f"--pwfile={secret}", *options],
        env={**os.environ, "LC_ALL": "C"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"initdb failed:\n{done.stderr}")


def _wait_for(url: str, server: ManagedProcess) -> None:
    engine = create_engine(url)
    deadline = time.monotonic() + START_SECONDS
    try:
        while True:
            server.check()
            try:
                with engine.connect():
                    return
            except OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(LOOK_SECONDS)
    finally:
        engine.dispose()


# The program that writes: inside Airflow's environment.

DONE = "done\n"


def write_on_demand() -> None:
    """Make the tables, then write deferred tasks as standard input asks."""
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
    """Do as ``airflow db migrate`` does, and write the DAG as the DAG processor does."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.utils import db

    db.upgradedb()
    DagBundlesManager().sync_bundles_to_db()


def _triggers_of(order: dict[str, Any]) -> Sequence[BaseTrigger]:
    """Return the triggers that the tasks wait for."""
    from bench.rows.memory_trigger import MemoryTrigger
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
        )
        for job in order["jobs"]
    ]


def _write_run(run_id: str, triggers: Sequence[BaseTrigger]) -> None:
    """Write a DAG run with a mapped task, each instance of which is deferred to a trigger."""
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
    """Write the DAG and one run of it, as the DAG processor and the scheduler do."""
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
