"""The sensor: waits for a job that another task has published."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kafka_bridge.airflow import arguments
from kafka_bridge.airflow.handles import JobHandle
from kafka_bridge.airflow.settings import CONFIGURED, Setting
from kafka_bridge.airflow.waiting_operator import WaitingOperator

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context


class KafkaJobSensor(WaitingOperator):
    """Waits without a worker slot for a job that was published, and returns its result.

    It is told of progress and of the end as the operator is, and fails as it does. The job is not
    its own: killed or timed out, it leaves the job alone unless ``cancel_on_kill`` is set. It takes
    the arguments of :class:`WaitingOperator` and :class:`BridgeOperator`.

    :param job: the handle that :class:`KafkaJobPublishOperator` returned, in this DAG or in another
        one: its output, a dictionary, or JSON text (templated)
    :param kafka_config_id: the Airflow connection; by default the one that published the job
    """

    template_fields: Sequence[str] = ("job", "control_topic")
    template_fields_renderers = {"job": "json"}  # noqa: RUF012  Airflow's own form
    ui_color = "#e0ece8"

    def __init__(
        self,
        *,
        job: Any,
        kafka_config_id: str | Setting = CONFIGURED,
        cancel_on_kill: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(kafka_config_id=kafka_config_id, cancel_on_kill=cancel_on_kill, **kwargs)
        self.job = job
        arguments.require_storable_fields(self)
        self._connection_is_the_jobs = isinstance(kafka_config_id, Setting)

    def execute(self, context: Context) -> Any:
        """Wait until the job ends.

        :raises ConfigurationError: ``job`` is no handle
        :raises JobError: as :meth:`WaitingOperator.execute_complete`
        """
        job = self.known_job(context)
        self.in_flight = job.correlation_id
        return self.wait_for(context, job)

    def known_job(self, context: Context) -> JobHandle:  # noqa: ARG002  other operators need it
        """Return the handle that this sensor was given.

        :raises ConfigurationError: it is none
        """
        job = JobHandle.from_json(self.job)
        if self._connection_is_the_jobs:
            self.kafka_config_id = job.kafka_config_id
        return job
