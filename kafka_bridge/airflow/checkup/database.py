"""Airflow's metadata database, where this machine has it. Workers of Airflow 3 do not."""

from __future__ import annotations

from pathlib import Path


class NoDatabase(Exception):
    """This machine cannot ask Airflow's database. The text says why, without secrets."""


def require_database() -> None:
    """Check that a database is configured.

    :raises NoDatabase: only SQLite is, and its file does not exist. It must not be created here
    """
    from airflow.configuration import conf  # noqa: PLC0415  large
    from sqlalchemy import make_url  # noqa: PLC0415
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    try:
        url = make_url(conf.get("database", "sql_alchemy_conn"))
    except ArgumentError as error:
        raise NoDatabase("[database] sql_alchemy_conn is not a URL of a database") from error
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise NoDatabase(
            "this machine has no metadata database ([database] sql_alchemy_conn is not set, or its "
            "file does not exist)"
        )
