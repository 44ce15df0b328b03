"""The errors of a local Airflow.

::

    LocalAirflowError
    ├── ComponentFailed     a process of Airflow did not start, or died by itself
    ├── DagImportFailed     a file in the DAG folder cannot be imported
    ├── WaitTimedOut        something that was waited for did not happen in time
    ├── PostgresMissing     a Postgres was asked for, and cannot be run here
    └── ApiError            Airflow's API refused a request
        └── ApiUnavailable  it did not answer, or failed inside: trying again may help
"""

from __future__ import annotations

from kafka_bridge.protocol.errors import KafkaBridgeError


class LocalAirflowError(KafkaBridgeError):
    """Base of the errors that the local Airflow raises."""


class ComponentFailed(LocalAirflowError):
    """A process of Airflow did not start, or died; the message ends with its log."""


class DagImportFailed(LocalAirflowError):
    """At least one file in the DAG folder cannot be imported; the message is Airflow's own."""


class WaitTimedOut(LocalAirflowError):
    """A condition did not become true in time; the message contains the state."""


class PostgresMissing(LocalAirflowError):
    """Postgres cannot run here; the message names what is missing."""


class ApiError(LocalAirflowError):
    """The API answered with an error; ``status`` is the HTTP status, 0 if there was no answer."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class ApiUnavailable(ApiError):
    """The API server did not answer or failed inside. Trying again may help."""
