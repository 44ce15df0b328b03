"""The link from a task's page to its job's records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

from kafka_bridge.airflow.settings import configured
from kafka_bridge.protocol.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

_FIELDS = ("correlation_id", "request_topic", "response_topic")


class JobLink(BaseOperatorLink):
    """Leads to what ``[kafka_bridge] job_url`` names, a Kafka web page for example."""

    name = "Kafka job"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:  # noqa: ARG002
        """Return the address, or nothing where none is configured or nothing was published.

        :raises ConfigurationError: ``job_url`` asks for what is not there; Airflow logs it
        """
        job = getattr(operator, "job", None)
        template = configured("job_url")
        if not template or not isinstance(job, Mapping):
            return ""
        values = {name: quote(str(job[name]), safe="") for name in _FIELDS}
        try:
            return template.format(**values)
        except (KeyError, IndexError, ValueError) as error:
            raise ConfigurationError(
                f"[kafka_bridge] job_url may hold {_words()}, each in braces, and no other braces: "
                f"it is {template!r}"
            ) from error


def _words() -> str:
    return ", ".join(f"{{{name}}}" for name in _FIELDS)
