"""A Postgres of its own on loopback, where Postgres is installed."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

from kafka_bridge.testing.local_airflow.config import LOOPBACK, free_port
from kafka_bridge.testing.local_airflow.processes import ManagedProcess

UNPRIVILEGED = "nobody"
"""Whom Postgres runs as where we are root, which it refuses to run as."""
START_SECONDS = 120.0
LOOK_SECONDS = 0.05


class Missing(Exception):
    """Something is not installed that this needs."""


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
