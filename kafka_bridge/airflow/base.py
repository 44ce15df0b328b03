"""The base of the bridge's operators: the connection, the timeouts, and CANCEL on a kill."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from kafka_bridge.airflow import arguments, task_state
from kafka_bridge.airflow.exceptions import KafkaJobKilled
from kafka_bridge.airflow.mapping import CheckedPartial
from kafka_bridge.airflow.settings import CONFIGURED, Setting

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context
    from jinja2 import Environment

    from kafka_bridge.airflow.arguments import Duration
    from kafka_bridge.airflow.kafka_access import KafkaAccess


class BridgeOperator(BaseOperator):
    """The base of the bridge's operators. The public operators explain its parameters.

    :raises ConfigurationError: an argument is invalid
    """

    in_flight: str | None = None
    """The correlation id of the job that is cancelled when this process is killed."""
    killed = False
    """Whether this process was killed."""

    def __init__(
        self,
        *,
        kafka_config_id: str | Setting = CONFIGURED,
        control_topic: str | Setting = CONFIGURED,
        encoding: str | Setting = CONFIGURED,
        reply: str = "events",
        schedule_to_start_timeout: Duration | Setting | None = CONFIGURED,
        start_to_close_timeout: Duration | Setting | None = CONFIGURED,
        schedule_to_close_timeout: Duration | Setting | None = CONFIGURED,
        broker_timeout: Duration = 30.0,
        cancel_on_kill: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kafka_config_id = arguments.text("kafka_config_id", kafka_config_id)
        self.control_topic = arguments.text("control_topic", control_topic)
        self.reply = arguments.reply(reply)
        self.encoding = arguments.encoding(encoding, self.reply)
        self.schedule_to_start_timeout = arguments.limit(
            "schedule_to_start_timeout", schedule_to_start_timeout
        )
        self.start_to_close_timeout = arguments.limit(
            "start_to_close_timeout", start_to_close_timeout
        )
        self.schedule_to_close_timeout = arguments.limit(
            "schedule_to_close_timeout", schedule_to_close_timeout
        )
        self.broker_timeout = arguments.seconds("broker_timeout", broker_timeout)
        self.cancel_on_kill = cancel_on_kill

    @classmethod
    def partial(cls, **kwargs: Any) -> CheckedPartial:
        """Return the operator with some of its arguments, to be mapped over others.

        :raises ConfigurationError: Airflow cannot store an argument
        """
        return CheckedPartial.of(super().partial(**kwargs))

    def render_template_fields(
        self, context: Context, jinja_env: Environment | None = None
    ) -> None:
        """Render the templates; Airflow calls this once in each try.

        :raises ConfigurationError: Airflow cannot store a rendered value
        """
        super().render_template_fields(context, jinja_env)
        arguments.require_storable_fields(self)

    @cached_property
    def kafka(self) -> KafkaAccess:
        """How this task's process reaches Kafka."""
        # Not at the top: a DAG file that imports an operator would load the Kafka client.
        from kafka_bridge.airflow.kafka_access import KafkaAccess  # noqa: PLC0415

        return KafkaAccess(
            self.kafka_config_id,
            self.control_topic,
            self.encoding,
            self.reply,
            self.broker_timeout,
            self.log,
        )

    def on_kill(self) -> None:
        """Cancel the job that this process has published or waits for; Airflow calls this."""
        self.killed = True
        if self.in_flight is not None and self.cancel_on_kill:
            self.kafka.cancel(self.in_flight, "the task was killed")

    def stop_if_ended(self, context: Context) -> None:
        """Cancel the job if a person has ended the task, which cannot defer any more.

        Airflow kills such a process only some seconds later, and this one would be gone by then.

        :raises KafkaJobKilled: the task is not running any more, or its process was killed
        """
        if self.killed and self.cancel_on_kill:
            raise KafkaJobKilled("the task was killed before it could defer")
        if not task_state.is_in_state(context["ti"], "running"):
            self.on_kill()
            raise KafkaJobKilled("the task was marked or cleared before it could defer")
