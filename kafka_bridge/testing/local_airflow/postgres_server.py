"""Postgres on loopback, for a local Airflow with many concurrent tasks.

SQLite supports one writer, and the API server may wait for it on its event loop. Postgres avoids
this.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

from kafka_bridge.testing.local_airflow.config import LOOPBACK
from kafka_bridge.testing.local_airflow.errors import ComponentFailed, PostgresMissing
from kafka_bridge.testing.local_airflow.processes import ManagedProcess
from kafka_bridge.testing.local_airflow.waiting import wait_until
from kafka_bridge.testing.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

UNPRIVILEGED = "nobody"
"""The user for Postgres if this process runs as root, which Postgres refuses."""
DEBIAN = Path("/usr/lib/postgresql")
"""The folder of Debian's Postgres versions, which are not on PATH."""
START_SECONDS = 120.0
DRIVERS = ("psycopg2", "asyncpg")
"""The drivers that Airflow uses; the API server needs both."""
CLUSTER = ("--username=postgres", "--encoding=UTF8", "--auth=scram-sha-256")


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Give the URL of a new Postgres with default settings; its data are deleted after the block.

    ::

        with postgres() as url, LocalAirflow(home, dags, database_url=url) as airflow:
            ...

    :raises PostgresMissing: it is not installed, or cannot be run here
    :raises ComponentFailed: it did not start
    """
    binaries = _binaries()
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


def _binaries() -> Path:
    """Return the folder with the programs of Postgres.

    :raises PostgresMissing: it is not installed, or cannot be run here
    """
    for module in DRIVERS:
        if importlib.util.find_spec(module) is None:
            raise PostgresMissing(f"the Python package {module} is not installed")
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        raise PostgresMissing("Postgres does not run as root, and setpriv is not installed")
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(DEBIAN.glob("*/bin"), reverse=True)
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise PostgresMissing(f"there is no initdb, neither on the PATH nor in {DEBIAN}")


def _give_away(*paths: Path) -> list[str]:
    """Change the owner of these paths from root; return the prefix of commands for the owner."""
    if os.geteuid() != 0:
        return []
    user = pwd.getpwnam(UNPRIVILEGED)
    for path in paths:
        os.chown(path, user.pw_uid, user.pw_gid)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def _initdb(command: Sequence[str], folder: Path, secret: Path) -> None:
    done = subprocess.run(
        [*command, *CLUSTER, "--pgdata", str(folder / "data"), f"--pwfile={secret}"],
        env={**os.environ, "LC_ALL": "C"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ComponentFailed(f"initdb failed:\n{done.stderr}")


def _wait_for(url: str, server: ManagedProcess) -> None:
    engine = create_engine(url)

    def answers() -> bool | None:
        server.check()
        with contextlib.suppress(OperationalError), engine.connect():
            return True
        return None

    try:
        wait_until(answers, what="Postgres", timeout=START_SECONDS, state=server.tail)
    finally:
        engine.dispose()
