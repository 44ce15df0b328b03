"""The links from a task's page in Airflow to its job or batch: on the board, or elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

from kafka_bridge.airflow.board.address import board_url, is_switched_on
from kafka_bridge.airflow.settings import configured
from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.protocol.ids import PREFIX_LENGTH

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator


class JobLink(BaseOperatorLink):
    """Links to ``[kafka_bridge] job_url``, for example a page of a Kafka user interface.

    Without that option, it links to the board.
    """

    name = "Kafka job"
    option: ClassVar = "job_url"
    attribute: ClassVar = "job"
    fields: ClassVar = ("correlation_id", "request_topic", "response_topic")

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:  # noqa: ARG002
        """Return the address; empty if there is none, or nothing was published yet.

        :raises ConfigurationError: the option has an unknown field; Airflow logs the error
        """
        facts = getattr(operator, self.attribute, None)
        if not isinstance(facts, Mapping):
            return ""
        template = configured(self.option)
        if not template:
            return self.on_board(facts) if is_switched_on() else ""
        values = {name: quote(str(facts[name]), safe="") for name in self.fields}
        try:
            return template.format(**values)
        except (KeyError, IndexError, ValueError) as error:
            fields = ", ".join(f"{{{name}}}" for name in self.fields)
            raise ConfigurationError(
                f"[kafka_bridge] {self.option} may contain {fields} and no other braces, not "
                f"{template!r}"
            ) from error

    @staticmethod
    def on_board(facts: Mapping[str, Any]) -> str:
        """Return the address of the board's page of a job."""
        return board_url(job=str(facts["correlation_id"]))

    @classmethod
    def where_configured(cls) -> tuple[BaseOperatorLink, ...]:
        """Return the links of an operator: this one, if there is an address or a board.

        Airflow stores an XCom for each link of a task, also for an empty one.
        """
        return (cls(),) if configured(cls.option) or is_switched_on() else ()


class BatchLink(JobLink):
    """Links to ``[kafka_bridge] batch_url``, or else to the board."""

    name = "Kafka batch"
    option: ClassVar = "batch_url"
    attribute: ClassVar = "batch"
    fields: ClassVar = ("batch_id", "request_topic", "response_topic")

    @staticmethod
    def on_board(facts: Mapping[str, Any]) -> str:
        """Return the address of the board's list of the jobs, also those of earlier rounds."""
        return board_url(view="jobs", q=str(facts["batch_id"])[:PREFIX_LENGTH])
