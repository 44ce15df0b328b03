"""Whether Airflow's connection to Kafka can be found, and its extra can be used."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

from kafka_bridge.airflow.checkup.database import NoDatabase, require_database
from kafka_bridge.airflow.compat import AirflowNotFoundException
from kafka_bridge.findings import Finding, error, ok, warning
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.errors import ConfigurationError

CREATE = (
    'Create one of type kafka whose extra is {"bootstrap.servers": "…"}, or set [kafka_bridge] '
    "kafka_config_id to another"
)


class ConnectionLookup:
    """Looks for a connection as a task does, and then in the database.

    :param kafka_config_id: the connection
    :ivar config: the client settings; None until :meth:`check` has found them
    """

    def __init__(self, kafka_config_id: str) -> None:
        self._id = kafka_config_id
        self.config: KafkaConfig | None = None

    def check(self, _: float) -> Iterator[Finding]:
        """Yield where the connection was found, or why it cannot be used."""
        # Not at the top: it needs the Kafka provider, whose absence is a finding of its own.
        from kafka_bridge.airflow.hooks import kafka_config  # noqa: PLC0415

        try:
            self.config = kafka_config(self._id)
        except ConfigurationError as failure:
            if not isinstance(failure.__cause__, AirflowNotFoundException):
                yield error(str(failure))
                return
            yield self._look_into_database(kafka_config)
        else:
            yield ok(f"found in the environment or a secrets backend; {self._properties()}")

    def _look_into_database(self, kafka_config: Callable[[str], KafkaConfig]) -> Finding:
        try:
            value = _stored_connection(self._id)
        except NoDatabase as reason:
            return warning(
                f"not in the environment ({self._variable}) or a secrets backend; {reason}. Tasks "
                "ask the API server for it, this command cannot",
                f"Run the command where Airflow's database can be asked, or set {self._variable} "
                "for this run.",
            )
        if value is None:
            return error(
                f"not in the environment ({self._variable}), a secrets backend or Airflow's "
                "database",
                f"{CREATE}.",
            )
        with _variable(self._variable, value):
            self.config = kafka_config(self._id)
        return ok(f"found in Airflow's database; {self._properties()}")

    @property
    def _variable(self) -> str:
        return f"AIRFLOW_CONN_{self._id.upper()}"

    def _properties(self) -> str:
        assert self.config is not None  # noqa: S101
        return f"its properties: {', '.join(sorted(self.config.settings))}"


def _stored_connection(kafka_config_id: str) -> str | None:
    """Return a connection of Airflow's database as JSON; None if there is none.

    :raises NoDatabase: the database cannot be asked
    """
    require_database()
    from airflow.models.connection import Connection  # noqa: PLC0415  large
    from airflow.utils.session import create_session  # noqa: PLC0415
    from sqlalchemy import select  # noqa: PLC0415
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    try:
        with create_session() as session:
            found = session.scalar(select(Connection).where(Connection.conn_id == kafka_config_id))
            return None if found is None else str(found.as_json())
    except SQLAlchemyError as failure:
        raise NoDatabase(
            f"Airflow's database does not answer ({type(failure).__name__})"
        ) from failure


@contextlib.contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    """Set a variable of this process inside the block."""
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
