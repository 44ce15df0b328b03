"""The links from a task's page in Airflow to the records of its job or batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

from kafka_bridge.airflow.settings import configured
from kafka_bridge.protocol.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator


class JobLink(BaseOperatorLink):
    """Links to ``[kafka_bridge] job_url``, for example a page of a Kafka user interface."""

    name = "Kafka job"
    option: ClassVar = "job_url"
    attribute: ClassVar = "job"
    fields: ClassVar = ("correlation_id", "request_topic", "response_topic")

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:  # noqa: ARG002
        """Return the address; empty if none is configured, or nothing was published yet.

        :raises ConfigurationError: the option has an unknown field; Airflow logs the error
        """
        facts = getattr(operator, self.attribute, None)
        template = configured(self.option)
        if not template or not isinstance(facts, Mapping):
            return ""
        values = {name: quote(str(facts[name]), safe="") for name in self.fields}
        try:
            return template.format(**values)
        except (KeyError, IndexError, ValueError) as error:
            fields = ", ".join(f"{{{name}}}" for name in self.fields)
            raise ConfigurationError(
                f"[kafka_bridge] {self.option} may contain {fields} and no other braces, not "
                f"{template!r}"
            ) from error

    @classmethod
    def where_configured(cls) -> tuple[BaseOperatorLink, ...]:
        """Return the links of an operator: this one, if an address is configured.

        Airflow stores an XCom for each link of a task, also for an empty one.
        """
        return (cls(),) if configured(cls.option) else ()


class BatchLink(JobLink):
    """Links to ``[kafka_bridge] batch_url``."""

    name = "Kafka batch"
    option: ClassVar = "batch_url"
    attribute: ClassVar = "batch"
    fields: ClassVar = ("batch_id", "request_topic", "response_topic")
