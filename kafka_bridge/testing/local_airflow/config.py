"""Settings for a small, quick Airflow with its own folder, bound to loopback."""

from __future__ import annotations

import base64
import json
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LOOPBACK = "127.0.0.1"
BUNDLE_NAME = "local"
SQLITE_LOCK_SECONDS = 10
"""SQLite takes one writer: the others wait this long instead of failing.

No longer: Airflow's API server writes its audit log on its event loop. Where that waits for a lock
whose holder needs the loop to commit, nothing but this time ends it, with a 500 for the request."""
MAX_ACTIVE_TASKS = 128
"""For each DAG; what really limits is the executor's parallelism."""
REFRESH_SECONDS = 5
"""How often the DAG folder is looked at for new and changed files; each look writes three lines."""
EXECUTION_API_SECONDS = 30
"""A task's request to a busy API server; Airflow's 5 s are short for two cores and many tasks."""
# Inherited settings of these kinds would make a run depend on who starts it.
FOREIGN_PREFIXES = ("AIRFLOW", "_AIRFLOW")


def home_keys(home: Path) -> dict[str, str]:
    """Return the secrets of this home, made at its first use.

    They are kept, for what waits in the database (trigger arguments) is encrypted with them.
    """
    path = home / "keys.json"
    if path.exists():
        keys: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        return keys
    keys = {
        "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(32),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
    }
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(keys, file)
    return keys


def sqlite_url(home: Path) -> str:
    """Return the URL of the SQLite database inside ``home``."""
    return f"sqlite:///{home / 'airflow.db'}?timeout={SQLITE_LOCK_SECONDS}"


def component_environment(
    home: Path, dags: Path, *, port: int, parallelism: int, database_url: str
) -> dict[str, str]:
    """Return the whole environment of Airflow's processes: inherited, minus foreign settings."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN_PREFIXES)}
    settings = {
        **_core(dags, parallelism),
        **_api(port),
        **_dag_processing(dags),
        "DATABASE__SQL_ALCHEMY_CONN": database_url,
        # Tasks of the bridge wait in the triggerer, as in most deployments.
        "OPERATORS__DEFAULT_DEFERRABLE": "True",
        # We migrate ourselves; each component would compare revisions again at its start.
        "DATABASE__CHECK_MIGRATIONS": "False",
        "LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "LOGGING__COLORED_CONSOLE_LOG": "False",
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
        "SCHEDULER__ENABLE_HEALTH_CHECK": "False",
    }
    own = {f"AIRFLOW__{key}": value for key, value in settings.items()}
    return {
        **inherited,
        **_python(inherited),
        **_no_proxy(inherited),
        **own,
        **home_keys(home),
        "AIRFLOW_HOME": str(home),
    }


def _core(dags: Path, parallelism: int) -> dict[str, str]:
    return {
        "CORE__DAGS_FOLDER": str(dags),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": str(parallelism),
        "CORE__MAX_ACTIVE_TASKS_PER_DAG": str(MAX_ACTIVE_TASKS),
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "1",
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        # No host name: no look-up in the DNS, and the API server reads logs from the folder only
        # instead of asking a log server, which Airflow would bind to every interface.
        "CORE__HOSTNAME_CALLABLE": "builtins.str",
    }


def _api(port: int) -> dict[str, str]:
    base = f"http://{LOOPBACK}:{port}"
    return {
        "API__HOST": LOOPBACK,
        "API__PORT": str(port),
        "API__BASE_URL": base,
        "API__WORKERS": "1",
        "CORE__EXECUTION_API_SERVER_URL": f"{base}/execution/",
        "WORKERS__EXECUTION_API_TIMEOUT": str(EXECUTION_API_SECONDS),
        # A supervisor that misses the end of its task's process looks again after this time.
        "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    }


def _dag_processing(dags: Path) -> dict[str, str]:
    bundle = {
        "name": BUNDLE_NAME,
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": str(dags), "refresh_interval": REFRESH_SECONDS},
    }
    return {
        "DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]),
        "DAG_PROCESSOR__PARSING_PROCESSES": "1",
        # A changed file is parsed at the next refresh in any case. To parse 30 unchanged ones each
        # half minute took a fifth of a processor; one whose parsing failed is parsed again, too.
        "DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": str(REFRESH_SECONDS),
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "180",
    }


def _python(inherited: Mapping[str, str]) -> dict[str, str]:
    """Let the five interpreters share compiled bytecode: importing Airflow without takes 2.5×.

    Who asked Python not to write ``__pycache__`` folders gets a cache elsewhere.
    """
    settings = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": ""}
    if inherited.get("PYTHONDONTWRITEBYTECODE") and "PYTHONPYCACHEPREFIX" not in inherited:
        cache = Path(inherited.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        settings["PYTHONPYCACHEPREFIX"] = str(cache / "kafka-bridge" / "bytecode")
    return settings


def _no_proxy(inherited: Mapping[str, str]) -> dict[str, str]:
    """Keep Airflow's own requests to the API server off a proxy that the person may have set."""
    known = inherited.get("NO_PROXY") or inherited.get("no_proxy") or ""
    hosts = ",".join(filter(None, [known, LOOPBACK, "localhost"]))
    return {"NO_PROXY": hosts, "no_proxy": hosts}


def connection_variables(connections: Mapping[str, str | Mapping[str, object]]) -> dict[str, str]:
    """Return ``AIRFLOW_CONN_…`` variables; a mapping is written in Airflow's JSON form."""
    return {
        f"AIRFLOW_CONN_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in connections.items()
    }


def administrator(users: Mapping[str, str]) -> str:
    """Return the first user that has the role ``admin``.

    :param users: roles by name
    :raises ValueError: there is none, or a name or a role cannot be written in Airflow's option
    """
    if odd := [each for each in (*users, *users.values()) if not each.isidentifier()]:
        raise ValueError(f"Names and roles of users must be words of letters, not {odd}")
    admins = [name for name, role in users.items() if role == "admin"]
    if not admins:
        raise ValueError(f"One of the users needs the role 'admin'; there are {dict(users)}")
    return admins[0]


def user_variables(home: Path, users: Mapping[str, str]) -> dict[str, str]:
    """Return the settings for users that log in; write their passwords, which are their names.

    :param users: roles by name
    """
    passwords = home / "passwords.json"
    passwords.write_text(json.dumps({name: name for name in users}), encoding="utf-8")
    return {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(map(":".join, users.items())),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
    }
